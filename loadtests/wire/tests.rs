use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::routing::{delete, get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

#[tokio::test]
async fn a_request_arrives_as_it_was_asked() {
    let echo = |headers: HeaderMap, body: String| async move {
        let value = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let all = ["authorization", "idempotency-key", "content-type", "if-none-match"].map(value);
        ([("etag", "\"e\"")], format!("{}|{body}", all.join("|")))
    };
    let router = Router::new()
        .route("/a", post(echo).get(echo))
        .route("/b", delete(|| async { StatusCode::NO_CONTENT }));
    let origin = Origin::new(serve(router).await, 4).unwrap();
    let (session, known) = (HeaderValue::from_static("Bearer t"), HeaderValue::from_static("x"));
    let ask = Ask {
        body: Some("{}".to_owned()),
        session: Some(&session),
        key: Some("k"),
        known: Some(&known),
        ..Ask::default()
    };
    let answer = origin.ask("/a", ask).await.unwrap();
    assert_eq!(answer.body, b"Bearer t|k|application/json|x|{}");
    assert_eq!(answer.etag.unwrap(), "\"e\"");
    let answer = origin.ask("/a", Ask::default()).await.unwrap();
    assert_eq!(answer.body, b"||||");
    let answer = origin.ask("/b", Ask { delete: true, ..Ask::default() }).await.unwrap();
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(origin.opened(), 1, "one connection served all three");
}

#[tokio::test]
async fn connections_are_bounded_and_come_from_many_addresses() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (now.clone(), most.clone());
    let slow = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        let (now, most) = counted.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(30)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            peer.ip().to_string()
        }
    };
    let origin = Origin::new(serve(Router::new().route("/", get(slow))).await, 3).unwrap();
    let asked = (0..9).map(|_| origin.ask("/", Ask::default()));
    let answers: Vec<Answer> =
        futures::future::join_all(asked).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(origin.opened(), 3);
    let mut peers: Vec<IpAddr> = answers
        .iter()
        .map(|answer| std::str::from_utf8(&answer.body).unwrap().parse().unwrap())
        .collect();
    peers.sort_unstable();
    peers.dedup();
    assert_eq!(peers.len(), 3);
    assert!(answers.iter().any(|answer| answer.queued > Duration::from_millis(20)));
    assert!(answers.iter().all(|answer| answer.service > Duration::from_millis(20)));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::new(listener.local_addr().unwrap(), 1).unwrap();
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1_024];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            // Says nothing of closing, then closes.
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    assert_eq!(origin.ask("/", Ask::default()).await.unwrap().body, b"ok");
    // The end of the stream has to arrive first: on loopback that is a moment.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(origin.ask("/", Ask::default()).await.unwrap().body, b"ok");
    server.await.unwrap();
}

#[tokio::test]
async fn many_requests_share_a_connection_over_http2() {
    let echo = |version: axum::http::Version, headers: HeaderMap, body: String| async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let value = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let all = ["authorization", "idempotency-key", "content-type", "onsale-queue"].map(value);
        let told = [("etag", "\"e\""), ("retry-after", "3")];
        (told, format!("{version:?}|{}|{body}", all.join("|")))
    };
    let router = Router::new()
        .route("/a", post(echo).get(echo))
        .route("/b", delete(|| async { StatusCode::NO_CONTENT }));
    let origin = Origin::new(serve(router).await, 1).unwrap();
    let session = HeaderValue::from_static("Bearer t");
    let ask = |number: u32| Ask {
        body: Some(number.to_string()),
        session: Some(&session),
        key: Some("k"),
        queue: Some("q"),
        ..Ask::default()
    };
    let asked = (0..300).map(|number| origin.ask_multiplexed("/a", ask(number)));
    let answers = futures::future::join_all(asked).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(text, format!("HTTP/2.0|Bearer t|k|application/json|q|{number}"));
        assert_eq!(
            (answer.etag.unwrap(), answer.retry_after_s),
            ("\"e\"".parse().unwrap(), Some(3))
        );
    }
    let gone = origin.ask_multiplexed("/b", Ask { delete: true, ..Ask::default() }).await.unwrap();
    assert_eq!((gone.status, gone.body), (StatusCode::NO_CONTENT, Vec::new()));
    assert_eq!((origin.opened(), origin.open.now()), (4, 4));
}

#[tokio::test]
async fn an_http2_connection_that_ended_is_replaced() {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = Origin::new(address, 1).unwrap();
    for _ in 0..2 {
        let router = Router::new().route("/", get(|| async { "ok" }));
        let (drain, config) = (CancellationToken::new(), onsale::config::Http::default());
        let over = drain.clone();
        let serving = tokio::spawn(async move {
            onsale::http::server::serve(listener, router, &config, over).await
        });
        for _ in 0..8 {
            let answer = origin.ask_multiplexed("/", Ask::default()).await.unwrap();
            assert_eq!(answer.body, b"ok");
        }
        drain.cancel();
        serving.await.unwrap().unwrap();
        listener = TcpListener::bind(address).await.unwrap();
    }
    assert_eq!(origin.opened(), 8);
    drop(listener);
    let refused = origin.ask_multiplexed("/", Ask::default()).await;
    assert!(matches!(refused, Err(WireError::Connect(_))), "{refused:?}");
}

#[tokio::test]
async fn nobody_listening_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::new(listener.local_addr().unwrap(), 1).unwrap();
    drop(listener);
    assert!(matches!(origin.ask("/", Ask::default()).await, Err(WireError::Connect(_))));
}
