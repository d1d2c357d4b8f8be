//! What a presale registration came to, for who won and for who didn't.

use askama::Template;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::letter::{Letter, one_line};
use super::words;
use super::{Topic, Unbuildable};
use crate::catalog::Listing;
use crate::ids::AccountId;
use crate::words::Language;

#[derive(Template)]
#[template(path = "mail/drawn.txt")]
struct TextPart<'a>(&'a Content);

#[derive(Template)]
#[template(path = "mail/drawn.html")]
struct HtmlPart<'a>(&'a Content);

struct Content {
    language: Language,
    subject: String,
    opening: String,
    code_label: String,
    code: String,
    link_label: String,
    link: String,
    event: String,
    when: String,
    advice: String,
}

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The registration's name.
    pub name: &'a str,
    /// A winner's code; none: they didn't win.
    pub code: Option<&'a str>,
    /// The event's page.
    pub link: &'a str,
}

/// The mail's id: the same for the same registration and account.
#[must_use]
pub fn id(registration: Uuid, account: AccountId) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"onsale drawn 1");
    hash.update(registration.as_bytes());
    hash.update(account.0.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Writes the letter.
///
/// # Errors
/// If a template fails.
pub fn write(
    id: Uuid,
    language: Language,
    listing: &Listing,
    about: &About<'_>,
) -> Result<Letter, Unbuildable> {
    let (event, name) = (one_line(&listing.event.name), one_line(about.name));
    let zone = &listing.event.venue.time_zone;
    let key = if about.code.is_some() { "mail.drawn.won" } else { "mail.drawn.lost" };
    let said = |more: &str| {
        let said = language.say(&format!("{key}{more}"));
        String::from(said.put("event", &event).put("name", &name))
    };
    let subject = said("");
    let content = Content {
        language,
        subject: subject.clone(),
        opening: said(".opening"),
        code_label: language.say("mail.drawn.code").into(),
        code: about.code.unwrap_or_default().to_owned(),
        link_label: language.say("mail.drawn.link").into(),
        link: about.link.to_owned(),
        when: words::date(language, listing.event.starts_at, zone),
        advice: said(".advice"),
        event,
    };
    let (text, html) = (TextPart(&content).render()?, HtmlPart(&content).render()?);
    Ok(Letter { topic: Topic::Drawn(id), nth: 0, subject, text, html })
}
