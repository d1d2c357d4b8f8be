//! Where mails about a paid order go: the confirmation once more, and another address.

use onsale::demo::seed::Seed;
use onsale::http::limits::table::Rate;
use onsale::workers::outbox;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::accounts::signed_in;
use crate::support::{Answer, Buyer, Env, TestServer, hall};

/// Three at once, and then hardly any.
const THREE: Rate = Rate { per_second: 0.000_1, burst: 3 };

struct Shop {
    env: Env,
    server: TestServer,
}

impl Shop {
    /// An event of which a buyer has two places at most.
    async fn open(limits: Rate) -> Self {
        let mut env = Env::start().await;
        env.config.limits.shared.confirmations = limits;
        env.config.limits.shared.address_changes = limits;
        let event = env.event(&Seed::new("show", &hall(6, 20, 0))).await;
        let limited = sqlx::query("UPDATE events SET account_limit = 2 WHERE id = $1");
        limited.bind(event.0).execute(&env.pg).await.expect("updated");
        let server = env.server().await;
        Self { env, server }
    }

    async fn checked_out(&self, buyer: &Buyer, email: &str) -> Answer {
        let offer = buyer.offer("show", "front").await;
        let hold = buyer.hold_best("show", &offer, "hold", 2).await.expect(201);
        buyer.checkout("show", &hold.id(), email).await
    }

    /// A paid order of two places, whose confirmation has left.
    async fn bought(&self, buyer: &Buyer, email: &str) -> Order {
        let order = self.checked_out(buyer, email).await.expect(201);
        buyer.pay(&order, "4242424242424242").await.expect(200);
        self.work().await;
        let link = order.body["link"].as_str().expect("a link");
        let key = link.split("key=").nth(1).expect("a key").to_owned();
        Order { id: order.id(), key }
    }

    /// Mails leave.
    async fn work(&self) {
        while outbox::run_once(&self.server.server.app).await.expect("Postgres works") {}
    }

    /// Kind and recipient of all mails that left since so many.
    async fn mails(&self, before: i64) -> Vec<(String, String)> {
        self.work().await;
        sqlx::query_as(
            "SELECT kind, recipient FROM mailbox WHERE kind <> 'sign_in' ORDER BY id OFFSET $1",
        )
        .bind(before)
        .fetch_all(&self.env.pg)
        .await
        .expect("mails")
    }

    async fn close(self) {
        self.work().await;
        self.env.audit_at_rest().await;
        self.server.stop().await;
        self.env.end().await;
    }
}

struct Order {
    id: String,
    key: String,
}

impl Order {
    /// Asks for the confirmation with the link.
    async fn resend(&self, buyer: &Buyer) -> Answer {
        let path = format!("/v1/orders/{}/confirmation?key={}", self.id, self.key);
        buyer.send(Method::POST, &path, None, None).await
    }

    /// Names another address, with the link.
    async fn change(&self, buyer: &Buyer, email: &str) -> Answer {
        let path = format!("/v1/orders/{}/email?key={}", self.id, self.key);
        buyer.send(Method::PUT, &path, None, Some(json!({ "email": email }))).await
    }
}

/// What left since so many is this one mail.
async fn only_left(shop: &Shop, before: i64, mail: &(String, String)) {
    assert_eq!(shop.mails(before).await, std::slice::from_ref(mail));
}

fn mail(kind: &str, to: &str) -> (String, String) {
    (kind.to_owned(), to.to_owned())
}

#[tokio::test]
async fn a_confirmation_is_sent_again_while_it_is_not_asked_for_too_often() {
    let shop = Shop::open(THREE).await;
    let (ada, friend) = (shop.server.buyer().await, shop.server.buyer().await);
    let unpaid = shop.checked_out(&friend, "friend@example.org").await.expect(201).id();
    let path = format!("/v1/orders/{unpaid}/confirmation");
    let early = friend.send(Method::POST, &path, None, None).await.expect(409);
    assert_eq!(early.code(), "order_state");
    ada.send(Method::POST, &path, None, None).await.expect(404);

    let order = shop.bought(&ada, "ada@example.org").await;
    // Whoever sees the order may ask, and it goes where it went before. As long as it waits to
    // leave, once is enough.
    for _ in 0..5 {
        let told = order.resend(&friend).await.expect(202);
        assert_eq!(told.body["email"], "ada@example.org");
    }
    let (paid, again) = (mail("paid", "ada@example.org"), mail("again", "ada@example.org"));
    assert_eq!(shop.mails(0).await, [paid, again.clone()]);
    order.resend(&ada).await.expect(202);
    only_left(&shop, 2, &again).await;
    order.resend(&ada).await.expect(202);
    only_left(&shop, 3, &again).await;
    // Each is a message of its own, or mail programs would hide it.
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT substring(convert_from(message, 'UTF8') FROM 'Message-ID: <[^@]*') FROM mailbox
         WHERE kind = 'again' ORDER BY id",
    )
    .fetch_all(&shop.env.pg)
    .await
    .expect("mails");
    let id = |nth: u32| format!("Message-ID: <{}.again.{nth}", order.id);
    assert_eq!(ids, [id(1), id(2), id(3)]);
    let refused = order.resend(&ada).await.expect(429);
    assert_eq!(refused.code(), "too_many_requests");
    assert_eq!(refused.body["limit"], "confirmations");
    assert!(shop.mails(4).await.is_empty());
    let cancel = format!("/v1/orders/{unpaid}/cancel");
    friend.send(Method::POST, &cancel, None, None).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn who_bought_as_a_guest_names_another_address_and_the_old_one_can_undo_it() {
    let shop = Shop::open(THREE).await;
    let ada = shop.server.buyer().await;
    let order = shop.bought(&ada, "Ada@example.org").await;
    // The link was passed on: it is not enough, with or without an account.
    let friend = shop.server.buyer().await;
    assert_eq!(order.change(&friend, "eve@x.org").await.expect(403).code(), "sign_in_needed");
    let nobody = Buyer { token: String::new(), ..friend.clone() };
    assert_eq!(order.change(&nobody, "eve@x.org").await.expect(403).code(), "sign_in_needed");
    let eve = signed_in(&shop.env, &shop.server, "eve@x.org").await;
    assert_eq!(order.change(&eve, "eve@x.org").await.expect(403).code(), "forbidden");
    for bad in ["", "eve", "eve@host", "a b@example.org", "eve@x.org\r\nBcc: all@x.org"] {
        assert_eq!(order.change(&ada, bad).await.expect(422).code(), "invalid", "{bad}");
    }
    assert_eq!(shop.mails(1).await, []);

    // The session that bought may. The same once more changes nothing and tells nobody.
    for _ in 0..5 {
        let told = order.change(&ada, "typo-free@example.org").await.expect(200);
        assert_eq!(told.body["email"], "typo-free@example.org");
    }
    let told = [mail("moved", "Ada@example.org"), mail("again", "typo-free@example.org")];
    let mut mails = shop.mails(1).await;
    mails.sort_by_key(|mail| mail.0 == "again");
    assert_eq!(mails, told);
    let notice: String = sqlx::query_scalar("SELECT body FROM mailbox WHERE kind = 'moved'")
        .fetch_one(&shop.env.pg)
        .await
        .expect("a mail");
    assert!(!notice.contains("typo-free"), "what was typed is told to nobody: {notice}");
    order.resend(&friend).await.expect(202);
    assert_eq!(shop.mails(3).await, [mail("again", "typo-free@example.org")]);

    // Who reads the mail of the address at checkout undoes it; who reads the present one can't.
    let present = signed_in(&shop.env, &shop.server, "typo-free@example.org").await;
    assert_eq!(order.change(&present, "x@x.org").await.expect(403).code(), "forbidden");
    let owner = signed_in(&shop.env, &shop.server, "ada+again@example.org").await;
    order.change(&owner, "ada@example.org").await.expect(200);
    assert_eq!(ada.order(&order.id).await.body["email"], "ada@example.org");
    // Who, when and what before is on record.
    let record: Vec<(String, bool)> = sqlx::query_as(
        "SELECT m.recipient, m.asked_by = o.account FROM mails m JOIN orders o ON o.id = m.order_id
         WHERE m.kind = 'moved' AND m.created_at <= now() ORDER BY m.nth",
    )
    .fetch_all(&shop.env.pg)
    .await
    .expect("a record");
    let record: Vec<(&str, bool)> = record.iter().map(|(to, who)| (to.as_str(), *who)).collect();
    assert_eq!(record, [("Ada@example.org", true), ("typo-free@example.org", false)]);
    order.change(&ada, "b@example.org").await.expect(200);
    let often = order.change(&ada, "c@example.org").await.expect(429);
    assert_eq!(often.body["limit"], "address_changes");
    shop.close().await;
}

#[tokio::test]
async fn limits_count_an_order_as_it_was_bought_wherever_its_mails_go() {
    let shop = Shop::open(Rate::NONE).await;
    let ada = shop.server.buyer().await;
    let order = shop.bought(&ada, "ada@example.org").await;
    order.change(&ada, "bob@example.org").await.expect(200);
    // Ada has what one person may have, under whatever name she comes.
    let again = shop.server.buyer().await;
    let refused = shop.checked_out(&again, "ADA+x@example.org").await.expect(409);
    assert_eq!(refused.code(), "account_limit");
    // Bob has bought nothing yet.
    let bob = shop.server.buyer().await;
    let own = shop.bought(&bob, "bob@example.org").await;
    // An unpaid, cancelled or refunded order has no confirmation to be sent anywhere.
    let (offer, nora) = (bob.offer("show", "back").await, shop.server.buyer().await);
    let hold = nora.hold_best("show", &offer, "n", 1).await.expect(201);
    let open = nora.checkout("show", &hold.id(), "nora@example.org").await.expect(201).id();
    let path = format!("/v1/orders/{open}/email");
    let body = json!({"email": "n@example.org"});
    let early = nora.send(Method::PUT, &path, None, Some(body)).await.expect(409);
    assert_eq!(early.code(), "order_state");
    let cancel = format!("/v1/orders/{open}/cancel");
    nora.send(Method::POST, &cancel, None, None).await.expect(200);
    assert_ne!(own.id, order.id);
    shop.close().await;
}

#[tokio::test]
async fn an_accounts_order_is_the_accounts_whatever_address_it_was_given() {
    let shop = Shop::open(THREE).await;
    let ada = signed_in(&shop.env, &shop.server, "ada@example.org").await;
    let order = shop.bought(&ada, "office@example.org").await;
    let office = signed_in(&shop.env, &shop.server, "office@example.org").await;
    let refused = order.change(&office, "x@example.org").await.expect(403);
    assert_eq!(refused.code(), "forbidden");
    let elsewhere = signed_in(&shop.env, &shop.server, "ada@example.org").await;
    order.change(&elsewhere, "home@example.org").await.expect(200);
    shop.close().await;
}

/// A page or what a form leads to: status, where to, and the text.
async fn page(
    buyer: &Buyer,
    method: Method,
    path: &str,
    form: &[(&str, &str)],
) -> (StatusCode, String, String) {
    let request = buyer.http.request(method, format!("{}{path}", buyer.url));
    let request = request.header("accept", "text/html").header("accept-language", "de");
    let request = request.header("cookie", format!("onsale_session={}", buyer.token));
    let request = if form.is_empty() { request } else { request.form(form) };
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let to = answer.headers().get("location").map(|to| to.to_str().expect("text").to_owned());
    let text = answer.text().await.expect("a page");
    (status, to.unwrap_or_default(), text)
}

#[tokio::test]
async fn the_orders_page_has_both_as_forms() {
    let shop = Shop::open(THREE).await;
    let ada = shop.server.buyer().await;
    let order = shop.bought(&ada, "ada@example.org").await;
    let here = format!("/orders/{}", order.id);
    let link = format!("{here}?key={}", order.key);
    let key = ("key", order.key.as_str());
    let (_, _, text) = page(&ada, Method::GET, &here, &[]).await;
    assert!(text.contains("Sie geht an <strong>ada@example.org</strong>"), "{text}");
    assert!(text.contains("action=\"/orders/") && text.contains("E-Mail-Adresse ändern"), "{text}");
    let (status, to, _) = page(&ada, Method::POST, &format!("{here}/confirmation"), &[key]).await;
    assert_eq!((status.as_u16(), to.as_str()), (303, format!("{link}&told=sent#contact").as_str()));
    let (_, _, text) = page(&ada, Method::GET, &format!("{link}&told=sent"), &[]).await;
    assert!(text.contains("Die Bestätigung ist unterwegs an ada@example.org"), "{text}");

    let email = format!("{here}/email");
    let bad = [key, ("email", "no address")];
    let (status, _, text) = page(&ada, Method::POST, &email, &bad).await;
    assert_eq!(status, 422);
    assert!(text.contains("value=\"no address\"") && text.contains("aria-invalid"), "{text}");
    let good = [key, ("email", "neu@example.org")];
    let (status, to, _) = page(&ada, Method::POST, &email, &good).await;
    assert_eq!((status.as_u16(), to.ends_with("&told=changed#contact")), (303, true), "{to}");
    let (_, _, text) = page(&ada, Method::GET, &link, &[]).await;
    assert!(text.contains("Sie geht an <strong>neu@example.org</strong>"), "{text}");

    // With the link alone there is a way to sign in, and the form does nothing.
    let friend = shop.server.buyer().await;
    let (_, _, text) = page(&friend, Method::GET, &link, &[]).await;
    assert!(text.contains("/sign-in?next=") && !text.contains("id=\"email\""), "{text}");
    let bad = [key, ("email", "eve@x.org")];
    let (status, to, _) = page(&friend, Method::POST, &email, &bad).await;
    assert_eq!((status.as_u16(), to), (303, link.clone()));
    let (status, ..) = page(&friend, Method::POST, &email, &bad[1..]).await;
    assert_eq!(status, 404, "without the link there is no such order");
    assert_eq!(ada.order(&order.id).await.body["email"], "neu@example.org");
    let eve = signed_in(&shop.env, &shop.server, "eve@x.org").await;
    let (_, _, text) = page(&eve, Method::GET, &link, &[]).await;
    assert!(text.contains("mit einer anderen Adresse angemeldet"), "{text}");

    // Too often is said in words.
    for _ in 0..3 {
        shop.work().await;
        page(&ada, Method::POST, &format!("{here}/confirmation"), &[key]).await;
    }
    shop.work().await;
    let (status, _, text) = page(&ada, Method::POST, &format!("{here}/confirmation"), &[key]).await;
    assert_eq!(status, 429);
    assert!(text.contains("Sie wurde schon mehrmals gesendet"), "{text}");
    // A link for who comes by the address bar.
    let (status, to, _) = page(&ada, Method::GET, &email, &[]).await;
    assert_eq!((status.as_u16(), to), (303, here));
    shop.close().await;
}
