//! The waiting room on the real stack.

mod beacon;
mod journey;
mod lanes;
mod losing;
mod phases;
mod processes;
mod steering;

use onsale::catalog::edit::Edit;
use onsale::catalog::manifest::Manifest;
use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::waiting_room::{Lane, LaneKind, Room, draw::Draw, standard, store};
use onsale::workers::admit;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Buyer, Env, TestServer, hall};

/// A hall on sale with a waiting room whose doors are still closed.
struct Venue {
    env: Env,
    event: EventId,
    server: TestServer,
}

impl Venue {
    async fn open(change: impl FnOnce(&mut Room)) -> Self {
        Self::on(Env::start().await, change).await
    }

    async fn on(env: Env, change: impl FnOnce(&mut Room)) -> Self {
        Self::of(env, &hall(4, 10, 20), change).await
    }

    async fn of(env: Env, hall: &Manifest, change: impl FnOnce(&mut Room)) -> Self {
        let event = env.event(&Seed::new("show", hall)).await;
        let server = env.server().await;
        let venue = Self { env, event, server };
        let mut room = Room { proof: false, ..standard(event) };
        room.lanes.push(lane(event, 0, LaneKind::General, "general"));
        change(&mut room);
        venue.put(&room).await;
        venue
    }

    /// Stores a room, as an organizer would.
    async fn put(&self, room: &Room) {
        self.server.put_room(room).await;
    }

    /// Ends joining the draws.
    async fn shut(&self) {
        let app = &self.server.server.app;
        let mut edit = Edit::begin(app, self.event).await.expect("the event");
        store::open_now(edit.pg(), self.event).await.expect("opened");
        edit.commit(app).await.expect("stored");
        app.rooms.refresh(&[self.event]).await.expect("read");
    }

    /// Ends joining the draws, and makes them.
    async fn draw(&self) {
        self.shut().await;
        let app = &self.server.server.app;
        let room = app.rooms.known(self.event).expect("a room");
        for lane in &room.lanes {
            let put = store::put_beacon(&self.env.pg, self.event, lane.number, "heads").await;
            assert!(put.expect("stored"));
        }
        app.rooms.refresh(&[self.event]).await.expect("read");
    }

    /// Has the controller decide as if half a second had passed.
    async fn admit(&self) -> f64 {
        let app = &self.server.server.app;
        sqlx::query("UPDATE waiting_rooms SET decided_at = clock_timestamp() - interval '500 ms'")
            .execute(&self.env.pg)
            .await
            .expect("the past");
        let before = self.called().await;
        admit::run_once(app).await.expect("decided");
        app.rooms.refresh(&[self.event]).await.expect("read");
        self.called().await - before
    }

    async fn called(&self) -> f64 {
        sqlx::query_scalar("SELECT sum(called) FROM waiting_lanes WHERE event_id = $1")
            .bind(self.event.0)
            .fetch_one(&self.env.pg)
            .await
            .expect("a number")
    }

    /// Calls everybody who waits.
    async fn admit_all(&self) {
        for _ in 0..100 {
            if self.admit().await == 0.0 {
                return;
            }
        }
        panic!("there is no end to the line");
    }

    async fn end(self) {
        self.server.stop().await;
        self.env.end().await;
    }
}

/// A lane that one can join now and that opens in an hour.
fn lane(event: EventId, number: i16, kind: LaneKind, code: &str) -> Lane {
    let now = jiff::Timestamp::now();
    let later = now + jiff::SignedDuration::from_hours(1);
    let draw = Draw::new(event, number, [7; 32], "the coin that the referee tosses", None, None);
    let early = now - jiff::SignedDuration::from_mins(10);
    Lane {
        number,
        kind,
        code: code.into(),
        name: code.into(),
        draw,
        ..Lane::general(event, early, later, later)
    }
}

/// Joins, with more than nothing to say.
async fn join_with(buyer: &Buyer, body: Value) -> Answer {
    buyer.send(Method::POST, "/v1/events/show/waiting-room/join", None, Some(body)).await
}

/// Joins the general lane: the queue token.
async fn join(buyer: &Buyer) -> String {
    token(&join_with(buyer, json!({})).await.expect(200))
}

fn token(joined: &Answer) -> String {
    joined.body["token"].as_str().expect("a token").to_owned()
}

/// Where a token stands.
async fn poll(buyer: &Buyer, token: &str) -> Answer {
    let url = format!("{}/v1/events/show/waiting-room/place", buyer.url);
    let response = buyer.http.get(url).header("onsale-queue", token).send().await;
    let response = response.expect("an answer");
    let status = response.status();
    Answer { status, body: response.json().await.unwrap_or(Value::Null) }
}

/// Takes a turn.
async fn exchange(buyer: &Buyer, token: &str) -> Answer {
    let body = json!({"token": token});
    buyer.send(Method::POST, "/v1/events/show/waiting-room/pass", None, Some(body)).await
}

/// Holds the best two of the front with a pass.
async fn hold(buyer: &Buyer, key: &str, pass: Option<&str>) -> Answer {
    let offer = buyer.offer("show", "front").await;
    hold_wish(buyer, key, pass, json!({"lines": [{"offer": offer, "best": 2}]})).await
}

async fn hold_wish(buyer: &Buyer, key: &str, pass: Option<&str>, wish: Value) -> Answer {
    let url = format!("{}/v1/events/show/holds", buyer.url);
    let mut request = buyer.http.post(url).bearer_auth(&buyer.token).header("idempotency-key", key);
    if let Some(pass) = pass {
        request = request.header("onsale-pass", pass);
    }
    let response = request.json(&wish).send().await.expect("an answer");
    let status = response.status();
    Answer { status, body: response.json().await.unwrap_or(Value::Null) }
}

/// A buyer who was called and has a pass.
async fn inside(venue: &Venue) -> (Buyer, String, String) {
    let buyer = venue.server.buyer().await;
    let token = join(&buyer).await;
    venue.admit_all().await;
    let pass = exchange(&buyer, &token).await.expect(201);
    let pass = pass.body["pass"].as_str().expect("a pass").to_owned();
    (buyer, token, pass)
}
