//! Who holds and never pays: shorter holds, then a wait, with reasons and a way out.

mod door;
mod organizer;

use std::time::{Duration, Instant};

use onsale::demo::seed::Seed;
use onsale::holds::rebuild;
use onsale::ids::EventId;
use onsale::orders::drive;
use onsale::payments::sandbox::own_card;
use onsale::suspicion::ledger::WINDOW_S;
use onsale::suspicion::verdict::Override;
use onsale::suspicion::{self, Subject, store};
use onsale::workers::{forget, refunds, sweep};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::bank::Bank;
use crate::support::stage::{SHOW, holds_are_over, redis, time_to_pay_is_over};
use crate::support::{Answer, Buyer, Env, PATIENCE, TestServer, hall, until};

/// Never in a test: they write and read by hand.
const NEVER_MS: u64 = 3_600_000;
/// How long a hold lasts, in seconds.
const WHOLE_S: i64 = 480;
const GOOD_CARD: &str = "4242424242424242";
const BAD_CARD: &str = "4000000000000002";

pub struct Shop {
    pub env: Env,
    pub event: EventId,
    pub server: TestServer,
    pub offer: String,
    _bank: Bank,
}

impl Shop {
    pub async fn open(mut env: Env, follow_ms: u64) -> Self {
        env.config.suspicion.follow_ms = follow_ms;
        // What is free of points is counted anew every ten minutes: not in the middle of a test.
        let left_s = WINDOW_S - jiff::Timestamp::now().as_second().rem_euclid(WINDOW_S);
        if left_s < 30 {
            tokio::time::sleep(Duration::from_secs(left_s.unsigned_abs() + 1)).await;
        }
        let mut bank = Bank::found(&mut env);
        let hall = hall(4, 6, 60);
        let event = env.event(&Seed { return_seconds: 0, ..Seed::new(SHOW, &hall) }).await;
        let server = env.server().await;
        bank.open(&server.url).await;
        let offer = server.buyer().await.offer(SHOW, "front").await;
        Self { env, event, server, offer, _bank: bank }
    }

    pub async fn hold(&self, buyer: &Buyer, key: &str) -> Answer {
        buyer.hold_places(SHOW, &self.offer, key, &[0, 1]).await
    }

    /// Lets a hold end by time, and sees that it is counted.
    pub async fn expire(&self, buyer: &Buyer, device: Option<&str>, key: &str) -> i64 {
        let hold = self.hold_from(buyer, device, key).await.expect(201);
        let lasts_s = lasts_s(&hold);
        holds_are_over(&self.env).await;
        self.count().await;
        lasts_s
    }

    /// Everything that has ended is counted, and known. Twice is no more than once.
    pub async fn count(&self) {
        let app = &self.server.server.app;
        for _ in 0..2 {
            sweep::run_once(app).await.expect("swept");
            drive::run_once(app).await.expect("driven");
            suspicion::run_once(app).await.expect("written");
        }
    }

    /// A hold from a device.
    pub async fn hold_from(&self, buyer: &Buyer, device: Option<&str>, key: &str) -> Answer {
        self.asked(buyer, device, key).await.0
    }

    /// The same, with the seconds of `Retry-After`.
    async fn asked(&self, buyer: &Buyer, device: Option<&str>, key: &str) -> (Answer, Option<u32>) {
        let url = format!("{}/v1/events/{SHOW}/holds", buyer.url);
        let wish = json!({"lines": [{"offer": self.offer, "places": [0, 1]}]});
        let request = buyer.http.post(url).bearer_auth(&buyer.token);
        let request = request.header("idempotency-key", key).json(&wish);
        let request = match device {
            Some(device) => request.header("onsale-device", device),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        let after = response.headers().get("retry-after");
        let after = after.map(|value| value.to_str().expect("text").parse().expect("seconds"));
        let status = response.status();
        let body = response.json().await.expect("JSON");
        (Answer { status, body }, after)
    }

    /// How often a reason was counted for a kind of subject, and its points at that time.
    pub async fn counted(&self, kind: &str, reason: &str) -> (i64, f64) {
        sqlx::query_as(
            "SELECT coalesce(sum(times), 0), coalesce(sum(points), 0) FROM suspicion
             WHERE kind = $1 AND reason = $2",
        )
        .bind(kind)
        .bind(reason)
        .fetch_one(&self.env.pg)
        .await
        .expect("counts")
    }

    pub async fn end(self) {
        self.server.stop().await;
        self.env.end().await;
    }
}

/// A session, and its device's token.
async fn device_of(server: &TestServer) -> (Buyer, String) {
    let buyer = server.buyer().await;
    let anonymous = Buyer { token: String::new(), ..buyer };
    let session = anonymous.send(Method::POST, "/v1/sessions", None, None).await.expect(201);
    let text = |name: &str| session.body[name].as_str().expect("text").to_owned();
    (Buyer { token: text("token"), ..anonymous }, text("device"))
}

fn lasts_s(hold: &Answer) -> i64 {
    let time = |name: &str| -> jiff::Timestamp {
        hold.body[name].as_str().expect("a time").parse().expect("a time")
    };
    let left_ms = time("expires_at").as_millisecond() - time("server_time").as_millisecond();
    (left_ms + 500) / 1_000
}

pub async fn account_of(shop: &Shop, buyer: &Buyer) -> String {
    let app = &shop.server.server.app;
    let account = app.keyring.verify_session(&buyer.token, app.now()).expect("a session");
    format!("account-{}", account.0.simple())
}

#[tokio::test]
async fn holds_that_end_unpaid_make_the_next_shorter_and_then_wait() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let eve = shop.server.buyer().await;
    let mut lasted_s = Vec::new();
    for turn in 0..5 {
        lasted_s.push(shop.expire(&eve, None, &turn.to_string()).await);
    }
    assert_eq!(lasted_s, [WHOLE_S, WHOLE_S, WHOLE_S / 2, WHOLE_S / 2, WHOLE_S / 4]);
    let (times, points) = shop.counted("account", "hold_expired_unpaid").await;
    assert!(times == 5 && (4.9..=5.0).contains(&points), "{times} {points}");

    let (refused, after_s) = shop.asked(&eve, None, "next").await;
    let refused = refused.expect(429);
    assert_eq!(refused.code(), "cooldown");
    assert_eq!(refused.body["reasons"][0], "hold_expired_unpaid");
    assert!(refused.body["appeal"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(after_s.is_some_and(|after_s| (1..=60).contains(&after_s)), "{after_s:?}");
    // An ask is no way round it.
    let asks = format!("/v1/events/{SHOW}/asks");
    let wish = json!({"lines": [{"offer": shop.offer, "best": 2}]});
    let asked = eve.send(Method::POST, &asks, Some("ask"), Some(wish)).await.expect(429);
    assert_eq!(asked.code(), "cooldown");

    // Who has the same address has done nothing.
    let neighbour = shop.server.buyer().await;
    assert_eq!(lasts_s(&shop.hold(&neighbour, "k").await.expect(201)), WHOLE_S);
    shop.end().await;
}

#[tokio::test]
async fn whoever_finds_an_expired_hold_counts_it_once() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let (eve, ada) = (shop.server.buyer().await, shop.server.buyer().await);
    shop.hold(&eve, "k").await.expect(201);
    holds_are_over(&shop.env).await;
    // Ada's refused hold sweeps, before any worker does.
    shop.hold(&ada, "k").await.expect(201);
    shop.count().await;
    assert_eq!(shop.counted("account", "hold_expired_unpaid").await.0, 1);
    // What a buyer gives back has not expired, and neither has what is over already.
    let held = shop.hold_from(&ada, None, "k").await.expect(200);
    let path = format!("/v1/events/{SHOW}/holds/{}", held.id());
    for _ in 0..2 {
        ada.send(Method::DELETE, &path, None, None).await.expect(204);
    }
    shop.count().await;
    assert_eq!(shop.counted("account", "hold_expired_unpaid").await.0, 1);
    assert_eq!(shop.counted("account", "holds_let_go").await.0, 0);
    shop.end().await;
}

#[tokio::test]
async fn an_order_that_is_never_paid_counts_once_and_not_as_a_hold_as_well() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let (eve, device) = device_of(&shop.server).await;
    let hold = shop.hold_from(&eve, Some(&device), "k").await.expect(201);
    eve.checkout(SHOW, &hold.id(), "eve@example.org").await.expect(201);
    time_to_pay_is_over(&shop.env).await;
    shop.count().await;
    shop.count().await;
    assert_eq!(eve.order(&hold.id()).await.body["status"], "released");
    for kind in ["account", "device", "prefix"] {
        assert_eq!(shop.counted(kind, "order_unpaid").await.0, 1, "{kind}");
        assert_eq!(shop.counted(kind, "hold_expired_unpaid").await.0, 0, "{kind}");
    }
    shop.end().await;
}

#[tokio::test]
async fn a_new_session_on_the_same_device_is_no_new_person() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let (eve, device) = device_of(&shop.server).await;
    for turn in 0..5 {
        shop.expire(&eve, Some(&device), &turn.to_string()).await;
    }
    let again = shop.server.buyer().await;
    let refused = shop.hold_from(&again, Some(&device), "k").await.expect(429);
    assert_eq!(refused.code(), "cooldown");
    // A made-up token is none, and somebody else's address is no reason.
    let forged = device.replace("d1.", "d1.A");
    let other = shop.server.buyer().await;
    shop.hold_from(&other, Some(&forged), "k").await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn paying_makes_up_for_it() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let ada = shop.server.buyer().await;
    for turn in 0..3 {
        shop.expire(&ada, None, &turn.to_string()).await;
    }
    let hold = shop.hold(&ada, "bought").await.expect(201);
    assert_eq!(lasts_s(&hold), WHOLE_S / 2);
    let order = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    ada.pay(&order, GOOD_CARD).await.expect(200);
    assert_eq!(ada.order(&hold.id()).await.body["status"], "paid");
    shop.count().await;
    let next = ada.hold_places(SHOW, &shop.offer, "next", &[2, 3]).await.expect(201);
    assert_eq!(lasts_s(&next), WHOLE_S);
    shop.end().await;
}

#[tokio::test]
async fn cards_are_recognised_but_never_kept() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    for places in [[0, 1], [2, 3], [4, 5], [8, 9]] {
        let ada = shop.server.buyer().await;
        let hold = ada.hold_places(SHOW, &shop.offer, "k", &places).await.expect(201);
        let order = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        ada.pay(&order, BAD_CARD).await.expect(402);
        until("the shop knows the card", || async {
            let known = "SELECT count(fingerprint) FROM attempts WHERE order_id = $1";
            let known = sqlx::query_scalar::<_, i64>(known)
                .bind(order.id().parse::<uuid::Uuid>().expect("an id"))
                .fetch_one(&shop.env.pg);
            known.await.expect("attempts") == 1
        })
        .await;
        ada.pay(&order, BAD_CARD).await.expect(402);
        ada.pay(&order, GOOD_CARD).await.expect(200);
    }
    until("the last card that was declined is counted", || async {
        shop.count().await;
        shop.counted("account", "declined_cards").await.0 == 4
    })
    .await;
    // The third and the fourth account, of each card.
    assert_eq!(shop.counted("account", "same_card_many_accounts").await.0, 4);
    assert_eq!(shop.counted("card", "same_card_many_accounts").await.0, 4);
    // The first of each is free.
    assert_eq!(shop.counted("account", "declined_cards").await.0, 4);
    let kept: Vec<Option<String>> = sqlx::query_scalar("SELECT fingerprint FROM attempts")
        .fetch_all(&shop.env.pg)
        .await
        .expect("attempts");
    assert_eq!(kept.len(), 4);
    for kept in kept {
        let kept = kept.expect("a fingerprint");
        assert!(!BAD_CARD.contains(&kept) && !kept.contains("0002"), "{kept}");
    }
    shop.end().await;
}

#[tokio::test]
async fn a_card_pays_for_so_many_accounts_and_others_get_their_money_back() {
    let mut env = Env::start().await;
    env.config.suspicion.accounts_per_card = 2;
    let shop = Shop::open(env, NEVER_MS).await;
    let buy = async |buyer: &Buyer, key: &str, places: &[i64], card: &str| {
        // What was given back is free a moment later.
        let started = Instant::now();
        let mut hold = buyer.hold_places(SHOW, &shop.offer, key, places).await;
        while hold.code() == "places_taken" && started.elapsed() < PATIENCE {
            hold = buyer.hold_places(SHOW, &shop.offer, key, places).await;
        }
        let hold = hold.expect(201);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        buyer.pay(&order, card).await.expect(200);
        shop.count().await;
        let status = buyer.order(&hold.id()).await.body["status"].clone();
        status.as_str().expect("a status").to_owned()
    };
    let [ada, bob, eve] = [(); 3].map(|()| shop.server.buyer());
    let (ada, bob, eve) = (ada.await, bob.await, eve.await);
    let (card, own) = (GOOD_CARD, own_card(7));
    assert_eq!(buy(&ada, "k", &[0, 1], card).await, "paid");
    assert_eq!(buy(&bob, "k", &[2, 3], card).await, "paid");
    // The third gets the money back, and again; with a card of their own they can buy.
    assert_eq!(buy(&eve, "k", &[4, 5], card).await, "refund_pending");
    assert_eq!(buy(&eve, "l", &[8, 9], card).await, "refund_pending");
    assert_eq!(buy(&eve, "m", &[10, 11], &own).await, "paid");
    assert_eq!(buy(&ada, "l", &[12, 13], card).await, "paid");
    while refunds::run_once(&shop.server.server.app).await.expect("refunded") {}
    shop.count().await;
    assert_eq!(buy(&bob, "l", &[4, 5], card).await, "paid");
    // Whom the organizer trusts is spared.
    let eves: Subject = account_of(&shop, &eve).await.parse().expect("a subject");
    let mut pg = shop.env.pg.acquire().await.expect("a connection");
    let trust = Some(Override::Trust);
    store::decide(&mut pg, shop.event, eves, trust, "").await.expect("decided");
    drop(pg);
    shop.count().await;
    assert_eq!(buy(&eve, "n", &[8, 9], card).await, "paid");
    shop.end().await;
}

#[tokio::test]
async fn suspicion_fades_and_is_forgotten() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let ada = shop.server.buyer().await;
    for turn in 0..5 {
        shop.expire(&ada, None, &turn.to_string()).await;
    }
    shop.hold(&ada, "now").await.expect(429);
    let later = "UPDATE suspicion SET at = at - interval '2 days',
                 change = nextval('suspicion_changes')";
    sqlx::query(later).execute(&shop.env.pg).await.expect("time passes");
    shop.count().await;
    assert_eq!(lasts_s(&shop.hold(&ada, "later").await.expect(201)), WHOLE_S);
    forget::run_once(&shop.server.server.app).await.expect("forgotten");
    assert_eq!(shop.counted("account", "hold_expired_unpaid").await.0, 0);
    shop.end().await;
}

#[tokio::test]
async fn redis_may_forget_everything() {
    let shop = Shop::open(Env::with_own_redis().await, NEVER_MS).await;
    let eve = shop.server.buyer().await;
    for turn in 0..5 {
        shop.expire(&eve, None, &turn.to_string()).await;
    }
    shop.hold(&eve, "before").await.expect(429);
    let mut connection = redis(&shop.env).await;
    let () = ::redis::cmd("FLUSHALL").query_async(&mut connection).await.expect("flushed");
    rebuild::ensure(&shop.server.server.app, shop.event).await.expect("built");
    let refused: Value = shop.hold(&eve, "after").await.expect(429).body;
    assert_eq!(refused["code"], "cooldown");
    assert_eq!(shop.counted("account", "hold_expired_unpaid").await.0, 5);
    shop.end().await;
}
