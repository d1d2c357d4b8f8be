//! How pages write money, times and numbers: in the reader's language, in the venue's time zone.

use iso_currency::Currency;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::catalog::{Listing, Place};
use crate::say;
use crate::words::Language;

/// Digits between separators of thousands.
const GROUP: usize = 3;

/// How amounts of a currency are written: with a symbol where it can't be mistaken, else with
/// the code. `{amount}` stands for the number.
#[must_use]
pub fn money_pattern(currency: Currency) -> String {
    let known = match currency {
        Currency::EUR => Some("€"),
        Currency::GBP => Some("£"),
        Currency::JPY => Some("¥"),
        _ => None,
    };
    let said = match known {
        Some(symbol) => say("format.money_symbol").put("symbol", symbol),
        None => say("format.money_code").put("symbol", currency.code()),
    };
    said.put("amount", "{amount}").into()
}

/// Digits after the point.
#[must_use]
pub fn currency_digits(currency: Currency) -> usize {
    usize::from(currency.exponent().unwrap_or(0))
}

/// An amount in minor units: `€1,049.50`. Nothing is `free`.
#[must_use]
pub fn price(amount: i64, currency: Currency) -> String {
    if amount == 0 { say("format.free").into() } else { money(amount, currency) }
}

/// An amount in minor units: `€1,049.50`.
#[must_use]
pub fn money(amount: i64, currency: Currency) -> String {
    let digits = currency_digits(currency);
    let sign = if amount < 0 { "−" } else { "" };
    let text = format!("{:0width$}", amount.unsigned_abs(), width = digits + 1);
    let (whole, rest) = text.split_at(text.len() - digits);
    let mut number = separated(whole);
    if digits > 0 {
        number.push_str(&say("format.point").to_string());
        number.push_str(rest);
    }
    format!("{sign}{}", money_pattern(currency).replace("{amount}", &number))
}

/// Digits with separators of thousands.
fn separated(digits: &str) -> String {
    let group = say("format.group").to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(GROUP) {
            text.push_str(&group);
        }
        text.push(digit);
    }
    text
}

/// A number with separators of thousands.
#[must_use]
pub fn grouped(number: &u64) -> String {
    separated(&number.to_string())
}

/// How a place is called; units of areas have neither row nor seat.
#[must_use]
pub fn place(section: &str, row: Option<&str>, seat: Option<&str>) -> String {
    match (row, seat) {
        (Some(row), Some(seat)) => {
            say("place.seat").put("section", section).put("row", row).put("seat", seat).into()
        }
        _ => section.to_owned(),
    }
}

/// The same of a place of this listing.
#[must_use]
pub fn place_of(listing: &Listing, place: &Place) -> String {
    let section = listing.section(place.section).map_or("", |section| section.name.as_str());
    self::place(section, place.row.as_deref(), place.seat.as_deref())
}

/// How many are left.
#[must_use]
pub fn left(number: &u32) -> String {
    match number {
        0 => say("count.left.none").into(),
        some => say("count.left").put("n", some).into(),
    }
}

/// A length of time as precise as an estimate may be: its number and its unit, or both.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (number, unit) = measured(seconds);
    say(unit).put("n", number).into()
}

/// `20 to 40 seconds`: the unit is said once, if it is the same. Nothing if both ends are.
#[must_use]
pub fn range(from_s: u64, to_s: u64) -> String {
    let ((from, unit), (to, same)) = (measured(from_s), measured(to_s));
    if (from, unit) == (to, same) {
        return String::new();
    }
    let from = if unit == same { from.to_string() } else { span(from_s) };
    say("time.range").put("from", from).put("to", span(to_s)).into()
}

/// How many of which unit: scripts round in the same way.
const fn measured(seconds: u64) -> (u64, &'static str) {
    match seconds {
        0..90 => (if seconds == 0 { 1 } else { seconds }.div_ceil(10) * 10, "time.seconds"),
        90..5_400 => ((seconds + 30) / 60, "time.minutes"),
        _ => ((seconds + 1_800) / 3_600, "time.hours"),
    }
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
    since: String,
    language: Language,
}

impl When {
    /// `at` in the zone of this IANA name, for the reader; in UTC if this machine doesn't know
    /// the zone.
    #[must_use]
    pub fn new(at: Timestamp, zone: &str) -> Self {
        Self::told(Language::current(), at, zone)
    }

    /// The same in this language.
    #[must_use]
    pub fn told(language: Language, at: Timestamp, zone: &str) -> Self {
        let zoned: Zoned = at.in_tz(zone).unwrap_or_else(|_| at.to_zoned(TimeZone::UTC));
        let text = |format: &str| zoned.strftime(format).to_string();
        let weekday = usize::try_from(zoned.weekday().to_monday_zero_offset()).unwrap_or(0);
        let month = usize::try_from(zoned.month() - 1).unwrap_or(0);
        let name = |list: &str, at: usize| {
            let names = language.text(list).unwrap_or_default();
            names.split(' ').nth(at).unwrap_or_default().to_owned()
        };
        let zone = text("%Z");
        let (day_number, year) = (text("%-d"), text("%Y"));
        let since = language.say("date.since").put("time", text("%H:%M")).put("zone", &zone);
        let since = since.put("d", &day_number).put("year", &year);
        let since = since.put("month", name("date.months", month));
        let day = language.say("date.day").put("weekday", name("date.days", weekday));
        let day = day.put("d", &day_number).put("month", name("date.months", month));
        Self {
            machine: at.to_string(),
            since: since.into(),
            day: day.put("year", year).into(),
            time: text("%H:%M"),
            zone: language.text(&format!("date.zone.{zone}")).map_or(zone, str::to_owned),
            day_number,
            month: name("date.months_short", month),
            weekday: name("date.days_short", weekday),
            language,
        }
    }

    fn as_said(&self, key: &str) -> String {
        let said = self.language.say(key).put("day", &self.day).put("time", &self.time);
        let said = said.put("zone", &self.zone).put("d", &self.day_number);
        said.put("month", &self.month).put("weekday", &self.weekday).into()
    }

    /// `Saturday, 21 November 2026 at 20:00 CET`.
    #[must_use]
    pub fn whole(&self) -> String {
        self.as_said("date.whole")
    }

    /// `Saturday, 21 November 2026, 20:00`.
    #[must_use]
    pub fn day_time(&self) -> String {
        self.as_said("date.day_time")
    }

    /// `Saturday, 21 November 2026, 20:00 CET`, as mails have it.
    #[must_use]
    pub fn mailed(&self) -> String {
        self.as_said("date.mail")
    }

    /// `21 November 2026, 20:00 CET`.
    #[must_use]
    pub fn since(&self) -> String {
        self.since.clone()
    }

    /// `Sat 21 Nov, 20:00`.
    #[must_use]
    pub fn short(&self) -> String {
        self.as_said("date.short")
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

    #[test]
    fn other_languages_write_them_their_own_way() {
        let at: Timestamp = "2026-11-21T19:00:00Z".parse().unwrap();
        let german = Language::of(Some("de"));
        crate::words::spoken(german, || {
            assert_eq!(money(104_950, Currency::EUR), "1.049,50\u{a0}€");
            assert_eq!(money(990, Currency::CHF), "9,90\u{a0}CHF");
            assert_eq!(price(0, Currency::EUR), "kostenlos");
            let when = When::new(at, "Europe/Berlin");
            assert_eq!(when.whole(), "Samstag, 21. November 2026 um 20:00\u{a0}Uhr (MEZ)");
            assert_eq!(when.short(), "Sa, 21. Nov, 20:00\u{a0}Uhr");
            assert_eq!(range(15, 40), "20 bis 40 Sekunden");
        });
    }

    #[test]
    fn estimates_are_as_rough_as_they_are() {
        assert_eq!(span(0), "10 seconds");
        assert_eq!(span(41), "50 seconds");
        assert_eq!(span(100), "2 min");
        assert_eq!(span(7_300), "2 hours");
        assert_eq!(range(15, 40), "20 to 40 seconds");
        assert_eq!(range(60, 120), "60 seconds to 2 min");
        assert_eq!(range(4, 9), "", "one estimate is enough");
        assert_eq!(grouped(&1_234_567), "1,234,567");
        assert_eq!(grouped(&999), "999");
    }
}
