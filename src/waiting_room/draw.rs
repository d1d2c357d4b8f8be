//! The verifiable draw. Anyone can recompute anybody's place:
//!
//! ```text
//! key     = seed (32 bytes) ‖ beacon (its text, UTF-8)
//! message = event (16 bytes) ‖ lane (2 bytes, big-endian) ‖ subject (16 bytes)
//! place   = the first 8 bytes of HMAC-SHA256(key, message), big-endian, shifted right by 2 bits
//! u       = place / 2^62, from 0 to 1
//! ```
//!
//! SHA-256(seed) and the beacon's name are published when the lane is made. The beacon is a
//! public value that nobody knows before joining has closed; the seed is revealed together with
//! it. So the organizer can't choose ranks (the beacon is missing), and nobody else can foresee
//! them (the seed is missing). What it doesn't show: that every subject is another person.
//!
//! A presale registration is drawn in the same way ([`crate::registrations`]): its lane is -1
//! minus its number in the event, as 2 bytes in two's complement, so that no lane of a waiting
//! room has it. The first is lane -1, bytes `ff ff`.
//!
//! The subject is the session's or the account's id, and event and subject are the UUIDs' bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::EventId;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;
/// Longest text of a beacon.
pub const MAX_BEACON_CHARS: usize = 500;

/// A lane's draw, before or after it.
#[derive(Clone)]
pub struct Draw {
    event: EventId,
    lane: i16,
    seed: [u8; SEED_BYTES],
    /// What will be mixed in, named beforehand.
    pub beacon_name: String,
    /// Its round, where it can be fetched.
    pub beacon_round: Option<i64>,
    /// What was mixed in.
    pub beacon: Option<String>,
    /// Keyed with seed and beacon, so that a rank costs only its own message.
    keyed: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for Draw {
    // The seed is a secret until the draw.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw").field("beacon", &self.beacon).finish_non_exhaustive()
    }
}

impl Draw {
    /// The draw of a lane.
    #[must_use]
    pub fn new(
        event: EventId,
        lane: i16,
        seed: [u8; SEED_BYTES],
        beacon_name: &str,
        beacon_round: Option<i64>,
        beacon: Option<&str>,
    ) -> Self {
        let keyed = beacon.and_then(|beacon| {
            Hmac::new_from_slice(&[seed.as_slice(), beacon.as_bytes()].concat()).ok()
        });
        Self {
            event,
            lane,
            seed,
            beacon_name: beacon_name.to_owned(),
            beacon_round,
            beacon: beacon.map(str::to_owned),
            keyed,
        }
    }

    /// Whether ranks are known.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        self.keyed.is_some()
    }

    /// SHA-256 of the seed: published from the beginning.
    #[must_use]
    pub fn seed_hash(&self) -> [u8; 32] {
        Sha256::digest(self.seed).into()
    }

    /// The seed, once it is no secret any more.
    #[must_use]
    pub fn revealed(&self) -> Option<[u8; SEED_BYTES]> {
        self.is_drawn().then_some(self.seed)
    }

    /// The place of a subject: from 0 to 2^62 (not included). `None` before the draw.
    #[must_use]
    pub fn place(&self, subject: Uuid) -> Option<i64> {
        let mut mac = self.keyed.clone()?;
        mac.update(self.event.0.as_bytes());
        mac.update(&self.lane.to_be_bytes());
        mac.update(subject.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        i64::try_from(u64::from_be_bytes(first) >> 2).ok()
    }
}

/// A place as a fraction of 1.
#[must_use]
pub fn fraction(place: i64) -> f64 {
    place as f64 / super::DRAWN as f64
}

/// What a stranger needs to check a rank; see the module's text.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The event.
    pub event: Uuid,
    /// The lane's number.
    pub lane: i16,
    /// Whose rank.
    pub subject: Uuid,
    /// The revealed seed.
    pub seed: [u8; SEED_BYTES],
    /// What was published beforehand, if it is to be checked as well.
    pub seed_hash: Option<[u8; 32]>,
    /// The beacon's text.
    pub beacon: &'a str,
}

/// The place that follows from a claim. `None` if the seed isn't the one that was promised.
#[must_use]
pub fn verify(claim: &Claim) -> Option<i64> {
    let draw =
        Draw::new(EventId(claim.event), claim.lane, claim.seed, "", None, Some(claim.beacon));
    if claim.seed_hash.is_some_and(|promised| promised != draw.seed_hash()) {
        return None;
    }
    draw.place(claim.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

    fn subject(number: u128) -> Uuid {
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0001_0000 + number)
    }

    fn draw(beacon: Option<&str>) -> Draw {
        Draw::new(EventId(EVENT), 3, [0x42; 32], "coin", None, beacon)
    }

    /// Test vectors for other implementations, computed with Python's `hmac`.
    #[test]
    fn the_documented_rule_gives_the_documented_places() {
        let vectors: [(u128, &str, i64); 3] = [
            (1, "heads", 3_204_161_058_081_628_751),
            (2, "heads", 1_962_050_560_251_270_886),
            (1, "8c1f5b2e", 950_733_643_740_394_130),
        ];
        for (number, beacon, place) in vectors {
            assert_eq!(draw(Some(beacon)).place(subject(number)), Some(place), "{number} {beacon}");
        }
    }

    /// The same for presale registrations: the first and the eighth of an event.
    #[test]
    fn registrations_are_drawn_in_lanes_below_zero() {
        let vectors: [(i16, u128, i64); 3] = [
            (0, 1, 259_439_631_489_972_687),
            (0, 2, 4_147_904_702_586_336_710),
            (7, 1, 1_888_634_230_886_040_356),
        ];
        for (number, who, place) in vectors {
            let lane = crate::registrations::lane(number);
            let draw = Draw::new(EventId(EVENT), lane, [0x42; 32], "coin", None, Some("heads"));
            assert_eq!(draw.place(subject(who)), Some(place), "{number} {who}");
        }
    }

    #[test]
    fn nothing_is_known_before_the_beacon() {
        let before = draw(None);
        assert!(!before.is_drawn());
        assert_eq!((before.place(subject(1)), before.revealed()), (None, None));
        assert_eq!(before.seed_hash(), draw(Some("x")).seed_hash());
    }

    #[test]
    fn a_place_depends_on_everything_that_was_named() {
        let base = draw(Some("x")).place(subject(1));
        assert_ne!(base, draw(Some("y")).place(subject(1)));
        assert_ne!(base, draw(Some("x")).place(subject(2)));
        let other = Draw::new(EventId(EVENT), 4, [0x42; 32], "", None, Some("x"));
        assert_ne!(base, other.place(subject(1)));
        let other = Draw::new(EventId(EVENT), 3, [0x43; 32], "", None, Some("x"));
        assert_ne!(base, other.place(subject(1)));
    }

    #[test]
    fn a_stranger_finds_the_same_place_and_a_changed_seed() {
        let draw = draw(Some("x"));
        let mut claim = Claim {
            event: EVENT,
            lane: 3,
            subject: subject(9),
            seed: [0x42; 32],
            seed_hash: Some(draw.seed_hash()),
            beacon: "x",
        };
        assert_eq!(verify(&claim), draw.place(subject(9)));
        claim.seed[0] ^= 1;
        assert_eq!(verify(&claim), None);
    }

    /// Neither the order of arrival nor the id says anything about the rank: Spearman's rho of
    /// n independent ranks has the standard deviation 1/sqrt(n-1).
    #[test]
    fn ranks_do_not_follow_the_order_of_arrival() {
        let n = 20_000_u32;
        let draw = draw(Some("a beacon"));
        let mut order: Vec<(i64, u32)> =
            (0..n).map(|i| (draw.place(subject(u128::from(i))).unwrap(), i)).collect();
        order.sort_unstable();
        let squares: f64 = order
            .iter()
            .enumerate()
            .map(|(rank, (_, arrival))| (rank as f64 - f64::from(*arrival)).powi(2))
            .sum();
        let n = f64::from(n);
        let rho = 1.0 - 6.0 * squares / (n * (n * n - 1.0));
        assert!(rho.abs() < 4.0 / (n - 1.0).sqrt(), "rho {rho}");
        // And they are spread evenly: chi-squared over 100 bins, 99 degrees of freedom.
        let mut bins = [0_u32; 100];
        for (place, _) in &order {
            bins[(fraction(*place) * 100.0) as usize] += 1;
        }
        let expected = n / 100.0;
        let chi: f64 = bins.iter().map(|b| (f64::from(*b) - expected).powi(2) / expected).sum();
        assert!(chi < 160.0, "chi squared {chi}");
    }
}
