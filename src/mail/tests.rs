//! What mails say, and that nothing in them can be more than said.

use iso_currency::Currency;
use jiff::Timestamp;

use super::letter::Letter;
use super::{Kind, Mail, Unbuildable, check};
use crate::catalog::listing::Parts;
use crate::catalog::{
    Class, Event, EventStatus, Listing, Offer, PUBLIC, Place, Section, Stretch, Tier, Venue,
};
use crate::config;
use crate::holds::record::Line;
use crate::ids::{AccountId, EventId, OfferId, OrderId, OrganizerId};
use crate::orders::{Order, OrderStatus};
use crate::words::Language;

const FROM: &str = "Tickets <tickets@shop.example>";
const LINK: &str = "https://shop.example/orders/1?key=01abc&x=<y>";

fn event(name: &str) -> Event {
    Event {
        id: EventId::fresh(),
        organizer: OrganizerId::fresh(),
        slug: "night".into(),
        name: name.into(),
        description: String::new(),
        venue: Venue {
            name: "Arena North".into(),
            address: "Hafenstr. 1,\nHamburg".into(),
            time_zone: "Europe/Berlin".into(),
        },
        starts_at: "2026-11-14T18:30:00Z".parse().unwrap(),
        currency: Currency::EUR,
        status: EventStatus::OnSale,
        account_limit: None,
        hold_seconds: 480,
        hold_max_seconds: 1_200,
        pay_seconds: 900,
        return_seconds: 10,
        orphan_rule: true,
        waiting_room: false,
        needs_account: false,
        attendee_names: false,
        terms: None,
        rehearsal: false,
        focus: (0.0, 0.0),
        version: 1,
    }
}

fn place(number: i32, section: i16, seat: Option<&str>) -> Place {
    Place {
        number,
        stretch: i32::from(section),
        section,
        level: 0,
        attributes: 0,
        row: seat.map(|_| "F".into()),
        seat: seat.map(Into::into),
        x: 0.0,
        y: 0.0,
        killed: false,
        channel: PUBLIC,
    }
}

fn offer() -> Offer {
    Offer {
        id: OfferId::fresh(),
        number: 1,
        name: "Adult & <friend>".into(),
        level: 0,
        price_type: 0,
        channel: PUBLIC,
        fee_fixed: 0,
        fee_bp: 0,
        tax_bp: 0,
        starts_at: None,
        ends_at: None,
        access_code: None,
        code_set: None,
        quota: None,
        min_per_order: 1,
        max_per_order: 100,
        multiple_of: 1,
        package_size: 1,
        active: true,
        tiers: vec![Tier { name: String::new(), price: 4_500, until_count: None, until: None }],
    }
}

fn listing(name: &str) -> Listing {
    let section = |number, name: &str, area| Section {
        number,
        code: name.into(),
        name: name.into(),
        area,
        outline: serde_json::Value::Null,
    };
    let stretch =
        |first, length, section, class| Stretch { first, length, level: 0, class, section };
    let seats = (0..80).map(|n| place(n, 0, Some(&(n + 1).to_string())));
    Listing::from(Parts {
        event: event(name),
        levels: Vec::new(),
        sections: vec![section(0, "Section 101", false), section(1, "Floor", true)],
        stretches: vec![stretch(0, 80, 0, Class::Standard), stretch(80, 8, 1, Class::Area)],
        places: seats.chain((80..88).map(|n| place(n, 1, None))).collect(),
        channels: Vec::new(),
        price_types: Vec::new(),
        offers: vec![offer()],
        promos: Vec::new(),
        code_sets: Vec::new(),
        registrations: Vec::new(),
    })
}

fn order(places: Vec<i32>) -> Order {
    let line = Line {
        offer: 1,
        tier: 0,
        places: places.clone(),
        price: 4_500,
        fee: 450,
        tax: 0,
        discount: 0,
        names: vec![],
    };
    Order {
        id: OrderId("0192f3a1-0000-7000-8000-000000000001".parse().unwrap()),
        event: EventId::fresh(),
        status: OrderStatus::Paid,
        account: AccountId::fresh(),
        email: None,
        currency: Currency::EUR,
        total: line.total(),
        lines: vec![line],
        places,
        digest: Vec::new(),
        accept_equivalent: false,
        pay_by: Timestamp::UNIX_EPOCH,
        created_at: Timestamp::UNIX_EPOCH,
        changed_at: Timestamp::UNIX_EPOCH,
        late: false,
        channel: PUBLIC,
        promo: None,
        hold: None,
    }
}

fn write(kind: Kind, language: Language, event: &str, order: &Order) -> Letter {
    Letter::write(kind, language, &listing(event), order, LINK.to_owned()).unwrap()
}

fn message(letter: Letter) -> String {
    let mail = Mail::new(FROM, "ada@example.org", letter).unwrap();
    String::from_utf8(mail.message.formatted()).unwrap()
}

#[test]
fn a_confirmation_has_the_link_the_places_and_the_date_where_the_venue_is() {
    let letter = write(Kind::Paid, Language::ENGLISH, "Night", &order(vec![11, 12, 80, 81, 82]));
    assert_eq!(letter.subject, "Your tickets for Night");
    for part in [
        LINK,
        "Order 0192F3A1",
        "Saturday, 14 November 2026, 19:30 CET",
        "Arena North, Hafenstr. 1, Hamburg",
        "5 × Adult & <friend>: €247.50",
        "  Section 101, row F, seat 12\n  Section 101, row F, seat 13\n  Floor (3)\n",
        "Total: €247.50 (fees and taxes included)",
    ] {
        assert!(letter.text.contains(part), "{part} is not in\n{}", letter.text);
    }
}

#[test]
fn germans_are_written_to_in_german() {
    for tag in ["de", "de-AT", "DE_ch"] {
        assert_eq!(Language::of(Some(tag)), Language::of(Some("de")), "{tag}");
    }
    for tag in [None, Some(""), Some("den"), Some("en-DE"), Some("-")] {
        assert_eq!(Language::of(tag), Language::ENGLISH, "{tag:?}");
    }
    let letter = write(Kind::Paid, Language::of(Some("de")), "Nacht", &order(vec![11]));
    assert_eq!(letter.subject, "Ihre Tickets für Nacht");
    for part in [
        "Samstag, 14. November 2026, 19:30\u{a0}Uhr (MEZ)",
        "Section 101, Reihe F, Platz 12",
        "Summe: 49,50\u{a0}€",
    ] {
        assert!(letter.text.contains(part), "{part} is not in\n{}", letter.text);
    }
    assert!(message(letter).contains("Subject: Ihre Tickets =?utf-8?b?"));
}

#[test]
fn every_kind_says_something_of_its_own() {
    let order = order(vec![11]);
    for language in [Language::ENGLISH, Language::of(Some("de"))] {
        let mut subjects: Vec<_> = Kind::ALL
            .iter()
            .map(|(kind, _)| write(*kind, language, "Night", &order).subject)
            .collect();
        let free = Order { total: 0, ..order.clone() };
        subjects.push(write(Kind::Refunded, language, "Night", &free).subject);
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), 7);
    }
    let released = write(Kind::Released, Language::ENGLISH, "Night", &order);
    assert!(released.text.contains("Nothing was charged"));
    let late = Order { late: true, ..order };
    assert!(write(Kind::Paid, Language::ENGLISH, "Night", &late).text.contains("came after"));
}

#[test]
fn names_stay_text_in_the_html() {
    let letter = write(Kind::Paid, Language::ENGLISH, "<script>1 & 2", &order(vec![11]));
    assert!(!letter.html.contains("<script>") && !letter.html.contains("<friend>"));
    assert!(letter.html.contains("key=01abc&#38;x=&#60;y&#62;"), "{}", letter.html);
}

#[test]
fn no_name_becomes_a_header_or_a_line_of_its_own() {
    let name = "Night\r\nBcc: eve@example.org\r\n\r\n.\r\nQUIT\u{202e}\u{0}";
    let letter = write(Kind::Paid, Language::ENGLISH, name, &order(vec![11]));
    assert_eq!(letter.subject, "Your tickets for Night Bcc: eve@example.org . QUIT");
    // Even a subject that wasn't cleaned stays one header.
    let dirty = Letter { subject: "Hello\r\nBcc: eve@example.org".into(), ..letter };
    let message = message(dirty);
    let head = message.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head}");
}

#[test]
fn a_message_has_both_parts_and_an_id_of_its_order_and_kind() {
    let letter = write(Kind::Paid, Language::ENGLISH, "Night", &order(vec![11]));
    let message = message(letter);
    let head = message.split("\r\n\r\n").next().unwrap();
    for line in [
        "From: Tickets <tickets@shop.example>",
        "To: ada@example.org",
        "Message-ID: <0192f3a1-0000-7000-8000-000000000001.paid@shop.example>",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/alternative",
    ] {
        assert!(head.contains(line), "{line} is not in\n{head}");
    }
    assert!(head.contains("\r\nDate: "));
    assert!(message.contains("Content-Type: text/plain"));
    assert!(message.contains("Content-Type: text/html"));
    assert!(message.is_ascii() && message.lines().all(|line| line.len() <= 998));
}

#[test]
fn what_is_sent_again_is_another_message() {
    let letter = write(Kind::Again, Language::ENGLISH, "Night", &order(vec![11]));
    let message = message(Letter { nth: 2, ..letter });
    let id = "Message-ID: <0192f3a1-0000-7000-8000-000000000001.again.2@shop.example>";
    assert!(message.contains(id) && message.contains("Section 101"), "{message}");
}

#[test]
fn a_long_list_of_places_is_cut() {
    let letter = write(Kind::Paid, Language::ENGLISH, "Night", &order((0..60).collect()));
    assert!(letter.text.contains("seat 50\n  and 10 more\n"), "{}", letter.text);
}

#[test]
fn what_is_no_address_is_refused() {
    let write = || write(Kind::Paid, Language::ENGLISH, "Night", &order(vec![11]));
    let bad = |from, to| Mail::new(from, to, write()).unwrap_err();
    assert!(matches!(bad("tickets", "ada@example.org"), Unbuildable::Sender));
    for to in ["ada", "ada@example.org\r\nRCPT TO:<eve@example.org>", "a@b.c, d@e.f", ""] {
        assert!(matches!(bad(FROM, to), Unbuildable::Recipient), "{to}");
    }
}

#[test]
fn a_mail_that_late_money_has_overtaken_is_not_told() {
    assert!(Kind::Released.still_true(OrderStatus::Released));
    for status in [OrderStatus::Late, OrderStatus::Paid, OrderStatus::RefundDue] {
        assert!(!Kind::Released.still_true(status));
    }
    assert!(Kind::Paid.still_true(OrderStatus::Disputed));
    assert!(!Kind::Paid.still_true(OrderStatus::Refunded));
    assert!(!Kind::Disputed.still_true(OrderStatus::Paid));
}

#[test]
fn kinds_are_the_outboxs() {
    for (kind, word) in Kind::ALL {
        assert_eq!((Kind::from_word(word), kind.word()), (Some(kind), word));
    }
    assert_eq!(Kind::from_word("sold"), None);
}

#[test]
fn settings_are_checked_without_showing_the_password() {
    let settings = |from: &str, smtp_url: &str| {
        let (from, smtp_url) = (from.into(), smtp_url.into());
        check(&config::Mail { from, smtp_url, ..config::Mail::default() })
    };
    settings(FROM, "").unwrap();
    settings("tickets@shop.example", "smtps://me:hush@relay.example").unwrap();
    assert!(settings("Tickets", "").unwrap_err().to_string().contains("mail.from"));
    for url in ["smtp://me:hush@relay.example?tls=none", "ftp://me:hush@relay.example", "hush"] {
        let error = settings(FROM, url).unwrap_err();
        assert!(error.to_string().contains("mail.smtp_url"), "{error}");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}
