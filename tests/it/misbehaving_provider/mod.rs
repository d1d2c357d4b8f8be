//! A payment provider that is slow, silent, repetitive, wrong, or gone.

mod money_back;
#[path = "../../support/stripe_fake/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod stripe_fake;

use onsale::config::ProviderName;
use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::orders::{drive, mirror, store};
use onsale::workers::{reconcile, refunds};
use reqwest::Method;
use serde_json::json;

use crate::support::bank::{Bank, intent_event, reference};
use crate::support::stage::{SHOW, at_rest, count, time_to_pay_is_over};
use crate::support::{Answer, Buyer, Env, TestServer, hall, until};

use self::stripe_fake::{Fault, StripeFake};

const GOOD: &str = "4242424242424242";

struct Shop {
    env: Env,
    event: EventId,
    server: TestServer,
    bank: Bank,
    buyer: Buyer,
    offer: String,
}

impl Shop {
    async fn open() -> Self {
        let mut env = Env::start().await;
        let mut bank = Bank::found(&mut env);
        let event = env.event(&Seed::new(SHOW, &hall(4, 10, 0))).await;
        let server = env.server().await;
        bank.open(&server.url).await;
        let buyer = server.buyer().await;
        let offer = buyer.offer(SHOW, "front").await;
        Self { env, event, server, bank, buyer, offer }
    }

    async fn order(&self, key: &str) -> Answer {
        let hold = self.buyer.hold_best(SHOW, &self.offer, key, 2).await.expect(201);
        self.buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201)
    }

    async fn paid(&self, key: &str) -> Answer {
        let order = self.order(key).await;
        self.buyer.pay(&order, GOOD).await.expect(200);
        self.is(&order, "paid").await;
        order
    }

    async fn status(&self, order: &Answer) -> String {
        let order = self.buyer.order(&order.id()).await;
        order.body["status"].as_str().expect("a status").to_owned()
    }

    async fn is(&self, order: &Answer, status: &str) {
        assert_eq!(self.status(order).await, status);
    }

    async fn becomes(&self, order: &Answer, status: &str) {
        until(&format!("the order is {status}"), || async { self.status(order).await == status })
            .await;
    }

    async fn drive(&self) {
        drive::run_once(&self.server.server.app).await.expect("driven");
    }

    async fn tickets(&self, order: &Answer) -> Vec<String> {
        let order = self.buyer.order(&order.id()).await;
        let tickets = order.body["tickets"].as_array().cloned().unwrap_or_default();
        tickets.iter().map(|t| t["status"].as_str().expect("a status").to_owned()).collect()
    }

    /// Waits until the refunds that are due were asked for and have come to their end.
    async fn refunded(&self, order: &Answer) {
        let app = &self.server.server.app;
        until("the refund has ended", || async {
            drop(refunds::run_once(app).await);
            let order = self.buyer.order(&order.id()).await;
            let all = order.body["refunds"].as_array().cloned().unwrap_or_default();
            !all.is_empty() && all.iter().all(|r| r["status"] == "done" || r["status"] == "failed")
        })
        .await;
    }

    async fn end(self) {
        let app = &self.server.server.app;
        time_to_pay_is_over(&self.env).await;
        until("all is at rest", || async {
            drop(drive::run_once(app).await);
            drop(refunds::run_once(app).await);
            drop(mirror::run_once(app).await);
            let left = "SELECT (SELECT count(*) FROM mirror) + (SELECT count(*) FROM orders
                WHERE event_id = $1 AND status IN ('open', 'cancelling', 'late', 'refund_due'))";
            count(&self.env, self.event, left).await == 0
        })
        .await;
        at_rest(&self.env, self.event, &self.server.url).await;
        self.server.stop().await;
        self.env.end().await;
    }
}

#[tokio::test]
async fn slow_late_twice_tenfold_and_out_of_order_are_paid_once() {
    let shop = Shop::open().await;
    let cards = [
        ("4000009900000103", 200),
        ("4000009900000202", 202),
        ("4000009900000400", 200),
        ("4000009900000509", 200),
        ("4000009900000608", 200),
    ];
    for (card, status) in cards {
        let order = shop.order(card).await;
        shop.buyer.pay(&order, card).await.expect(status);
        shop.becomes(&order, "paid").await;
        assert_eq!(shop.tickets(&order).await, ["valid", "valid"], "{card}");
    }
    shop.end().await;
}

#[tokio::test]
async fn the_bank_may_ask_the_buyer_first() {
    let shop = Shop::open().await;
    let order = shop.order("k").await;
    let page = order.body["payment"]["url"].as_str().expect("a page").to_owned();
    for (outcome, status) in [("fail", "open"), ("approve", "paid")] {
        let asked = shop.buyer.pay(&order, "4000002500003155").await.expect(200);
        assert!(asked.body["challenge"].is_string(), "{asked:?}");
        let url = format!("{page}/challenge?wait=webhook");
        shop.buyer.send(Method::POST, &url, None, Some(json!({"outcome": outcome}))).await;
        shop.becomes(&order, status).await;
    }
    shop.end().await;
}

#[tokio::test]
async fn a_payment_that_never_ends_keeps_its_places_until_it_does() {
    let shop = Shop::open().await;
    let order = shop.order("k").await;
    shop.buyer.pay(&order, "4000009900000301").await.expect(202);
    time_to_pay_is_over(&shop.env).await;
    for _ in 0..2 {
        shop.drive().await;
        shop.is(&order, "cancelling").await;
        time_to_pay_is_over(&shop.env).await;
    }
    let other = shop.server.buyer().await;
    other.hold_places(SHOW, &shop.offer, "k", &order.places()).await.expect(409);
    // The bank makes up its mind, and tells.
    let total = order.body["total"].as_i64().expect("a total");
    let paid = intent_event("evt_1", "intent.succeeded", &order.id(), total, Some(total));
    assert_eq!(shop.bank.send(&shop.server.url, &paid).await, 200);
    shop.is(&order, "paid").await;
    shop.end().await;
}

#[tokio::test]
async fn a_lost_webhook_is_made_good_by_asking() {
    let shop = Shop::open().await;
    let order = shop.order("k").await;
    shop.buyer.pay(&order, "4000009900000707").await.expect(200);
    shop.is(&order, "open").await;
    let app = &shop.server.server.app;
    reconcile::run_once(app).await.expect("reconciled");
    shop.is(&order, "paid").await;
    reconcile::run_once(app).await.expect("reconciled");
    shop.end().await;
}

#[tokio::test]
async fn one_process_at_a_time_reads_the_providers_list() {
    let shop = Shop::open().await;
    let second = shop.env.server().await;
    reconcile::run_once(&shop.server.server.app).await.expect("reconciled");
    let order = shop.order("k").await;
    shop.buyer.pay(&order, "4000009900000707").await.expect(200);
    // Nor does it ask for a payment that was just begun.
    sqlx::query("UPDATE attempts SET changed_at = now()")
        .execute(&shop.env.pg)
        .await
        .expect("just now");
    reconcile::run_once(&second.server.app).await.expect("reconciled");
    shop.is(&order, "open").await;
    // The first is gone.
    sqlx::query("UPDATE provider_lists SET read_at = read_at - interval '2 minutes'")
        .execute(&shop.env.pg)
        .await
        .expect("the past");
    reconcile::run_once(&second.server.app).await.expect("reconciled");
    shop.is(&order, "paid").await;
    second.stop().await;
    shop.end().await;
}

#[tokio::test]
async fn the_same_checkout_leads_to_the_payment_that_is_open() {
    let shop = Shop::open().await;
    let order = shop.order("k").await;
    // The payment is cancelled at the bank, as a person there may do.
    let path = format!("/v1/intents/{}/cancel", reference(&order.id()));
    shop.bank.call(Method::POST, &path, None).await.expect(200);
    until("the shop knows", || async {
        let attempts = store::attempts(&shop.env.pg, order.id().parse().expect("an id")).await;
        attempts.expect("attempts").iter().all(|attempt| attempt.status == "cancelled")
    })
    .await;
    let again = shop.buyer.checkout(SHOW, &order.id(), "ada@example.org").await.expect(201);
    shop.buyer.pay(&again, GOOD).await.expect(200);
    shop.becomes(&order, "paid").await;
    shop.end().await;
}

#[tokio::test]
async fn while_the_bank_is_gone_orders_stand_and_cancellations_wait() {
    let mut shop = Shop::open().await;
    shop.bank.down().await;
    let (kept, given_up) = (shop.order("kept").await, shop.order("given-up").await);
    let path = format!("/v1/orders/{}/cancel", given_up.id());
    shop.buyer.send(Method::POST, &path, None, None).await.expect(202);
    shop.is(&given_up, "cancelling").await;
    let other = shop.server.buyer().await;
    other.hold_places(SHOW, &shop.offer, "k", &given_up.places()).await.expect(409);
    shop.bank.back();
    // It is tried again soon, not only when its time to pay would be over.
    until("the cancellation is tried again", || async {
        shop.drive().await;
        shop.status(&given_up).await == "released"
    })
    .await;
    shop.buyer.pay(&kept, GOOD).await.expect(200);
    shop.becomes(&kept, "paid").await;
    shop.end().await;
}

#[tokio::test]
async fn an_intent_of_unknown_creation_is_found_and_cancelled() {
    let mut env = Env::start().await;
    let (fake, base) = StripeFake::start().await;
    env.config.payments.provider = ProviderName::Stripe;
    env.config.payments.stripe.secret_key = stripe_fake::SECRET_KEY.into();
    env.config.payments.stripe.publishable_key = "pk_test_fake".into();
    env.config.payments.stripe.webhook_secrets = vec!["whsec_of_the_fake_endpoint".into()];
    env.config.payments.stripe.api_base = base;
    let event = env.event(&Seed::new(SHOW, &hall(4, 10, 0))).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer(SHOW, "front").await;
    for fault in [Fault::Proxy(502), Fault::SilentAfterEffect] {
        let hold = buyer.hold_best(SHOW, &offer, &format!("{fault:?}").len().to_string(), 2).await;
        fake.fail_next(fault);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        assert!(order.body.get("payment").is_none(), "{order:?}");
        time_to_pay_is_over(&env).await;
        // No answer again: nothing is let go.
        fake.fail_next(Fault::Proxy(502));
        drive::run_once(&server.server.app).await.expect("driven");
        assert_eq!(buyer.order(&order.id()).await.body["status"], "cancelling");
        time_to_pay_is_over(&env).await;
        drive::run_once(&server.server.app).await.expect("driven");
        assert_eq!(buyer.order(&order.id()).await.body["status"], "released");
    }
    assert_eq!(fake.intents(), 2, "one each");
    onsale::workers::sweep::run_once(&server.server.app).await.expect("swept");
    mirror::run_once(&server.server.app).await.expect("mirrored");
    at_rest(&env, event, &server.url).await;
    server.stop().await;
    env.end().await;
}
