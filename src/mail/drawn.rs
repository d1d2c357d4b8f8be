//! What a presale registration came to, for who won and for who didn't.

use askama::Template;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::letter::{Letter, one_line};
use super::words::Language;
use super::{Topic, Unbuildable};
use crate::catalog::Listing;
use crate::ids::AccountId;

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
    code_label: &'static str,
    code: String,
    link_label: &'static str,
    link: String,
    event: String,
    when: String,
    advice: &'static str,
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
    let (subject, opening, advice) = words(language, &event, &name, about.code.is_some());
    let (code_label, link_label) = match language {
        Language::English => ("Your code", "To the event"),
        Language::German => ("Ihr Code", "Zur Veranstaltung"),
    };
    let content = Content {
        language,
        subject: subject.clone(),
        opening,
        code_label,
        code: about.code.unwrap_or_default().to_owned(),
        link_label,
        link: about.link.to_owned(),
        when: language.date(listing.event.starts_at, zone),
        event,
        advice,
    };
    let (text, html) = (TextPart(&content).render()?, HtmlPart(&content).render()?);
    Ok(Letter { topic: Topic::Drawn(id), subject, text, html })
}

/// Subject, what happened, and what to do about it.
fn words(language: Language, event: &str, name: &str, won: bool) -> (String, String, &'static str) {
    match (language, won) {
        (Language::English, true) => (
            format!("You can take part in the presale for {event}"),
            format!("You were drawn in “{name}”. This code opens the presale for you."),
            "The code works only with the account that you registered with. It doesn't reserve \
             tickets: please come as soon as the presale opens.",
        ),
        (Language::English, false) => (
            format!("Your registration for {event}"),
            format!(
                "There were more people than places in “{name}”, and the draw did not fall on \
                 you."
            ),
            "You can still buy tickets when the public sale begins. The draw can be checked by \
             everybody: its page shows how.",
        ),
        (Language::German, true) => (
            format!("Sie können am Vorverkauf für {event} teilnehmen"),
            format!("Sie wurden bei „{name}“ ausgelost. Dieser Code öffnet Ihnen den Vorverkauf."),
            "Der Code gilt nur mit dem Konto, mit dem Sie sich registriert haben. Er reserviert \
             keine Tickets: Bitte kommen Sie, sobald der Vorverkauf beginnt.",
        ),
        (Language::German, false) => (
            format!("Ihre Registrierung für {event}"),
            format!(
                "Bei „{name}“ gab es mehr Interessierte als Plätze, und das Los fiel nicht auf \
                 Sie."
            ),
            "Sie können weiterhin Tickets kaufen, wenn der öffentliche Verkauf beginnt. Die \
             Auslosung kann jeder nachrechnen: Ihre Seite zeigt, wie.",
        ),
    }
}
