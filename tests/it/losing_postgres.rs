//! The wire to Postgres is cut around a commit, or everything on it stops: exactly one effect,
//! the same answer when asked again, and the process recovers.

use std::time::{Duration, Instant};

use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::orders::{drive, mirror};
use onsale::workers::sweep;
use reqwest::Method;
use serde_json::json;

use crate::support::bank::{Bank, intent_event};
use crate::support::proxy::{Fate, Proxy, target};
use crate::support::shopper::patiently;
use crate::support::stage::{SHOW, at_rest, count, holds_are_over, time_to_pay_is_over};
use crate::support::{Answer, Buyer, Env, TestServer, hall, until};

/// How long an answer may take when Postgres gives none: the server's own bound, and a bit.
const BOUND: Duration = Duration::from_secs(40);
/// How long a process may take to be well again after connections went silent.
const RECOVERY: Duration = Duration::from_mins(1);

struct Shop {
    env: Env,
    event: EventId,
    server: TestServer,
    bank: Bank,
    proxy: Proxy,
    buyer: Buyer,
    offer: String,
}

impl Shop {
    /// A server that reaches Postgres through a wire that can be cut; the test itself doesn't.
    async fn open() -> Self {
        let mut env = Env::start().await;
        let event = env.event(&Seed::new(SHOW, &hall(4, 10, 10))).await;
        let url = env.config.database.url.clone();
        let target = target(&url);
        let proxy = Proxy::before(target.to_owned()).await;
        env.config.database.url = url.replace(target, &proxy.address.to_string());
        env.config.database.connections = 4;
        env.config.http.request_timeout_s = 15;
        let mut bank = Bank::found(&mut env);
        let server = env.server().await;
        bank.open(&server.url).await;
        let buyer = server.buyer().await;
        let offer = buyer.offer(SHOW, "front").await;
        Self { env, event, server, bank, proxy, buyer, offer }
    }

    async fn hold(&self, key: &str) -> Answer {
        patiently(|| self.buyer.hold_best(SHOW, &self.offer, key, 2)).await.expect(201)
    }

    async fn checkout(&self, hold: &Answer, email: &str) -> Answer {
        let id = hold.id();
        patiently(|| self.buyer.checkout(SHOW, &id, email)).await.expect(201)
    }

    async fn count(&self, query: &'static str) -> i64 {
        count(&self.env, self.event, query).await
    }

    async fn end(self) {
        let app = &self.server.server.app;
        time_to_pay_is_over(&self.env).await;
        until("all is at rest", || async {
            drop(drive::run_once(app).await);
            drop(mirror::run_once(app).await);
            holds_are_over(&self.env).await;
            drop(sweep::run_once(app).await);
            let left = "SELECT (SELECT count(*) FROM mirror) + (SELECT count(*) FROM orders
                WHERE event_id = $1 AND status IN ('open', 'cancelling', 'late', 'refund_due'))";
            self.count(left).await == 0
        })
        .await;
        at_rest(&self.env, self.event, &self.server.url).await;
        self.server.stop().await;
        self.env.end().await;
    }
}

const ORDERS: &str = "SELECT count(*) FROM orders WHERE event_id = $1";
const CLAIMS: &str = "SELECT count(*) FROM claims WHERE event_id = $1";
const TICKETS: &str = "SELECT count(*) FROM tickets WHERE event_id = $1";

#[tokio::test]
async fn a_claim_that_was_cut_around_its_commit_is_made_once() {
    let shop = Shop::open().await;
    for (n, fate) in [Fate::CutBefore, Fate::CutAfter].into_iter().enumerate() {
        let hold = shop.hold(&format!("k{n}")).await;
        // The claim's parameters have it.
        let email = format!("cut{n}@example.org");
        shop.proxy.trap(&email, fate);
        let order = shop.checkout(&hold, &email).await;
        assert_eq!(shop.proxy.sprung(), n + 1, "{fate:?}");
        let made = i64::try_from(n).unwrap() + 1;
        assert_eq!((shop.count(ORDERS).await, shop.count(CLAIMS).await), (made, 2 * made));
        let again = shop.checkout(&hold, &email).await;
        assert_eq!(again.body["payment"]["kind"], order.body["payment"]["kind"]);
        assert_eq!((shop.count(ORDERS).await, shop.count(CLAIMS).await), (made, 2 * made));
        shop.buyer.pay(&order, "4242424242424242").await.expect(200);
        assert_eq!(shop.buyer.order(&order.id()).await.body["status"], "paid");
    }
    shop.end().await;
}

#[tokio::test]
async fn a_settlement_that_was_cut_around_its_commit_is_made_once() {
    let shop = Shop::open().await;
    for (n, fate) in [Fate::CutBefore, Fate::CutAfter].into_iter().enumerate() {
        let hold = shop.hold(&format!("k{n}")).await;
        let order = shop.checkout(&hold, "ada@example.org").await;
        shop.buyer.pay(&order, "4000009900000707").await.expect(200);
        let total = order.body["total"].as_i64().expect("a total");
        let event = format!("evt_cut_{n}");
        let paid = intent_event(&event, "intent.succeeded", &order.id(), total, Some(total));
        shop.proxy.trap(&event, fate);
        assert_eq!(shop.bank.send(&shop.server.url, &paid).await, 200, "{fate:?}");
        assert_eq!(shop.proxy.sprung(), n + 1);
        assert_eq!(shop.buyer.order(&order.id()).await.body["status"], "paid");
        assert_eq!(shop.bank.send(&shop.server.url, &paid).await, 200);
        assert_eq!(shop.count(TICKETS).await, 2 * (i64::try_from(n).unwrap() + 1));
    }
    shop.end().await;
}

#[tokio::test]
async fn commits_whose_answer_never_comes_are_asked_for_again() {
    let shop = Shop::open().await;
    let hold = shop.hold("k").await;
    shop.proxy.trap("silent@example.org", Fate::SilentAfter);
    let started = Instant::now();
    let order = shop.checkout(&hold, "silent@example.org").await;
    println!("a silent claim was made after {:?}", started.elapsed());
    assert_eq!((shop.count(ORDERS).await, shop.count(CLAIMS).await), (1, 2));
    shop.buyer.pay(&order, "4000009900000707").await.expect(200);
    let total = order.body["total"].as_i64().expect("a total");
    let paid = intent_event("evt_quiet", "intent.succeeded", &order.id(), total, Some(total));
    shop.proxy.trap("evt_quiet", Fate::SilentAfter);
    let started = Instant::now();
    until("the settlement is stored", || async {
        shop.bank.send(&shop.server.url, &paid).await == 200
    })
    .await;
    println!("a silent settlement was made after {:?}", started.elapsed());
    assert_eq!(shop.buyer.order(&order.id()).await.body["status"], "paid");
    assert_eq!(shop.count(TICKETS).await, 2);
    // Nobody behind it had to wait for ever.
    let next = shop.hold("next").await;
    shop.checkout(&next, "next@example.org").await;
    shop.end().await;
}

#[tokio::test]
async fn a_frozen_postgres_is_answered_within_bounds_and_survived() {
    let shop = Shop::open().await;
    let hold = shop.hold("k").await;
    shop.proxy.freeze();
    let started = Instant::now();
    let path = format!("/v1/events/{SHOW}/holds/{}/checkout", hold.id());
    let body = json!({"email": "ada@example.org"});
    let ask = || shop.buyer.send(Method::POST, &path, Some("c"), Some(body.clone()));
    let reads = (0..12).map(|_| shop.buyer.get("/v1/orders/00000000-0000-7000-8000-000000000000"));
    let (checkouts, read) = tokio::join!(
        futures::future::join_all((0..3).map(|_| ask())),
        futures::future::join_all(reads),
    );
    println!("answered after {:?}", started.elapsed());
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    for answer in checkouts.iter().chain(&read) {
        assert!([503, 504].contains(&answer.status.as_u16()), "{answer:?}");
    }
    // Every connection that the process has is silent for ever; new ones work.
    shop.proxy.forget();
    let started = Instant::now();
    let mut last = None;
    while started.elapsed() < RECOVERY {
        let answer = ask().await;
        if answer.status == 201 {
            last = Some(answer);
            break;
        }
        assert!([503, 504].contains(&answer.status.as_u16()), "{answer:?}");
    }
    println!("well again after {:?}", started.elapsed());
    let order = last.expect("claims go on");
    shop.buyer.pay(&order, "4242424242424242").await.expect(200);
    until("the order is paid", || async {
        shop.buyer.get(&format!("/v1/orders/{}", order.id())).await.body["status"] == "paid"
    })
    .await;
    // All of the pool is of use again, at once.
    let started = Instant::now();
    let path = format!("/v1/orders/{}", order.id());
    for answer in futures::future::join_all((0..32).map(|_| shop.buyer.get(&path))).await {
        answer.expect(200);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(shop.count(ORDERS).await, 1);
    shop.end().await;
}

#[tokio::test]
async fn connections_that_take_longer_than_anybody_waits_are_made_all_the_same() {
    let shop = Shop::open().await;
    let hold = shop.hold("k").await;
    let order = shop.checkout(&hold, "ada@example.org").await;
    // As of a Postgres that has very much to do.
    shop.proxy.takes_to_open(Duration::from_millis(3_500));
    shop.proxy.freeze();
    let path = format!("/v1/orders/{}", order.id());
    let asked = shop.buyer.get(&path).await;
    assert!([503, 504].contains(&asked.status.as_u16()), "{asked:?}");
    shop.proxy.forget();
    let started = Instant::now();
    until("orders are read again", || async { shop.buyer.get(&path).await.status == 200 }).await;
    println!("orders are read after {:?}", started.elapsed());
    let next = shop.hold("next").await;
    shop.checkout(&next, "next@example.org").await;
    println!("claims are made after {:?}", started.elapsed());
    shop.buyer.pay(&order, "4242424242424242").await.expect(200);
    until("the order is paid", || async { shop.buyer.get(&path).await.body["status"] == "paid" })
        .await;
    println!("payments are settled after {:?}", started.elapsed());
    shop.end().await;
}

#[tokio::test]
async fn a_catalog_that_lost_its_connection_follows_again() {
    let shop = Shop::open().await;
    shop.proxy.freeze();
    // Long enough for whatever asks Postgres by itself to be caught.
    tokio::time::sleep(Duration::from_millis(700)).await;
    shop.proxy.forget();
    sqlx::query("UPDATE events SET name = 'Another name', version = version + 1 WHERE id = $1")
        .bind(shop.event.0)
        .execute(&shop.env.pg)
        .await
        .expect("renamed");
    until("the new name is seen", || async {
        let event = shop.buyer.get(&format!("/v1/events/{SHOW}")).await;
        event.body["name"] == "Another name"
    })
    .await;
    shop.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_open() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for n in 0..5 {
        let hold = shop.hold(&format!("k{n}")).await;
        let path = format!("/v1/events/{SHOW}/holds/{}/checkout", hold.id());
        let email = format!("gone{n}@example.org");
        // The commit is held up, and the client hangs up meanwhile.
        shop.proxy.trap(&email, Fate::Freeze);
        let body = json!({"email": email});
        let asked = shop.buyer.try_send(Method::POST, &path, Some("c"), Some(body));
        tokio::select! {
            _ = asked => panic!("answered without Postgres"),
            () = until("the claim is under way", || async { shop.proxy.sprung() > n }) => {}
        }
        shop.proxy.thaw();
        orders.push(hold.id());
    }
    for id in &orders {
        until("the order stands", || async {
            shop.buyer.get(&format!("/v1/orders/{id}")).await.status == 200
        })
        .await;
    }
    // Clients that hang up while an order is paid for, or read.
    let order = shop.buyer.order(&orders[0]).await;
    let payments = format!("/v1/orders/{}/payments", order.id());
    for n in 0..20 {
        let asked = shop.buyer.try_send(Method::POST, &payments, None, None);
        drop(tokio::time::timeout(Duration::from_micros(300 * n), asked).await);
    }
    until("no transaction is open", || async {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND state LIKE 'idle in transaction%' AND $1 IS NOT NULL";
        shop.count(open).await == 0
    })
    .await;
    let paid = shop.buyer.send(Method::POST, &payments, None, None).await.expect(200);
    shop.buyer.pay(&paid, "4242424242424242").await.expect(200);
    assert_eq!(shop.buyer.order(&order.id()).await.body["status"], "paid");
    shop.end().await;
}
