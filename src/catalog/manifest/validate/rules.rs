//! The rules for single values. Each says what is wrong, or nothing.

use std::collections::HashSet;

use super::super::error::quoted;
use super::super::{MAX_COORDINATE_M, MAX_OUTLINE_POINTS, Point};

pub(super) fn count_fault(count: usize, limit: usize) -> Option<String> {
    if count == 0 {
        return Some("there are none".to_owned());
    }
    (count > limit).then(|| format!("{count} are too many; at most {limit} are possible"))
}

pub(super) fn twice_fault<'a>(seen: &mut HashSet<&'a str>, label: &'a str) -> Option<String> {
    (!seen.insert(label)).then(|| format!("{} is there twice", quoted(label)))
}

/// What is wrong with a label or name of at most `limit` characters.
pub(super) fn text_fault(text: &str, limit: usize) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.trim() != text {
        return Some(format!("{} starts or ends with a space", quoted(text)));
    }
    // Bytes bound characters from above, so most texts need no counting.
    if text.len() > limit && text.chars().count() > limit {
        return Some(format!("{} has more than {limit} characters", quoted(text)));
    }
    text.chars()
        .any(is_deceptive)
        .then(|| format!("{} contains an invisible or direction-changing character", quoted(text)))
}

/// Characters that can't be seen, or make the rest of a line read differently from what it is:
/// on a ticket, in a log or in a mail they only serve to deceive. Source: Unicode Standard
/// Annex 9 (bidirectional formatting) and Technical Report 36 (security considerations).
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn is_color(color: &str) -> bool {
    color.strip_prefix('#').is_some_and(|digits| {
        digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

pub(super) fn coordinate_fault(metres: f32) -> Option<String> {
    let possible = metres.is_finite() && metres.abs() <= MAX_COORDINATE_M;
    (!possible).then(|| format!("{metres} is not within ±{MAX_COORDINATE_M} metres"))
}

pub(super) fn point_fault(point: Point) -> Option<String> {
    coordinate_fault(point.x).or_else(|| coordinate_fault(point.y))
}

pub(super) fn outline_fault(outline: &[Point]) -> Option<String> {
    match outline.len() {
        0 => None,
        1 | 2 => Some("an outline has at least 3 corners, or none at all".to_owned()),
        3..=MAX_OUTLINE_POINTS => outline.iter().find_map(|point| point_fault(*point)),
        corners => Some(format!("{corners} corners; at most {MAX_OUTLINE_POINTS} are possible")),
    }
}
