//! A mail's content: the same sentences, places and link as text and as HTML.

use askama::Template;

use super::words::{self, About, Words};
use super::{Kind, Topic, Unbuildable};
use crate::catalog::Listing;
use crate::holds::record::Line;
use crate::orders::Order;
use crate::words::{Language, Said};

/// Place names that a mail lists; the order's page has them all.
const MAX_PLACES: usize = 50;
/// Longest event name in a subject.
const MAX_NAME_CHARS: usize = 120;

/// What a mail says.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What it is about.
    pub topic: Topic,
    /// The how many of its kind; 0 for what is told once.
    pub nth: i32,
    /// On one line.
    pub subject: String,
    /// For those who read text.
    pub text: String,
    /// For all others.
    pub html: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct TextPart<'a>(&'a Content);

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct HtmlPart<'a>(&'a Content);

struct Content {
    language: Language,
    words: Words,
    link: String,
    event: String,
    when: String,
    venue: String,
    code: String,
    bought: Vec<Bought>,
    total: String,
}

/// A line of the order.
struct Bought {
    name: String,
    total: String,
    places: Vec<String>,
}

impl Letter {
    /// Writes about an order, whose page is at `link`.
    ///
    /// # Errors
    /// If a template fails.
    pub fn write(
        kind: Kind,
        language: Language,
        listing: &Listing,
        order: &Order,
        link: String,
    ) -> Result<Self, Unbuildable> {
        let (event, code) = (one_line(&listing.event.name), order.code());
        let total = words::amount(language, order.money());
        let about = About {
            event: &event,
            code: &code,
            total: (order.total > 0).then_some(total.as_str()),
            late: order.late,
        };
        let said = words::words(language, kind, &about);
        let subject = said.subject.clone();
        let venue = &listing.event.venue;
        let whereabouts = [one_line(&venue.name), one_line(&venue.address)];
        let content = Content {
            language,
            words: said,
            link,
            when: words::date(language, listing.event.starts_at, &venue.time_zone),
            venue: whereabouts
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            bought: bought(language, listing, order),
            event,
            code,
            total,
        };
        let (text, html) = (TextPart(&content).render()?, HtmlPart(&content).render()?);
        Ok(Self { topic: Topic::Order(order.id, kind), nth: 0, subject, text, html })
    }
}

impl Content {
    fn say(&self, key: &str) -> Said {
        self.language.say(key)
    }
}

fn bought(language: Language, listing: &Listing, order: &Order) -> Vec<Bought> {
    let mut room = MAX_PLACES;
    let view = |line: &Line| {
        let offer = listing.offer_numbered(line.offer);
        let name = offer.map(|offer| one_line(&offer.name)).unwrap_or_default();
        let total = crate::money::Money::new(line.total(), order.currency);
        Bought {
            name: format!("{} × {name}", line.places.len()),
            total: words::amount(language, total),
            places: place_names(language, listing, &line.places, &mut room),
        }
    };
    order.lines.iter().map(view).collect()
}

/// The places' names, units of one area together, as long as there is room.
fn place_names(
    language: Language,
    listing: &Listing,
    places: &[i32],
    room: &mut usize,
) -> Vec<String> {
    let mut names: Vec<(String, usize)> = Vec::new();
    let mut left_out = 0;
    for place in places.iter().filter_map(|number| listing.place(*number)) {
        let name = one_line(&words::place(language, listing, place));
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None if *room == 0 => left_out += 1,
            None => {
                *room -= 1;
                names.push((name, 1));
            }
        }
    }
    let named = |(name, count)| if count == 1 { name } else { format!("{name} ({count})") };
    let mut shown: Vec<String> = names.into_iter().map(named).collect();
    if left_out > 0 {
        shown.push(language.say("mail.more").put("n", left_out).into());
    }
    shown
}

/// A name as it may stand in a subject or a line: one line, and no characters that turn the
/// direction of what follows.
pub(super) fn one_line(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = name
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(MAX_NAME_CHARS).collect()
}
