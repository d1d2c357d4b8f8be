//! How much work is asked for: more while many ask, and more of addresses that ask for much.
//!
//! Each process judges by what it sees itself, in bounded memory that forgets. Behind a balancer
//! that spreads an address over several nodes each sees a part, and asks for less.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

use super::ProofConfig;

/// Seconds over which the load is averaged.
const LOAD_S: i64 = 10;
/// A client's record goes back so far, in seconds.
const RECORD_S: i64 = 600;
/// What a refused proof weighs, in challenges.
const REFUSED_POINTS: u32 = 10;
/// A site's /48 has many subscribers: its record counts by this part for each of them.
const SITE_SHARE: f64 = 8.0;
/// A full map is emptied to this part, so that it isn't gone through again at once.
const KEPT: f64 = 0.75;

/// What a challenge is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strain {
    /// Challenges per second that this process has issued of late.
    pub per_second: f64,
    /// Points on the client's record; see [`ProofConfig::allowance`].
    pub points: f64,
}

/// Hashes that solving takes on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difficulty(pub u32);

impl Difficulty {
    /// The work for this strain: never less for more of either, and within base and maximum.
    ///
    /// It grows in proportion with the load, and with the square root of the record: who uses
    /// up one address pays ever more for each further proof, while the thousand people of one
    /// university pay four times as much each, not sixteen times.
    #[must_use]
    pub fn new(config: &ProofConfig, strain: Strain) -> Self {
        let load = (strain.per_second / f64::from(config.comfortable_per_second)).max(1.0);
        let record = (strain.points / f64::from(config.allowance)).max(1.0).sqrt();
        let asked = f64::from(config.base) * load * record;
        Self(asked.min(f64::from(config.max)) as u32)
    }

    /// The largest number that may be the solution: it lies anywhere from 0 on with equal chance.
    #[must_use]
    pub const fn max_number(self) -> u32 {
        self.0.saturating_mul(2)
    }
}

/// An address prefix: its first address and its length in bits.
type Prefix = (IpAddr, u8);

/// The prefixes that an address's record is kept under, and among how many subscribers each is
/// thought to be shared.
fn prefixes(client: IpAddr) -> [Option<(Prefix, f64)>; 2] {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let net = Ipv4Addr::from_bits(v4.to_bits() & !0xff);
            [Some(((net.into(), 24), 1.0)), None]
        }
        IpAddr::V6(v6) => {
            let net = |bits: u8| {
                let net = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - bits)));
                (IpAddr::from(net), bits)
            };
            [Some((net(64), 1.0)), Some((net(48), SITE_SHARE))]
        }
    }
}

/// Points of this stretch of time and of the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    window: i64,
    now: u32,
    before: u32,
}

impl Record {
    fn turn(&mut self, window: i64) {
        match window - self.window {
            i64::MIN..=0 => return,
            1 => self.before = self.now,
            _ => self.before = 0,
        }
        (self.window, self.now) = (window, 0);
    }

    /// Points of the last ten minutes: of the stretch before, the part that lies within them.
    fn points(mut self, now_s: i64) -> f64 {
        self.turn(now_s.div_euclid(RECORD_S));
        let gone = now_s.rem_euclid(RECORD_S) as f64 / RECORD_S as f64;
        f64::from(self.now) + f64::from(self.before) * (1.0 - gone)
    }
}

/// Challenges of the last seconds, each with the second it is of.
#[derive(Debug, Default)]
struct Load {
    seconds: [(i64, u32); LOAD_S as usize],
}

impl Load {
    fn note(&mut self, now_s: i64) -> f64 {
        let slot = now_s.rem_euclid(LOAD_S) as usize;
        if self.seconds[slot].0 != now_s {
            self.seconds[slot] = (now_s, 0);
        }
        self.seconds[slot].1 = self.seconds[slot].1.saturating_add(1);
        let since = now_s - LOAD_S;
        let recent = self.seconds.iter().filter(|(second, _)| *second > since && *second <= now_s);
        recent.map(|(_, count)| f64::from(*count)).sum::<f64>() / LOAD_S as f64
    }
}

/// What this process has seen of late.
#[derive(Debug, Default)]
pub struct Watch {
    load: Mutex<Load>,
    records: DashMap<Prefix, Record>,
}

impl Watch {
    /// A client asks for a challenge at `now_s` (Unix seconds): how hard it is to be.
    pub fn ask(&self, config: &ProofConfig, client: IpAddr, now_s: i64) -> Difficulty {
        self.ask_more(config, client, 0.0, now_s)
    }

    /// The same, of a buyer with so many points of their own besides those of their client.
    pub fn ask_more(
        &self,
        config: &ProofConfig,
        client: IpAddr,
        own: f64,
        now_s: i64,
    ) -> Difficulty {
        let per_second = self.load.lock().unwrap_or_else(PoisonError::into_inner).note(now_s);
        let points = self.note(config, client, 1, now_s) + own;
        Difficulty::new(config, Strain { per_second, points })
    }

    /// A client's proof was refused.
    pub fn refused(&self, config: &ProofConfig, client: IpAddr, now_s: i64) {
        self.note(config, client, REFUSED_POINTS, now_s);
    }

    fn note(&self, config: &ProofConfig, client: IpAddr, points: u32, now_s: i64) -> f64 {
        let mut most = 0.0_f64;
        for (prefix, share) in prefixes(client).into_iter().flatten() {
            // One look at the size, not one per request: only newcomers make the map grow.
            if !self.records.contains_key(&prefix) && self.records.len() >= config.max_prefixes {
                self.forget(config, now_s);
            }
            let mut record = self.records.entry(prefix).or_default();
            record.turn(now_s.div_euclid(RECORD_S));
            record.now = record.now.saturating_add(points);
            most = most.max(record.points(now_s) / share);
        }
        most
    }

    /// Makes room: those that have been silent go first, then the quietest.
    fn forget(&self, config: &ProofConfig, now_s: i64) {
        let room = (config.max_prefixes as f64 * KEPT) as usize;
        let mut least = f64::MIN_POSITIVE;
        while self.records.len() > room {
            self.records.retain(|_, record| record.points(now_s) >= least);
            least = (least * 2.0).max(1.5);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn more_of_either_is_never_less_work() {
        let config = ProofConfig::default();
        let ladder = [0.0, 0.5, 10.0, 60.0, 61.0, 499.0, 501.0, 1e4, 1e9, f64::INFINITY];
        for (i, a) in ladder.iter().enumerate() {
            for b in &ladder[i..] {
                for other in ladder {
                    let by_load = |per_second| Strain { per_second, points: other };
                    let by_record = |points| Strain { per_second: other, points };
                    for strain in [&by_load as &dyn Fn(f64) -> Strain, &by_record] {
                        let [less, more] = [*a, *b].map(|x| Difficulty::new(&config, strain(x)));
                        assert!(less <= more, "{:?} {:?}", strain(*a), strain(*b));
                        assert!((config.base..=config.max).contains(&less.0), "{less:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_factor_does_what_it_says() {
        let config = ProofConfig::default();
        let hashes = |per_second, points| Difficulty::new(&config, Strain { per_second, points }).0;
        assert_eq!(hashes(0.0, 0.0), 50_000);
        assert_eq!(hashes(1_000.0, 0.0), 100_000);
        assert_eq!(hashes(0.0, 240.0), 100_000);
        assert_eq!(hashes(1_000.0, 240.0), 200_000);
        assert_eq!(hashes(1_000_000.0, 1.0), 400_000);
        assert_eq!(Difficulty(50_000).max_number(), 100_000);
    }

    #[test]
    fn neighbours_share_a_record_and_strangers_do_not() {
        let (config, watch) = (ProofConfig::default(), Watch::default());
        for _ in 0..30 {
            watch.refused(&config, ip("192.0.2.7"), 1_000);
        }
        let asked = |client| watch.ask(&config, ip(client), 1_000);
        assert!(asked("192.0.2.200").0 > 2 * config.base);
        assert!(asked("::ffff:192.0.2.9").0 > 2 * config.base);
        assert_eq!(asked("192.0.3.7").0, config.base);
    }

    #[test]
    fn many_networks_of_one_site_are_seen_as_one_but_weigh_less() {
        let (config, watch) = (ProofConfig::default(), Watch::default());
        for _ in 0..30 {
            watch.refused(&config, ip("2001:db8:1:1::7"), 1_000);
        }
        let asked = |client| watch.ask(&config, ip(client), 1_000).0;
        let (own, next, other) =
            (asked("2001:db8:1:1::8"), asked("2001:db8:1:2::7"), asked("2001:db8:2:1::7"));
        assert!(own > 2 * config.base, "{own}");
        assert_eq!((next, other), (config.base, config.base));
        for network in 0..200 {
            watch.refused(&config, ip(&format!("2001:db8:1:{network:x}::7")), 1_000);
        }
        assert!(asked("2001:db8:1:ffff::7") > 2 * config.base);
    }

    #[test]
    fn a_record_fades_within_its_time_and_the_load_within_seconds() {
        let (config, watch) = (ProofConfig::default(), Watch::default());
        let client = ip("192.0.2.7");
        for _ in 0..100 {
            watch.refused(&config, client, 6_000);
        }
        let at = |now_s| watch.note(&config, client, 0, now_s);
        let ladder = [6_000, 6_599, 6_700, 6_900, 7_199, 7_200].map(at);
        assert!(ladder.is_sorted_by(|a, b| a >= b), "{ladder:?}");
        assert!(ladder[1] == 1_000.0 && ladder[4] < 2.0 && ladder[5] == 0.0, "{ladder:?}");
        assert_eq!(watch.ask(&config, client, 7_200).0, config.base);
        let busy = Watch::default();
        for i in 0..20_000_u32 {
            busy.ask(&config, Ipv4Addr::from(i << 8).into(), 50);
        }
        assert!(busy.ask(&config, client, 51).0 > 3 * config.base);
        assert_eq!(busy.ask(&config, client, 61).0, config.base);
    }

    #[test]
    fn memory_is_bounded_and_the_loudest_are_remembered() {
        let config = ProofConfig { max_prefixes: 1_000, ..ProofConfig::default() };
        let watch = Watch::default();
        let loud = ip("192.0.2.7");
        for _ in 0..30 {
            watch.refused(&config, loud, 1_000);
        }
        for i in 0..20_000_u32 {
            watch.ask(&config, Ipv4Addr::from(i << 8).into(), 1_000);
            assert!(watch.records.len() <= config.max_prefixes + 1, "{}", watch.records.len());
        }
        let points = watch.note(&config, loud, 0, 1_000);
        assert!(points >= 300.0, "{points}");
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let (config, watch) = (ProofConfig::default(), Watch::default());
        for now_s in [10_000, 9_000, -5, i64::from(i32::MAX), 0] {
            assert!(watch.ask(&config, ip("192.0.2.7"), now_s).0 >= config.base);
        }
    }
}
