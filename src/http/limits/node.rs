//! Limits that a process keeps for itself: `governor`'s sharded maps, of bounded size.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::allowance::Allowance;
use super::config::Limits;
use super::network::Client;
use super::shed::InFlight;
use super::table::{NodeLimit, Rate, SharedLimit};
use crate::http::problem::Problem;

/// Checks between two looks at how many keys there are.
const TIDY_EVERY: usize = 4_096;

type Governor =
    RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock, StateInformationMiddleware>;

/// A limit with a state per key. Keys are hashes: two that collide share a limit, which a random
/// seed keeps anybody from bringing about.
pub struct Keyed {
    name: &'static str,
    message: &'static str,
    rate: Rate,
    quota: Quota,
    governor: ArcSwap<Governor>,
    checks: AtomicUsize,
    max_keys: usize,
}

impl Keyed {
    /// `None` if the rate limits nothing.
    #[must_use]
    pub fn new(
        name: &'static str,
        message: &'static str,
        rate: Rate,
        max_keys: usize,
    ) -> Option<Self> {
        let burst = NonZeroU32::new(rate.burst)?;
        let period = Duration::try_from_secs_f64(1.0 / rate.per_second).ok()?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let governor = ArcSwap::from_pointee(governor(quota));
        Some(Self { name, message, rate, quota, governor, checks: AtomicUsize::new(0), max_keys })
    }

    /// Takes a unit.
    ///
    /// # Errors
    /// `too_many_requests` if there is none.
    pub fn check(&self, key: u64) -> Result<Allowance, Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.tidy();
        }
        let allowance = |left: u32| {
            let reset_s = self.rate.seconds(self.rate.burst.saturating_sub(left));
            Allowance { name: self.name, rate: self.rate, left, reset_s }
        };
        match self.governor.load().check_key(&key) {
            Ok(state) => Ok(allowance(state.remaining_burst_capacity())),
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                let wait_s = wait.as_secs_f64().ceil() as u32;
                Err(allowance(0).refuse(self.message, wait_s))
            }
        }
    }

    /// Forgets keys that are idle, and all of them if those that aren't are too many: each check
    /// adds one at most, so there are never more than `max_keys` and [`TIDY_EVERY`].
    fn tidy(&self) {
        let governor = self.governor.load();
        if governor.len() <= self.max_keys / 2 {
            return;
        }
        governor.retain_recent();
        governor.shrink_to_fit();
        if governor.len() > self.max_keys {
            tracing::warn!(limit = self.name, "too many keys at once; all were forgotten");
            metrics::counter!("onsale_limits_forgotten_total", "limit" => self.name).increment(1);
            self.governor.store(std::sync::Arc::new(self::governor(self.quota)));
        }
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.governor.load().len()
    }
}

fn governor(quota: Quota) -> Governor {
    RateLimiter::keyed(quota).with_middleware()
}

/// All limits of a process.
pub struct Node {
    limits: Vec<Option<Keyed>>,
    /// Stand in for the shared limits while Redis doesn't answer.
    stand_ins: Vec<Option<Keyed>>,
    hash: RandomState,
    /// Requests under way.
    pub in_flight: InFlight,
}

impl Node {
    /// As configured.
    #[must_use]
    pub fn new(config: &Limits) -> Self {
        let node = |limit: &NodeLimit| {
            Keyed::new(limit.name(), limit.message(), config.node.of(*limit), config.max_keys)
        };
        let shared = |limit: &SharedLimit| {
            Keyed::new(limit.name(), limit.message(), config.shared.of(*limit), config.max_keys)
        };
        Self {
            limits: NodeLimit::ALL.iter().map(node).collect(),
            stand_ins: SharedLimit::ALL.iter().map(shared).collect(),
            hash: RandomState::new(),
            in_flight: InFlight::new(&config.in_flight),
        }
    }

    /// Takes a unit of a client's, or of a session's by its token. `None` without a limit.
    ///
    /// # Errors
    /// `too_many_requests` if there is none.
    pub fn check(&self, limit: NodeLimit, key: impl Hash) -> Result<Option<Allowance>, Problem> {
        let keyed = self.limits[limit as usize].as_ref();
        keyed.map(|keyed| keyed.check(self.hash.hash_one(key))).transpose()
    }

    /// The same of a shared limit, counted by this process alone.
    ///
    /// # Errors
    /// See [`Node::check`].
    pub fn stand_in(&self, limit: SharedLimit, key: &str) -> Result<Option<Allowance>, Problem> {
        let keyed = self.stand_ins[limit as usize].as_ref();
        keyed.map(|keyed| keyed.check(self.hash.hash_one(key))).transpose()
    }

    /// Takes a unit of each of a class's limits.
    ///
    /// # Errors
    /// The first refusal.
    pub fn check_class(
        &self,
        limits: (Option<NodeLimit>, Option<NodeLimit>),
        client: Option<Client>,
        session: Option<&[u8]>,
    ) -> Result<[Option<Allowance>; 2], Problem> {
        let by_address = match (limits.0, client) {
            (Some(limit), Some(client)) => self.check(limit, client)?,
            _ => None,
        };
        let by_session = match (limits.1, session) {
            (Some(limit), Some(session)) => self.check(limit, session)?,
            _ => None,
        };
        Ok([by_address, by_session])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Code;

    fn keyed(per_second: f64, burst: u32, max_keys: usize) -> Option<Keyed> {
        Keyed::new("test", "Slower.", Rate { per_second, burst }, max_keys)
    }

    #[test]
    fn a_burst_is_allowed_then_refused_and_comes_back() {
        let limit = keyed(0.001, 5, 1_000).unwrap();
        let left: Vec<u32> = (0..5).map(|_| limit.check(1).unwrap().left).collect();
        assert_eq!(left, [4, 3, 2, 1, 0]);
        let refused = limit.check(1).unwrap_err();
        assert_eq!(refused.code, Code::TooManyRequests);
        assert_eq!(refused.member("limit").unwrap(), "test");
        // Another key has its own.
        assert_eq!(limit.check(2).unwrap().left, 4);
        let limit = keyed(20.0, 1, 1_000).unwrap();
        let started = std::time::Instant::now();
        for allowed in [false, true] {
            while limit.check(1).is_ok() != allowed {
                assert!(started.elapsed() < Duration::from_mins(1));
                std::thread::yield_now();
            }
        }
        assert!(keyed(0.0, 5, 1_000).is_none() && keyed(1.0, 0, 1_000).is_none());
    }

    #[test]
    fn keys_are_bounded_and_idle_ones_forgotten() {
        // Slow enough that no key is ever idle.
        let limit = keyed(0.001, 10, 10_000).unwrap();
        for key in 0..100_000 {
            assert!(limit.check(key).is_ok());
            assert!(limit.keys() <= 10_000 + TIDY_EVERY, "{}", limit.keys());
        }
        // Fast enough that all but the last are.
        let limit = keyed(1_000_000.0, 1, 1_000).unwrap();
        for key in 0..100_000 {
            assert!(limit.check(key).is_ok());
        }
        assert!(limit.keys() <= 1_000 + TIDY_EVERY, "{}", limit.keys());
    }
}
