//! Counters, limits, and the drawer count: every place is exactly one thing.

use std::collections::{BTreeSet, HashMap};

use super::bits::stretches;
use super::view::MAX_NUMBER;
use super::{About, Compares, Comparison, Finding, Pair, When};
use crate::catalog::PUBLIC;
use crate::catalog::listing::{bit, set_bit};
use crate::holds::record::Step;
use crate::ids::AccountId;

pub const CHECKS: &[Comparison] = &[
    Comparison {
        about: About {
            invariant: "15",
            name: "counters in Redis",
            proves: "counters per account, offer, promo code and state equal a recount of records",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: counters,
    },
    Comparison {
        about: About {
            invariant: "15",
            name: "limits in Redis",
            proves: "what buyers hold and have bought is within every limit",
        },
        when: When::Always,
        compares: Compares::Both,
        find: |pair| {
            let limits: HashMap<&str, i64> =
                pair.books.limits.iter().map(|(name, most)| (name.as_str(), *most)).collect();
            let accounts = pair.books.account_limit.map(i64::from);
            recount(pair)
                .into_iter()
                .filter_map(|(name, n)| {
                    let account = accounts.filter(|_| name.starts_with("a:"));
                    let most = account.or_else(|| limits.get(name.as_str()).copied())?;
                    let what = format!("{name} counts {n}, its limit is {most}");
                    (n > most).then(|| Finding::new(&name, what))
                })
                .collect()
        },
    },
    Comparison {
        about: About {
            invariant: "20",
            name: "drawer adds up",
            proves: "in Redis sold, claimed, killed, allocated, held and free are the capacity",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: |pair| {
            let drawer = Drawer::of_redis(pair);
            let capacity: i64 =
                stretches(&pair.view.stretches).iter().map(|(_, length)| i64::from(*length)).sum();
            let sum = drawer.sum();
            if sum == capacity {
                return Vec::new();
            }
            vec![Finding::new(&"drawer", format!("{drawer:?} add up to {sum} of {capacity}"))]
        },
    },
    Comparison {
        about: About {
            invariant: "20",
            name: "drawer agrees",
            proves: "Redis and Postgres count the same: also free and held together",
        },
        when: When::AtRest,
        compares: Compares::Both,
        find: |pair| {
            let mut redis = Drawer::of_redis(pair);
            // Postgres knows no holds: to it those places are free.
            redis.free += std::mem::take(&mut redis.held);
            let postgres = Drawer::of_postgres(pair);
            if redis == postgres {
                return Vec::new();
            }
            vec![Finding::new(&"drawer", format!("Redis: {redis:?}; Postgres: {postgres:?}"))]
        },
    },
];

/// How many places are what; each is the first of these that it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drawer {
    sold: i64,
    claimed: i64,
    killed: i64,
    allocated: i64,
    held: i64,
    free: i64,
}

impl Drawer {
    fn sum(&self) -> i64 {
        self.sold + self.claimed + self.killed + self.allocated + self.held + self.free
    }

    /// Sold and claimed by the counters, free by the stretches, the rest by the bitmaps: so that
    /// a bit outside of the manifest or a counter gone astray shows in the sum.
    fn of_redis(pair: &Pair) -> Self {
        let view = &pair.view;
        let count = |name: &str| view.counts.get(name).copied().unwrap_or(0);
        let mut drawer = Self { sold: count("s"), claimed: count("c"), ..Self::default() };
        let mut claimed = Vec::new();
        for (_, record) in view.live() {
            if matches!(record.step, Step::Claimed | Step::Sold) {
                record.places.iter().for_each(|held| set_bit(&mut claimed, held.place));
            }
        }
        let none = Vec::new();
        let public = view.blocked.iter().find(|(channel, _)| *channel == PUBLIC);
        let blocked = public.map_or(&none, |(_, blocked)| blocked);
        let bytes = view.taken.len().max(view.kills.len()).max(blocked.len());
        for place in 0..i32::try_from(bytes * 8).unwrap_or(MAX_NUMBER).min(MAX_NUMBER) {
            if bit(&claimed, place) {
            } else if bit(&view.kills, place) {
                drawer.killed += 1;
            } else if bit(blocked, place) {
                drawer.allocated += 1;
            } else if bit(&view.taken, place) {
                drawer.held += 1;
            }
        }
        for (first, length) in stretches(&view.stretches) {
            let used = |place: &i32| {
                bit(&view.taken, *place) || bit(&view.kills, *place) || bit(blocked, *place)
            };
            let free = (first..first.saturating_add(length)).filter(|place| !used(place)).count();
            drawer.free += i64::try_from(free).unwrap_or(0);
        }
        drawer
    }

    fn of_postgres(pair: &Pair) -> Self {
        let claims: HashMap<i32, bool> = pair.books.claims.iter().copied().collect();
        let mut drawer = Self::default();
        for (number, place) in &pair.books.places {
            let of = match claims.get(number) {
                Some(true) => &mut drawer.sold,
                Some(false) => &mut drawer.claimed,
                None if place.killed => &mut drawer.killed,
                None if place.channel != PUBLIC => &mut drawer.allocated,
                None => &mut drawer.free,
            };
            *of += 1;
        }
        drawer
    }
}

/// The counters as live records make them. What comes back counts for nobody any more.
fn recount(pair: &Pair) -> HashMap<String, i64> {
    let mut accounts: HashMap<AccountId, i64> = HashMap::new();
    let mut offers: HashMap<i16, i64> = HashMap::new();
    let mut promos: HashMap<i32, i64> = HashMap::new();
    let mut steps: HashMap<&str, i64> = HashMap::new();
    let counting = pair.view.live().filter(|(_, record)| record.step != Step::Returning);
    for (_, record) in counting {
        let n = i64::try_from(record.places.len()).unwrap_or(0);
        *accounts.entry(record.account).or_default() += n;
        for held in &record.places {
            *offers.entry(held.offer).or_default() += 1;
        }
        if let Some(promo) = record.promo {
            *promos.entry(promo).or_default() += 1;
        }
        if matches!(record.step, Step::Claimed | Step::Sold) {
            *steps.entry(record.step.letter()).or_default() += n;
        }
    }
    let accounts = accounts.into_iter().map(|(account, n)| (format!("a:{account}"), n));
    let offers = offers.into_iter().map(|(offer, n)| (format!("o:{offer}"), n));
    let promos = promos.into_iter().map(|(promo, n)| (format!("p:{promo}"), n));
    let steps = steps.into_iter().map(|(step, n)| (step.to_owned(), n));
    accounts.chain(offers).chain(promos).chain(steps).collect()
}

fn counters(pair: &Pair) -> Vec<Finding> {
    let records = recount(pair);
    let counters = &pair.view.counts;
    let names: BTreeSet<&String> = records.keys().chain(counters.keys()).collect();
    let count =
        |counts: &HashMap<String, i64>, name: &String| counts.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| (name, count(counters, name), count(&records, name)))
        .filter(|(_, counter, recount)| counter != recount)
        .map(|(name, counter, recount)| {
            Finding::new(&name, format!("counter {name} is {counter}, records make {recount}"))
        })
        .collect()
}
