//! E-mail addresses: parsed at the edge, and normalised so that one person is one key.

use std::fmt;

/// Longest address (RFC 5321).
const MAX_BYTES: usize = 254;

/// An address that mail can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address. `None` if mail could not be sent there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_BYTES || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (local, domain) = text.rsplit_once('@')?;
        if !domain.contains('.') && domain != "localhost" {
            return None;
        }
        let address: lettre::Address = text.parse().ok()?;
        (!local.is_empty()).then(|| Self(address.to_string()))
    }

    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The person behind it: lower case, without a `+tag`, and without the dots that Gmail
    /// ignores. Only for counting; mail goes to the address as given.
    #[must_use]
    pub fn key(&self) -> String {
        let lower = self.0.to_lowercase();
        let Some((local, domain)) = lower.rsplit_once('@') else { return lower };
        let local = local.split('+').next().unwrap_or(local);
        match domain {
            "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
            _ => format!("{local}@{domain}"),
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_key() {
        let key = |text: &str| Email::parse(text).unwrap().key();
        assert_eq!(key("Ada.Lovelace+tickets@GMail.com"), "adalovelace@gmail.com");
        assert_eq!(key("ada.lovelace@googlemail.com"), "adalovelace@gmail.com");
        assert_eq!(key("Ada.L+x@Example.org"), "ada.l@example.org");
    }

    #[test]
    fn what_mail_cannot_reach_is_refused() {
        let long = format!("{}@example.org", "a".repeat(250));
        for bad in ["", "ada", "@example.org", "a b@example.org", "ada@host", "a\n@b.c", &long] {
            assert_eq!(Email::parse(bad), None, "{bad}");
        }
    }
}
