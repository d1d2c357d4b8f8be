//! How pages write money, times and numbers: in English, in the venue's time zone.

use iso_currency::Currency;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Keeps a number and its unit on one line.
const NO_BREAK: char = '\u{a0}';
/// Digits between separators of thousands.
const GROUP: usize = 3;

/// The sign before an amount: a symbol where it can't be mistaken, else the code.
#[must_use]
pub fn currency_sign(currency: Currency) -> String {
    match currency {
        Currency::EUR => "€".to_owned(),
        Currency::GBP => "£".to_owned(),
        Currency::JPY => "¥".to_owned(),
        other => format!("{}{NO_BREAK}", other.code()),
    }
}

/// Digits after the point.
#[must_use]
pub fn currency_digits(currency: Currency) -> usize {
    usize::from(currency.exponent().unwrap_or(0))
}

/// An amount in minor units: `€1,049.50`. Nothing is `free`.
#[must_use]
pub fn price(amount: i64, currency: Currency) -> String {
    if amount == 0 { "free".to_owned() } else { money(amount, currency) }
}

/// An amount in minor units: `€1,049.50`.
#[must_use]
pub fn money(amount: i64, currency: Currency) -> String {
    let digits = currency_digits(currency);
    let sign = if amount < 0 { "−" } else { "" };
    let text = format!("{:0width$}", amount.unsigned_abs(), width = digits + 1);
    let (whole, rest) = text.split_at(text.len() - digits);
    let mut grouped = String::with_capacity(text.len() + text.len() / GROUP);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % GROUP == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if digits > 0 { "." } else { "" };
    format!("{sign}{}{grouped}{point}{rest}", currency_sign(currency))
}

/// `1 ticket`, `2 tickets`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number}{NO_BREAK}{}", if number == 1 { one } else { many })
}

/// A moment as people at the venue read it.
#[derive(Clone, Debug)]
pub struct When {
    /// For machines (RFC 3339).
    pub machine: String,
    /// `Saturday, 21 November 2026`.
    pub day: String,
    /// `20:00`.
    pub time: String,
    /// `CET`.
    pub zone: String,
    /// `21`.
    pub day_number: String,
    /// `Nov`.
    pub month: String,
    /// `Sat`.
    pub weekday: String,
}

impl When {
    /// `at` in the zone of this IANA name; in UTC if this machine doesn't know the zone.
    #[must_use]
    pub fn new(at: Timestamp, zone: &str) -> Self {
        let zoned: Zoned = at.in_tz(zone).unwrap_or_else(|_| at.to_zoned(TimeZone::UTC));
        let text = |format: &str| zoned.strftime(format).to_string();
        Self {
            machine: at.to_string(),
            day: text("%A, %-d %B %Y"),
            time: text("%H:%M"),
            zone: text("%Z"),
            day_number: text("%-d"),
            month: text("%b"),
            weekday: text("%a"),
        }
    }

    /// `Saturday, 21 November 2026 at 20:00 CET`.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{} at {}{NO_BREAK}{}", self.day, self.time, self.zone)
    }

    /// `Sat 21 Nov, 20:00`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{} {} {}, {}", self.weekday, self.day_number, self.month, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_signs_digits_and_thousands() {
        assert_eq!(money(104_950, Currency::EUR), "€1,049.50");
        assert_eq!(money(5, Currency::EUR), "€0.05");
        assert_eq!(money(-123_456_789, Currency::GBP), "−£1,234,567.89");
        assert_eq!(money(1_200, Currency::JPY), "¥1,200");
        assert_eq!(money(990, Currency::CHF), "CHF\u{a0}9.90");
        assert_eq!(price(0, Currency::EUR), "free");
    }

    #[test]
    fn times_are_the_venues() {
        let at: Timestamp = "2026-11-21T19:00:00Z".parse().unwrap();
        let when = When::new(at, "Europe/Berlin");
        assert_eq!(when.whole(), "Saturday, 21 November 2026 at 20:00\u{a0}CET");
        assert_eq!(When::new(at, "No/Where").time, "19:00");
    }
}
