//! How hard proofs are, and how long they are good.

use serde::{Deserialize, Serialize};

/// Largest `max`: solutions and their bound stay far inside 32 bits.
const MOST_HASHES: u32 = 100_000_000;
/// Longest life of a challenge, in seconds: spent proofs are remembered for longer than that.
const LONGEST_LIFE_S: u32 = 3_600;

/// Proof of work on joining.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofConfig {
    /// Hashes that solving takes on average when nothing is out of the ordinary.
    ///
    /// ALTCHA's widget asks the browser for every single hash, which a phone of 2021 is taken to
    /// answer some 50,000 times a second: so it needs about a second, which passes while a person
    /// reads the page. Our pages' own solver computes some twenty times as many. Native code
    /// needs only milliseconds: this is no wall. It makes each identity at each event cost
    /// something that can't be had in advance, and that rises where many are asked for.
    pub base: u32,
    /// The most hashes that are ever asked for on average, whatever the load and the client's
    /// record: 8 times the base, so that the same phone is through in 8 seconds, at worst 16. Who
    /// shares an address with a bot is slowed down but never shut out, and the widget, which
    /// gives up after 90 seconds, has time to spare.
    pub max: u32,
    /// Challenges per second and process that are no reason to ask for more. Above it, the work
    /// grows in proportion.
    pub comfortable_per_second: u32,
    /// Points that an address prefix collects in ten minutes before its work grows: a challenge
    /// is one, a refused proof ten. Generous, because households, schools and whole mobile
    /// networks share prefixes.
    pub allowance: u32,
    /// Seconds until a challenge is of no use any more, at most an hour.
    pub lifetime_s: u32,
    /// Prefixes whose record a process keeps; the quietest are forgotten first.
    pub max_prefixes: usize,
}

impl Default for ProofConfig {
    fn default() -> Self {
        Self {
            base: 50_000,
            max: 400_000,
            comfortable_per_second: 500,
            allowance: 60,
            lifetime_s: 600,
            max_prefixes: 100_000,
        }
    }
}

impl ProofConfig {
    /// Says to `check` what must be true, by name.
    pub fn validate(&self, check: &mut impl FnMut(bool, &str)) {
        check(self.base >= 1, "waiting_room.proof.base: at least 1");
        check(
            (self.base..=MOST_HASHES).contains(&self.max),
            "waiting_room.proof.max: from base to 100000000",
        );
        check(
            self.comfortable_per_second >= 1,
            "waiting_room.proof.comfortable_per_second: at least 1",
        );
        check(self.allowance >= 1, "waiting_room.proof.allowance: at least 1");
        check(
            (30..=LONGEST_LIFE_S).contains(&self.lifetime_s),
            "waiting_room.proof.lifetime_s: 30 to 3600",
        );
        check(self.max_prefixes >= 100, "waiting_room.proof.max_prefixes: at least 100");
    }
}
