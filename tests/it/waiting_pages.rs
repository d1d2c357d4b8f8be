//! The waiting room's pages: what forms and cookies do, without a browser.

use std::collections::BTreeMap;
use std::time::Duration;

use onsale::catalog::edit::Edit;
use onsale::config::Role;
use onsale::demo::crowd::{self, Crowd};
use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::waiting_room::draw::Draw;
use onsale::waiting_room::verify::{Question, Verdict, answer};
use onsale::waiting_room::{Lane, LaneKind, Room, RoomState, standard, store};
use onsale::workers::admit;
use reqwest::{Client, StatusCode, header};

use tokio_util::sync::CancellationToken;

use crate::support::{Env, TestServer, hall, until};

const ROOM: &str = "/events/show/waiting-room";

/// A hall on sale with a waiting room whose doors are still closed.
struct Venue {
    env: Env,
    event: EventId,
    server: TestServer,
}

impl Venue {
    async fn open(change: impl FnOnce(&mut Room)) -> Self {
        let env = Env::start().await;
        let event = env.event(&Seed::new("show", &hall(4, 10, 0))).await;
        let server = env.server().await;
        let venue = Self { env, event, server };
        let mut room = Room { proof: false, ..standard(event) };
        room.lanes.push(lane(event, 0, "general"));
        change(&mut room);
        venue.put(&room).await;
        venue
    }

    async fn put(&self, room: &Room) {
        self.server.put_room(room).await;
        self.look().await;
    }

    /// Has the process see what is in Postgres now.
    async fn look(&self) {
        let app = &self.server.server.app;
        app.rooms.refresh(&[self.event]).await.expect("read");
        app.boards.refresh(app, self.event).await.expect("a board");
    }

    async fn draw(&self) {
        let app = &self.server.server.app;
        let mut edit = Edit::begin(app, self.event).await.expect("the event");
        store::open_now(edit.pg(), self.event).await.expect("opened");
        edit.commit(app).await.expect("stored");
        for lane in &app.rooms.known(self.event).expect("a room").lanes {
            let put = store::put_beacon(&self.env.pg, self.event, lane.number, "heads").await;
            put.expect("stored");
        }
        self.look().await;
    }

    /// Calls everybody who waits.
    async fn admit_all(&self) {
        for _ in 0..5 {
            sqlx::query("UPDATE waiting_rooms SET decided_at = clock_timestamp() - interval '2 s'")
                .execute(&self.env.pg)
                .await
                .expect("the past");
            admit::run_once(&self.server.server.app).await.expect("decided");
        }
        self.look().await;
    }

    fn guest(&self) -> Guest {
        Guest::new(&self.server.url)
    }

    async fn end(self) {
        self.server.stop().await;
        self.env.end().await;
    }
}

fn lane(event: EventId, number: i16, code: &str) -> Lane {
    let now = jiff::Timestamp::now();
    let later = now + jiff::SignedDuration::from_hours(1);
    let early = now - jiff::SignedDuration::from_mins(10);
    let draw = Draw::new(event, number, [7; 32], "the coin that the referee tosses", None, None);
    let general = Lane::general(event, early, later, later);
    Lane { number, code: code.into(), name: code.into(), draw, ..general }
}

/// A browser without scripts.
#[derive(Clone)]
pub(crate) struct Guest {
    url: String,
    http: Client,
    pub cookies: BTreeMap<String, String>,
}

pub(crate) struct Page {
    pub status: StatusCode,
    pub to: String,
    pub text: String,
}

impl Page {
    /// The page, if it says this and is answered like that.
    pub fn says(self, status: u16, words: &[&str]) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "no {word:?} in {}", self.text);
        }
        self
    }

    /// Which scene is shown: the only one that isn't hidden.
    fn scene(&self) -> String {
        let shown = self.text.lines().filter_map(|line| {
            let scene = line.strip_prefix("<div class=\"scene\" data-in=\"")?;
            let (word, rest) = scene.split_once('"')?;
            rest.starts_with('>').then(|| word.to_owned())
        });
        let shown: Vec<_> = shown.collect();
        assert_eq!(shown.len(), 1, "{shown:?}");
        shown[0].clone()
    }

    pub fn leads(self, to: &str) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        assert_eq!(self.to, to);
    }
}

impl Guest {
    pub fn new(url: &str) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("a client");
        Self { url: url.to_owned(), http, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; "));
        let response = request.send().await.expect("an answer");
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let to = response.headers().get(header::LOCATION);
        let to = to.map(|to| to.to_str().expect("text").to_owned()).unwrap_or_default();
        Page { status: response.status(), to, text: response.text().await.expect("a body") }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        self.send(self.http.post(format!("{}{path}", self.url)).form(form)).await
    }

    pub fn named(&self, prefix: &str) -> String {
        let found = self.cookies.keys().find(|name| name.starts_with(prefix));
        found.unwrap_or_else(|| panic!("no cookie {prefix}")).clone()
    }
}

#[tokio::test]
async fn from_the_event_through_the_line_to_a_hold_and_out_again() {
    let venue = Venue::open(|_| {}).await;
    // The controller looks also before anybody has joined: nobody's turn begins by that.
    venue.admit_all().await;
    let mut ada = venue.guest();
    ada.get("/events/show").await.says(200, &["To the waiting room", ROOM]);
    ada.get("/events/show/choose").await.leads(ROOM);
    ada.get("/events/show/sections/S").await.leads(ROOM);
    let door = ada.get(ROOM).await.says(200, &["Join the line", "by lot"]);
    assert_eq!(door.scene(), "join");
    assert!(!door.text.contains("http-equiv"), "a form is never loaded away");
    ada.get(&format!("{ROOM}/place")).await.says(403, &["queue_token"]);
    ada.post(&format!("{ROOM}/join"), &[("lane", "general")]).await.leads(ROOM);
    let joined = ada.get(ROOM).await.says(200, &["http-equiv=\"refresh\""]);
    assert_eq!(joined.scene(), "pre_queue");
    ada.get(&format!("{ROOM}/place")).await.says(200, &["\"state\":\"pre_queue\"", "\"room\":{"]);
    ada.get("/events/show").await.says(200, &["To my place in line"]);
    // Nobody is let in early, by whatever form.
    let early = ada.post(&format!("{ROOM}/enter"), &[]).await;
    assert_eq!(early.says(409, &["your turn now"]).scene(), "pre_queue");
    // What another browser has of it is worth nothing there.
    let mut eve = venue.guest();
    eve.get(ROOM).await.says(200, &[]);
    let queue = ada.named("onsale_queue_");
    eve.cookies.insert(queue.clone(), ada.cookies[&queue].clone());
    assert_eq!(eve.get(ROOM).await.scene(), "join");

    venue.draw().await;
    assert_eq!(ada.get(ROOM).await.says(200, &["Your position"]).scene(), "waiting");
    venue.admit_all().await;
    assert_eq!(ada.get(ROOM).await.says(200, &["Go in and choose"]).scene(), "your_turn");
    eve.post(&format!("{ROOM}/enter"), &[]).await.leads(ROOM);
    ada.post(&format!("{ROOM}/enter"), &[]).await.leads("/events/show/choose");
    ada.get("/events/show/choose").await.says(200, &["You are in for", "Give up my turn"]);
    assert_eq!(ada.get(ROOM).await.scene(), "inside");
    let wish = [("key", "one"), ("n-0", "2")];
    let held = ada.post("/events/show/holds", &wish).await;
    assert_eq!(held.status, StatusCode::SEE_OTHER, "{}", held.text);
    ada.get(&held.to).await.says(200, &["Your places", "You are in for"]);
    let pass = ada.named("onsale_pass_");
    eve.cookies.insert(pass.clone(), ada.cookies[&pass].clone());
    eve.get("/events/show/choose").await.leads(ROOM);
    eve.post("/events/show/holds", &wish).await.says(403, &["Your time inside is over", ROOM]);

    let stolen = ada.cookies[&pass].clone();
    ada.post(&format!("{ROOM}/give-up"), &[]).await.leads(&format!("{ROOM}?given=up"));
    let gone = ada.get(&format!("{ROOM}?given=up")).await.says(200, &["You gave up your turn"]);
    assert_eq!(gone.scene(), "join");
    // What is held stays; the pass has ended, also for who kept it.
    ada.get(&held.to).await.says(200, &["Your places"]);
    ada.cookies.insert(pass, stolen);
    ada.post("/events/show/holds", &wish).await.says(403, &["Your time inside is over", ROOM]);
    venue.end().await;
}

#[tokio::test]
async fn the_draws_page_and_the_program_find_the_same_place() {
    let venue = Venue::open(|_| {}).await;
    let mut ada = venue.guest();
    ada.get(ROOM).await.says(200, &[]);
    ada.post(&format!("{ROOM}/join"), &[]).await.leads(ROOM);
    ada.get("/events/show/draw").await.says(200, &["You are in the draw with the id"]);
    let other = "01890a5d-ac96-774b-bcce-b302099a8057";
    let check = format!("/events/show/draw?subject={other}");
    ada.get(&check).await.says(422, &["Nothing is drawn yet"]);
    ada.get("/events/show/draw?subject=%3Cscript%3E&lane=x").await.says(422, &["That is no id"]);
    venue.draw().await;
    let page = ada.get(&check).await.says(200, &["About <strong>", other, "heads"]).text;
    let ranks: Vec<_> = page.lines().filter(|line| line.contains("data-rank")).collect();
    assert_eq!(ranks.len(), 2, "one's own, and the one that was asked for");
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("data-{name}=\"")).expect("there");
        rest.split_once('"').expect("quoted").0.to_owned()
    };
    for line in ranks {
        let question = Question {
            subject: field(line, "subject").parse().unwrap(),
            url: Some(format!("{}/v1/events/show/waiting-room", venue.server.url)),
            ..Question::default()
        };
        let found = answer(question.clone()).await.expect("an answer");
        let Verdict::Place(place, joined) = found else { panic!("{found:?}") };
        assert_eq!(place.to_string(), field(line, "place"));
        assert!(joined.is_some());
        let forged = Question { seed: Some("08".repeat(32)), ..question };
        assert_eq!(answer(forged).await.expect("an answer"), Verdict::AnotherSeed);
    }
    venue.end().await;
}

#[tokio::test]
async fn lanes_codes_and_switches_are_told_in_words() {
    let venue = Venue::open(|room| {
        room.lanes.push(Lane {
            kind: LaneKind::Presale,
            access_code: Some("FANS".into()),
            ..lane(room.event, 1, "fans")
        });
        room.lanes.push(Lane { kind: LaneKind::Accessible, ..lane(room.event, 2, "access") });
    })
    .await;
    let mut ada = venue.guest();
    let lanes = ["for invited people", "Access code", "for orders with an accessible seat"];
    ada.get(ROOM).await.says(200, &lanes);
    let join = format!("{ROOM}/join");
    let wrong = ada.post(&join, &[("lane", "fans"), ("access_code", "FUNS")]).await;
    wrong.says(403, &["This needs an access code", "value=\"FUNS\"", "value=\"fans\" checked"]);
    ada.post(&join, &[("lane", "none")]).await.says(422, &["Not a lane of this waiting room."]);
    ada.post(&join, &[("lane", "fans"), ("access_code", "fans")]).await.leads(ROOM);
    assert_eq!(ada.get(ROOM).await.scene(), "pre_queue");

    let room = (*venue.server.server.app.rooms.known(venue.event).expect("known")).clone();
    let paused =
        Room { state: RoomState::Paused, message: "A <b>short</b> break".into(), ..room.clone() };
    venue.draw().await;
    venue.put(&Room { lanes: Vec::new(), ..paused }).await;
    let standing = ada.get(ROOM).await.says(200, &["A &#60;b&#62;short"]);
    assert_eq!(standing.scene(), "paused");
    let closed = Room { state: RoomState::Closed, lanes: Vec::new(), ..room.clone() };
    venue.put(&closed).await;
    assert_eq!(ada.get(ROOM).await.scene(), "closed");
    let mut bob = venue.guest();
    assert_eq!(bob.get(ROOM).await.scene(), "shut");
    bob.post(&join, &[]).await.says(409, &["Nobody can join any more"]);
    venue.put(&Room { state: RoomState::Lifted, lanes: Vec::new(), ..room }).await;
    assert_eq!(ada.get(ROOM).await.scene(), "lifted");
    bob.get("/events/show").await.says(200, &["/events/show/choose"]);
    bob.get("/events/show/choose").await.says(200, &[]);
    venue.end().await;
}

#[tokio::test]
async fn an_event_without_a_waiting_room_has_none() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(2, 4, 0))).await;
    let server = env.server().await;
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut ada = Guest { url: server.url.clone(), http, cookies: BTreeMap::new() };
    for path in [ROOM, "/events/show/draw", "/events/nothing/waiting-room"] {
        ada.get(path).await.says(404, &["Nothing here"]);
    }
    ada.post(&format!("{ROOM}/join"), &[]).await.says(404, &[]);
    ada.get(&format!("{ROOM}/join")).await.leads(ROOM);
    ada.get(&format!("{ROOM}/place")).await.says(404, &["not_found"]);
    ada.get("/events/show/choose").await.says(200, &["Choose tickets"]);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn the_demos_crowd_waits_shops_and_goes_home() {
    let mut env = Env::start().await;
    env.config.roles = vec![Role::Http, Role::Workers];
    let event = env.event(&Seed::new("show", &hall(10, 10, 0))).await;
    let server = env.server().await;
    let venue = Venue { env, event, server };
    let mut room = Room { proof: false, ..standard(event) };
    room.lanes.push(lane(event, 0, "general"));
    venue.put(&room).await;
    venue.draw().await;
    let crowd = Crowd {
        early: 24,
        early_within: Duration::ZERO,
        late: 4,
        late_within: Duration::from_millis(100),
        haste: 50.0,
    };
    let (url, stop) = (venue.server.url.clone(), CancellationToken::new());
    let (show, general) = ("show".to_owned(), "general".to_owned());
    let evening = tokio::spawn(crowd::run(crowd, url, show, general, stop.clone()));
    let ended = async |reason: &str| -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM passes WHERE reason = $1")
            .bind(reason)
            .fetch_one(&venue.env.pg)
            .await
            .expect("a count")
    };
    until("some have bought and some gave up", || async {
        ended("bought").await > 0 && ended("gave_up").await > 0
    })
    .await;
    stop.cancel();
    evening.await.expect("they go home when the shop closes");
    venue.end().await;
}
