//! What is held or bought, line by line, as pages show it.

use super::words;
use crate::catalog::Listing;
use crate::holds::http::{LineView, PlaceView};
use crate::{counted, say};

/// A line of a hold or an order.
pub struct LineItem {
    /// What it is.
    pub name: String,
    /// How many, each at what price.
    pub each: String,
    /// What it costs.
    pub total: String,
    /// Its places, as they are called.
    pub places: Vec<String>,
}

/// Lines as pages show them.
#[must_use]
pub fn items(listing: &Listing, lines: &[LineView]) -> Vec<LineItem> {
    let currency = listing.event.currency;
    let item = |line: &LineView| {
        let unit = words::price(line.unit.total(), currency);
        let discount = if line.unit.discount > 0 {
            format!(
                ", {}",
                say("offer.off").put("amount", words::money(line.unit.discount, currency))
            )
        } else {
            String::new()
        };
        let tier = if line.tier.is_empty() { String::new() } else { format!(" · {}", line.tier) };
        let each = if line.total == line.unit.total() * i64::try_from(line.quantity).unwrap_or(0) {
            format!("{} × {unit}{discount}", line.quantity)
        } else {
            counted("count.places", line.quantity).into()
        };
        LineItem {
            name: format!("{}{tier}", line.name),
            each,
            total: words::price(line.total, currency),
            places: labels(&line.places.iter().map(|p| held_name(listing, p)).collect::<Vec<_>>()),
        }
    };
    lines.iter().map(item).collect()
}

/// How a place is called.
#[must_use]
pub fn place_name(listing: &Listing, place: &PlaceView) -> String {
    let section = listing.section_coded(&place.section);
    let section = section.map_or(place.section.as_str(), |section| section.name.as_str());
    words::place(section, place.row.as_deref(), place.seat.as_deref())
}

/// The same, and who it is for if that is known.
fn held_name(listing: &Listing, place: &PlaceView) -> String {
    let name = place_name(listing, place);
    match &place.attendee {
        Some(attendee) => format!("{name} · {attendee}"),
        None => name,
    }
}

/// Labels, with equal ones (units of an area) counted.
#[must_use]
pub fn labels(all: &[String]) -> Vec<String> {
    let groups = all.chunk_by(|a, b| a == b);
    let label = |group: &[String]| match group {
        [one] => one.clone(),
        many => format!("{} × {}", many.len(), many[0]),
    };
    groups.map(label).collect()
}

/// What is inside a sum: fees and tax.
#[must_use]
pub fn contained(listing: &Listing, lines: &[LineView]) -> String {
    let of = |part: fn(&LineView) -> i64| -> i64 {
        lines.iter().map(|line| part(line) * i64::try_from(line.quantity).unwrap_or(0)).sum()
    };
    let (fees, tax) = (of(|line| line.unit.fee), of(|line| line.unit.tax));
    let currency = listing.event.currency;
    let part = |amount, key| {
        (amount > 0).then(|| say(key).put("amount", words::money(amount, currency)).to_string())
    };
    let parts: Vec<String> =
        [part(fees, "offer.fees"), part(tax, "offer.tax")].into_iter().flatten().collect();
    if parts.is_empty() {
        return String::new();
    }
    let parts = parts.join(&format!(" {} ", say("offer.and")));
    say("offer.contained").put("parts", parts).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_an_area_are_counted() {
        let all = ["Floor", "Floor", "Row A, seat 1"].map(str::to_owned);
        assert_eq!(labels(&all), ["2 × Floor", "Row A, seat 1"]);
    }
}
