//! Whether what the hold script found is what it should have found, and all that it wrote.

use std::collections::{BTreeMap, BTreeSet};

use onsale::holds::record::HeldPlace;

use super::ask::{Line, Ranges, Tiers};
use super::audit::{longest_run, runs};
use super::judge::{Judge, list, now_ms};
use super::world::Dump;

/// As in the script.
const MAX_AFTER_ORPHAN: usize = 32;

impl Judge<'_> {
    /// Places of each line, in the order of the answer.
    pub fn check_places(&self, places: &[HeldPlace], said: &[String]) {
        let mine = self.mine();
        let taken = self.taken();
        let gone: Vec<i32> = taken.iter().flat_map(|(_, gone)| gone.clone()).collect();
        assert_eq!(said[0] == "equivalent", !gone.is_empty());
        if said[0] == "equivalent" {
            assert_eq!(said[4], list(&gone));
        }
        let whole =
            taken.iter().filter(|(_, gone)| gone.is_empty()).map(|(line, _)| (*line, false));
        let found = self.ask.lines.iter().filter(|line| line.kind != 'p').map(|line| (line, false));
        let instead = taken.iter().filter(|(_, gone)| !gone.is_empty());
        let instead = instead.map(|(line, _)| (*line, true));
        let mut rest = places;
        let mut used = mine.clone();
        for (line, equivalent) in whole.chain(found).chain(instead) {
            let (got, later) = rest.split_at(line.n);
            rest = later;
            assert!(got.iter().all(|held| held.offer == line.offer));
            let numbers: Vec<i32> = got.iter().map(|held| held.place).collect();
            if line.kind == 'p' && !equivalent {
                assert_eq!(numbers, line.places);
                continue;
            }
            let ranges = if equivalent { &line.instead } else { &line.ranges };
            let exact = self.undisturbed(line, ranges) && !(line.kind == 'p' && gone.is_empty());
            self.check_found(line, ranges, &numbers, exact.then_some(&mine));
            for number in numbers {
                assert!(self.is_free(number) && used.insert(number), "{number} twice or taken");
            }
        }
        assert!(rest.is_empty());
    }

    /// `mine`: the line alone looks in these stretches, so its choice is known.
    pub fn check_found(
        &self,
        line: &Line,
        ranges: &Ranges,
        got: &[i32],
        mine: Option<&BTreeSet<i32>>,
    ) {
        let stretches = self.stretches_in(ranges);
        let home = |place: i32| {
            stretches.iter().position(|s| (s.first..s.first + s.length).contains(&place))
        };
        assert!(got.iter().all(|place| home(*place).is_some()), "outside its stretches");
        let adjacent = got.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let together = adjacent && got.iter().all(|place| home(*place) == home(got[0]));
        assert!(together || matches!(line.kind, 's' | 'a'), "{got:?} are no neighbours");
        let Some(mine) = mine else { return };
        let free = |place: i32| self.is_free(place) && !mine.contains(&place);
        if line.kind == 'a' {
            let units = stretches.iter().flat_map(|s| s.first..s.first + s.length);
            let first: Vec<i32> = units.filter(|place| free(*place)).take(line.n).collect();
            assert_eq!(got, first, "the first units that are free");
            return;
        }
        let longest = stretches.iter().map(|s| longest_run(s, free)).max().unwrap_or(0);
        let n = longest.min(line.n);
        assert!(got[..n].windows(2).all(|pair| pair[0] + 1 == pair[1]), "the largest group first");
        let orphan = |length: usize| length == n + 1;
        let fits: Vec<(usize, bool)> = (0..stretches.len())
            .filter_map(|at| {
                let fits = runs(stretches[at], free).into_iter().filter(|run| run.1 >= n);
                fits.map(|run| orphan(run.1)).min().map(|orphan| (at, orphan))
            })
            .collect();
        let first = fits.first().expect("a fit");
        let clean = fits.iter().find(|(_, orphan)| !orphan && self.ask.orphans.is_some());
        // Only so many more stretches are looked at for one without an orphan.
        let clean =
            clean.filter(|(at, _)| at - first.0 < MAX_AFTER_ORPHAN || home(got[0]) == Some(*at));
        let expected = clean.unwrap_or(first);
        assert_eq!(home(got[0]), Some(expected.0), "the first stretch of the pool that fits");
        let run = runs(stretches[expected.0], free);
        let run = run.iter().find(|(first, length)| {
            (*first..*first + i32::try_from(*length).unwrap()).contains(&got[0])
        });
        let (first, length) = *run.expect("its run");
        let left = usize::try_from(got[0] - first).unwrap();
        let right = length - n - left;
        assert_eq!(left == 1 || right == 1, expected.1, "{got:?} in {length} from {first}");
    }

    pub fn check_written(&self, places: &[HeldPlace], said: &[String], after: &Dump) {
        let (ask, mut expected) = (self.ask, self.before.clone());
        let (deadline, now): (i64, i64) = (said[1].parse().unwrap(), said[2].parse().unwrap());
        assert_eq!(deadline - now, ask.ttl_ms);
        assert!((now - now_ms()).abs() < 10_000, "the clock");
        let promo = ask.promo.map(|promo| promo.0.to_string()).unwrap_or_default();
        let (account, digest, listed) = (ask.account, &ask.digest, &said[3]);
        let opaque = "{\"opaque\":\"a|b\"}";
        let record = format!("h|{deadline}|{account}|{now}|{promo}|{digest}|{listed}|{opaque}");
        expected.holds.insert(ask.id.to_string(), record);
        expected.deadlines.insert(ask.id.to_string(), deadline);
        let mut add = |name: String, n: i64| *expected.counts.entry(name).or_default() += n;
        for held in places {
            add(format!("o:{}", held.offer), 1);
        }
        add(format!("a:{account}"), i64::try_from(places.len()).unwrap());
        if !promo.is_empty() {
            add(format!("p:{promo}"), 1);
        }
        for held in places {
            onsale::catalog::listing::set_bit(&mut expected.taken, held.place);
            assert_eq!(held.stretch, self.world.stretch_of(held.place));
        }
        assert_eq!(after.decided(), expected.decided());
        self.check_tiers(places);
    }

    pub fn check_tiers(&self, places: &[HeldPlace]) {
        let mut sold: BTreeMap<i16, i64> = BTreeMap::new();
        for held in places {
            let before = self.count(&format!("o:{}", held.offer));
            let number = sold.entry(held.offer).or_insert(before);
            let line = self.ask.lines.iter().find(|line| line.offer == held.offer).unwrap();
            assert_eq!(Some(held.tier), tier_of(&line.tiers, *number), "number {number}");
            *number += 1;
        }
    }
}

/// The tier of the place that is the offer's `number`th (from 0); none if all have ended.
pub fn tier_of(tiers: &Tiers, number: i64) -> Option<i16> {
    if tiers.is_empty() {
        return Some(0);
    }
    let now = now_ms();
    let open = tiers.iter().position(|(count, until)| {
        (*count == 0 || number < *count) && (*until == 0 || now < *until)
    });
    open.map(|at| i16::try_from(at).unwrap())
}
