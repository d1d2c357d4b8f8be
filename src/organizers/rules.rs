//! What organizers may write: every limit of a field, and the refusal that names the field.

use std::ops::RangeInclusive;

use iso_currency::Currency;
use serde::{Deserialize, Deserializer};

use crate::catalog::Promo;
use crate::http::problem::Problem;
use crate::money::MAX_AMOUNT;

/// Longest name of anything, in characters.
pub const MAX_NAME_CHARS: usize = 120;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 10_000;
/// Longest terms, in characters.
pub const MAX_TERMS_CHARS: usize = 5_000;
/// Longest link.
pub const MAX_LINK_BYTES: usize = 500;
/// Longest postal address, in characters.
pub const MAX_ADDRESS_CHARS: usize = 300;
/// Longest slug.
pub const MAX_SLUG_BYTES: usize = 64;
/// Longest code of a channel, price type or promo, or of an access code.
pub const MAX_CODE_BYTES: usize = 40;
/// Longest reason of a refund, in characters.
pub const MAX_REASON_CHARS: usize = 200;
/// Most offers of an event, inactive ones included.
pub const MAX_OFFERS: usize = 500;
/// Most tiers of an offer.
pub const MAX_TIERS: usize = 20;
/// Most promo codes of an event, inactive ones included.
pub const MAX_PROMOS: usize = 1_000;
/// Most price types of an event.
pub const MAX_PRICE_TYPES: usize = 50;
/// Most channels of an event beside the public (the database knows numbers 0 to 30).
pub const MAX_CHANNELS: usize = 30;
/// Places per buyer that a limit can name.
pub const ACCOUNT_LIMIT: RangeInclusive<i32> = 1..=1_000;
/// How long a hold may last, in seconds.
pub const HOLD_SECONDS: RangeInclusive<i32> = 5..=7_200;
/// To what total it may be extended, in seconds.
pub const HOLD_MAX_SECONDS: RangeInclusive<i32> = 5..=86_400;
/// How long a claim may wait for its payment, in seconds.
pub const PAY_SECONDS: RangeInclusive<i32> = 5..=86_400;
/// Longest delay until places that come back are free, in seconds.
pub const RETURN_SECONDS: RangeInclusive<i32> = 0..=600;
/// Quotas, counts of tiers, uses of promo codes.
pub const COUNT: RangeInclusive<i32> = 0..=1_000_000;
/// Places in an order, in a package, of a multiple: what one hold can have.
pub const PER_ORDER: RangeInclusive<i32> = 1..=50;
/// Shares in basis points.
pub const BASIS_POINTS: RangeInclusive<i32> = 0..=10_000;

/// Characters that reorder what is around them: a name must read as it is.
const REORDERING: [RangeInclusive<char>; 2] = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];

/// A field of a change: left out, or given, where `null` is a value of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Left out: stays as it is.
    #[default]
    Keep,
    /// Becomes this.
    To(T),
}

impl<T> Patch<T> {
    /// What the field becomes.
    pub fn apply(self, to: &mut T) {
        if let Self::To(value) = self {
            *to = value;
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::To)
    }
}

fn reorders(character: char) -> bool {
    REORDERING.iter().any(|range| range.contains(&character))
}

/// One line of text, without the spaces around it.
///
/// # Errors
/// If it is empty, too long, or has characters that can't be seen.
pub fn line(at: &str, text: &str, most: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most {
        return Err(Problem::field(at, format!("must have 1 to {most} characters")));
    }
    let unseen = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || reorders(c);
    if text.chars().any(unseen) {
        return Err(Problem::field(at, "must not contain control or reordering characters"));
    }
    Ok(text.to_owned())
}

/// Text of any number of lines, also none.
///
/// # Errors
/// If it is too long or has characters that can't be seen.
pub fn text(at: &str, text: &str, most: usize) -> Result<String, Problem> {
    let text = text.replace("\r\n", "\n");
    if text.chars().count() > most {
        return Err(Problem::field(at, format!("must have at most {most} characters")));
    }
    let unseen = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || reorders(c);
    if text.chars().any(unseen) {
        return Err(Problem::field(at, "must not contain control or reordering characters"));
    }
    Ok(text)
}

/// The address of a page elsewhere.
///
/// # Errors
/// If it isn't an `https` address, is too long, or names a user.
pub fn link(at: &str, text: &str) -> Result<(), Problem> {
    let url = reqwest::Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && url.has_host() && plain
    });
    let seen = text.starts_with("https://") && text.bytes().all(|b| b.is_ascii_graphic());
    if url.is_some() && seen && text.len() <= MAX_LINK_BYTES {
        return Ok(());
    }
    Err(Problem::field(at, format!("must be an https address of at most {MAX_LINK_BYTES} bytes")))
}

/// A name in URLs.
///
/// # Errors
/// If it isn't lower-case letters, digits and single hyphens between them, or reads as an id.
pub fn slug(at: &str, text: &str) -> Result<(), Problem> {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if text.len() > MAX_SLUG_BYTES || !text.split('-').all(word) {
        let why = "lower-case letters and digits, with single hyphens between them, at most";
        return Err(Problem::field(at, format!("{why} {MAX_SLUG_BYTES}")));
    }
    // Events are asked for by id or slug: a slug that reads as an id would name two.
    if uuid::Uuid::parse_str(text).is_ok() {
        return Err(Problem::field(at, "must not be an id"));
    }
    Ok(())
}

/// A short name: letters, digits, `-` and `_`.
///
/// # Errors
/// If it is anything else, or too long.
pub fn code(at: &str, text: &str) -> Result<(), Problem> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !(1..=MAX_CODE_BYTES).contains(&text.len()) || !text.bytes().all(fine) {
        let why = "letters, digits, - and _, at most";
        return Err(Problem::field(at, format!("{why} {MAX_CODE_BYTES}")));
    }
    Ok(())
}

/// A code that buyers type, as it is compared: upper case, without spaces.
///
/// # Errors
/// See [`code`].
pub fn typed_code(at: &str, text: &str) -> Result<String, Problem> {
    let normal = Promo::normalise(text);
    code(at, &normal)?;
    Ok(normal)
}

/// A number within its bounds.
///
/// # Errors
/// If it isn't.
pub fn within(at: &str, number: i32, bounds: &RangeInclusive<i32>) -> Result<(), Problem> {
    if bounds.contains(&number) {
        return Ok(());
    }
    Err(Problem::field(at, format!("must be {} to {}", bounds.start(), bounds.end())))
}

/// An amount in minor units.
///
/// # Errors
/// If it is negative or above [`MAX_AMOUNT`].
pub fn amount(at: &str, amount: i64) -> Result<(), Problem> {
    if (0..=MAX_AMOUNT).contains(&amount) {
        return Ok(());
    }
    Err(Problem::field(at, format!("must be 0 to {MAX_AMOUNT} minor units")))
}

/// A currency that things can be paid in.
///
/// # Errors
/// If it is none.
pub fn currency(at: &str, text: &str) -> Result<Currency, Problem> {
    let currency = text.parse::<Currency>().ok();
    // Those without minor units in the standard are metals, funds and test codes.
    currency
        .filter(|currency| currency.exponent().is_some())
        .ok_or_else(|| Problem::field(at, "must be an ISO 4217 code, such as EUR"))
}

/// The IANA name of a time zone.
///
/// # Errors
/// If there is no such zone.
pub fn time_zone(at: &str, text: &str) -> Result<(), Problem> {
    let known = jiff::tz::db().get(text).is_ok()
        // A machine without the zones can't know better than the form.
        || jiff::tz::db().is_definitively_empty() && code(at, &text.replace('/', "_")).is_ok();
    if known { Ok(()) } else { Err(Problem::field(at, "must be a name such as Europe/Berlin")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_reads_as_it_is() {
        assert_eq!(
            line("/name", "  Tonight: Ödipus – live! ", 120).unwrap(),
            "Tonight: Ödipus – live!"
        );
        assert!(line("/name", "שלום\u{200f}", 120).is_ok());
        let long = "x".repeat(121);
        for bad in ["", "   ", "a\nb", "a\u{0}b", "a\u{202e}b", "a\u{2066}b", "a\u{2028}b", &long] {
            assert!(line("/name", bad, 120).is_err(), "{bad:?}");
        }
        assert_eq!(text("/description", "a\r\nb\tc", 10).unwrap(), "a\nb\tc");
        for bad in ["a\u{1b}[2J", "a\u{202e}", "12345678901"] {
            assert!(text("/description", bad, 10).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_link_leads_to_a_page_and_nowhere_else() {
        for good in ["https://a.example", "https://a.example/terms?v=2#refunds"] {
            assert!(link("/url", good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(500));
        for bad in [
            "",
            "http://a.example",
            "javascript:alert(1)",
            "https://",
            "//a.example",
            "a.example",
            "https://me:pw@a.example",
            "https://a.example/\u{202e}",
            " https://a.example",
            "https://a.example/\n",
            "HTTPS://a.example",
            &long,
        ] {
            assert!(link("/url", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_is_never_an_id() {
        for good in ["a", "summer-night-2026", "0"] {
            assert!(slug("/slug", good).is_ok(), "{good}");
        }
        let id = uuid::Uuid::now_v7();
        let (plain, long) = (id.simple().to_string(), "a".repeat(65));
        let id = id.to_string();
        for bad in ["", "-a", "a-", "a--b", "A", "a b", "ä", "a/b", "a{b}", &id, &plain, &long] {
            assert!(slug("/slug", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_are_short_and_plain() {
        assert_eq!(typed_code("/code", " fan s-26").unwrap(), "FANS-26");
        for bad in ["", "  ", "a|b", "ß…", &"X".repeat(41)] {
            assert!(typed_code("/code", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn money_is_bounded_and_of_a_real_currency() {
        assert!(amount("/price", 0).is_ok() && amount("/price", MAX_AMOUNT).is_ok());
        assert!(amount("/price", -1).is_err() && amount("/price", MAX_AMOUNT + 1).is_err());
        assert!(currency("/currency", "JPY").is_ok());
        for bad in ["eur", "XXX", "", "€", "EURO"] {
            assert!(currency("/currency", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn time_zones_are_looked_up() {
        assert!(time_zone("/time_zone", "Europe/Berlin").is_ok());
        assert!(
            time_zone("/time_zone", "Middle/Earth").is_err()
                || jiff::tz::db().is_definitively_empty()
        );
    }

    #[test]
    fn a_change_tells_null_from_nothing() {
        #[derive(Deserialize)]
        struct Change {
            #[serde(default)]
            quota: Patch<Option<i32>>,
        }
        let read = |text| serde_json::from_str::<Change>(text).unwrap().quota;
        assert_eq!(read("{}"), Patch::Keep);
        assert_eq!(read(r#"{"quota":null}"#), Patch::To(None));
        assert_eq!(read(r#"{"quota":5}"#), Patch::To(Some(5)));
    }
}
