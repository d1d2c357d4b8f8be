//! A server that is started before what it needs.

use std::time::{Duration, Instant};

use onsale::serve::Server;

use crate::support::Env;
use crate::support::proxy::{Proxy, target};

/// Nobody else is here: what is closed stays closed until the test opens it.
const PLACE: &str = "127.0.5.1";

/// A port that nobody listens at, and the URL with it instead of the host and port that it has.
async fn closed(url: &str) -> (String, String, String) {
    let listener = tokio::net::TcpListener::bind((PLACE, 0)).await.expect("a port");
    let place = listener.local_addr().expect("bound").to_string();
    let target = target(url);
    (place.clone(), target.to_owned(), url.replace(target, &place))
}

#[tokio::test]
async fn a_server_waits_at_its_start_for_what_is_started_with_it() {
    let env = Env::start().await;
    let mut config = env.config.clone();
    let (redis, to_redis, url) = closed(&config.redis.url).await;
    config.redis.url = url;
    let (postgres, to_postgres, url) = closed(&config.database.url).await;
    config.database.url = url;
    config.database.acquire_timeout_s = 1;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let starting = tokio::spawn(Server::start(config, Some(listener)));
    for (place, target) in [(postgres, to_postgres), (redis, to_redis)] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!starting.is_finished(), "it gave up");
        drop(Proxy::at(&place, target).await);
    }
    let server = starting.await.expect("no panic").expect("it starts");
    server.stop().await.expect("an orderly end");
    env.end().await;
}

#[tokio::test]
async fn a_server_gives_up_when_it_has_waited_long_enough() {
    let env = Env::start().await;
    for which in ["Postgres", "Redis"] {
        let mut config = env.config.clone();
        config.database.acquire_timeout_s = 1;
        config.start_within_s = 2;
        let url = if which == "Redis" { &mut config.redis.url } else { &mut config.database.url };
        *url = closed(url).await.2;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let began = Instant::now();
        let refused = Server::start(config, Some(listener)).await.err().expect("nothing there");
        assert_eq!(refused.to_string(), format!("{which} does not answer"));
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    }
    env.end().await;
}
