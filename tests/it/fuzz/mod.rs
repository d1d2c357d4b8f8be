//! Every operation of the OpenAPI document, asked by a program that knows only the document:
//! first what it describes, then mutations of that. No failure, no undocumented answer.
//!
//! `FUZZ_SEED` repeats a run (as far as ids that servers draw allow), `FUZZ_ROUNDS` lengthens it.

mod judge;
mod known;
mod requests;
mod schema;

use onsale::demo::seed::Seed;
use onsale::organizers::keys::Scope;
use onsale::waiting_room::{Lane, Room, draw::Draw, standard, store};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use self::judge::Findings;
use self::known::Known;
use self::requests::Maker;
use crate::support::{Buyer, Env, TestServer, hall};

/// The same requests in every run: what must be reached is not left to luck. `FUZZ_SEED` names
/// others.
const SEED: u64 = 1;
/// Requests per operation, unless `FUZZ_ROUNDS` says otherwise.
const ROUNDS: usize = 60;

/// An operation of the document.
pub struct Operation<'a> {
    /// In capitals.
    pub method: String,
    /// Its template.
    pub path: &'a str,
    /// What the document says of it.
    pub text: &'a Value,
}

impl Operation<'_> {
    /// What it is called in findings.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, text) in item.as_object().expect("operations") {
            all.push(Operation { method: method.to_uppercase(), path, text });
        }
    }
    assert!(all.len() >= 40, "{}", all.len());
    all
}

/// An event on sale, one behind a waiting room, one that organizers may spoil; an order that is
/// paid, one that isn't, and everybody's tokens.
async fn furnish(env: &Env, server: &TestServer, known: &mut Known) {
    let hall = hall(4, 10, 200);
    let now = jiff::Timestamp::now();
    for slug in ["show", "door", "spoilt"] {
        let event = env.event(&Seed::new(slug, &hall)).await;
        known.add("event", slug);
        known.add("event", &event.to_string());
        if slug == "door" {
            let early = now - jiff::SignedDuration::from_mins(10);
            let draw = Draw::new(event, 0, [7; 32], "a coin", None, None);
            let lane = Lane { draw, ..Lane::general(event, early, early, early) };
            let room = Room { proof: false, lanes: vec![lane], ..standard(event) };
            let mut connection = env.pg.acquire().await.expect("Postgres");
            store::put_room(&mut connection, &room).await.expect("a room");
            store::put_lane(&mut connection, event, &room.lanes[0], &[7; 32]).await.expect("lane");
            store::put_beacon(&env.pg, event, 0, "heads").await.expect("a draw");
        }
        onsale::holds::rebuild::ensure(&server.server.app, event).await.expect("built");
    }
    let buyer = server.buyer().await;
    for level in ["front", "back", "floor"] {
        known.add("offer", &buyer.offer("show", level).await);
    }
    shop(&buyer, known).await;
    let joined = buyer.send(
        reqwest::Method::POST,
        "/v1/events/door/waiting-room/join",
        None,
        Some(json!({})),
    );
    known.learn(&joined.await.expect(200).body);
    known.session = buyer.token;
    known.spoilt = "spoilt".to_owned();
}

/// What a session needs for the operations of buyers: an order that is paid, one that isn't, and
/// a hold. Nothing once the requests have closed the event.
async fn shop(buyer: &Buyer, known: &mut Known) {
    let event = buyer.get("/v1/events/show").await;
    let Some(offer) = event.body["offers"][0]["id"].as_str() else { return };
    for key in ["one", "two", "three"] {
        let hold = buyer.hold_best("show", offer, key, 2).await;
        if hold.status != 201 {
            return;
        }
        known.add("hold", &hold.id());
        if key == "three" {
            return;
        }
        let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
        known.add("order", &hold.id());
        if key == "two" {
            buyer.pay(&order, "4242424242424242").await.expect(200);
            known.learn(&buyer.order(&hold.id()).await.body);
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn no_answer_is_a_failure_or_undocumented() {
    let mut env = Env::start().await;
    env.config.http.max_streams = 100_000;
    let server = env.server().await;
    let mut known = Known::default();
    furnish(&env, &server, &mut known).await;
    known.organizer =
        crate::organizers::organizer(&env, &server, env.organizer, &Scope::ALL).await.token;
    known.account = crate::accounts::signed_in(&env, &server, "fuzz@example.org").await.token;

    let document = onsale::http::openapi::document().to_json().expect("a document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let mut operations = operations(&document);
    let seed = number("FUZZ_SEED", SEED);
    println!("FUZZ_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut findings = Findings::new(seed);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let http = http.no_proxy().build().expect("a client");
    let rounds = number("FUZZ_ROUNDS", ROUNDS as u64);
    for round in 0..rounds {
        operations.shuffle(&mut rng);
        for operation in &operations {
            let odd = if round == 0 { 0.0 } else { rng.random_range(0.0..0.5) };
            let mut maker =
                Maker { document: &document, known: &known, rng: &mut rng, odd, changed: false };
            let request = maker.request(operation);
            let answer = request.send(&http, &server.url).await;
            findings.judge(&document, operation, &request, answer, &mut known).await;
        }
        refresh(&env, &server, &mut known, round).await;
    }
    findings.end(rounds * operations.len() as u64, &operations);
    server.stop().await;
    env.end().await;
}

/// New sessions for those that the requests have ended, and another event for one that is
/// cancelled, of which nothing can be changed any more.
async fn refresh(env: &Env, server: &TestServer, known: &mut Known, round: u64) {
    let lives = async |token: &str| {
        let buyer = Buyer { token: token.to_owned(), ..server.buyer().await };
        buyer.get("/v1/orders").await.status.is_success()
    };
    if !lives(&known.session).await {
        let buyer = server.buyer().await;
        shop(&buyer, known).await;
        known.session = buyer.token;
    }
    if !lives(&known.account).await {
        // Another person each time: nobody gets more than a few codes in an hour.
        let email = format!("fuzz{round}@example.org");
        known.account = crate::accounts::signed_in(env, server, &email).await.token;
    }
    let status = sqlx::query_scalar::<_, String>("SELECT status FROM events WHERE slug = $1");
    let status = status.bind(&known.spoilt).fetch_optional(&env.pg).await.expect("Postgres");
    if status.is_none_or(|status| status == "cancelled") {
        known.spoilt = format!("spoilt-{round}");
        let event = env.event(&Seed::new(&known.spoilt, &hall(4, 10, 200))).await;
        onsale::holds::rebuild::ensure(&server.server.app, event).await.expect("built");
    }
}
