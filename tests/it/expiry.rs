//! What ends by time, and money that comes too late. Workers are driven by hand; time passes by
//! moving deadlines.

use onsale::demo::seed::Seed;
use onsale::holds::rebuild;
use onsale::ids::EventId;
use onsale::orders::{drive, mirror};
use onsale::workers::{reconcile, refunds, sweep};
use reqwest::Method;
use serde_json::json;

use crate::support::bank::{Bank, intent_event};
use crate::support::stage::time_to_pay_is_over;
use crate::support::stage::{
    SHOW, at_rest, count, holds_are_over, keys, redis, returns_are_due, sound,
};
use crate::support::{Answer, Buyer, Env, TestServer, hall, until};

/// Approved, and the shop is never told.
const SILENT: &str = "4000009900000707";

struct Shop {
    env: Env,
    event: EventId,
    server: TestServer,
    bank: Bank,
    offer: String,
}

impl Shop {
    async fn open() -> Self {
        Self::whose_places_return_within(0).await
    }

    /// With a longest delay in seconds.
    async fn whose_places_return_within(return_seconds: i32) -> Self {
        let mut env = Env::start().await;
        let mut bank = Bank::found(&mut env);
        // Two rows in front, with six seats each.
        let hall = hall(4, 6, 0);
        let event = env.event(&Seed { return_seconds, ..Seed::new(SHOW, &hall) }).await;
        let server = env.server().await;
        bank.open(&server.url).await;
        let offer = server.buyer().await.offer(SHOW, "front").await;
        Self { env, event, server, bank, offer }
    }

    /// A hold, and its order.
    async fn order(&self, buyer: &Buyer, places: &[i64], equivalent: bool) -> Answer {
        let key = format!("{places:?}").replace(' ', "");
        let hold = buyer.hold_places(SHOW, &self.offer, &key, places).await.expect(201);
        let path = format!("/v1/events/{SHOW}/holds/{}/checkout", hold.id());
        let body = json!({"email": "ada@example.org", "accept_equivalent": equivalent});
        buyer.send(Method::POST, &path, Some("checkout"), Some(body)).await.expect(201)
    }

    async fn drive(&self) {
        drive::run_once(&self.server.server.app).await.expect("driven");
    }

    async fn reconcile(&self) {
        reconcile::run_once(&self.server.server.app).await.expect("reconciled");
    }

    async fn sweep(&self) {
        sweep::run_once(&self.server.server.app).await.expect("swept");
    }

    /// An order that was paid, of which the bank said that it is cancelled: it was released, and
    /// only then the payment becomes known.
    async fn late(&self, buyer: &Buyer, places: &[i64], equivalent: bool) -> Answer {
        let order = self.order(buyer, places, equivalent).await;
        buyer.pay(&order, SILENT).await.expect(200);
        for statement in [
            "UPDATE attempts SET status = 'cancelled' WHERE order_id = $1::uuid",
            "SELECT begin_cancel($1::uuid)",
            "SELECT release_order($1::uuid, 'unpaid')",
        ] {
            sqlx::query(statement).bind(order.id()).execute(&self.env.pg).await.expect("released");
        }
        let id = order.id().parse().expect("an id");
        mirror::orders(&self.server.server.app, &[id]).await.expect("mirrored");
        assert_eq!(buyer.order(&order.id()).await.body["status"], "released");
        order
    }

    async fn end(self) {
        let app = &self.server.server.app;
        until("all is at rest", || async {
            drop(drive::run_once(app).await);
            drop(refunds::run_once(app).await);
            drop(mirror::run_once(app).await);
            holds_are_over(&self.env).await;
            returns_are_due(&self.env).await;
            drop(sweep::run_once(app).await);
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
async fn a_hold_past_its_deadline_is_swept() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(201);
    holds_are_over(&shop.env).await;
    // Over is over, swept or not.
    ada.get(&format!("/v1/events/{SHOW}/holds/{}", hold.id())).await.expect(410);
    ada.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(410);
    let extend = format!("/v1/events/{SHOW}/holds/{}/extend", hold.id());
    ada.send(Method::POST, &extend, None, None).await.expect(410);
    let late = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(410);
    assert_eq!(late.code(), "hold_gone");
    shop.sweep().await;
    let drawer = eve.get(&format!("/v1/events/{SHOW}/drawer")).await.expect(200);
    assert_eq!(drawer.body["redis"]["held"], 0, "{drawer:?}");
    ada.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(410);
    eve.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn who_wants_what_an_expired_hold_has_gets_it_without_waiting_for_the_sweep() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    holds_are_over(&shop.env).await;
    eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    // Best of all: both rows in front are held, and then they are not.
    ada.hold_best(SHOW, &shop.offer, "b", 4).await.expect(201);
    ada.hold_best(SHOW, &shop.offer, "c", 6).await.expect(201);
    eve.hold_best(SHOW, &shop.offer, "d", 2).await.expect(409);
    holds_are_over(&shop.env).await;
    eve.hold_best(SHOW, &shop.offer, "e", 6).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn a_hold_is_extended_within_its_bound_only() {
    let shop = Shop::open().await;
    let ada = shop.server.buyer().await;
    let hold = ada.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(201);
    let extend = format!("/v1/events/{SHOW}/holds/{}/extend", hold.id());
    ada.send(Method::POST, &extend, None, None).await.expect(200);
    // It was made so long ago that the total (twice the hold's time) is all but used up.
    let script = redis::Script::new(
        "local record = redis.call('HGET', KEYS[1], ARGV[1])
        local state, deadline, account, created, rest =
            string.match(record, '^(%a)|(%d+)|([^|]*)|(%d+)(|.*)$')
        created = created - 900000
        redis.call('HSET', KEYS[1], ARGV[1],
            table.concat({state, deadline, account, created}, '|') .. rest)",
    );
    let holds = keys(&shop.env, "holds").await.pop().expect("one event");
    let mut redis = redis(&shop.env).await;
    let () = script.key(holds).arg(hold.id()).invoke_async(&mut redis).await.expect("made older");
    let extended = ada.send(Method::POST, &extend, None, None).await;
    let refused = if extended.status == 200 {
        ada.send(Method::POST, &extend, None, None).await
    } else {
        extended
    };
    assert_eq!(refused.expect(409).code(), "extension_bound");
    ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    let claiming = ada.send(Method::POST, &extend, None, None).await.expect(409);
    assert_eq!(claiming.code(), "hold_in_checkout");
    time_to_pay_is_over(&shop.env).await;
    shop.end().await;
}

#[tokio::test]
async fn an_unpaid_order_is_cancelled_and_its_places_are_sold_to_the_next() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let order = shop.order(&ada, &[0, 1], false).await;
    shop.drive().await;
    assert_eq!(ada.order(&order.id()).await.body["status"], "open", "its time is not over");
    time_to_pay_is_over(&shop.env).await;
    shop.drive().await;
    assert_eq!(ada.order(&order.id()).await.body["status"], "released");
    ada.pay(&order, "4242424242424242").await.expect(409);
    let next = shop.order(&eve, &[0, 1], false).await;
    eve.pay(&next, "4242424242424242").await.expect(200);
    assert_eq!(eve.order(&next.id()).await.body["status"], "paid");
    shop.end().await;
}

#[tokio::test]
async fn paid_in_the_last_moment_is_paid() {
    let shop = Shop::open().await;
    let ada = shop.server.buyer().await;
    let order = shop.order(&ada, &[0, 1], false).await;
    ada.pay(&order, SILENT).await.expect(200);
    time_to_pay_is_over(&shop.env).await;
    shop.drive().await;
    assert_eq!(ada.order(&order.id()).await.body["status"], "paid");
    shop.end().await;
}

#[tokio::test]
async fn paid_while_the_cancellation_had_no_answer_is_paid() {
    let mut shop = Shop::open().await;
    let ada = shop.server.buyer().await;
    let order = shop.order(&ada, &[0, 1], false).await;
    ada.pay(&order, SILENT).await.expect(200);
    shop.bank.down().await;
    time_to_pay_is_over(&shop.env).await;
    shop.drive().await;
    assert_eq!(ada.order(&order.id()).await.body["status"], "cancelling");
    let total = order.body["total"].as_i64().expect("a total");
    let paid = intent_event("evt_last", "intent.succeeded", &order.id(), total, Some(total));
    assert_eq!(shop.bank.send(&shop.server.url, &paid).await, 200);
    assert_eq!(ada.order(&order.id()).await.body["status"], "paid");
    shop.bank.back();
    time_to_pay_is_over(&shop.env).await;
    shop.drive().await;
    assert_eq!(ada.order(&order.id()).await.body["status"], "paid");
    shop.end().await;
}

#[tokio::test]
async fn late_money_takes_the_same_places_if_they_are_free() {
    for paused in [false, true] {
        let shop = Shop::open().await;
        let ada = shop.server.buyer().await;
        let order = shop.late(&ada, &[0, 1], false).await;
        if paused {
            change_event(&shop, "paused").await;
            rebuild::force(&shop.server.server.app, shop.event).await.expect("told Redis");
        }
        shop.reconcile().await;
        assert_eq!(ada.order(&order.id()).await.body["status"], "late");
        shop.drive().await;
        let paid = ada.order(&order.id()).await;
        assert_eq!(paid.body["status"], "paid");
        assert_eq!(paid.places(), [0, 1]);
        let tickets = paid.body["tickets"].as_array().expect("tickets");
        assert!(tickets.iter().all(|ticket| ticket["status"] == "valid"), "{tickets:?}");
        // The money is there once, however often that is found out.
        shop.reconcile().await;
        shop.drive().await;
        assert_eq!(ada.order(&order.id()).await.body["status"], "paid");
        shop.end().await;
    }
}

#[tokio::test]
async fn late_money_takes_its_places_before_they_have_come_back_to_anybody() {
    let shop = Shop::whose_places_return_within(600).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let order = shop.late(&ada, &[0, 1], false).await;
    eve.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(409);
    shop.reconcile().await;
    shop.drive().await;
    let paid = ada.order(&order.id()).await;
    assert_eq!((paid.body["status"].as_str(), paid.places()), (Some("paid"), vec![0, 1]));
    shop.end().await;
}

#[tokio::test]
async fn late_money_takes_equivalents_where_they_are_accepted() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let order = shop.late(&ada, &[0, 1], true).await;
    // Only one of the two is gone.
    let other = shop.order(&eve, &[0], false).await;
    eve.pay(&other, "4242424242424242").await.expect(200);
    shop.reconcile().await;
    shop.drive().await;
    let paid = ada.order(&order.id()).await;
    assert_eq!(paid.body["status"], "paid", "{paid:?}");
    assert_eq!(paid.places().len(), 2);
    assert!(!paid.places().contains(&0));
    assert_eq!(paid.body["total"], order.body["total"], "at the price that was paid");
    shop.end().await;
}

#[tokio::test]
async fn late_money_goes_back_where_the_places_are_gone() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let order = shop.late(&ada, &[0, 1], false).await;
    eve.hold_places(SHOW, &shop.offer, "k", &[0, 1]).await.expect(201);
    goes_back(&shop, &ada, &order).await;
    // Equivalents are accepted, but there are none.
    let greedy = shop.late(&ada, &[2, 3], true).await;
    eve.hold_best(SHOW, &shop.offer, "row", 6).await.expect(201);
    eve.hold_best(SHOW, &shop.offer, "rest", 4).await.expect(201);
    goes_back(&shop, &ada, &greedy).await;
    shop.end().await;
}

#[tokio::test]
async fn late_money_for_a_cancelled_event_goes_back() {
    let shop = Shop::open().await;
    let ada = shop.server.buyer().await;
    let order = shop.late(&ada, &[0, 1], true).await;
    change_event(&shop, "cancelled").await;
    goes_back(&shop, &ada, &order).await;
    sound(&shop.env, shop.event).await;
    shop.server.stop().await;
    shop.env.end().await;
}

async fn change_event(shop: &Shop, status: &str) {
    sqlx::query("UPDATE events SET status = $2, version = version + 1 WHERE id = $1")
        .bind(shop.event.0)
        .bind(status)
        .execute(&shop.env.pg)
        .await
        .expect("changed");
}

/// The order's money becomes known, and goes back in full.
async fn goes_back(shop: &Shop, buyer: &Buyer, order: &Answer) {
    shop.reconcile().await;
    shop.drive().await;
    let due = buyer.order(&order.id()).await;
    assert_eq!(due.body["status"], "refund_due", "{due:?}");
    refunds::run_once(&shop.server.server.app).await.expect("refunded");
    let back = buyer.order(&order.id()).await;
    assert_eq!(back.body["status"], "refunded", "{back:?}");
    assert_eq!(back.body["refunds"][0]["amount"], order.body["total"]);
    assert_eq!(back.body["refunds"][0]["status"], "done");
}

#[tokio::test]
async fn money_of_the_wrong_amount_for_a_released_order_goes_back() {
    let shop = Shop::open().await;
    let ada = shop.server.buyer().await;
    let order = shop.late(&ada, &[0, 1], false).await;
    let total = order.body["total"].as_i64().expect("a total");
    let short = intent_event("evt_1", "intent.succeeded", &order.id(), total, Some(total - 1));
    assert_eq!(shop.bank.send(&shop.server.url, &short).await, 200);
    let due = ada.order(&order.id()).await;
    assert_eq!(due.body["status"], "released");
    assert_eq!(due.body["refunds"][0]["amount"], total - 1);
    shop.end().await;
}
