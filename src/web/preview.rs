//! What other sites show of an event: search engines by schema.org's words, messengers by Open
//! Graph's.

use serde_json::json;

use super::offers;
use super::stage::Stage;
use crate::app::App;
use crate::catalog::{EventStatus, Listing};

/// Longest description in a preview, in characters.
const MAX_DESCRIPTION: usize = 200;

/// An event's preview.
pub struct Preview {
    /// The event's own address.
    pub url: String,
    /// What it is, in a line.
    pub description: String,
    /// JSON-LD; nothing in it ends the element that it is in.
    pub data: String,
}

impl Preview {
    /// The preview of an event whose sale stands so.
    #[must_use]
    pub fn new(app: &App, listing: &Listing, stage: &Stage, when: &str) -> Self {
        let event = &listing.event;
        let url = format!("{}/events/{}", app.config.http.public_url, event.slug);
        let text = event.description.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = text.chars().take(MAX_DESCRIPTION).collect();
        let whole = format!("{when}, {}. {short}", event.venue.name);
        let data = data(app, listing, stage, &url, &text);
        Self { description: whole.trim().to_owned(), data, url }
    }
}

fn data(app: &App, listing: &Listing, stage: &Stage, url: &str, description: &str) -> String {
    let event = &listing.event;
    let now = app.now();
    let amounts = offers::public(listing)
        .filter(|offer| !offers::needs_code(offer))
        .filter_map(|offer| offers::unit_now(offer, now).map(crate::catalog::UnitPrice::total));
    let amounts: Vec<i64> = amounts.collect();
    let status = match event.status {
        EventStatus::Cancelled => "https://schema.org/EventCancelled",
        _ => "https://schema.org/EventScheduled",
    };
    let availability = match stage.word {
        "on-sale" => "https://schema.org/InStock",
        "announced" | "paused" => "https://schema.org/PreSale",
        _ => "https://schema.org/SoldOut",
    };
    let digits = super::words::currency_digits(event.currency);
    let decimal = |amount: &i64| {
        let text = format!("{amount:0width$}", width = digits + 1);
        let (whole, rest) = text.split_at(text.len() - digits);
        if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
    };
    let mut data = json!({
        "@context": "https://schema.org",
        "@type": "Event",
        "name": event.name,
        "description": description,
        "startDate": event.starts_at.to_string(),
        "eventStatus": status,
        "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
        "url": url,
        "location": {
            "@type": "Place", "name": event.venue.name, "address": event.venue.address,
        },
    });
    if let (Some(low), Some(high)) = (amounts.iter().min(), amounts.iter().max()) {
        data["offers"] = json!({
            "@type": "AggregateOffer",
            "url": url,
            "lowPrice": decimal(low),
            "highPrice": decimal(high),
            "priceCurrency": event.currency.code(),
            "availability": availability,
        });
    }
    closed(&data.to_string())
}

/// JSON in which no text looks like a tag.
fn closed(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_element() {
        let text = json!({ "name": "</script><b>&" });
        let safe = closed(&text.to_string());
        assert!(!safe.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), text);
    }
}
