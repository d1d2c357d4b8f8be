//! What goes first when there is too much to do, and who takes nobody's place.

use std::time::{Duration, Instant};

use onsale::demo::seed::Seed;
use onsale::http::limits::Class;
use onsale::http::limits::config::InFlightLimits;
use onsale::organizers::keys::{self, Scope};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Buyer, Env, PATIENCE, TestServer, hall, until};

/// Requests that read this order, and so wait for as long as the table of refunds is locked.
fn reads(buyer: &Buyer, order: &str, count: usize) -> Vec<tokio::task::JoinHandle<Answer>> {
    let one = |_| {
        let (buyer, path) = (buyer.clone(), format!("/v1/orders/{order}"));
        tokio::spawn(async move { buyer.get(&path).await })
    };
    (0..count).map(one).collect()
}

async fn are_underway(server: &TestServer, class: Class, count: usize) {
    until("they are under way", || async {
        server.server.app.limits.in_flight.now(class) == count
    })
    .await;
}

fn is_shed(answer: &Answer) -> bool {
    (answer.status.as_u16(), answer.code()) == (503, "overloaded")
}

#[tokio::test]
async fn browsing_is_shed_first_and_settlement_never() {
    let mut env = Env::start().await;
    env.event(&Seed::new("show", &hall(2, 10, 0))).await;
    env.config.limits.in_flight =
        InFlightLimits { total: 8, checkout: 8, ..InFlightLimits::default() };
    env.config.database.connections = 20;
    // Those who wait for the lock outlast the refusals, which pause.
    env.config.database.lock_timeout_ms = 60_000;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    let order = buyer.checkout("show", &hold.id(), "a@example.org").await.expect(201);
    let held = buyer.hold_best("show", &offer, "b", 2).await.expect(201);
    let grip = format!("/v1/events/show/holds/{}", held.id());

    let in_flight = &server.server.app.limits.in_flight;
    let begin = |count: usize| {
        let one = |_| in_flight.begin(Class::Checkout).expect("room");
        (0..count).map(one).collect::<Vec<_>>()
    };
    let mut busy = begin(3);
    buyer.get("/v1/events/show").await.expect(200);

    // Half of all: no browsing, no new sessions.
    busy.extend(begin(1));
    let started = Instant::now();
    // At once, because each of them pauses.
    let (shed, events, session) = tokio::join!(
        buyer.http.get(format!("{}/v1/events/show", server.url)).send(),
        buyer.get("/v1/events"),
        buyer.send(Method::POST, "/v1/sessions", None, None),
    );
    let shed = shed.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(500), "it did not pause");
    assert_eq!(shed.status().as_u16(), 503);
    assert_eq!(shed.headers()["retry-after"], "2");
    assert!(is_shed(&events) && is_shed(&session));
    buyer.get(&grip).await.expect(200);

    // Three quarters: no holds either.
    busy.extend(begin(2));
    assert!(is_shed(&buyer.get(&grip).await));
    // Checkout still finds room.
    let again = buyer.checkout("show", &hold.id(), "a@example.org").await;
    assert_eq!(again.status.as_u16(), 201, "{again:?}");

    // All of it: nobody but operators, who see that the process lives.
    busy.extend(begin(2));
    assert!(is_shed(&buyer.get(&format!("/v1/orders/{}", order.id())).await));
    buyer.get("/health/live").await.expect(200);
    // A webhook is let in (and refused for what it says, not for what there is to do).
    let webhook = buyer.send(Method::POST, "/webhooks/sandbox", None, Some(json!({}))).await;
    assert_eq!((webhook.status.as_u16(), webhook.code()), (400, "webhook_refused"));

    // It is over as soon as it is over.
    drop(busy);
    are_underway(&server, Class::Checkout, 0).await;
    buyer.get(&format!("/v1/orders/{}", order.id())).await.expect(200);

    // Requests are counted while they are under way, and none that was let in is refused.
    let mut lock = env.pg.begin().await.expect("a transaction");
    let locked = sqlx::query("LOCK TABLE refunds IN ACCESS EXCLUSIVE MODE");
    locked.execute(&mut *lock).await.expect("locked");
    let waiting = reads(&buyer, &order.id(), 8);
    are_underway(&server, Class::Checkout, 8).await;
    lock.rollback().await.expect("unlocked");
    for read in waiting {
        read.await.expect("an answer").expect(200);
    }
    are_underway(&server, Class::Checkout, 0).await;

    // As full as before: the payment settles, and nothing else goes on.
    let full = begin(8);
    assert!(is_shed(&buyer.get("/v1/events").await));
    buyer.pay(&order, "4242424242424242").await.expect(200);
    until("the order is paid", || async {
        let status: String = sqlx::query_scalar("SELECT status::text FROM orders WHERE id = $1")
            .bind(order.id().parse::<uuid::Uuid>().expect("an id"))
            .fetch_one(&env.pg)
            .await
            .expect("Postgres");
        status == "paid"
    })
    .await;
    assert!(is_shed(&buyer.get(&format!("/v1/orders/{}", order.id())).await));
    drop(full);
    for class in [Class::Checkout, Class::Hold, Class::Browse, Class::Settle] {
        are_underway(&server, class, 0).await;
    }
    buyer.get("/v1/events/show").await.expect(200);
    buyer.get(&grip).await.expect(200);
    server.stop().await;
    env.end().await;
}

/// Sends what there is of a request, then a byte every now and then, until there is an answer.
async fn drip(server: &TestServer, head: String, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.server.address).await.expect("connected");
    let length = body.len() + 1_000;
    let head = format!("{head}Host: x\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = vec![0; 4_096];
    let started = Instant::now();
    let read = loop {
        assert!(started.elapsed() < PATIENCE, "no answer");
        let next = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
        match next {
            Ok(read) => break read.expect("an answer"),
            Err(_) => drop(stream.write_all(b" ").await),
        }
    };
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), text)
}

#[tokio::test]
async fn slow_bodies_are_given_up_and_take_nobodys_place() {
    let mut env = Env::start().await;
    env.event(&Seed::new("show", &hall(2, 10, 0))).await;
    env.config.http.body_timeout_s = 1;
    env.config.limits.in_flight = InFlightLimits { hold: 1, ..InFlightLimits::default() };
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let key =
        keys::create(&env.pg, env.organizer, "tests", &Scope::ALL, None).await.expect("a key");
    let json = "Content-Type: application/json\r\n";
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let slow = [
        format!(
            "POST /v1/events/show/holds HTTP/1.1\r\n{json}{}Idempotency-Key: a\r\n",
            bearer(&buyer.token)
        ),
        "POST /events/show/holds HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            .to_owned(),
        format!("POST /webhooks/sandbox HTTP/1.1\r\n{json}"),
        format!(
            "POST /v1/organizer/venues HTTP/1.1\r\n{json}{}Idempotency-Key: a\r\n",
            bearer(&key)
        ),
        format!("PUT /v1/organizer/events/show/manifest HTTP/1.1\r\n{json}{}", bearer(&key)),
    ];
    let all = slow.iter().map(|head| drip(&server, head.clone(), "{"));
    let meanwhile = async {
        // There is room for one hold at a time, and nobody who only dribbles has it.
        let hold = buyer.hold("show", "meanwhile", json!({"lines": [{"offer": offer, "best": 2}]}));
        hold.await.expect(201);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(all), meanwhile);
    for ((status, text), head) in answers.into_iter().zip(&slow) {
        assert_eq!(status, 408, "{head}: {text}");
        assert!(text.contains("slow_body"), "{head}: {text}");
    }
    // Who isn't let in isn't read at all.
    let head = format!("PUT /v1/organizer/events/show/manifest HTTP/1.1\r\n{json}");
    assert_eq!(drip(&server, head, "{").await.0, 401);
    server.stop().await;
    env.end().await;
}
