//! Changing price types and the promo code of what is held.

use reqwest::Method;
use serde_json::{Value, json};

use crate::organizers;
use crate::support::stage::holds_are_over;
use crate::support::{Answer, Buyer, Env, TestServer};
use crate::waiting_pages::Guest;

/// What front seats cost grown-ups and children, with fees.
const ADULT: i64 = 14_900 + 473;
const CHILD: i64 = 7_450 + 286;

/// A hall on sale, and its organizer.
struct Shop {
    env: Env,
    server: TestServer,
    me: Buyer,
    adult: String,
    child: String,
}

impl Shop {
    async fn open() -> Self {
        let (env, server, me) = organizers::show().await;
        let buyer = server.buyer().await;
        let adult = buyer.offer("show", "front").await;
        let child = buyer.offer("show", "front, child").await;
        Self { env, server, me, adult, child }
    }

    /// Changes an offer as the organizer does.
    async fn offer(&self, offer: &str, change: Value) {
        let path = format!("/v1/organizer/events/show/offers/{offer}");
        self.me.send(Method::PATCH, &path, None, Some(change)).await.expect(200);
    }

    async fn end(self) {
        self.server.stop().await;
        self.env.end().await;
    }
}

async fn change(buyer: &Buyer, hold: &Answer, body: Value) -> Answer {
    let path = format!("/v1/events/show/holds/{}", hold.id());
    buyer.send(Method::PATCH, &path, None, Some(body)).await
}

fn to(offer: &str, places: &[i64]) -> Value {
    json!({"lines": [{"offer": offer, "places": places}]})
}

#[tokio::test]
async fn an_adult_becomes_a_child_and_nothing_else_changes() {
    let shop = Shop::open().await;
    let buyer = shop.server.buyer().await;
    let hold = buyer.hold_best("show", &shop.adult, "k", 2).await.expect(201);
    assert_eq!(hold.body["total"], 2 * ADULT);
    let places = hold.places();
    let changed = change(&buyer, &hold, to(&shop.child, &places[1..])).await.expect(200);
    assert_eq!(changed.body["total"], ADULT + CHILD);
    assert_eq!((changed.places(), changed.id()), (places.clone(), hold.id()));
    assert_eq!(changed.body["expires_at"], hold.body["expires_at"]);
    assert_eq!(changed.body["lines"][1]["price_type"], "Child");
    let again = change(&buyer, &hold, to(&shop.child, &places[1..])).await.expect(200);
    assert_eq!(again.body["lines"], changed.body["lines"]);
    // The same request as at first finds the hold as it is now.
    let found = buyer.hold_best("show", &shop.adult, "k", 2).await.expect(200);
    assert_eq!(found.body["total"], ADULT + CHILD);

    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    assert_eq!(order.body["total"], ADULT + CHILD);
    let late = change(&buyer, &hold, to(&shop.adult, &places)).await.expect(409);
    assert_eq!(late.code(), "hold_in_checkout");
    buyer.pay(&order, "4242424242424242").await.expect(200);
    assert_eq!(buyer.order(&order.id()).await.body["tickets"].as_array().map(Vec::len), Some(2));
    assert_eq!(buyer.drawer("show").await["postgres"]["sold"], 2);
    shop.env.audit_at_rest().await;
    shop.end().await;
}

#[tokio::test]
async fn quotas_tiers_and_rules_of_the_new_offer_count_and_a_refusal_changes_nothing() {
    let shop = Shop::open().await;
    let (ada, bob) = (shop.server.buyer().await, shop.server.buyer().await);
    let tiers = json!([{"name": "Early", "price": 1_000, "until_count": 2}, {"price": 2_000}]);
    shop.offer(&shop.child, json!({"quota": 3, "tiers": tiers, "max_per_order": 3})).await;
    let hold = ada.hold_best("show", &shop.adult, "k", 4).await.expect(201);
    let places = hold.places();
    let many = change(&ada, &hold, to(&shop.child, &places)).await.expect(422);
    assert_eq!(many.code(), "invalid", "at most 3 per order");
    let three = change(&ada, &hold, to(&shop.child, &places[..3])).await.expect(200);
    let lines = three.body["lines"].as_array().expect("lines").iter();
    let mut prices: Vec<_> =
        lines.map(|line| (line["unit"]["price"].as_i64(), line["quantity"].as_u64())).collect();
    prices.sort_unstable();
    let each = [(1_000, 2), (2_000, 1), (14_900, 1)].map(|(price, n)| (Some(price), Some(n)));
    assert_eq!(prices, each, "each place has the tier of its own number");

    let other = bob.hold_best("show", &shop.adult, "k", 2).await.expect(201);
    let full = change(&bob, &other, to(&shop.child, &other.places()[..1])).await.expect(409);
    assert_eq!((full.code(), full.body["left"].as_i64()), ("quota_reached", Some(0)));
    assert_eq!(full.body["offer"], json!(shop.child));
    let path = format!("/v1/events/show/holds/{}", other.id());
    assert_eq!(bob.get(&path).await.expect(200).body["lines"], other.body["lines"]);
    // What goes back is free for others.
    change(&ada, &hold, to(&shop.adult, &places[..2])).await.expect(200);
    change(&bob, &other, to(&shop.child, &other.places())).await.expect(200);

    shop.offer(&shop.child, json!({"ends_at": "2020-01-01T00:00:00Z"})).await;
    let ended = change(&ada, &hold, to(&shop.child, &places[..1])).await.expect(409);
    assert_eq!(ended.code(), "offer_unavailable");
    shop.offer(&shop.child, json!({"active": false})).await;
    let ended = change(&ada, &hold, to(&shop.child, &places[..1])).await.expect(409);
    assert_eq!(ended.code(), "offer_unavailable");
    shop.end().await;
}

#[tokio::test]
async fn only_ones_own_places_of_the_same_level_and_only_while_they_are_held() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_best("show", &shop.adult, "k", 2).await.expect(201);
    let places = hold.places();
    let foreign = change(&eve, &hold, to(&shop.child, &places)).await.expect(404);
    assert_eq!(foreign.code(), "not_found");
    let back = ada.offer("show", "back, child").await;
    let elsewhere = places.iter().map(|place| place + 7).collect::<Vec<_>>();
    for (body, at) in [
        (to(&back, &places), "/lines/0/places"),
        (to(&shop.child, &elsewhere), "/lines/0/places"),
        (to(&shop.child, &[places[0], places[0]]), "/lines/0/places"),
        (to(&shop.child, &[]), "/lines/0/places"),
        (to("0198c0de-7a11-7c02-9d4e-51b8a2f07c33", &places), "/lines/0/offer"),
    ] {
        let refused = change(&ada, &hold, body).await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], at);
    }
    change(&ada, &hold, json!({})).await.expect(200);
    holds_are_over(&shop.env).await;
    let over = change(&ada, &hold, to(&shop.child, &places)).await.expect(410);
    assert_eq!(over.code(), "hold_gone");
    shop.end().await;
}

#[tokio::test]
async fn a_promo_code_comes_and_goes() {
    let shop = Shop::open().await;
    let promo = json!({"code": "TEN", "percent_bp": 1_000, "max_uses": 1});
    let path = "/v1/organizer/events/show/promos";
    shop.me.send(Method::POST, path, Some("p"), Some(promo)).await.expect(201);
    let (ada, bob) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_best("show", &shop.adult, "k", 1).await.expect(201);
    let other = bob.hold_best("show", &shop.adult, "k", 1).await.expect(201);
    let unknown = change(&ada, &hold, json!({"promo_code": "NINE"})).await.expect(409);
    assert_eq!(unknown.code(), "promo_code");
    let ten = change(&ada, &hold, json!({"promo_code": " ten "})).await.expect(200);
    assert_eq!(ten.body["promo_code"], "TEN");
    assert_eq!(ten.body["lines"][0]["unit"]["discount"], 1_490);
    // A place that moves has the discount, too.
    let child = change(&ada, &hold, to(&shop.child, &hold.places())).await.expect(200);
    assert_eq!(child.body["lines"][0]["unit"]["discount"], 745);
    let used = change(&bob, &other, json!({"promo_code": "TEN"})).await.expect(409);
    assert_eq!(used.code(), "promo_code");
    let none = change(&ada, &hold, json!({"promo_code": null})).await.expect(200);
    assert_eq!(
        (none.body["total"].as_i64(), &none.body["promo_code"]),
        (Some(CHILD), &Value::Null)
    );
    change(&bob, &other, json!({"promo_code": "TEN"})).await.expect(200);
    let order = bob.checkout("show", &other.id(), "bob@example.org").await.expect(201);
    bob.pay(&order, "4242424242424242").await.expect(200);
    ada.send(Method::DELETE, &format!("/v1/events/show/holds/{}", hold.id()), None, None).await;
    bob.drawer("show").await;
    shop.env.audit_at_rest().await;
    shop.end().await;
}

#[tokio::test]
async fn changes_and_a_checkout_at_once_end_in_one_of_their_orders() {
    let shop = Shop::open().await;
    for round in 0..6 {
        let buyer = shop.server.buyer().await;
        let hold = buyer.hold_best("show", &shop.adult, &format!("k{round}"), 2).await.expect(201);
        let places = hold.places();
        let email = format!("ada{round}@example.org");
        let (id, first, second) =
            (hold.id(), to(&shop.child, &places[..1]), to(&shop.child, &places));
        let (one, two, order) = tokio::join!(
            change(&buyer, &hold, first),
            change(&buyer, &hold, second),
            buyer.checkout("show", &id, &email),
        );
        for changed in [&one, &two] {
            assert!(matches!(changed.status.as_u16(), 200 | 409 | 503), "{changed:?}");
        }
        let order = order.expect(201);
        let total = order.body["total"].as_i64().expect("a total");
        assert!([2 * ADULT, ADULT + CHILD, 2 * CHILD].contains(&total), "{total}");
        assert_eq!(order.places().len(), 2);
        buyer.pay(&order, "4242424242424242").await.expect(200);
    }
    shop.server.buyer().await.drawer("show").await;
    shop.env.audit_at_rest().await;
    shop.end().await;
}

#[tokio::test]
async fn on_the_page_without_scripts() {
    let shop = Shop::open().await;
    let mut ada = Guest::new(&shop.server.url);
    ada.get("/events/show/choose").await.says(200, &[]);
    let held = ada.post("/events/show/holds", &[("key", "k"), ("n-0", "2")]).await.to;
    let page = ada.get(&held).await.says(200, &["Change price types", "Child · €77.36"]).text;
    let fields = page.split("name=\"offer-").skip(1).map(|rest| rest.split('"').next());
    let fields: Vec<_> = fields.map(|place| format!("offer-{}", place.expect("a place"))).collect();
    let form = |first: &'static str| [(fields[0].as_str(), first), (fields[1].as_str(), "0")];
    let changed = ada.post(&format!("{held}/change"), &form("1")).await;
    assert_eq!(changed.to, format!("{held}?changed=yes"), "{}", changed.text);
    ada.get(&changed.to).await.says(200, &["Changed.", "€231.09"]);
    // What was typed stays.
    let typed = [form("0"), [("email", "ada@example.org"), ("name", "Ada")]].concat();
    let page = ada.post(&format!("{held}/change"), &typed).await;
    page.says(200, &["Changed.", "value=\"ada@example.org\"", "value=\"Ada\"", "€307.46"]);
    // Nobody pays what they haven't seen.
    let unseen = [form("1"), [("email", "ada@example.org"), ("name", "Ada")]].concat();
    let page = ada.post(&format!("{held}/checkout"), &unseen).await;
    page.says(200, &["Look at the new total", "€231.09", "value=\"ada@example.org\""]);
    let paid = ada.post(&format!("{held}/checkout"), &unseen).await;
    assert_eq!(paid.status, 303, "{}", paid.text);
    shop.end().await;
}
