//! What is configured of all waiting rooms; the rest is each organizer's.

use serde::{Deserialize, Serialize};

use super::proof::ProofConfig;

/// Waiting rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingRoom {
    /// Milliseconds between looks at what organizers and the controller have changed.
    pub follow_ms: u64,
    /// Milliseconds between decisions of the admission controller.
    pub admit_ms: u64,
    /// Late-comers' numbers that are reserved in Postgres at a time.
    pub reserve: i64,
    /// Shortest and longest time between two polls that a visitor is told, in seconds.
    pub poll_min_s: u32,
    /// See above.
    pub poll_max_s: u32,
    /// First polls after an opening that all processes together answer in a second, beside the
    /// shopping that begins then: everybody who waits is told to come within as many seconds as
    /// that takes. Whoever is called before having polled has lost nothing but these seconds.
    pub opening_polls_per_s: u32,
    /// Checkouts that take longer slow the admission down, in milliseconds.
    pub slow_checkout_ms: u64,
    /// Where beacons are fetched, with `{round}` in it, such as
    /// `https://api.drand.sh/CHAIN/public/{round}`. The answer is JSON as drand's relays give it:
    /// that `round`, its `signature`, and the `randomness` that is the signature's SHA-256.
    /// Empty: organizers enter them.
    pub beacon_url: String,
    /// How long it may take to answer, in milliseconds; it is asked again until it does.
    pub beacon_within_ms: u64,
    /// Proof of work on joining.
    pub proof: ProofConfig,
}

impl WaitingRoom {
    /// Tells what makes no sense.
    pub fn check(&self, check: &mut impl FnMut(bool, &str)) {
        check(self.follow_ms >= 20, "waiting_room.follow_ms: at least 20");
        check(self.admit_ms >= 50, "waiting_room.admit_ms: at least 50");
        check((1..=1_000_000).contains(&self.reserve), "waiting_room.reserve: 1 to 1000000");
        check(
            self.poll_min_s >= 1 && self.poll_min_s <= self.poll_max_s,
            "waiting_room.poll_min_s: at least 1, and not more than poll_max_s",
        );
        check(self.opening_polls_per_s >= 1, "waiting_room.opening_polls_per_s: at least 1");
        check(
            self.beacon_url.is_empty() || self.beacon_url.contains("{round}"),
            "waiting_room.beacon_url: needs {round}",
        );
        check(
            (100..=60_000).contains(&self.beacon_within_ms),
            "waiting_room.beacon_within_ms: 100 to 60000",
        );
    }
}

impl Default for WaitingRoom {
    fn default() -> Self {
        Self {
            follow_ms: 250,
            admit_ms: 500,
            reserve: 1_000,
            poll_min_s: 2,
            poll_max_s: 30,
            opening_polls_per_s: 10_000,
            slow_checkout_ms: 1_000,
            beacon_url: String::new(),
            beacon_within_ms: 5_000,
            proof: ProofConfig::default(),
        }
    }
}
