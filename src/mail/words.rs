//! What mails say, by language.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Kind;
use crate::catalog::{Listing, Place};
use crate::money::Money;

/// A language that mails are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Everyone's who asked for none of the others.
    English,
    /// For `de`, `de-AT` and so on.
    German,
}

/// The sentences of one mail.
pub struct Words {
    /// The subject, and the heading.
    pub subject: String,
    /// What happened.
    pub opening: String,
    /// What the link is for.
    pub link: &'static str,
    /// What to do about it.
    pub advice: &'static str,
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

const GERMAN_DAYS: [&str; 7] =
    ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
const GERMAN_MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

impl Language {
    /// The language of a BCP 47 tag.
    #[must_use]
    pub fn of(locale: Option<&str>) -> Self {
        let language = locale.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { Self::German } else { Self::English }
    }

    /// The tag in pages.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The sentences.
    #[must_use]
    pub fn words(self, kind: Kind, about: &About<'_>) -> Words {
        match self {
            Self::English => english(kind, about),
            Self::German => german(kind, about),
        }
    }

    /// A date and time where the venue is. An unknown zone is shown as UTC, and says so.
    #[must_use]
    pub fn date(self, at: Timestamp, zone: &str) -> String {
        let zoned = at.to_zoned(TimeZone::get(zone).unwrap_or(TimeZone::UTC));
        match self {
            Self::English => zoned.strftime("%A, %-d %B %Y, %H:%M %Z").to_string(),
            Self::German => {
                let day = usize::try_from(zoned.weekday().to_monday_zero_offset()).unwrap_or(0);
                let month = usize::try_from(zoned.month() - 1).unwrap_or(0);
                let (day, month) = (GERMAN_DAYS[day % 7], GERMAN_MONTHS[month % 12]);
                zoned.strftime(&format!("{day}, %-d. {month} %Y, %H:%M Uhr (%Z)")).to_string()
            }
        }
    }

    /// An amount.
    #[must_use]
    pub fn money(self, money: Money) -> String {
        match self {
            Self::English => money.display(),
            Self::German => money.display().replace('.', ","),
        }
    }

    /// How a place is called.
    #[must_use]
    pub fn place(self, listing: &Listing, place: &Place) -> String {
        match (self, &place.row, &place.seat) {
            (Self::German, Some(row), Some(seat)) => {
                let section = listing.section(place.section).map_or("", |s| s.name.as_str());
                format!("{section}, Reihe {row}, Platz {seat}")
            }
            _ => listing.label(place),
        }
    }

    /// Before the order's short name, before the total, and after it.
    #[must_use]
    pub const fn labels(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::English => ("Order", "Total", "fees and taxes included"),
            Self::German => ("Bestellung", "Summe", "inklusive Gebühren und Steuern"),
        }
    }

    /// Stands for places that would make the list too long.
    #[must_use]
    pub fn more(self, places: usize) -> String {
        match self {
            Self::English => format!("and {places} more"),
            Self::German => format!("und {places} weitere"),
        }
    }

    /// The last line.
    #[must_use]
    pub const fn warning(self) -> &'static str {
        match self {
            Self::English => "Keep the link to yourself: whoever has it can use the tickets.",
            Self::German => {
                "Behalten Sie den Link für sich: Wer ihn hat, kann die Tickets benutzen."
            }
        }
    }
}

fn english(kind: Kind, about: &About<'_>) -> Words {
    let About { event, code, total, late } = about;
    match (kind, total) {
        (Kind::Paid, _) => Words {
            subject: format!("Your tickets for {event}"),
            opening: if *late {
                format!(
                    "Your payment for order {code} came after its time was over. Its places, or \
                     equally good ones, were still free: the order is confirmed and your \
                     tickets are ready. Please look at the places below."
                )
            } else {
                format!("Thank you. Order {code} is confirmed and your tickets are ready.")
            },
            link: "Open your tickets",
            advice: "At the entrance show each ticket's code, on your phone or printed. Everyone \
                     needs a ticket of their own, and each lets one person in once.",
        },
        (Kind::Released, _) => Words {
            subject: format!("Your places for {event} were released"),
            opening: format!(
                "Order {code} was not paid, so its places were released. Nothing was charged."
            ),
            link: "See the order",
            advice: "If you still want to come, please choose places again.",
        },
        (Kind::Refunded, Some(total)) => Words {
            subject: format!("Your refund for {event}"),
            opening: format!(
                "Order {code} was refunded: {total} goes back to where it was paid from. The \
                 order no longer lets anyone in."
            ),
            link: "See the order",
            advice: "It may take your bank some days to show the money.",
        },
        (Kind::Refunded, None) => Words {
            subject: format!("Your order for {event} was cancelled"),
            opening: format!("Order {code} was cancelled. It no longer lets anyone in."),
            link: "See the order",
            advice: "It was free of charge, so there is nothing to pay back.",
        },
        (Kind::Disputed, _) => Words {
            subject: format!("Your tickets for {event} are suspended"),
            opening: format!(
                "Your bank tells us that the payment for order {code} is disputed. Until that \
                 is settled, its tickets let nobody in."
            ),
            link: "See the order",
            advice: "If this is a mistake, please tell your bank that the payment is right.",
        },
    }
}

fn german(kind: Kind, about: &About<'_>) -> Words {
    let About { event, code, total, late } = about;
    match (kind, total) {
        (Kind::Paid, _) => Words {
            subject: format!("Ihre Tickets für {event}"),
            opening: if *late {
                format!(
                    "Ihre Zahlung für die Bestellung {code} kam nach Ablauf der Frist. Die \
                     Plätze oder gleich gute waren noch frei: Die Bestellung ist bestätigt und \
                     Ihre Tickets sind bereit. Bitte sehen Sie sich die Plätze unten an."
                )
            } else {
                format!(
                    "Vielen Dank. Die Bestellung {code} ist bestätigt und Ihre Tickets sind \
                     bereit."
                )
            },
            link: "Zu Ihren Tickets",
            advice: "Zeigen Sie am Einlass den Code jedes Tickets, auf dem Telefon oder \
                     ausgedruckt. Jede Person braucht ein eigenes Ticket, und jedes gilt einmal.",
        },
        (Kind::Released, _) => Words {
            subject: format!("Ihre Plätze für {event} wurden freigegeben"),
            opening: format!(
                "Die Bestellung {code} wurde nicht bezahlt, deshalb sind ihre Plätze wieder \
                 frei. Es wurde nichts abgebucht."
            ),
            link: "Zur Bestellung",
            advice: "Wenn Sie weiterhin kommen möchten, wählen Sie bitte noch einmal Plätze.",
        },
        (Kind::Refunded, Some(total)) => Words {
            subject: format!("Ihre Erstattung für {event}"),
            opening: format!(
                "Die Bestellung {code} wurde erstattet: {total} gehen dorthin zurück, von wo \
                 bezahlt wurde. Einlass gibt es mit ihr nicht mehr."
            ),
            link: "Zur Bestellung",
            advice: "Bis Ihre Bank das Geld anzeigt, können einige Tage vergehen.",
        },
        (Kind::Refunded, None) => Words {
            subject: format!("Ihre Bestellung für {event} wurde storniert"),
            opening: format!(
                "Die Bestellung {code} wurde storniert. Einlass gibt es mit ihr nicht mehr."
            ),
            link: "Zur Bestellung",
            advice: "Sie war kostenlos, es gibt also nichts zu erstatten.",
        },
        (Kind::Disputed, _) => Words {
            subject: format!("Ihre Tickets für {event} sind gesperrt"),
            opening: format!(
                "Ihre Bank meldet uns, dass die Zahlung für die Bestellung {code} angefochten \
                 wird. Bis das geklärt ist, gibt es mit ihren Tickets keinen Einlass."
            ),
            link: "Zur Bestellung",
            advice: "Falls das ein Irrtum ist, bestätigen Sie Ihrer Bank bitte die Zahlung.",
        },
    }
}
