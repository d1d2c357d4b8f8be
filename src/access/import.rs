//! Organizers' own codes from a table: all of them or none, and every fault with its line.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::code::{MAX_CHARS, MIN_CHARS, normalise};
use super::{Binding, MAX_AT_ONCE};
use crate::accounts::email::Email;
use crate::ids::AccountId;

/// Faults that are told.
pub const MAX_FAULTS: usize = 100;

/// To whom a code belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// To whoever has it.
    Bearer,
    /// To this account.
    Account(AccountId),
    /// To the account with this (normalised) address.
    Email(String),
}

impl Recipient {
    /// Reads the recipient of a code of a set that is bound so; `None` if it is none.
    #[must_use]
    pub fn parse(binding: Binding, text: &str) -> Option<Self> {
        let text = text.trim();
        match binding {
            Binding::Bearer => text.is_empty().then_some(Self::Bearer),
            Binding::Account => text.parse().ok().map(|id: Uuid| Self::Account(AccountId(id))),
            Binding::Email => Email::parse(text).map(|email| Self::Email(email.key())),
        }
    }

    /// What a recipient of such a set is, for people.
    #[must_use]
    pub const fn form(binding: Binding) -> &'static str {
        match binding {
            Binding::Bearer => "codes of this set have no recipient",
            Binding::Account => "not the id of an account",
            Binding::Email => "not an e-mail address",
        }
    }
}

/// A code to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its line in the table, from 1.
    pub line: u64,
    /// As it is compared.
    pub code: String,
    /// Whose it is.
    pub recipient: Recipient,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From 1; the header is line 1.
    pub line: u64,
    /// What is wrong.
    pub detail: String,
}

/// The line that a record begins in. After CR LF the reader stands before the LF, in the line that
/// has just ended.
fn line_of(text: &[u8], at: &csv::Position) -> u64 {
    let before = usize::try_from(at.byte()).ok().and_then(|byte| text.get(byte)) == Some(&b'\n');
    at.line() + u64::from(before)
}

/// Reads a table with a column `code`, and `recipient` where the set is bound.
///
/// # Errors
/// All faults, at most [`MAX_FAULTS`]: no code may be there twice, however it is typed.
pub fn read(binding: Binding, bytes: &[u8]) -> Result<Vec<Own>, Vec<Fault>> {
    let fault = |line: u64, detail: &str| Fault { line, detail: detail.to_owned() };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let headers = reader.headers().map_err(|_| vec![fault(1, "not a table in UTF-8")])?.clone();
    let column = |name: &str| headers.iter().position(|known| known.eq_ignore_ascii_case(name));
    let at = column("code").ok_or_else(|| vec![fault(1, "needs a column named code")])?;
    let to = column("recipient");
    if binding != Binding::Bearer && to.is_none() {
        return Err(vec![fault(1, "codes of this set need a column named recipient")]);
    }
    let (mut codes, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, u64> = HashMap::new();
    for record in reader.records() {
        if faults.len() >= MAX_FAULTS {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.push(fault(line, "can't be read as CSV in UTF-8"));
                break;
            }
        };
        let line = record.position().map_or(0, |at| line_of(text, at));
        let Some(code) = record.get(at).and_then(normalise) else {
            let detail = format!("a code has {MIN_CHARS} to {MAX_CHARS} letters, digits and _");
            faults.push(fault(line, &detail));
            continue;
        };
        let recipient = to.and_then(|to| record.get(to)).unwrap_or_default();
        let Some(recipient) = Recipient::parse(binding, recipient) else {
            faults.push(fault(line, Recipient::form(binding)));
            continue;
        };
        if let Some(first) = seen.insert(code.clone(), line) {
            faults.push(fault(line, &format!("is the code of line {first}")));
            continue;
        }
        if codes.len() >= MAX_AT_ONCE {
            faults.push(fault(line, &format!("at most {MAX_AT_ONCE} codes at once")));
            break;
        }
        codes.push(Own { line, code, recipient });
    }
    if codes.is_empty() && faults.is_empty() {
        faults.push(fault(1, "has no codes"));
    }
    if faults.is_empty() { Ok(codes) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(binding: Binding, text: &[u8]) -> Vec<(u64, String)> {
        let faults = read(binding, text).expect_err("should be refused");
        faults.into_iter().map(|fault| (fault.line, fault.detail)).collect()
    }

    #[test]
    fn own_codes_are_read_as_they_are_compared() {
        let codes = read(Binding::Bearer, b"\xef\xbb\xbfcode\r\nfan-club-1\r\n\"SUMMER 26\"\r\n");
        let codes = codes.unwrap();
        assert_eq!((codes[0].code.as_str(), codes[0].line), ("FANC1UB1", 2));
        assert_eq!((codes[1].code.as_str(), codes[1].line), ("SUMMER26", 3));
        let text = b"recipient,code\nAda.L+x@example.org,ABCDEF\n";
        let codes = read(Binding::Email, text).unwrap();
        assert_eq!(codes[0].recipient, Recipient::Email("ada.l@example.org".into()));
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let text = b"code\nGOLDEN1\nx\ngolden-i\nSILVER\n=HYPERLINK()\n";
        let told = faults(Binding::Bearer, text);
        let lines: Vec<u64> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 6]);
        assert_eq!(told[1].1, "is the code of line 2");
        assert_eq!(faults(Binding::Bearer, b"name\nGOLDEN\n")[0].0, 1);
        assert_eq!(faults(Binding::Bearer, b"code\n")[0].1, "has no codes");
        assert_eq!(faults(Binding::Bearer, b"")[0].0, 1);
        assert_eq!(faults(Binding::Account, b"code\nGOLDEN\n")[0].0, 1);
        assert_eq!(faults(Binding::Account, b"code,recipient\nGOLDEN,me\n")[0].0, 2);
        assert_eq!(faults(Binding::Bearer, b"code,recipient\nGOLDEN,me\n")[0].0, 2);
        assert_eq!(faults(Binding::Bearer, b"code\nGOLD\xff\xfeEN\n")[0].0, 2);
        let many: String = (0..200).map(|_| "!\n").collect();
        assert_eq!(faults(Binding::Bearer, format!("code\n{many}").as_bytes()).len(), MAX_FAULTS);
    }
}
