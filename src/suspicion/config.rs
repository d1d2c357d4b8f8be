//! What is configured of suspicion.

use serde::{Deserialize, Serialize};

/// Suspects of holding without buying.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuspicionConfig {
    /// Whether anything is counted and anybody slowed down.
    pub enabled: bool,
    /// Milliseconds between looks at what others have counted; also how long what this process
    /// has seen waits to be written.
    pub follow_ms: u64,
    /// Points from which holds last half as long.
    pub half_from: f64,
    /// Points from which they last a quarter as long.
    pub quarter_from: f64,
    /// Points from which a buyer has to wait after what counted last.
    pub cooldown_from: f64,
    /// How long, in seconds; it doubles with every further point.
    pub cooldown_s: u32,
    /// The longest wait, in seconds.
    pub cooldown_max_s: u32,
    /// Points on the record that proofs of work are judged by, for each point of suspicion.
    pub proof_points: f64,
    /// Accounts that may pay with one card at one event. What further ones have paid is given
    /// back at once and their places are free again; whom an organizer trusts is spared. 0 is no
    /// limit. The provider must say what card it has charged: the sandbox does, Stripe's events
    /// don't.
    pub accounts_per_card: u32,
    /// Most subjects that a process remembers; those with the fewest points go first.
    pub max_subjects: usize,
    /// Told to who is refused: an address to write to, or what helps.
    pub appeal: String,
}

impl SuspicionConfig {
    /// Tells what makes no sense.
    pub fn check(&self, check: &mut impl FnMut(bool, &str)) {
        check(self.follow_ms >= 20, "suspicion.follow_ms: at least 20");
        let rises = 0.0 < self.half_from
            && self.half_from <= self.quarter_from
            && self.quarter_from <= self.cooldown_from;
        check(rises, "suspicion: 0 < half_from <= quarter_from <= cooldown_from");
        let waits = (1..=86_400).contains(&self.cooldown_s)
            && (self.cooldown_s..=86_400).contains(&self.cooldown_max_s);
        check(waits, "suspicion: 1 <= cooldown_s <= cooldown_max_s <= 86400");
        check(self.proof_points >= 0.0, "suspicion.proof_points: not negative");
        check(
            (100..=10_000_000).contains(&self.max_subjects),
            "suspicion.max_subjects: 100 to 10m",
        );
        check(!self.appeal.trim().is_empty(), "suspicion.appeal: nobody is refused without one");
    }
}

impl Default for SuspicionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            follow_ms: 500,
            half_from: 1.5,
            quarter_from: 3.0,
            cooldown_from: 4.5,
            cooldown_s: 60,
            cooldown_max_s: 900,
            proof_points: 60.0,
            accounts_per_card: 2,
            max_subjects: 100_000,
            appeal: "Sign in with a code by e-mail, or pay for what you hold: both make this \
                     shorter. If you think that we are wrong, write to the organizer."
                .into(),
        }
    }
}
