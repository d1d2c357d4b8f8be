//! Mail: once per order and kind, whatever the relay does.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use onsale::demo::seed::Seed;
use onsale::mail::Mail;
use onsale::mail::letter::Letter;
use onsale::words::Language;
use onsale::workers::outbox;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use self::smtp_fake::{AUTHORITY, Fault, Guard, SmtpFake};
use crate::support::{Answer, Buyer, Env, TestServer, hall};

#[path = "../support/smtp_fake.rs"]
#[expect(dead_code, reason = "the client's own tests use the rest of its faults")]
mod smtp_fake;

/// An event whose mails go to a relay.
async fn with_relay(relay: &str) -> Env {
    let mut env = Env::start().await;
    env.config.mail.smtp_url = relay.to_owned();
    env.event(&Seed::new("show", &hall(10, 20, 0))).await;
    env
}

/// An order of one seat, not paid yet.
async fn order(buyer: &Buyer, key: &str, email: &str) -> Answer {
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, key, 1).await.expect(201);
    buyer.checkout("show", &hold.id(), email).await.expect(201)
}

async fn paid(buyer: &Buyer, key: &str, email: &str) -> String {
    let order = order(buyer, key, email).await;
    buyer.pay(&order, "4242424242424242").await.expect(200);
    order.id()
}

/// Works until there is nothing to do now.
async fn work(server: &TestServer) {
    while outbox::run_once(&server.server.app).await.expect("Postgres works") {}
}

/// Time passes.
async fn make_due(env: &Env) {
    sqlx::query("UPDATE mails SET due_at = now() WHERE due_at < 'infinity'")
        .execute(&env.pg)
        .await
        .expect("updated");
}

/// The mails by kind: tries, whether it was sent, and what is noted.
async fn mails(env: &Env) -> Vec<(String, i32, bool, Option<String>)> {
    sqlx::query_as(
        "SELECT kind, tries, sent_at IS NOT NULL, problem FROM mails ORDER BY kind, order_id",
    )
    .fetch_all(&env.pg)
    .await
    .expect("read")
}

#[tokio::test]
async fn a_confirmation_carries_the_link_and_the_mailbox_shows_it() {
    let env = Env::start().await;
    env.event(&Seed { name: "Nacht <3", ..Seed::new("show", &hall(2, 8, 0)) }).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    let checkout = format!("/v1/events/show/holds/{}/checkout", hold.id());
    let wish = json!({"email": "Ada@Example.org", "locale": "de-AT", "name": "http://eve.example"});
    let order = buyer.send(Method::POST, &checkout, Some("c"), Some(wish)).await.expect(201);
    work(&server).await;
    assert!(mails(&env).await.is_empty(), "nothing is told before it is paid");
    buyer.pay(&order, "4242424242424242").await.expect(200);
    work(&server).await;

    let page = reqwest::get(format!("{}/mailbox", server.url)).await.expect("an answer");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let page = page.text().await.expect("a page");
    assert!(page.contains("Ihre Tickets für Nacht &#60;3"), "{page}");
    assert!(page.contains("to Ada@Example.org"), "{page}");
    assert!(!page.contains("eve.example"), "what buyers type is not sent to anyone: {page}");
    let link = page.split("<a href=\"http").nth(1).and_then(|rest| rest.split('"').next());
    let link = format!("http{}", link.expect("a link"));
    assert_eq!(link, buyer.order(&order.id()).await.body["link"]);
    let key = link.split("key=").nth(1).expect("a key");
    let stranger = server.buyer().await;
    stranger.get(&format!("/v1/orders/{}?key={key}", order.id())).await.expect(200);

    let source = page.split("href=\"/mailbox/").nth(1).and_then(|rest| rest.split('"').next());
    let source = format!("{}/mailbox/{}", server.url, source.expect("a source"));
    let source = reqwest::get(source).await.expect("an answer").text().await.expect("a text");
    assert!(source.contains("Auto-Submitted: auto-generated"), "{source}");
    buyer.get("/mailbox/0.eml").await.expect(404);
    buyer.get("/mailbox/x").await.expect(404);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn without_the_switch_there_is_no_mailbox() {
    let mut env = Env::start().await;
    env.config.mail.mailbox = false;
    let server = env.server().await;
    let buyer = server.buyer().await;
    buyer.get("/mailbox").await.expect(404);
    buyer.get("/mailbox/1.eml").await.expect(404);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn the_mailbox_keeps_the_newest() {
    let env = Env::start().await;
    let server = env.server().await;
    let mailer = &server.server.app.mailer;
    for _ in 0..13 {
        let sent = (0..100).map(|_| async {
            let letter =
                Letter::sign_in(Language::ENGLISH, Uuid::now_v7(), "012345".into(), "x".into());
            let letter = letter.expect("a letter");
            let mail = Mail::new("Tickets <tickets@example.org>", "ada@example.org", letter);
            mailer.send(&mail.expect("a mail")).await
        });
        for sent in futures::future::join_all(sent).await {
            sent.expect("kept");
        }
    }
    let (kept, first, last): (i64, i64, i64) =
        sqlx::query_as("SELECT count(*), min(id), max(id) FROM mailbox")
            .fetch_one(&env.pg)
            .await
            .expect("read");
    assert_eq!(last, 1_300);
    assert_eq!(last - first + 1, kept, "none is missing in between");
    assert!((1_000..=1_100).contains(&kept), "{kept}");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn two_workers_send_each_mail_once() {
    let relay = SmtpFake::start().await;
    let env = with_relay(&relay.url()).await;
    let (one, two) = (env.server().await, env.server().await);
    let buyer = one.buyer().await;
    let mut expected = Vec::new();
    for n in 0..40 {
        let id = paid(&buyer, &format!("k{n}"), &format!("buyer{n}@example.org")).await;
        expected.push(format!("<{id}.paid@localhost>"));
    }
    // The same told twice is one mail.
    sqlx::query("INSERT INTO outbox (kind, orders) SELECT kind, orders FROM outbox")
        .execute(&env.pg)
        .await
        .expect("inserted");
    tokio::join!(work(&one), work(&two), work(&one), work(&two));
    let header = |name| relay.taken().into_iter().map(move |t| t.header(name).map(str::to_owned));
    let mut ids: Vec<String> = header("Message-ID").flatten().collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    make_due(&env).await;
    work(&one).await;
    assert_eq!(relay.taken().len(), 40);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&env.pg)
        .await
        .expect("counted");
    assert_eq!(left, 0);
    one.stop().await;
    two.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_relay_in_trouble_is_tried_again_and_a_refused_recipient_is_not() {
    let relay = SmtpFake::start().await;
    let env = with_relay(&relay.url()).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    paid(&buyer, "a", "ada@example.org").await;
    relay.misbehave(&[Fault::Busy, Fault::Greylists]);
    work(&server).await;
    let (_, tries, sent, problem) = mails(&env).await.remove(0);
    assert_eq!((tries, sent), (1, false));
    assert!(problem.expect("a reason").contains("421"));
    // Not before its time.
    work(&server).await;
    assert_eq!(relay.connections(), 1);
    make_due(&env).await;
    work(&server).await;
    make_due(&env).await;
    work(&server).await;
    assert_eq!(mails(&env).await, [("paid".to_owned(), 3, true, None)]);
    assert_eq!(relay.taken()[0].to, "TO:<ada@example.org>");

    paid(&buyer, "b", "nobody@example.org").await;
    // The kept connection is a good one: the next fault needs a new one.
    let other = env.server().await;
    relay.misbehave(&[Fault::RefusesRecipient]);
    work(&other).await;
    make_due(&env).await;
    work(&other).await;
    let refused: Vec<_> = mails(&env).await.into_iter().filter(|mail| !mail.2).collect();
    assert_eq!((refused.len(), refused[0].1), (1, 1));
    assert!(refused[0].3.as_ref().expect("a reason").contains("5.1.1"));
    server.stop().await;
    other.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_relay_that_never_comes_back_is_given_up_after_30_tries() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let env = with_relay(&format!("smtp://{}", closed.local_addr().expect("bound"))).await;
    drop(closed);
    let server = env.server().await;
    let buyer = server.buyer().await;
    paid(&buyer, "a", "ada@example.org").await;
    for _ in 0..40 {
        work(&server).await;
        make_due(&env).await;
    }
    let (_, tries, sent, problem) = mails(&env).await.remove(0);
    assert_eq!((tries, sent), (30, false));
    assert!(problem.expect("a reason").contains("out of reach"));
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn released_orders_are_told_and_what_late_money_has_overtaken_is_not() {
    let relay = SmtpFake::start().await;
    let env = with_relay(&relay.url()).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let given_up = order(&buyer, "a", "ada@example.org").await.id();
    let cancel = format!("/v1/orders/{given_up}/cancel");
    buyer.send(Method::POST, &cancel, None, None).await.expect(200);
    let kept = paid(&buyer, "b", "bob@example.org").await;
    sqlx::query("INSERT INTO outbox (kind, orders) VALUES ('released', ARRAY[$1::uuid])")
        .bind(kept.parse::<uuid::Uuid>().expect("an id"))
        .execute(&env.pg)
        .await
        .expect("inserted");
    work(&server).await;
    let mut told: Vec<_> = relay
        .taken()
        .into_iter()
        .map(|taken| (taken.to.clone(), taken.header("Subject").unwrap_or_default().to_owned()))
        .collect();
    told.sort_unstable();
    let expected = [
        ("TO:<ada@example.org>", "Your places for A test event were released"),
        ("TO:<bob@example.org>", "Your tickets for A test event"),
    ];
    assert_eq!(told, expected.map(|(to, subject)| (to.to_owned(), subject.to_owned())));
    let overtaken: Vec<_> = mails(&env).await.into_iter().filter(|mail| !mail.2).collect();
    assert_eq!(overtaken, [("released".to_owned(), 1, false, Some("overtaken".to_owned()))]);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_process_that_stops_leaves_its_mails_to_others_at_once() {
    let relay = SmtpFake::start().await;
    let env = with_relay(&relay.url()).await;
    let (one, two) = (env.server().await, env.server().await);
    paid(&one.buyer().await, "a", "ada@example.org").await;
    one.server.app.stop.cancel();
    outbox::run_once(&one.server.app).await.expect("Postgres works");
    assert_eq!(mails(&env).await, [("paid".to_owned(), 0, false, None)]);
    work(&two).await;
    assert_eq!(mails(&env).await, [("paid".to_owned(), 1, true, None)]);
    assert_eq!(relay.taken().len(), 1);
    one.stop().await;
    two.stop().await;
    env.end().await;
}

/// Lines that were logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_in_the_log_and_the_mail_leaves_once_it_is_right() {
    let credentials = Some(("shop", "right"));
    let relay = SmtpFake::guarded(Guard { starttls: true, credentials }).await;
    let url = |password| {
        format!("smtp://shop:{password}@localhost:{}?tls=required", relay.address.port())
    };
    let mut env = Env::start().await;
    env.config.mail.smtp_url = url("wr0ng");
    AUTHORITY.clone_into(&mut env.config.mail.smtp_authorities);
    env.config.validate().expect("a good configuration");
    env.event(&Seed::new("show", &hall(2, 8, 0))).await;
    let server = env.server().await;
    let id = paid(&server.buyer().await, "a", "ada@example.org").await;
    let lines = Lines::default();
    let log = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).finish();
    {
        // This thread runs the whole test: what the worker says is heard.
        let _heard = tracing::subscriber::set_default(subscriber);
        work(&server).await;
    }
    let said = lines.text();
    assert!(said.contains("mails have to wait") && said.contains("535"), "{said}");
    let (_, tries, sent, problem) = mails(&env).await.remove(0);
    let problem = problem.expect("a reason");
    assert_eq!((tries, sent), (1, false));
    assert!(problem.contains("535 ") || problem.contains("(535)"), "{problem}");
    assert!(!said.contains("wr0ng") && !problem.contains("wr0ng"));
    server.stop().await;

    env.config.mail.smtp_url = url("right");
    let server = env.server().await;
    make_due(&env).await;
    work(&server).await;
    assert_eq!(mails(&env).await, [("paid".to_owned(), 2, true, None)]);
    let taken = relay.taken().remove(0);
    assert!(taken.encrypted && taken.data.contains(&id), "{taken:?}");
    assert!(relay.in_clear().iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"));
    server.stop().await;
    env.end().await;
}
