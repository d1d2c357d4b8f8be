//! What is wrong with a manifest, and where.

use std::fmt;

use serde::Serialize;

/// The most errors that are collected and shown at once; the rest is usually the same again.
pub const MAX_ERRORS: usize = 20;

/// The most characters of the offending input that a message repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// The longest message of a library that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{at}: {message}")]
pub struct ManifestError {
    /// Where: a line of a CSV file (`line 12, column level`), or a path in a JSON file
    /// (`sections[3].rows[0].seats[2].level`, `zones[0].rows[4].seats[1]`), or a line and
    /// column of a JSON file that has not the right shape (`line 3, character 14`).
    pub at: String,
    /// What is wrong there, in a few words for people.
    pub message: String,
}

/// Everything that is wrong with a manifest, up to [`MAX_ERRORS`] findings and never none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ManifestErrors(Vec<ManifestError>);

impl ManifestErrors {
    /// The errors in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[ManifestError] {
        &self.0
    }
}

impl From<ManifestError> for ManifestErrors {
    fn from(error: ManifestError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        if self.0.len() == MAX_ERRORS {
            f.write_str("\n(there may be more)")?;
        }
        Ok(())
    }
}

/// Collects errors while a manifest is read or checked.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<ManifestError>);

impl Findings {
    /// Notes an error, unless enough are noted already.
    pub fn add(&mut self, at: impl Into<String>, message: impl Into<String>) {
        if !self.is_full() {
            self.0.push(ManifestError { at: at.into(), message: message.into() });
        }
    }

    /// Whether looking for more would be in vain.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    /// An error if anything was found.
    pub fn into_result(self) -> Result<(), ManifestErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(ManifestErrors(self.0)) }
    }
}

/// A single error.
pub(super) fn error(at: impl Into<String>, message: impl Into<String>) -> ManifestErrors {
    ManifestErrors::from(ManifestError { at: at.into(), message: message.into() })
}

/// The offending input for a message: escaped, so that it can't disturb a terminal, and cut,
/// so that a megabyte of it doesn't come back.
pub(super) fn quoted(input: &str) -> String {
    match input.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &input[..end]),
        None => format!("{input:?}"),
    }
}

/// A message of a library that repeats input as it is: escaped and cut like quoted input, only
/// with room for the library's own words.
pub(super) fn tamed(message: &str) -> String {
    let mut tamed = String::new();
    for (count, character) in message.chars().enumerate() {
        if count == MAX_MESSAGE_CHARS {
            tamed.push('…');
            break;
        }
        // Quotation marks are the library's more often than the input's.
        match character {
            '"' | '\'' | '\\' => tamed.push(character),
            _ => tamed.extend(character.escape_debug()),
        }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stop_at_the_limit() {
        let mut findings = Findings::default();
        for n in 0..MAX_ERRORS + 5 {
            findings.add(format!("line {n}"), "wrong");
        }
        let errors = findings.into_result().unwrap_err();
        assert_eq!(errors.as_slice().len(), MAX_ERRORS);
        assert!(errors.to_string().starts_with("line 0: wrong\nline 1: wrong\n"));
        assert!(errors.to_string().ends_with("(there may be more)"));
        assert_eq!(Findings::default().into_result(), Ok(()));
    }

    #[test]
    fn messages_of_libraries_are_escaped_and_cut() {
        assert_eq!(tamed("unknown field `a\u{1b}`, \"b\""), "unknown field `a\\u{1b}`, \"b\"");
        assert_eq!(tamed(&"x".repeat(1_000_000)).chars().count(), MAX_MESSAGE_CHARS + 1);
    }

    #[test]
    fn quoted_input_is_escaped_and_cut() {
        assert_eq!(quoted("a\u{1b}[2J\u{202e}"), r#""a\u{1b}[2J\u{202e}""#);
        assert_eq!(quoted(&"é".repeat(1_000_000)).chars().count(), MAX_QUOTED_CHARS + 3);
    }
}
