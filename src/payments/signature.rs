//! Signed webhooks, in the scheme that Stripe publishes and the sandbox shares.
//!
//! The header reads `t=<unix seconds>,v1=<hex>`, where the hex is the HMAC-SHA256 of
//! `<t>.<raw body>`. While a secret rotates, the sender puts one `v1` per secret and the receiver
//! knows several secrets: any pair that fits is enough. The raw body is what was signed, so a
//! body that was parsed and written again does not verify.

use std::fmt;

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::WebhookError;

/// How far a signature's time may be from ours, in seconds, both ways.
pub const TOLERANCE_SECONDS: i64 = 300;

/// How many secrets may be current at once; rotation needs two.
pub const MAX_SECRETS: usize = 8;

/// How many `v1` signatures one header may carry.
const MAX_SIGNATURES: usize = 16;

/// The longest signature header that is read, in bytes.
const MAX_HEADER_BYTES: usize = 2_048;

/// Bytes of an HMAC-SHA256.
pub const MAC_BYTES: usize = 32;

/// The current signing secrets, newest first, keyed once.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// An HMAC keyed with `key`.
pub fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// The HMAC of the parts' concatenation.
pub fn mac_of(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Secrets {
    /// Takes the first [`MAX_SECRETS`] of `secrets`.
    pub fn new(secrets: &[String]) -> Self {
        Self(secrets.iter().take(MAX_SECRETS).map(|secret| keyed(secret.as_bytes())).collect())
    }

    /// The header's value for `body`: one signature per secret.
    pub fn header_value(&self, at: Timestamp, body: &[u8]) -> String {
        let time = at.as_second().to_string();
        let mut value = format!("t={time}");
        for key in &self.0 {
            value.push_str(",v1=");
            value.push_str(&hex::encode(mac_of(key, &[time.as_bytes(), b".", body])));
        }
        value
    }

    /// Whether `headers` carry a signature of `body` under any current secret, made about `now`.
    ///
    /// # Errors
    /// `Malformed` without exactly one readable header, `BadSignature` when nothing fits, and
    /// `OutsideTolerance` for what was truly signed but long ago or in the future: whoever
    /// can't sign learns nothing about our clock.
    pub fn check(
        &self,
        headers: &HeaderMap,
        name: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), WebhookError> {
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(WebhookError::Malformed);
        };
        let value = value.to_str().map_err(|_| WebhookError::Malformed)?;
        let claimed = Claimed::parse(value).ok_or(WebhookError::Malformed)?;
        let mut fits = Choice::from(0);
        for key in &self.0 {
            let expected = mac_of(key, &[claimed.time.as_bytes(), b".", body]);
            for signature in &claimed.signatures {
                fits |= expected.ct_eq(signature);
            }
        }
        if !bool::from(fits) {
            return Err(WebhookError::BadSignature);
        }
        if claimed.second.abs_diff(now.as_second()) > TOLERANCE_SECONDS.unsigned_abs() {
            return Err(WebhookError::OutsideTolerance);
        }
        Ok(())
    }
}

/// What a signature header says.
struct Claimed<'a> {
    /// The time exactly as written, because that text was signed.
    time: &'a str,
    second: i64,
    signatures: Vec<[u8; MAC_BYTES]>,
}

impl<'a> Claimed<'a> {
    /// Unknown schemes are passed over, as Stripe asks; two times are a contradiction.
    fn parse(value: &'a str) -> Option<Self> {
        if value.len() > MAX_HEADER_BYTES {
            return None;
        }
        let mut time = None;
        let mut signatures = Vec::new();
        for element in value.split(',') {
            let (key, content) = element.trim().split_once('=')?;
            match key {
                "t" if time.is_some() => return None,
                "t" => time = Some(content),
                "v1" => {
                    let mut signature = [0; MAC_BYTES];
                    hex::decode_to_slice(content, &mut signature).ok()?;
                    signatures.push(signature);
                }
                _ => {}
            }
        }
        let time = time?;
        let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let second = time.parse().ok().filter(|_| digits)?;
        let counted = (1..=MAX_SIGNATURES).contains(&signatures.len());
        counted.then_some(Self { time, second, signatures })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NAME: &str = "some-signature";
    const BODY: &[u8] = br#"{"id":"evt_1", "a": 1}"#;

    fn secrets(names: &[&str]) -> Secrets {
        Secrets::new(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time in range")
    }

    fn check(header: &str, body: &[u8], now: i64) -> Result<(), WebhookError> {
        let mut headers = HeaderMap::new();
        headers.insert(NAME, HeaderValue::from_str(header).expect("a header"));
        secrets(&["new", "old"]).check(&headers, NAME, body, at(now))
    }

    #[test]
    fn a_true_signature_holds_for_five_minutes_both_ways() {
        let header = secrets(&["old"]).header_value(at(1_000), BODY);
        assert_eq!(check(&header, BODY, 1_000), Ok(()));
        assert_eq!(check(&header, BODY, 1_300), Ok(()));
        assert_eq!(check(&header, BODY, 700), Ok(()));
        assert_eq!(check(&header, BODY, 1_301), Err(WebhookError::OutsideTolerance));
        assert_eq!(check(&header, BODY, 699), Err(WebhookError::OutsideTolerance));
    }

    #[test]
    fn any_of_several_signatures_is_enough() {
        let header = secrets(&["unknown", "old"]).header_value(at(1_000), BODY);
        assert_eq!(header.matches("v1=").count(), 2);
        assert_eq!(check(&header, BODY, 1_000), Ok(()));
        let with_others = format!("{header},v0=abc,v2=zz");
        assert_eq!(check(&with_others, BODY, 1_000), Ok(()));
    }

    #[test]
    fn nothing_that_was_changed_verifies() {
        let header = secrets(&["new"]).header_value(at(1_000), BODY);
        let again = br#"{"id":"evt_1","a":1}"#;
        assert_eq!(check(&header, again, 1_000), Err(WebhookError::BadSignature));
        let moved = header.replace("t=1000", "t=1001");
        assert_eq!(check(&moved, BODY, 1_001), Err(WebhookError::BadSignature));
        let stranger = secrets(&["stranger"]).header_value(at(1_000), BODY);
        assert_eq!(check(&stranger, BODY, 1_000), Err(WebhookError::BadSignature));
        // Old and forged: says nothing about the clock.
        assert_eq!(check(&stranger, BODY, 9_000), Err(WebhookError::BadSignature));
    }

    #[test]
    fn unreadable_headers_are_malformed() {
        let good = secrets(&["new"]).header_value(at(1_000), BODY);
        let twice_timed = format!("{good},t=1000");
        let short = &good[..good.len() - 1];
        let many = format!("t=1000{}", format!(",v1={}", "0".repeat(64)).repeat(17));
        let long = format!("{good},v0={}", "0".repeat(MAX_HEADER_BYTES));
        let signed_time = good.replace("t=1000", "t=+1000");
        for header in
            ["", "t=1000", "v1=00", "nonsense", &twice_timed, short, &many, &long, &signed_time]
        {
            assert_eq!(check(header, BODY, 1_000), Err(WebhookError::Malformed), "{header}");
        }
        let none = secrets(&["new"]).check(&HeaderMap::new(), NAME, BODY, at(1_000));
        assert_eq!(none, Err(WebhookError::Malformed));
    }

    #[test]
    fn two_headers_contradict_each_other() {
        let good = secrets(&["new"]).header_value(at(1_000), BODY);
        let mut headers = HeaderMap::new();
        headers.append(NAME, HeaderValue::from_str(&good).expect("a header"));
        headers.append(NAME, HeaderValue::from_str(&good).expect("a header"));
        let answer = secrets(&["new"]).check(&headers, NAME, BODY, at(1_000));
        assert_eq!(answer, Err(WebhookError::Malformed));
    }
}
