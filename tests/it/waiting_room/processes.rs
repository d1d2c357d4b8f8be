//! A line that five processes keep, while one of them is killed and Redis is restarted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures::future::join_all;
use onsale::waiting_room::DRAWN;
use reqwest::Client;

use super::*;
use crate::support::process::free_address;
use crate::support::{stage, until};

const PROCESSES: usize = 5;
/// Who joins before the draw.
const EARLY: usize = 15;
/// Each sees one number after another.
const OBSERVERS: usize = 20;
const NUMBERS_EACH: usize = 8;
/// Numbers that are reserved at a time: few, so that the processes often need more.
const RESERVE: i64 = 20;

/// Joins whose answer never came: each may have got a number that is nobody's.
static UNTOLD: AtomicI64 = AtomicI64::new(0);

/// Somebody in line.
struct Visitor {
    buyer: Buyer,
    token: String,
    place: Option<i64>,
}

/// Joins at one of these processes, the others if that one doesn't answer.
async fn come(http: &Client, urls: &[String], first: usize) -> Visitor {
    let started = std::time::Instant::now();
    for attempt in 0.. {
        let url = urls[(first + attempt) % urls.len()].clone();
        if let Some(visitor) = try_to_come(http, url).await {
            return visitor;
        }
        assert!(started.elapsed() < crate::support::PATIENCE, "nobody lets anybody join");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    unreachable!("there is always another attempt");
}

/// Nothing if the process is dead, or has no Redis at the moment.
async fn try_to_come(http: &Client, url: String) -> Option<Visitor> {
    let mut buyer = Buyer { url, token: String::new(), http: http.clone() };
    let session = buyer.try_send(Method::POST, "/v1/sessions", None, None).await.ok()?;
    buyer.token = session.expect(201).body["token"].as_str().expect("a token").to_owned();
    let path = "/v1/events/show/waiting-room/join";
    let joined = buyer.try_send(Method::POST, path, None, Some(json!({}))).await;
    let Some(joined) = joined.ok().filter(|joined| joined.status != 503) else {
        UNTOLD.fetch_add(1, Ordering::SeqCst);
        return None;
    };
    let joined = joined.expect(200);
    let place = joined.body["place"].as_str().map(|place| place.parse().expect("a number"));
    Some(Visitor { buyer, token: token(&joined), place })
}

/// Joins again and again: each number is higher than the one before.
async fn observe(urls: Arc<Vec<String>>, number: usize, given: Arc<AtomicUsize>) -> Vec<Visitor> {
    let http = Client::new();
    let mut seen: Vec<Visitor> = Vec::new();
    for turn in 0..NUMBERS_EACH {
        let visitor = come(&http, &urls, number + turn).await;
        let last = seen.last().map_or(DRAWN - 1, |last| last.place.expect("a number"));
        assert!(visitor.place > Some(last), "{:?} after {last}", visitor.place);
        given.fetch_add(1, Ordering::SeqCst);
        seen.push(visitor);
    }
    seen
}

/// The place that a token has at each of these processes, all the same.
async fn place_everywhere(urls: &[String], visitor: &Visitor) -> i64 {
    let mut places = HashSet::new();
    for url in urls {
        let there = Buyer { url: url.clone(), ..visitor.buyer.clone() };
        let told = poll(&there, &visitor.token).await.expect(200);
        places.insert(told.body["place"].as_str().expect("a place").to_owned());
    }
    assert_eq!(places.len(), 1, "{places:?}");
    places.into_iter().next().expect("one").parse().expect("a number")
}

async fn big_venue() -> Venue {
    let mut env = Env::with_own_redis().await;
    env.config.waiting_room.reserve = RESERVE;
    env.config.database.connections = 4;
    Venue::of(env, &hall(20, 40, 0), |room| {
        room.per_minute = 60_000;
        room.target_inside = 10_000;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_processes_keep_one_line_though_one_is_killed_and_redis_restarted() {
    let venue = big_venue().await;
    let configure = |config: &mut onsale::config::Config| {
        stage::brisk(config);
        config.waiting_room.admit_ms = 100;
    };
    let addresses: Vec<_> = (0..PROCESSES).map(|_| free_address()).collect();
    let starting = addresses.iter().map(|at| venue.env.spawn_server(*at, &[], configure));
    let mut processes = join_all(starting).await;
    let urls: Arc<Vec<String>> = Arc::new(processes.iter().map(|p| p.url.clone()).collect());
    let http = Client::new();
    let early = join_all((0..EARLY).map(|number| come(&http, &urls, number))).await;
    assert!(early.iter().all(|visitor| visitor.place.is_none()));
    venue.draw().await;

    let given = Arc::new(AtomicUsize::new(0));
    let observers: Vec<_> = (0..OBSERVERS)
        .map(|number| tokio::spawn(observe(urls.clone(), number, given.clone())))
        .collect();
    let has_given = async |share: usize| {
        until("numbers are given", || async {
            given.load(Ordering::SeqCst) >= OBSERVERS * NUMBERS_EACH * share / 4
        })
        .await;
    };
    has_given(1).await;
    processes.remove(0).kill().await;
    has_given(2).await;
    venue.env.stack.restart_redis().await.expect("a new Redis");
    let mut visitors = Vec::new();
    for observer in observers {
        visitors.extend(observer.await.expect("numbers"));
    }

    let mut numbers: Vec<i64> = visitors.iter().filter_map(|visitor| visitor.place).collect();
    numbers.sort_unstable();
    let span = numbers[numbers.len() - 1] - numbers[0];
    numbers.dedup();
    assert_eq!(numbers.len(), OBSERVERS * NUMBERS_EACH, "a number was given twice");
    // What was reserved is used up, but for what was lost with Redis and the dead process.
    let given = i64::try_from(numbers.len()).expect("few");
    let lost = 5 * RESERVE + UNTOLD.load(Ordering::SeqCst);
    assert!(span < given + lost, "numbers that are nobody's: {span}");
    let left = &urls[1..];
    for visitor in &visitors {
        assert_eq!(Some(place_everywhere(left, visitor).await), visitor.place);
    }
    let mut drawn = HashSet::new();
    for visitor in &early {
        let place = place_everywhere(left, visitor).await;
        assert!(place < DRAWN && drawn.insert(place));
    }
    shop(left, early.iter().chain(&visitors)).await;
    for process in processes {
        process.terminate().await;
    }
    venue.end().await;
}

/// All are called, and each token buys at every process: its pass from one, its hold at another.
async fn shop(urls: &[String], visitors: impl Iterator<Item = &Visitor>) {
    for (number, visitor) in visitors.enumerate() {
        let at = |turn: usize| Buyer {
            url: urls[(number + turn) % urls.len()].clone(),
            ..visitor.buyer.clone()
        };
        until("everybody is called", || async {
            poll(&at(0), &visitor.token).await.expect(200).body["state"] == "your_turn"
        })
        .await;
        if number % 20 == 0 {
            let pass = exchange(&at(0), &visitor.token).await.expect(201);
            let pass = pass.body["pass"].as_str().expect("a pass");
            hold(&at(1), "k", Some(pass)).await.expect(201);
        }
    }
}
