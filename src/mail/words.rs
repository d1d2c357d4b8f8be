//! What mails say, by language.

use jiff::Timestamp;

use super::Kind;
use crate::catalog::{Listing, Place};
use crate::money::Money;
use crate::web::words::{When, money, place_of};
use crate::words::{Language, spoken};

/// The sentences of one mail.
pub struct Words {
    /// The subject, and the heading.
    pub subject: String,
    /// What happened.
    pub opening: String,
    /// What the link is for.
    pub link: String,
    /// What to do about it.
    pub advice: String,
}

/// What the sentences are about.
pub struct About<'a> {
    /// The event's name.
    pub event: &'a str,
    /// The order's short name.
    pub code: &'a str,
    /// Its total; none if it was free.
    pub total: Option<&'a str>,
    /// Whether its places were taken again after its time was over.
    pub late: bool,
}

/// The sentences.
#[must_use]
pub fn words(language: Language, kind: Kind, about: &About<'_>) -> Words {
    let key = match (kind, about.total) {
        (Kind::Paid, _) => "mail.paid",
        (Kind::Released, _) => "mail.released",
        (Kind::Refunded, Some(_)) => "mail.refunded",
        (Kind::Refunded, None) => "mail.cancelled",
        (Kind::Disputed, _) => "mail.disputed",
        (Kind::Again, _) => "mail.again",
        (Kind::Moved, _) => "mail.moved",
    };
    let opening = if kind == Kind::Paid && about.late { "late" } else { "opening" };
    let said = |key: String| {
        let said = language.say(&key).put("event", about.event).put("code", about.code);
        String::from(said.put("total", about.total.unwrap_or_default()))
    };
    Words {
        subject: said(key.to_owned()),
        opening: said(format!("{key}.{opening}")),
        link: said(format!("{key}.link")),
        advice: said(format!("{key}.advice")),
    }
}

/// A date and time where the venue is. An unknown zone is shown as UTC, and says so.
#[must_use]
pub fn date(language: Language, at: Timestamp, zone: &str) -> String {
    When::told(language, at, zone).mailed()
}

/// An amount.
#[must_use]
pub fn amount(language: Language, amount: Money) -> String {
    spoken(language, || money(amount.amount, amount.currency))
}

/// How a place is called.
#[must_use]
pub fn place(language: Language, listing: &Listing, place: &Place) -> String {
    spoken(language, || place_of(listing, place))
}
