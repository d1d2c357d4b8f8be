//! Tagged requests: those of a load program, which plays thousands of visitors from one address.
//!
//! The tag is a secret of one rehearsal, good until that ends. With it goes the address of the
//! visitor that is played, so that limits per address hold as in earnest. They are counted apart:
//! a visitor that is played is nobody's neighbour.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use uuid::Uuid;

use crate::ids::EventId;
use crate::keyring::Keyring;

/// Carries the tag and, after a space, the IPv4 address of the visitor that is played.
pub const HEADER: HeaderName = HeaderName::from_static("onsale-rehearsal");
/// The kind of the token.
const KIND: &str = "r1";
const BYTES: usize = 16 + 8;
/// The first byte of addresses that nobody has from outside (RFC 4193).
const NOBODYS: u8 = 0xfd;

/// A rehearsal's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The shadow.
    pub shadow: EventId,
    /// Until when it counts.
    pub until: Timestamp,
}

impl Tag {
    /// As text.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring) -> String {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(self.shadow.0.as_bytes());
        bytes[16..].copy_from_slice(&self.until.as_millisecond().to_be_bytes());
        keyring.seal(KIND, &bytes)
    }

    /// Reads one that a key of ours signed.
    #[must_use]
    pub fn open(keyring: &Keyring, text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = keyring.open(KIND, text)?;
        let (shadow, until) = bytes.split_first_chunk::<16>()?;
        let until = i64::from_be_bytes(until.try_into().ok()?);
        Some(Self {
            shadow: EventId(Uuid::from_bytes(*shadow)),
            until: Timestamp::from_millisecond(until).ok()?,
        })
    }
}

/// A visitor that is played. An extension of tagged requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// The shadow.
    pub shadow: EventId,
    /// Where limits count the visitor: an address that nobody has.
    pub address: IpAddr,
}

/// The visitor that a request plays, if it carries a tag that counts and is about the shadow, or
/// about what has no event in its path: a session, an order, its payment.
#[must_use]
pub fn played(
    keyring: &Keyring,
    headers: &HeaderMap,
    path: &str,
    now: Timestamp,
) -> Option<Played> {
    let value = headers.get(HEADER)?.to_str().ok()?;
    let (tag, address) = value.split_once(' ').unwrap_or((value, "0.0.0.0"));
    let Tag { shadow, until } = Tag::open(keyring, tag)?;
    if now >= until || !concerns(path, shadow) {
        return None;
    }
    Some(Played { shadow, address: address_of(shadow, address.parse().ok()?) })
}

fn concerns(path: &str, shadow: EventId) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("v1"), Some("events"), Some(event)) => event.parse() == Ok(shadow),
        (Some("v1"), Some("sessions"), None)
        | (Some("v1"), Some("orders"), Some(_))
        | (Some("rehearsals"), Some("pay"), Some(_)) => true,
        _ => false,
    }
}

/// Visitors of one network (/24) are neighbours here too: as one network of IPv6 is one of /48.
fn address_of(shadow: EventId, visitor: Ipv4Addr) -> IpAddr {
    let id = shadow.0.as_bytes();
    let [a, b, c, d] = visitor.octets();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&[NOBODYS, id[14], id[15], a, b, c, d, 0]);
    bytes[8..].copy_from_slice(&id[8..]);
    Ipv6Addr::from(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};
    use crate::http::limits::network;

    fn keyring(byte: &str) -> Keyring {
        let key = || vec![KeyConfig { id: 1, secret: byte.repeat(32) }];
        Keyring::new(&Keys { tokens: key(), tickets: key() }).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, value.parse().unwrap())])
    }

    #[test]
    fn a_tag_counts_for_its_shadow_until_its_end_and_no_longer() {
        let (keys, shadow) = (keyring("5a"), EventId::fresh());
        let tag = Tag { shadow, until: at(100) };
        let text = tag.seal(&keys);
        assert_eq!(Tag::open(&keys, &text), Some(tag));
        let played = |headers: &HeaderMap, path: &str, second| {
            self::played(&keys, headers, path, at(second)).is_some()
        };
        let (sent, about) = (headers(&text), format!("/v1/events/{shadow}/holds"));
        assert!(played(&sent, &about, 99) && !played(&sent, &about, 100));
        for path in ["/v1/sessions", "/v1/orders/x", "/v1/orders/x/cancel", "/rehearsals/pay/x"] {
            assert!(played(&sent, path, 0), "{path}");
        }
        let another = format!("/v1/events/{}/holds", EventId::fresh());
        for path in [another.as_str(), "/v1/events/show/holds", "/v1/orders", "/v1/sign-in", "/"] {
            assert!(!played(&sent, path, 0), "{path}");
        }
        let foreign = headers(&tag.seal(&keyring("5b")));
        let queue = headers(&keys.seal("q1", &[0; BYTES]));
        for wrong in [&foreign, &queue, &headers("x"), &headers(""), &HeaderMap::new()] {
            assert!(!played(wrong, &about, 0), "{wrong:?}");
        }
        assert!(!played(&headers(&format!("{text} nowhere")), &about, 0));
    }

    #[test]
    fn played_visitors_are_neighbours_of_each_other_and_of_nobody_else() {
        let (one, two) = (EventId(Uuid::from_u128(1)), EventId(Uuid::from_u128(2)));
        let address = |shadow, text: &str| address_of(shadow, text.parse().unwrap());
        let a = address(one, "10.1.2.3");
        assert_ne!(a, address(one, "10.1.2.4"));
        assert_ne!(a, address(two, "10.1.2.3"));
        assert_eq!(network::network(a), network::network(address(one, "10.1.2.200")));
        assert_ne!(network::network(a), network::network(address(one, "10.1.3.3")));
        // As its limits see it, too.
        assert_ne!(network::prefix(a, 64), network::prefix(address(one, "10.1.2.4"), 64));
    }
}
