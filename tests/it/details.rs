//! What an event asks for at checkout: names of attendees, and that its terms are accepted.

use onsale::workers::outbox;
use reqwest::Method;
use serde_json::{Value, json};

use crate::organizers;
use crate::support::{Answer, Buyer, Env, TestServer};
use crate::waiting_pages::Guest;

/// A hall on sale, and its organizer.
struct Shop {
    env: Env,
    server: TestServer,
    me: Buyer,
}

impl Shop {
    async fn open() -> Self {
        let (env, server, me) = organizers::show().await;
        Self { env, server, me }
    }

    /// Changes the event as its organizer does; its terms' digest afterwards.
    async fn ask(&self, change: Value) -> Value {
        let path = "/v1/organizer/events/show";
        let done = self.me.send(Method::PATCH, path, None, Some(change)).await.expect(200);
        done.body["terms"]["digest"].clone()
    }

    async fn orders(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders");
        count.fetch_one(&self.env.pg).await.expect("a count")
    }

    async fn end(self) {
        self.env.audit_at_rest().await;
        self.server.stop().await;
        self.env.end().await;
    }
}

async fn checkout(buyer: &Buyer, hold: &Answer, body: Value) -> Answer {
    let path = format!("/v1/events/show/holds/{}/checkout", hold.id());
    buyer.send(Method::POST, &path, Some("c"), Some(body)).await
}

/// Where something is wrong.
fn pointers(answer: &Answer) -> Vec<&str> {
    let errors = answer.body["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

#[tokio::test]
async fn names_and_terms_are_asked_for_before_anything_is_written_and_kept_for_good() {
    let shop = Shop::open().await;
    let terms = json!({"text": "No refunds.", "url": "https://shop.example/terms"});
    let digest = shop.ask(json!({"attendee_names": true, "terms": terms})).await;
    let buyer = shop.server.buyer().await;
    let event = buyer.get("/v1/events/show").await.expect(200);
    assert_eq!(
        event.body["terms"],
        json!({"digest": digest, "text": "No refunds.",
        "url": "https://shop.example/terms"})
    );
    assert_eq!(event.body["attendee_names"], true);
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "k", 2).await.expect(201);
    let [one, two] = hold.places()[..] else { panic!("two places") };

    let email = "ada@example.org";
    let none = checkout(&buyer, &hold, json!({"email": email})).await.expect(422);
    assert_eq!(none.code(), "details_needed");
    assert_eq!(pointers(&none), ["/attendees", "/attendees", "/terms_accepted"]);
    assert_eq!(none.body["places"], json!([one, two]));
    assert_eq!(none.body["terms"]["digest"], digest);
    let named = |first: &str, second: &str| json!([{"place": one, "name": first}, {"place": two, "name": second}]);
    let half = json!({"email": email, "attendees": named("Ada", "  "), "terms_accepted": digest});
    let half = checkout(&buyer, &hold, half).await.expect(422);
    assert_eq!((half.code(), pointers(&half)), ("details_needed", vec!["/attendees/1/name"]));
    let long = "x".repeat(121);
    for (attendees, at) in [
        (named("Ada", &long), "/attendees/1/name"),
        (named("A\u{202e}da", "Bob"), "/attendees/0/name"),
        (json!([{"place": one, "name": "A"}, {"place": one, "name": "B"}]), "/attendees/1/place"),
        (json!([{"place": 39, "name": "A"}, {"place": 99, "name": "B"}]), "/attendees/0/place"),
    ] {
        let body = json!({"email": email, "attendees": attendees, "terms_accepted": digest});
        let refused = checkout(&buyer, &hold, body).await.expect(422);
        assert_eq!((refused.code(), pointers(&refused)[0]), ("invalid", at));
    }
    let wrong = json!({"email": "?", "attendees": named("Ada", "Bob")});
    let wrong = checkout(&buyer, &hold, wrong).await.expect(422);
    assert_eq!(pointers(&wrong), ["/email", "/terms_accepted"], "all of it at once");

    // The terms change between the page and the button.
    let fresh = shop.ask(json!({"terms": {"text": "No refunds at all."}})).await;
    let body = json!({"email": email, "attendees": named(" Ada Lovelace ", "Bob"),
        "terms_accepted": digest});
    let changed = checkout(&buyer, &hold, body.clone()).await.expect(409);
    assert_eq!(changed.code(), "terms_changed");
    assert_eq!(changed.body["terms"]["digest"], fresh);
    let path = format!("/v1/events/show/holds/{}", hold.id());
    assert_eq!(buyer.get(&path).await.expect(200).body["status"], "held", "nothing is lost");
    assert_eq!(shop.orders().await, 0, "nothing was written");

    let body = json!({"terms_accepted": fresh, "email": email, "attendees": body["attendees"]});
    let order = checkout(&buyer, &hold, body.clone()).await.expect(201);
    // A repeat finds its order, whatever is asked for by now.
    shop.ask(json!({"terms": {"text": "Other ones."}})).await;
    let again = checkout(&buyer, &hold, body).await.expect(201);
    assert_eq!(again.id(), order.id());
    let other = checkout(&buyer, &hold, json!({"email": email})).await.expect(422);
    assert_eq!(other.code(), "checkout_mismatch");

    buyer.pay(&order, "4242424242424242").await.expect(200);
    let paid = buyer.order(&order.id()).await;
    let tickets = paid.body["tickets"].as_array().expect("tickets").iter();
    let names: Vec<_> =
        tickets.map(|ticket| ticket["place"]["attendee"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["Ada Lovelace", "Bob"]);
    assert_eq!(paid.body["lines"][0]["places"][0]["attendee"], "Ada Lovelace");
    let code = json!({"code": paid.body["tickets"][0]["code"]});
    let verified = buyer.send(Method::POST, "/v1/tickets/verify", None, Some(code)).await;
    assert!(!verified.expect(200).body.to_string().contains("Ada"), "anybody may verify");

    let own = format!("/v1/organizer/events/show/orders/{}", order.id());
    let own = shop.me.get(&own).await.expect(200);
    assert_eq!(own.body["terms_accepted"]["terms"]["text"], "No refunds at all.");
    assert!(own.body["terms_accepted"]["at"].is_string());
    assert_eq!(own.body["tickets"][1]["place"]["attendee"], "Bob");

    while outbox::run_once(&shop.server.server.app).await.expect("Postgres works") {}
    let mails = reqwest::get(format!("{}/mailbox", shop.server.url)).await.expect("an answer");
    let mails = mails.text().await.expect("a page");
    assert!(mails.contains(email) && !mails.contains("Lovelace"), "mails say nothing typed");
    shop.end().await;
}

#[tokio::test]
async fn who_is_not_asked_leaves_no_names_and_a_comp_needs_neither() {
    let shop = Shop::open().await;
    let buyer = shop.server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "k", 1).await.expect(201);
    let place = hold.places()[0];
    let body = json!({"email": "ada@example.org", "attendees": [{"place": place, "name": "Ada"}],
        "terms_accepted": "anything"});
    checkout(&buyer, &hold, body).await.expect(201);
    let kept: String = sqlx::query_scalar("SELECT lines::text || details::text FROM orders")
        .fetch_one(&shop.env.pg)
        .await
        .expect("an order");
    assert!(!kept.contains("Ada") && !kept.contains("anything"), "{kept}");
    let order = format!("/v1/orders/{}/cancel", hold.id());
    buyer.send(Method::POST, &order, None, None).await.expect(200);

    shop.ask(json!({"attendee_names": true, "terms": {"text": "No refunds."}})).await;
    let comp = json!({"email": "guest@example.org", "best": 1, "level": "front"});
    let comps = "/v1/organizer/events/show/comps";
    shop.me.send(Method::POST, comps, Some("c"), Some(comp)).await.expect(201);
    // Nothing but what can be read and shown safely is taken for terms.
    for bad in [
        json!({"text": " "}),
        json!({"text": "x".repeat(5_001)}),
        json!({"text": "a\u{202e}b"}),
        json!({"text": "ok", "url": "http://shop.example"}),
        json!({"text": "ok", "url": "javascript:alert(1)"}),
    ] {
        let path = "/v1/organizer/events/show";
        let change = Some(json!({"terms": bad}));
        let refused = shop.me.send(Method::PATCH, path, None, change).await.expect(422);
        assert!(pointers(&refused)[0].starts_with("/terms/"), "{refused:?}");
    }
    assert_eq!(shop.ask(json!({"terms": null, "attendee_names": false})).await, Value::Null);
    shop.end().await;
}

/// What stands between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split(from).nth(1).unwrap_or_else(|| panic!("no {from} in {text}"));
    rest.split(to).next().expect("its end")
}

#[tokio::test]
async fn the_page_keeps_what_was_typed_and_says_beside_each_field_what_is_missing() {
    let shop = Shop::open().await;
    shop.ask(json!({"attendee_names": true, "terms": {"text": "No <refunds>."}})).await;
    let mut ada = Guest::new(&shop.server.url);
    ada.get("/events/show/choose").await.says(200, &[]);
    let held = ada.post("/events/show/holds", &[("key", "k"), ("n-0", "2")]).await.to;
    let page = ada.get(&held).await.says(200, &["Who is coming?", "No &#60;refunds&#62;."]).text;
    let fields: Vec<_> = page.split("name=\"attendee-").skip(1).collect();
    let fields: Vec<_> =
        fields.iter().map(|rest| rest.split('"').next().expect("a name")).collect();
    let (one, two) = (format!("attendee-{}", fields[0]), format!("attendee-{}", fields[1]));
    let digest = between(&page, "name=\"terms\" value=\"", "\"").to_owned();

    let typed = [("email", "ada@example.org"), ("name", "Ada"), (one.as_str(), "Ada <Lovelace>")];
    let more = ada.post(&format!("{held}/extend"), &typed).await;
    more.says(200, &["Ada &#60;Lovelace&#62;", "ada@example.org"]);
    let refused = ada.post(&format!("{held}/checkout"), &typed).await;
    let wrong = format!("aria-describedby=\"{two}-wrong\"");
    let refused = refused.says(
        422,
        &[
            "Something is still missing",
            "value=\"Ada &#60;Lovelace&#62;\"",
            "value=\"ada@example.org\"",
            &wrong,
            "aria-describedby=\"terms-wrong\"",
            "Enter the name of the person",
            "Please accept the terms",
        ],
    );
    assert!(!refused.text.contains(&format!("{one}-wrong")), "that one was given");

    shop.ask(json!({"terms": {"text": "Some refunds."}})).await;
    let typed: Vec<_> =
        typed.into_iter().chain([(two.as_str(), "Bob"), ("terms", &*digest)]).collect();
    let refused = ada.post(&format!("{held}/checkout"), &typed).await;
    let refused = refused.says(409, &["The terms have changed", "Some refunds.", "value=\"Bob\""]);
    assert!(!between(&refused.text, "name=\"terms\"", ">").contains("checked"), "read them first");
    let fresh = between(&refused.text, "name=\"terms\" value=\"", "\"").to_owned();
    let mut typed = typed;
    typed.pop();
    typed.push(("terms", &fresh));
    let done = ada.post(&format!("{held}/checkout"), &typed).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let order = held.replace("/events/show/holds/", "/orders/");
    ada.get(&order).await.says(200, &["Ada &#60;Lovelace&#62;", "Bob"]);
    let cancelled = format!("/v1{order}/cancel");
    let key = ada.cookies["onsale_session"].clone();
    let buyer = Buyer { token: key, ..shop.me.clone() };
    buyer.send(Method::POST, &cancelled, None, None).await.expect(200);
    shop.end().await;
}
