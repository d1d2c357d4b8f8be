//! The client against a relay on the wire.

#[path = "../../../tests/support/smtp_fake.rs"]
mod smtp_fake;

use std::time::Duration;

use futures::future::join_all;
use lettre::Message;
use lettre::message::MultiPart;
use tokio::net::TcpListener;

use self::smtp_fake::{AUTHORITY, Fault, Guard, SmtpFake};
use super::{MAX_IDLE, MAX_MAILS, Patience, Smtp};
use crate::ids::OrderId;
use crate::mail::{Kind, Mail, Mailer, NotSent, Topic};

/// Long enough for a busy machine, short enough to wait for.
const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(2), send: Duration::from_secs(2) };

fn mail(to: &str) -> Mail {
    let text = "Hello\r\n.\r\n..two dots\r\n".to_owned();
    let message = Message::builder()
        .from("tickets@shop.example".parse().unwrap())
        .to(to.parse().unwrap())
        .subject("Night")
        .multipart(MultiPart::alternative_plain_html(text.clone(), "<p>Hello</p>".to_owned()))
        .unwrap();
    let topic = Topic::Order(OrderId::fresh(), Kind::Paid);
    Mail { topic, recipient: to.into(), subject: "Night".into(), text, message }
}

async fn start() -> (SmtpFake, Smtp) {
    let fake = SmtpFake::start().await;
    let smtp = Smtp::new(&fake.url(), "").unwrap().patient(PATIENCE);
    (fake, smtp)
}

#[tokio::test]
async fn a_mail_arrives_whole_with_its_envelope() {
    let (fake, smtp) = start().await;
    smtp.send(&mail("ada@example.org")).await.unwrap();
    let taken = fake.taken().pop().unwrap();
    assert_eq!(
        (taken.from.as_str(), taken.to.as_str()),
        ("FROM:<tickets@shop.example>", "TO:<ada@example.org>")
    );
    assert_eq!(taken.header("Subject"), Some("Night"));
    assert!(taken.data.contains("Hello\r\n.\r\n..two dots\r\n"), "{}", taken.data);
}

#[tokio::test]
async fn connections_are_used_again_until_they_have_carried_enough() {
    let (fake, smtp) = start().await;
    for _ in 0..=MAX_MAILS {
        smtp.send(&mail("ada@example.org")).await.unwrap();
    }
    assert_eq!(fake.connections(), 2);
    let many: Vec<Mail> = (0..3 * MAX_IDLE).map(|n| mail(&format!("b{n}@example.org"))).collect();
    for sent in join_all(many.iter().map(|mail| smtp.send(mail))).await {
        sent.unwrap();
    }
    assert_eq!(fake.taken().len(), usize::try_from(MAX_MAILS).unwrap() + 1 + many.len());
    assert_eq!(smtp.idle.lock().unwrap().len(), MAX_IDLE);
}

#[tokio::test]
async fn a_relay_in_trouble_is_asked_again_later() {
    let (fake, smtp) = start().await;
    let faults = [Fault::Busy, Fault::Silent, Fault::Greylists, Fault::TakesAndHangsUp];
    for fault in faults {
        fake.misbehave(&[fault]);
        let sent = smtp.send(&mail("ada@example.org")).await;
        assert!(matches!(sent, Err(NotSent::Later(_))), "{fault:?}: {sent:?}");
        assert!(smtp.idle.lock().unwrap().is_empty(), "{fault:?}");
    }
    smtp.send(&mail("ada@example.org")).await.unwrap();
}

#[tokio::test]
async fn a_refused_recipient_is_not_asked_for_again_and_costs_nobody_else_anything() {
    let (fake, smtp) = start().await;
    fake.misbehave(&[Fault::RefusesRecipient]);
    let sent = smtp.send(&mail("nobody@example.org")).await;
    let Err(NotSent::Refused(why)) = sent else { panic!("{sent:?}") };
    assert!(why.contains("5.1.1 nobody of that name"), "{why}");
    smtp.send(&mail("ada@example.org")).await.unwrap();
    assert_eq!(fake.taken().len(), 1);
}

#[tokio::test]
async fn a_mail_given_up_half_way_is_not_continued_by_the_next() {
    let (fake, smtp) = start().await;
    fake.misbehave(&[Fault::TakesSilently]);
    assert!(matches!(smtp.send(&mail("ada@example.org")).await, Err(NotSent::Later(_))));
    smtp.send(&mail("bob@example.org")).await.unwrap();
    let to: Vec<String> = fake.taken().into_iter().map(|taken| taken.to).collect();
    assert_eq!(to, ["TO:<ada@example.org>", "TO:<bob@example.org>"]);
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_relay_has_closed_is_replaced() {
    let (fake, smtp) = start().await;
    fake.misbehave(&[Fault::HangsUpAfterwards]);
    smtp.send(&mail("ada@example.org")).await.unwrap();
    let used_at = smtp.idle.lock().unwrap()[0].used_at;
    smtp.idle.lock().unwrap()[0].used_at = used_at.checked_sub(2 * super::SURELY_ALIVE).unwrap();
    smtp.send(&mail("bob@example.org")).await.unwrap();
    assert_eq!((fake.connections(), fake.taken().len()), (2, 2));
}

#[tokio::test]
async fn a_closed_port_is_trouble_of_the_relays() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let smtp = Smtp::new(&url, "").unwrap().patient(PATIENCE);
    assert!(matches!(smtp.send(&mail("ada@example.org")).await, Err(NotSent::Later(_))));
}

/// A relay that wants to know us, and what it is called in URLs.
async fn guarded(starttls: bool, login: &str) -> (SmtpFake, String) {
    let guard = Guard { starttls, credentials: Some(("shop", "h\u{fc}sh")) };
    let fake = SmtpFake::guarded(guard).await;
    let url = format!("smtp://{login}@localhost:{}/us?tls=required", fake.address.port());
    (fake, url)
}

/// A good name and password, as in a URL.
const LOGIN: &str = "shop:h%C3%BCsh";

async fn refused(url: &str, authorities: &str) -> String {
    let smtp = Smtp::new(url, authorities).unwrap();
    let sent = smtp.send(&mail("ada@example.org")).await;
    let Err(NotSent::Later(why)) = sent else { panic!("{sent:?}") };
    assert!(smtp.idle.lock().unwrap().is_empty());
    assert!(!why.contains("h\u{fc}sh") && !why.contains("h%C3%BCsh"), "{why}");
    why
}

#[tokio::test]
async fn with_starttls_only_the_first_words_can_be_read_on_the_way() {
    let (fake, url) = guarded(true, LOGIN).await;
    let smtp = Smtp::new(&url, AUTHORITY).unwrap();
    for _ in 0..2 {
        smtp.send(&mail("ada@example.org")).await.unwrap();
    }
    // It takes none from who hasn't signed in.
    assert!(fake.taken().len() == 2 && fake.taken().iter().all(|taken| taken.encrypted));
    assert_eq!(fake.in_clear(), ["EHLO us", "STARTTLS"]);
}

#[tokio::test]
async fn without_starttls_neither_password_nor_mail_is_sent() {
    // As if somebody on the way had taken the offer out.
    let (fake, url) = guarded(false, LOGIN).await;
    let why = refused(&url, AUTHORITY).await;
    assert!(why.contains("STARTTLS"), "{why}");
    assert_eq!(fake.in_clear(), ["EHLO us"]);
    assert!(fake.taken().is_empty());
}

#[tokio::test]
async fn a_relay_that_nobody_vouches_for_learns_nothing() {
    let (fake, url) = guarded(true, LOGIN).await;
    let why = refused(&url, "").await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    // Nor does one whose certificate is good, but somebody else's.
    let why = refused(&url.replace("localhost", "127.0.0.1"), AUTHORITY).await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert_eq!(fake.in_clear(), ["EHLO us", "STARTTLS", "EHLO us", "STARTTLS"]);
    assert!(fake.taken().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_trouble_to_be_seen_to_and_no_mails_fault() {
    let (fake, url) = guarded(true, "shop:hush").await;
    let why = refused(&url, AUTHORITY).await;
    assert!(why.contains("535") && why.contains("out of reach"), "{why}");
    assert!(fake.taken().is_empty());
}

#[test]
fn authorities_are_checked_before_anything_is_sent() {
    let file = |name: &str| format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let check = |file: &str| match Smtp::new("smtps://relay.example", file) {
        Ok(_) => panic!("{file} has authorities"),
        Err(error) => error.to_string(),
    };
    for (name, what) in [
        ("tls/nowhere.pem", "can't be read"),
        ("manifests/small-hall.csv", "no certificate"),
        ("tls/relay.key", "no certificate"),
        ("tls/no-certificate.pem", "a certificate that is none"),
    ] {
        let error = check(&file(name));
        assert!(error.contains("mail.smtp_authorities") && error.contains(what), "{error}");
    }
}
