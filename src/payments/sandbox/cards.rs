//! The checks of a card form, and what is kept of a card.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::test_cards::{OWN_CARDS, Scenario, TEST_CARDS};

/// Bytes of a fingerprint: 64 bits.
const FINGERPRINT_BYTES: usize = 8;
/// The longest name on a card, in characters.
pub const MAX_NAME_CHARS: usize = 100;

/// How many digits a card number may have (ISO/IEC 7812).
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// No card is valid for more years than this.
const MAX_EXPIRY_YEARS: i16 = 20;

/// A card scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Brand {
    Visa,
    Mastercard,
}

/// What is kept of a card: enough to recognise it, not to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSeen {
    pub brand: Brand,
    pub last4: String,
    /// The same for the same number. Of test numbers only, so a plain hash gives nothing away.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// A card that passed every check.
#[derive(Clone, Debug)]
pub struct Card {
    pub seen: CardSeen,
    pub scenario: Scenario,
}

/// A card form as it was sent.
#[derive(Clone, Debug, Default)]
pub struct CardForm {
    pub number: String,
    pub expiry: String,
    pub cvc: String,
    pub name: String,
}

/// What is wrong, by field; shown next to it.
pub type FieldErrors = BTreeMap<&'static str, &'static str>;

impl CardForm {
    /// Checks every field, so that all errors show at once.
    pub fn check(&self, now: Timestamp) -> Result<Card, FieldErrors> {
        let mut errors = FieldErrors::new();
        let card = match known_card(&self.number) {
            Ok(card) => Some(card),
            Err(error) => {
                errors.insert("number", error);
                None
            }
        };
        if let Err(error) = check_expiry(&self.expiry, now) {
            errors.insert("expiry", error);
        }
        let cvc = self.cvc.trim();
        if !matches!(cvc.len(), 3 | 4) || !cvc.bytes().all(|byte| byte.is_ascii_digit()) {
            errors.insert("cvc", "Enter the three or four digits.");
        }
        let name = self.name.trim();
        if name.is_empty() {
            errors.insert("name", "Enter the name on the card.");
        } else if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            errors.insert("name", "This name is too long or has characters that can't be read.");
        }
        card.filter(|_| errors.is_empty()).ok_or(errors)
    }
}

/// The test card with this number, however it is spaced.
pub fn known_card(number: &str) -> Result<Card, &'static str> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if digits.is_empty() {
        return Err("Enter a card number.");
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || !NUMBER_DIGITS.contains(&digits.len()) || !passes_luhn(&digits) {
        return Err("This is not a card number: check the digits.");
    }
    let known = TEST_CARDS.iter().find(|card| card.number == digits).map(|card| card.scenario);
    let own = || (digits.len() == 16 && digits.starts_with(OWN_CARDS)).then_some(Scenario::Approve);
    let scenario = known.or_else(own);
    let scenario =
        scenario.ok_or("Test mode takes test numbers only. Never enter a real card here.")?;
    let brand = if digits.starts_with('5') { Brand::Mastercard } else { Brand::Visa };
    let last4 = digits[digits.len() - 4..].to_owned();
    let fingerprint = Some(hex::encode(&Sha256::digest(&digits)[..FINGERPRINT_BYTES]));
    Ok(Card { seen: CardSeen { brand, last4, fingerprint }, scenario })
}

/// A card of one's own: approved, and with a fingerprint that no other number has. For crowds of
/// simulated buyers, who don't all pay with the published numbers. Numbers below 10,000,000.
#[must_use]
pub fn own_card(number: u32) -> String {
    let without = format!("{OWN_CARDS}{:07}", number % 10_000_000);
    let digit = (10 - luhn(&format!("{without}0")) % 10) % 10;
    format!("{without}{digit}")
}

fn passes_luhn(digits: &str) -> bool {
    luhn(digits).is_multiple_of(10)
}

/// The sum of ISO/IEC 7812: every second digit from the right is doubled.
fn luhn(digits: &str) -> u32 {
    digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte - b'0');
            match (at % 2, digit) {
                (0, _) => digit,
                (_, 0..=4) => digit * 2,
                _ => digit * 2 - 9,
            }
        })
        .sum()
}

/// `MM/YY`, `MM / YYYY` or `MMYY`, this month or later.
fn check_expiry(text: &str, now: Timestamp) -> Result<(), &'static str> {
    const UNREADABLE: &str = "Enter the expiry as MM / YY.";
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (month, year) = match compact.split_once('/') {
        Some(parts) => parts,
        None => compact.split_at_checked(2).ok_or(UNREADABLE)?,
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(month) || !digits(year) || !matches!(month.len(), 1 | 2) {
        return Err(UNREADABLE);
    }
    let month: i8 = month.parse().map_err(|_| UNREADABLE)?;
    let year: i16 = match year.len() {
        2 => year.parse::<i16>().map_err(|_| UNREADABLE)? + 2_000,
        4 => year.parse().map_err(|_| UNREADABLE)?,
        _ => return Err(UNREADABLE),
    };
    if !(1..=12).contains(&month) {
        return Err("The month is a number from 01 to 12.");
    }
    let today = now.to_zoned(TimeZone::UTC);
    if (year, month) < (today.year(), today.month()) {
        return Err("This card has expired.");
    }
    if year > today.year() + MAX_EXPIRY_YEARS {
        return Err("No card is valid for that long: check the year.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(number: &str, expiry: &str, cvc: &str, name: &str) -> CardForm {
        let [number, expiry, cvc, name] = [number, expiry, cvc, name].map(str::to_owned);
        CardForm { number, expiry, cvc, name }
    }

    fn october_2026() -> Timestamp {
        "2026-10-31T23:00:00Z".parse().expect("a time")
    }

    fn wrong(form: &CardForm) -> Vec<&'static str> {
        form.check(october_2026())
            .err()
            .map(|errors| errors.into_keys().collect())
            .unwrap_or_default()
    }

    #[test]
    fn every_published_number_is_a_card_number_and_published_once() {
        for card in TEST_CARDS {
            assert!(passes_luhn(card.number), "{}", card.number);
            assert!(known_card(&card.grouped()).is_ok());
            assert_eq!(TEST_CARDS.iter().filter(|other| other.number == card.number).count(), 1);
        }
    }

    #[test]
    fn expiry_is_read_leniently_and_judged_strictly() {
        for good in ["10/26", "10 / 26", "1026", "10/2026", "1/27", "12/46"] {
            assert!(wrong(&form("4242424242424242", good, "123", "A")).is_empty(), "{good}");
        }
        for bad in
            ["", "9/26", "10/25", "13/30", "0/30", "1/", "10/126", "a/b", "10-30", "12/47", "é7"]
        {
            assert_eq!(wrong(&form("4242424242424242", bad, "123", "A")), ["expiry"], "{bad}");
        }
    }

    #[test]
    fn all_errors_show_at_once() {
        assert_eq!(wrong(&CardForm::default()), ["cvc", "expiry", "name", "number"]);
        let real = form("4111 1111 1111 1111", "12/30", "12a", "A\u{7}");
        assert_eq!(wrong(&real), ["cvc", "name", "number"]);
        let mistyped = form("4242 4242 4242 4243", "12/30", "123", "A");
        assert_eq!(wrong(&mistyped), ["number"]);
    }

    #[test]
    fn everybody_can_have_a_card_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for number in [0, 1, 9, 10, 12_345, 9_999_999] {
            let card = known_card(&own_card(number)).expect("a test card");
            assert_eq!(card.scenario, Scenario::Approve);
            assert!(seen.insert(card.seen.fingerprint), "{number}");
        }
        assert!(TEST_CARDS.iter().all(|card| !card.number.starts_with(OWN_CARDS)));
        assert!(known_card("4000 0098 0000 0000").is_err());
    }

    #[test]
    fn only_the_last_four_digits_are_kept() {
        let card = known_card("4000-0000-0000-9995").expect("a test card");
        assert_eq!(
            serde_json::to_string(&card.seen).ok().as_deref(),
            Some(r#"{"brand":"visa","last4":"9995","fingerprint":"e5de3c3d9fcb43b1"}"#)
        );
    }
}
