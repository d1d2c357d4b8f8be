//! A real stack from start to stop. What needs the death of a whole process (the watchdog's and
//! the sharing's last cases) is tried with a shell in the parent's place.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::Connection;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::home::Home;
use super::postgres::connect;
use super::process::{Running, is_alive, start_repeatedly};
use super::watchdog::Watchdog;
use super::{DevstackError, Options, START_ATTEMPTS_MAX, Sharing, Stack};

/// A shell that ignores interrupts, as in the background, leaves that to its children: they end with
/// the last signal, after 15 s.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// A directory that is removed at the end, whatever the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let unique = format!("onsale-devstack-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(unique))
    }

    /// A private stack that fetches nothing that the tests' own stack has fetched already.
    async fn options(&self) -> Options {
        let shared = Options::for_tests();
        let home = Home::prepare(&shared.data_dir).await.expect("a home");
        Options {
            data_dir: self.0.clone(),
            programs_dir: Some(home.programs()),
            share: Sharing::Owned,
            database_url: None,
            redis_url: None,
            ..shared
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn ping(url: &str) -> ::redis::RedisResult<String> {
    let client = ::redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    ::redis::cmd("PING").query_async(&mut connection).await
}

#[tokio::test]
async fn starts_serves_survives_faults_and_stops() {
    let scratch = Scratch::new("whole");
    let stack = Stack::start(scratch.options().await).await.expect("a first start");
    ping(&stack.redis_url).await.expect("Redis answers");

    let url = stack.fresh_database("of_one_test", None).await.expect("a database");
    let mut connection = connect(&url).await.expect("Postgres answers");
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut connection)
        .await
        .expect("a name");
    assert_eq!(name, "of_one_test");
    connection.close().await.expect("closes");
    stack.drop_database("of_one_test").await.expect("dropped");
    connect(&url).await.expect_err("the database is gone");

    let first_pid = stack.redis_pid().await;
    stack.kill_redis().await.expect("killed");
    ping(&stack.redis_url).await.expect_err("Redis is gone");
    stack.start_redis().await.expect("started again");
    ping(&stack.redis_url).await.expect("Redis answers at the same URL");
    assert_ne!(stack.redis_pid().await, first_pid);

    let second_owner = Stack::start(scratch.options().await).await;
    assert!(matches!(second_owner, Err(DevstackError::InUse(_))));

    let (database_url, redis_url) = (stack.database_url.clone(), stack.redis_url.clone());
    stack.stop().await.expect("stopped");
    connect(&database_url).await.expect_err("Postgres is gone");
    ping(&redis_url).await.expect_err("Redis is gone");

    let again = Instant::now();
    let stack = Stack::start(scratch.options().await).await.expect("a second start");
    assert!(again.elapsed() < Duration::from_mins(1), "took {:?}", again.elapsed());
    stack.stop().await.expect("stopped");
}

#[tokio::test]
async fn users_of_one_directory_share_a_stack_and_may_have_a_redis_of_their_own() {
    let without_urls = || Options { database_url: None, redis_url: None, ..Options::for_tests() };
    let (first, second) = tokio::join!(Stack::start(without_urls()), Stack::start(without_urls()));
    let (first, second) = (first.expect("the first user"), second.expect("the second user"));
    assert_eq!(first.database_url, second.database_url);
    assert_eq!(first.redis_url, second.redis_url);
    assert_eq!(first.postgres_pid().await, second.postgres_pid().await);
    assert!(matches!(first.kill_redis().await, Err(DevstackError::NotOwned("Redis"))));
    first.stop().await.expect("left");
    ping(&second.redis_url).await.expect("Redis stays for the second user");

    let own = second.with_own_redis("sharing_test").await.expect("a Redis beside");
    assert_eq!(own.database_url, second.database_url);
    assert_ne!(own.redis_url, second.redis_url);
    own.restart_redis().await.expect("restarted");
    ping(&own.redis_url).await.expect("it answers again");
    own.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_server_given_by_url_is_not_started() {
    let scratch = Scratch::new("given");
    let mut options = scratch.options().await;
    options.database_url = Some("postgres://elsewhere/onsale".to_owned());
    options.redis_url = Some("redis://elsewhere/".to_owned());
    let stack = Stack::start(options).await.expect("nothing to start");
    assert_eq!(stack.database_url, "postgres://elsewhere/onsale");
    assert_eq!(stack.redis_pid().await, None);
    assert!(matches!(stack.kill_redis().await, Err(DevstackError::NotOwned("Redis"))));
    assert!(!scratch.0.exists(), "no directory is needed");
    stack.stop().await.expect("nothing to stop");
}

#[tokio::test]
async fn the_watchdog_stops_what_it_was_told_and_nothing_else() {
    let scratch = Scratch::new("watchdog");
    let home = Home::prepare(&scratch.0).await.expect("a home");
    for directory in [home.cluster(), home.redis()] {
        home.make_private_directory(&directory).expect("a directory");
    }
    let sleeper = |directory: PathBuf| {
        let mut command = Command::new("sleep");
        command.arg("300");
        Running::start(command, &directory, &home.path("sleep.log")).expect("a process")
    };
    let (mut postgres, mut redis) = (sleeper(home.cluster()), sleeper(home.redis()));
    let mut elsewhere = sleeper(home.path("."));
    let watchdog = Mutex::new(Watchdog::start(&home).expect("a watchdog"));
    watchdog.lock().await.watch("redis", elsewhere.pid).await.expect("told");
    drop(watchdog);

    // Its pid was announced, but the process works elsewhere: as if the pid had been reused.
    let watchdog = Mutex::new(Watchdog::start(&home).expect("a watchdog"));
    watchdog.lock().await.watch("postgres", postgres.pid).await.expect("told");
    watchdog.lock().await.watch("redis", redis.pid).await.expect("told");
    drop(watchdog);
    let deadline = Instant::now() + GONE_LIMIT;
    while (postgres.is_alive() || redis.is_alive()) && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!postgres.is_alive() && !redis.is_alive());
    assert!(elsewhere.is_alive());
    elsewhere.stop(&[]).await.expect("stopped");
    assert!(!is_alive(elsewhere.pid, &home.path(".")));
}

#[tokio::test]
async fn a_server_that_something_else_ended_is_started_again() {
    let scratch = Scratch::new("silent_end");
    let home = Home::prepare(&scratch.0).await.expect("a home");
    let tries = Cell::new(0);
    let outcome = start_repeatedly(
        |_| false,
        async || {
            tries.set(tries.get() + 1);
            let mut command = Command::new("sh");
            command.args(["-c", "kill -9 $$"]);
            let log = home.path("killed.log");
            let mut running = Running::start(command, &home.path("."), &log)?;
            while running.is_alive() {
                sleep(Duration::from_millis(5)).await;
            }
            let reason = running.silent_end();
            Err::<(), _>(DevstackError::NotStarted { server: "It", reason, log })
        },
    )
    .await;
    let said = outcome.expect_err("it ended each time").to_string();
    assert!(said.contains("without a word (signal: 9"), "{said}");
    assert_eq!(tries.get(), START_ATTEMPTS_MAX);
}
