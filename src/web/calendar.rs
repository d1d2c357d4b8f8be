//! An event as a calendar's file (RFC 5545).

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::event::find;
use super::page::Oops;
use crate::app::App;
use crate::catalog::Event;
use crate::http::extract::Path;

/// Longest line in octets, without its end (RFC 5545, 3.1).
const MAX_LINE: usize = 75;

/// The event's calendar file.
pub async fn calendar(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let text = file(&sale.listing.event, &app.config.http.public_url, app.now());
    let name = format!("attachment; filename=\"{slug}.ics\"");
    let kind = "text/calendar; charset=utf-8".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response())
}

fn file(event: &Event, public_url: &str, now: Timestamp) -> String {
    let venue = &event.venue;
    let place = [venue.name.as_str(), venue.address.as_str()];
    let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let cancelled = event.status == crate::catalog::EventStatus::Cancelled;
    let lines = [
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//onsale//onsale//EN".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}@onsale", event.id),
        format!("SEQUENCE:{}", event.version),
        format!("DTSTAMP:{}", stamp(now)),
        format!("DTSTART:{}", stamp(event.starts_at)),
        format!("SUMMARY:{}", escaped(&event.name)),
        format!("LOCATION:{}", escaped(&place.join(", "))),
        format!("DESCRIPTION:{}", escaped(&event.description)),
        format!("URL:{public_url}/events/{}", event.slug),
        format!("STATUS:{}", if cancelled { "CANCELLED" } else { "CONFIRMED" }),
        "END:VEVENT".to_owned(),
        "END:VCALENDAR".to_owned(),
    ];
    lines.iter().map(|line| folded(line)).collect()
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | ';' | ',' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

/// A line with its end; long ones go on in the next line after a space.
fn folded(line: &str) -> String {
    let (mut out, mut octets) = (String::with_capacity(line.len() + 8), 0);
    for letter in line.chars() {
        if octets + letter.len_utf8() > MAX_LINE {
            out.push_str("\r\n ");
            octets = 1;
        }
        out.push(letter);
        octets += letter.len_utf8();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_long_lines_folded() {
        assert_eq!(escaped("a, b; c\\d\r\ne"), "a\\, b\\; c\\\\d\\ne");
        let long = folded(&format!("SUMMARY:{}", "ü".repeat(60)));
        assert!(long.split("\r\n").all(|line| line.len() <= MAX_LINE));
        let whole: String = long.split("\r\n").map(|line| line.trim_start_matches(' ')).collect();
        assert_eq!(whole, format!("SUMMARY:{}", "ü".repeat(60)));
    }

    #[test]
    fn times_are_in_utc() {
        let at: Timestamp = "2026-11-21T19:00:00+01:00".parse().unwrap();
        assert_eq!(stamp(at), "20261121T180000Z");
    }
}
