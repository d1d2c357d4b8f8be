//! The `limits` section of the configuration.

use serde::{Deserialize, Serialize};

use super::table::{
    Key, MAX_BURST, MAX_PER_SECOND, MAX_WINDOW_S, MIN_PER_SECOND, NodeLimit, NodeRates, Rate,
    SharedLimit, SharedRates,
};

/// How many requests a process works on at once, by class; more are answered 503 `overloaded` at
/// once. Each class has its own bound, and of `total` lower classes may only use a part (see
/// [`super::shed`]), so the higher ones always find room. Settlement has no bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InFlightLimits {
    /// All classes together.
    pub total: usize,
    /// Checkout, orders, payments.
    pub checkout: usize,
    /// Holds.
    pub hold: usize,
    /// Waiting rooms.
    pub waiting: usize,
    /// Sessions and signing in.
    pub sign_in: usize,
    /// Organizers and gates.
    pub organize: usize,
    /// Everything else.
    pub browse: usize,
}

impl Default for InFlightLimits {
    fn default() -> Self {
        Self {
            total: 8_000,
            checkout: 4_000,
            hold: 2_000,
            waiting: 2_000,
            sign_in: 1_000,
            organize: 200,
            browse: 2_000,
        }
    }
}

/// All limits of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Per process.
    pub node: NodeRates,
    /// Shared by all processes.
    pub shared: SharedRates,
    /// Requests under way.
    pub in_flight: InFlightLimits,
    /// IPv4 addresses that agree in so many leading bits count as one.
    pub ipv4_prefix: u8,
    /// IPv6 addresses that agree in so many leading bits count as one.
    pub ipv6_prefix: u8,
    /// Addresses or sessions that each limit of a process remembers at most; beyond it, it
    /// forgets all of them, and with that at most one burst of each.
    pub max_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            node: NodeRates::default(),
            shared: SharedRates::default(),
            in_flight: InFlightLimits::default(),
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            max_keys: 200_000,
        }
    }
}

impl Limits {
    /// Without limits per address, session or account: for load tests, whose whole crowd comes
    /// from one address.
    #[must_use]
    pub fn none() -> Self {
        Self { node: NodeRates::none(), shared: SharedRates::none(), ..Self::default() }
    }

    /// What makes no sense, by name.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let rates = NodeLimit::ALL.iter().map(|limit| ("node", limit.name(), self.node.of(*limit)));
        let shared = SharedLimit::ALL.iter();
        let shared = shared.map(|limit| ("shared", limit.name(), self.shared.of(*limit)));
        for (kind, name, _) in rates.chain(shared).filter(|(_, _, rate)| !rate.is_usable()) {
            wrong.push(format!(
                "limits.{kind}.{name}: per_second 0 (no limit) or {MIN_PER_SECOND} to \
                 {MAX_PER_SECOND}, burst 1 to {MAX_BURST}, burst / per_second <= {MAX_WINDOW_S}"
            ));
        }
        let most = &self.in_flight;
        let classes = [
            most.total,
            most.checkout,
            most.hold,
            most.waiting,
            most.sign_in,
            most.organize,
            most.browse,
        ];
        if classes.contains(&0) {
            wrong.push("limits.in_flight: each at least 1".into());
        }
        if !(8..=32).contains(&self.ipv4_prefix) || !(16..=128).contains(&self.ipv6_prefix) {
            wrong.push("limits.ipv4_prefix: 8 to 32; limits.ipv6_prefix: 16 to 128".into());
        }
        if self.max_keys < 1_000 {
            wrong.push("limits.max_keys: at least 1000".into());
        }
        wrong
    }

    /// The limits as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<26} {:<8} {:<9} {:>10} {:>8}  {}\n",
            "limit", "where", "per", "per second", "burst", "what is said"
        );
        let mut row = |name: &str, place: &str, key: Key, rate: Rate, message: &str| {
            let key = format!("{key:?}").to_lowercase();
            let (per_second, burst) = if rate.limits() {
                (rate.per_second.to_string(), rate.burst.to_string())
            } else {
                ("none".into(), "-".into())
            };
            text.push_str(&format!(
                "{name:<26} {place:<8} {key:<9} {per_second:>10} {burst:>8}  {message}\n"
            ));
        };
        for limit in NodeLimit::ALL {
            row(limit.name(), "process", limit.key(), self.node.of(*limit), limit.message());
        }
        for limit in SharedLimit::ALL {
            row(limit.name(), "shared", limit.key(), self.shared.of(*limit), limit.message());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_usable_and_every_limit_limits() {
        let limits = Limits::default();
        assert_eq!(limits.mistakes(), Vec::<String>::new());
        assert!(NodeLimit::ALL.iter().all(|limit| limits.node.of(*limit).limits()));
        assert!(SharedLimit::ALL.iter().all(|limit| limits.shared.of(*limit).limits()));
        assert_eq!(Limits::none().mistakes(), Vec::<String>::new());
        let table = limits.table();
        let names = NodeLimit::ALL.iter().map(|limit| limit.name());
        for name in names.chain(SharedLimit::ALL.iter().map(|limit| limit.name())) {
            assert_eq!(
                table.lines().filter(|line| line.starts_with(&format!("{name} "))).count(),
                1
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let mut limits = Limits::default();
        limits.node.holds_per_session = Rate { per_second: 1.0, burst: 0 };
        limits.shared.joins = Rate { per_second: f64::NAN, burst: 1 };
        limits.shared.code_guesses = Rate { per_second: -1.0, burst: 1 };
        limits.in_flight.browse = 0;
        limits.ipv6_prefix = 129;
        let wrong = limits.mistakes();
        assert_eq!(wrong.len(), 5, "{wrong:?}");
        assert!(wrong[0].starts_with("limits.node.holds_per_session:"));
    }
}
