//! What is free: snapshots, and streams whose deltas add up to them.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onsale::catalog::listing::bit;
use onsale::demo::seed::Seed;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Buyer, Env, hall};

/// A stream, read event by event.
struct Stream {
    response: reqwest::Response,
    text: String,
}

#[derive(Debug)]
struct Message {
    event: String,
    id: String,
    data: Value,
}

impl Stream {
    async fn open(buyer: &Buyer, last: Option<&str>) -> Self {
        let url = format!("{}/v1/events/show/availability/stream", buyer.url);
        let mut request = buyer.http.get(url);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("a stream");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let value = block.lines().find_map(|line| line.strip_prefix(name));
                    value.map(|value| value.trim().to_owned()).unwrap_or_default()
                };
                if field("event:").is_empty() {
                    continue;
                }
                let data = serde_json::from_str(&field("data:")).expect("JSON");
                return Some(Message { event: field("event:"), id: field("id:"), data });
            }
            let waited = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = waited.expect("the stream says something").ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

/// What a viewer knows.
#[derive(Debug, PartialEq, Eq)]
struct View {
    epoch: i64,
    seq: i64,
    unavailable: BTreeSet<i64>,
}

impl View {
    fn of(snapshot: &Value) -> Self {
        let bits = STANDARD.decode(snapshot["unavailable"].as_str().expect("bits")).expect("bits");
        let count = i64::try_from(bits.len() * 8).expect("few");
        let set = |place: &i64| bit(&bits, i32::try_from(*place).expect("small"));
        Self {
            epoch: snapshot["epoch"].as_i64().expect("a number"),
            seq: snapshot["seq"].as_i64().expect("a number"),
            unavailable: (0..count).filter(set).collect(),
        }
    }

    fn apply(&mut self, message: &Message) {
        if message.event == "snapshot" {
            *self = Self::of(&message.data);
            return;
        }
        assert_eq!(message.event, "delta");
        let delta = &message.data;
        assert_eq!(delta["from"], self.seq, "the chain is unbroken");
        let places = |name: &str| {
            let list = delta[name].as_array().expect("places").clone();
            list.into_iter().map(|place| place.as_i64().expect("a number")).collect::<Vec<_>>()
        };
        for place in places("gone") {
            assert!(self.unavailable.insert(place), "{place} was gone before");
        }
        for place in places("freed") {
            assert!(self.unavailable.remove(&place), "{place} was free before");
        }
        self.epoch = delta["epoch"].as_i64().expect("a number");
        self.seq = delta["to"].as_i64().expect("a number");
        assert_eq!(message.id, format!("{}-{}", self.epoch, self.seq));
    }
}

async fn snapshot(buyer: &Buyer) -> View {
    View::of(&buyer.get("/v1/events/show/availability").await.expect(200).body)
}

/// Holds and lets go, in an order that looks random and isn't.
async fn trade(buyers: &[Buyer], offers: &[String], from: usize) {
    for step in from..from + 30 {
        let (buyer, offer) = (&buyers[step % buyers.len()], &offers[step % offers.len()]);
        let n = u32::try_from(1 + step * 7 % 4).expect("small");
        let key = format!("k{step}");
        let hold = buyer.hold_best("show", offer, &key, n).await;
        if hold.status.as_u16() == 201 && step % 3 != 0 {
            let path = format!("/v1/events/show/holds/{}", hold.id());
            buyer.send(Method::DELETE, &path, None, None).await.expect(204);
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_not_sent_to_who_has_it() {
    let env = Env::start().await;
    let hall = hall(2, 10, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let url = format!("{}/v1/events/show/availability", server.url);
    let get = |tag: Option<String>| {
        let mut request = buyer.http.get(&url);
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        async { request.send().await.expect("an answer") }
    };
    let first = get(None).await;
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}")] {
        let same = get(Some(known)).await;
        assert_eq!(same.status().as_u16(), 304);
        assert_eq!(same.headers()["etag"], tag.as_str());
        assert!(same.bytes().await.expect("nothing").is_empty());
    }
    for other in ["", "\"\"", "x", "\u{7f}", "\"1-1-1\", \"2\""] {
        let Ok(value) = reqwest::header::HeaderValue::from_str(other) else { continue };
        let answer = buyer.http.get(&url).header("if-none-match", value).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 200, "{other}");
    }
    let offer = buyer.offer("show", "front").await;
    buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    crate::support::until("the tag changes", || async {
        get(Some(tag.clone())).await.status().as_u16() == 200
    })
    .await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn deltas_add_up_to_later_snapshots() {
    let env = Env::start().await;
    let hall = hall(6, 12, 30);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let mut buyers = Vec::new();
    for _ in 0..3 {
        buyers.push(server.buyer().await);
    }
    let offers = [buyers[0].offer("show", "front").await, buyers[0].offer("show", "back").await];
    let mut stream = Stream::open(&buyers[0], None).await;
    let begun = stream.next().await.expect("a beginning");
    assert_eq!(begun.event, "snapshot");
    let mut view = View::of(&begun.data);
    let mut seen = vec![(begun.id.clone(), View::of(&begun.data))];
    for round in 0..4 {
        trade(&buyers, &offers, round * 30).await;
        let message = stream.next().await.expect("a change");
        view.apply(&message);
        seen.push((message.id.clone(), View { unavailable: view.unavailable.clone(), ..view }));
    }
    // When nothing moves any more, the stream comes to the state that everybody sees; snapshots
    // are a tenth of a second old.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = loop {
        let last = snapshot(&buyers[0]).await;
        if last.seq == view.seq {
            break last;
        }
        view.apply(&stream.next().await.expect("a change"));
    };
    assert_eq!(view, last);
    // Who comes back with a known state goes on from there; with another one gets all of it.
    for (id, had) in seen {
        let mut again = Stream::open(&buyers[1], Some(&id)).await;
        let mut view = had;
        while view.seq != last.seq {
            let message = again.next().await.expect("a change");
            assert_eq!(message.event, "delta", "known: {id}");
            view.apply(&message);
        }
        assert_eq!(view, last);
    }
    for unknown in ["1-999999", "999-1", "-", "1", "x-y", "9999999999999999999-1", "1--1"] {
        let mut again = Stream::open(&buyers[1], Some(unknown)).await;
        let message = again.next().await.expect("a beginning");
        assert_eq!(message.event, "snapshot", "{unknown}");
        assert_eq!(View::of(&message.data), last);
    }
    // A rebuild is one more change: every hold is gone.
    let app = &server.server.app;
    let event = app.find_sale("show").await.expect("a sale").listing.event.id;
    onsale::holds::rebuild::force(app, event).await.expect("rebuilt");
    while view.epoch == last.epoch {
        view.apply(&stream.next().await.expect("a change"));
    }
    assert!(view.unavailable.is_empty(), "{view:?}");
    // And an orderly end ends the stream.
    let ended = tokio::spawn(async move { while stream.next().await.is_some() {} });
    server.stop().await;
    ended.await.expect("it ended");
    env.end().await;
}

#[tokio::test]
async fn the_drawer_follows_payments_that_move_no_place() {
    let env = Env::start().await;
    let hall = hall(2, 10, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    let drawer = |what: &'static str, counted: Value| {
        let buyer = buyer.clone();
        async move {
            crate::support::until(what, || async {
                let drawer = buyer.get("/v1/events/show/drawer").await.expect(200).body;
                let redis = &drawer["redis"];
                json!([redis["claimed"], redis["sold"], drawer["agree"]]) == counted
            })
            .await;
        }
    };
    drawer("2 are claimed", json!([2, 0, true])).await;
    buyer.pay(&order, "4242424242424242").await.expect(200);
    drawer("2 are sold", json!([0, 2, true])).await;
    server.stop().await;
    env.end().await;
}
