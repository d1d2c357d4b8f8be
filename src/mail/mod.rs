//! Mail to buyers: what it says (`letter.rs`, `words.rs`, `sign_in.rs`, `drawn.rs`) and how it
//! leaves (`smtp/`, `mailbox.rs`).
//!
//! Nothing here is asked while somebody waits: `workers::outbox`, `workers::sign_ins` and
//! `workers::registrations` send, after the commit that made a mail true. A mail may leave twice
//! (a process that dies right after sending can't say so); its `Message-ID` is derived from what
//! it is about, so that mail programs show it once.
//!
//! What a buyer typed is never put into a mail: whoever enters somebody else's address at
//! checkout must not be able to write to them.

pub mod drawn;
pub mod http;
pub mod letter;
pub mod mailbox;
pub mod sign_in;
pub mod smtp;
#[cfg(test)]
mod tests;
pub mod words;

use std::sync::Arc;

use futures::future::BoxFuture;
use lettre::message::Mailbox as Correspondent;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Message, MultiPart};
use thiserror::Error;
use uuid::Uuid;

use self::letter::Letter;
use self::mailbox::Mailbox;
use self::smtp::Smtp;
use crate::config;
use crate::db::kept::Kept;
use crate::ids::OrderId;
use crate::orders::OrderStatus;

/// What a mail tells: the kinds of the outbox, and what buyers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The order is confirmed: where its tickets are.
    Paid,
    /// The order ended unpaid.
    Released,
    /// The money goes back.
    Refunded,
    /// The buyer's bank disputes the payment.
    Disputed,
    /// The confirmation once more, because a buyer asked for it or gave another address.
    Again,
    /// Mails go to another address: told to the one before.
    Moved,
}

impl Kind {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Paid, "paid"),
        (Self::Released, "released"),
        (Self::Refunded, "refunded"),
        (Self::Disputed, "disputed"),
        (Self::Again, "again"),
        (Self::Moved, "moved"),
    ];

    /// Reads the word in the tables.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }

    /// The word in the tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// Whether it can still be told of an order that stands so: mails may be delayed for hours,
    /// and late money may have undone what they say.
    #[must_use]
    pub const fn still_true(self, status: OrderStatus) -> bool {
        match self {
            // While it is disputed or about to be refunded it may yet become paid again.
            Self::Paid | Self::Again => !matches!(status, OrderStatus::Refunded),
            Self::Released => matches!(status, OrderStatus::Released),
            Self::Disputed => matches!(status, OrderStatus::Disputed),
            Self::Refunded | Self::Moved => true,
        }
    }
}

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What became of an order.
    Order(OrderId, Kind),
    /// How to sign in, once.
    SignIn(Uuid),
    /// What a presale registration came to; the id is derived from it and the account.
    Drawn(Uuid),
}

impl Topic {
    /// The id of what it is about.
    #[must_use]
    pub const fn id(self) -> Uuid {
        match self {
            Self::Order(order, _) => order.0,
            Self::SignIn(id) | Self::Drawn(id) => id,
        }
    }

    /// The order, if it is about one.
    #[must_use]
    pub const fn order(self) -> Option<OrderId> {
        match self {
            Self::Order(order, _) => Some(order),
            Self::SignIn(_) | Self::Drawn(_) => None,
        }
    }

    /// The word in the tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Order(_, kind) => kind.word(),
            Self::SignIn(_) => "sign_in",
            Self::Drawn(_) => "drawn",
        }
    }
}

/// A mail, ready to leave.
#[derive(Clone, Debug)]
pub struct Mail {
    /// What it is about.
    pub topic: Topic,
    /// To whom.
    pub recipient: String,
    /// Its subject, on one line.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// All of it, with its envelope.
    pub message: Message,
}

impl Mail {
    /// Addresses a letter.
    ///
    /// # Errors
    /// If an address isn't one, or the message can't be put together.
    pub fn new(from: &str, to: &str, letter: Letter) -> Result<Self, Unbuildable> {
        let from: Correspondent = from.parse().map_err(|_| Unbuildable::Sender)?;
        let recipient = to.parse().map_err(|_| Unbuildable::Recipient)?;
        let Letter { topic, nth, subject, text, html } = letter;
        // What was asked for again is shown again.
        let nth = if nth > 0 { format!(".{nth}") } else { String::new() };
        let id = format!("<{}.{}{nth}@{}>", topic.id(), topic.word(), from.email.domain());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(from)
            .to(Correspondent::new(None, recipient))
            .subject(subject.clone())
            .message_id(Some(id))
            // RFC 3834: nobody's absence is announced to us.
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(text.clone(), html))?;
        Ok(Self { topic, recipient: to.to_owned(), subject, text, message })
    }
}

/// Why a mail can't be written. Trying again changes nothing.
#[derive(Debug, Error)]
pub enum Unbuildable {
    /// The configured sender is no address.
    #[error("mail.from is not an address such as Tickets <tickets@example.org>")]
    Sender,
    /// The buyer's is none.
    #[error("the recipient is not an address")]
    Recipient,
    /// A template failed.
    #[error("the letter can't be rendered: {0}")]
    Template(#[from] askama::Error),
    /// It can't be put together.
    #[error("the message can't be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// Why a mail did not leave.
#[derive(Debug, Error)]
pub enum NotSent {
    /// It may leave later, and may even have left: nobody said so.
    #[error("not now: {0}")]
    Later(String),
    /// This mail is not wanted; another try would be refused as well.
    #[error("refused: {0}")]
    Refused(String),
}

/// What takes mails away.
pub trait Mailer: Send + Sync + 'static {
    /// Hands a mail over. Bounded in time ([`smtp::Patience`]); given up half-way it leaves
    /// nothing behind that another mail could meet.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), NotSent>>;
}

/// Checks the settings without connecting to anything.
///
/// # Errors
/// What is wrong with `mail.from`, `mail.smtp_url` or the file of `mail.smtp_authorities`.
pub fn check(config: &config::Mail) -> anyhow::Result<()> {
    config.from.parse::<Correspondent>().map_err(|_| Unbuildable::Sender)?;
    if !config.smtp_url.is_empty() {
        Smtp::new(&config.smtp_url, &config.smtp_authorities)?;
    }
    Ok(())
}

/// The configured mailer.
///
/// # Errors
/// See [`check`].
pub fn mailer(config: &config::Mail, pg: impl FnOnce() -> Kept) -> anyhow::Result<Arc<dyn Mailer>> {
    check(config)?;
    if config.smtp_url.is_empty() {
        return Ok(Arc::new(Mailbox::new(pg())));
    }
    Ok(Arc::new(Smtp::new(&config.smtp_url, &config.smtp_authorities)?))
}
