//! Other visitors of the demo: simulated people, but real requests to the demo's own server.
//!
//! They join, poll as they are told, take their turn, choose and hold; some pay, some change
//! their minds, some never come. Their number, their requests per second and their time are
//! bounded, and they buy a small part of what there is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::waiting_room::proof::{self, Challenge};

/// How many come, and how fast they are.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Come before the draw.
    pub early: u32,
    /// Within so long.
    pub early_within: Duration,
    /// Come after them, one by one.
    pub late: u32,
    /// Within so long.
    pub late_within: Duration,
    /// They need so many times less to make up their minds than people do.
    pub haste: f64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            early: 200,
            early_within: Duration::from_secs(14),
            late: 60,
            late_within: Duration::from_secs(120),
            haste: 1.0,
        }
    }
}

/// All of them go home after this.
const EVENING: Duration = Duration::from_secs(300);
/// Time between two requests of all of them together: 50 a second.
const PACE: Duration = Duration::from_millis(20);
/// An answer is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A poll comes no sooner, whatever the answer says.
const POLL_LEAST: Duration = Duration::from_secs(1);

/// Of a hundred: so many never come when it is their turn, so many of the others buy, and so
/// many leave without a word.
const NO_SHOWS: u32 = 12;
const BUYERS: u32 = 45;
const LEAVERS: u32 = 5;

/// The demo's shop as visitors see it.
struct Shop {
    url: String,
    event: String,
    lane: String,
    /// Offers of seats, to choose from.
    offers: Vec<String>,
    haste: f64,
    http: Client,
    /// When the next request may be sent.
    next: Mutex<Instant>,
}

/// Why a visitor goes home: an answer that isn't what was hoped for. Nobody is told.
struct GoesHome;

impl<E: std::error::Error> From<E> for GoesHome {
    fn from(error: E) -> Self {
        tracing::debug!(%error, "a simulated visitor goes home");
        Self
    }
}

#[derive(Deserialize)]
struct Session {
    token: String,
}

#[derive(Deserialize)]
struct Joined {
    token: String,
}

#[derive(Deserialize)]
struct Place {
    state: String,
    poll_after_ms: u64,
}

#[derive(Deserialize)]
struct Pass {
    pass: String,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Sends the crowd to an event's waiting room; returns when all have gone home.
pub async fn run(crowd: Crowd, url: String, event: String, lane: String, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        _ = timeout(EVENING, evening(crowd, url, event, lane)) => {}
    }
}

async fn evening(crowd: Crowd, url: String, event: String, lane: String) {
    let http = Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(16)
        .build();
    let Ok(http) = http else { return };
    let next = Mutex::new(Instant::now());
    let haste = crowd.haste;
    let mut shop = Shop { url, event, lane, offers: Vec::new(), haste, http, next };
    let Ok(offers) = shop.read_offers().await else { return };
    shop.offers = offers;
    let shop = Arc::new(shop);
    let visit = |number: u32, after: Duration| {
        let visitor = Visitor { shop: shop.clone(), number, session: String::new() };
        async move {
            sleep(after).await;
            let _went_home: Result<(), GoesHome> = visitor.visit().await;
        }
    };
    // In one set: dropping it sends everybody home.
    let mut visitors = tokio::task::JoinSet::new();
    for number in 0..crowd.early + crowd.late {
        let within = |time: Duration| time.mul_f64(rand::rng().random::<f64>());
        let after = if number < crowd.early {
            within(crowd.early_within)
        } else {
            crowd.early_within + within(crowd.late_within)
        };
        visitors.spawn(visit(number, after));
    }
    while visitors.join_next().await.is_some() {}
}

impl Shop {
    /// Waits for this request's turn: all visitors together keep the pace.
    async fn pace(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let at = (*next).max(Instant::now());
            *next = at + PACE;
            at
        };
        tokio::time::sleep_until(at).await;
    }

    async fn read_offers(&self) -> Result<Vec<String>, GoesHome> {
        #[derive(Deserialize)]
        struct Event {
            offers: Vec<Offer>,
        }
        #[derive(Deserialize)]
        struct Offer {
            id: String,
            seated: bool,
        }
        let url = format!("{}/v1/events/{}", self.url, self.event);
        let event: Event = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let seats = event.offers.into_iter().filter(|offer| offer.seated);
        Ok(seats.map(|offer| offer.id).collect())
    }
}

struct Visitor {
    shop: Arc<Shop>,
    number: u32,
    session: String,
}

/// A number from 0 to 99, to be compared with a share of a hundred.
fn die() -> u32 {
    rand::rng().random_range(0..100)
}

impl Visitor {
    async fn visit(mut self) -> Result<(), GoesHome> {
        let session: Session = self.send(Method::POST, "/v1/sessions", &[], None).await?;
        self.session = session.token;
        let room = format!("/v1/events/{}/waiting-room", self.shop.event);
        let challenge: Challenge =
            self.send(Method::GET, &format!("{room}/challenge"), &[], None).await?;
        // As their devices would, and as little in the way of others.
        let solved = tokio::task::spawn_blocking(move || proof::solve(&challenge)).await;
        let join = json!({ "lane": self.shop.lane, "proof": solved.ok().flatten() });
        let joined: Joined =
            self.send(Method::POST, &format!("{room}/join"), &[], Some(join)).await?;
        let comes = die() >= NO_SHOWS;
        loop {
            let queue = [("onsale-queue", joined.token.as_str())];
            let place: Place =
                self.send(Method::GET, &format!("{room}/place"), &queue, None).await?;
            match place.state.as_str() {
                "your_turn" if comes => break,
                // Whoever didn't come the first time may just be late.
                "your_turn" | "second_chance" if die() < 97 => {}
                "pre_queue" | "drawing" | "waiting" | "paused" | "sold_out" => {}
                _ => return Ok(()),
            }
            sleep(Duration::from_millis(place.poll_after_ms).max(POLL_LEAST)).await;
        }
        self.think(1.0, 6.0).await;
        let turn = json!({ "token": joined.token });
        let pass: Pass = self.send(Method::POST, &format!("{room}/pass"), &[], Some(turn)).await?;
        let bought = self.shop(&pass.pass).await.unwrap_or(false);
        if !bought && die() >= LEAVERS {
            let pass = [("onsale-pass", pass.pass.as_str())];
            self.ask(Method::DELETE, &format!("{room}/pass"), &pass, None).await?;
        }
        Ok(())
    }

    /// People need a while, in seconds.
    async fn think(&self, from: f64, to: f64) {
        let seconds = rand::rng().random_range(from..to) / self.shop.haste;
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Chooses, holds, and perhaps pays: whether it bought.
    async fn shop(&self, pass: &str) -> Result<bool, GoesHome> {
        self.think(4.0, 14.0).await;
        let at = rand::rng().random_range(0..self.shop.offers.len().max(1));
        let Some(offer) = self.shop.offers.get(at) else { return Ok(false) };
        let places = [1, 2, 2, 2, 3, 4][rand::rng().random_range(0..6)];
        let wish = json!({ "lines": [{ "offer": offer, "best": places, "allow_split": true }] });
        let holds = format!("/v1/events/{}/holds", self.shop.event);
        let headers = [("onsale-pass", pass), ("idempotency-key", "first")];
        let hold: Id = self.send(Method::POST, &holds, &headers, Some(wish)).await?;
        let hold = format!("{holds}/{}", hold.id);
        self.think(3.0, 10.0).await;
        if die() >= BUYERS {
            self.ask(Method::DELETE, &hold, &[], None).await?;
            return Ok(false);
        }
        let email = format!("visitor-{}@crowd.example", self.number);
        let key = [("idempotency-key", "checkout")];
        let request = json!({ "email": email });
        let order: Value =
            self.send(Method::POST, &format!("{hold}/checkout"), &key, Some(request)).await?;
        let Some(page) = order["payment"]["url"].as_str() else { return Ok(false) };
        self.think(2.0, 6.0).await;
        self.ask(Method::POST, page, &[], Some(json!({ "card": "4242424242424242" }))).await?;
        Ok(true)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<Value>,
    ) -> Result<T, GoesHome> {
        Ok(self.ask(method, path, headers, body).await?.json().await?)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<Value>,
    ) -> Result<reqwest::Response, GoesHome> {
        self.shop.pace().await;
        let url = if path.starts_with('/') { self.shop.url.clone() + path } else { path.into() };
        // Everybody comes from a place of their own, as through a proxy: the addresses are those
        // that are set aside for measurements (RFC 2544).
        let [high, low] = u16::try_from(self.number).unwrap_or(0).to_be_bytes();
        let address = Ipv4Addr::new(198, 18 + high, low, 7);
        let mut request = self.shop.http.request(method, url);
        request = request.header("x-forwarded-for", address.to_string());
        if !self.session.is_empty() {
            request = request.bearer_auth(&self.session);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(request.send().await?.error_for_status()?)
    }
}
