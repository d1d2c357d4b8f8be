//! What the hold script must answer, by its header and brute force.

use std::collections::{BTreeMap, BTreeSet};

use onsale::catalog::{Class, Stretch};
use onsale::holds::record::{HeldPlace, Step, parse_places};
use onsale::holds::redis::Reply;

use super::ask::{Ask, Line, Ranges, Tiers};
use super::audit::{longest_run, runs};
use super::world::{Dump, EPOCH, World};

/// As in the script.
const MAX_AFTER_ORPHAN: usize = 32;

/// A reply as texts.
pub fn texts(reply: &Reply) -> Vec<String> {
    let text =
        |at| reply.text(at).map(str::to_owned).or_else(|| reply.number(at).map(|n| n.to_string()));
    (0..reply.0.len()).map(|at| text(at).unwrap_or_default()).collect()
}

fn words(parts: &[&dyn ToString]) -> Vec<String> {
    parts.iter().map(|part| part.to_string()).collect()
}

/// The machine's clock, which is Redis's too.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn list(places: &[i32]) -> String {
    places.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// Stranded places come in the order of the lines.
fn sorted(places: &str) -> String {
    let mut places: Vec<i32> = places.split(',').map(|text| text.parse().unwrap()).collect();
    places.sort_unstable();
    list(&places)
}

/// A wish before an event: what it meets.
pub struct Judge<'a> {
    pub world: &'a World,
    pub before: &'a Dump,
    pub ask: &'a Ask,
}

impl Judge<'_> {
    /// Checks the answer and all that it did or didn't do.
    pub fn check(&self, reply: &Reply, after: &Dump) {
        let said = texts(reply);
        if let Some(expected) = self.refusal() {
            let mut told = said[..expected.len().min(said.len())].to_vec();
            if told[0] == "orphan" {
                told[1] = sorted(&told[1]);
            }
            assert_eq!(told, expected, "{:?}", self.ask);
        }
        match said[0].as_str() {
            "held" | "equivalent" => {
                assert_eq!(self.refusal(), None);
                let places = parse_places(&said[3]).expect("places");
                self.check_places(&places, &said);
                self.check_written(&places, &said, after);
            }
            word => {
                assert_eq!(self.before.decided(), after.decided(), "{word} changed something");
                if self.refusal().is_none() {
                    self.check_unforeseen(&said);
                }
            }
        }
    }

    fn count(&self, name: &str) -> i64 {
        self.before.counts.get(name).copied().unwrap_or(0)
    }

    fn due(&self) -> u8 {
        u8::from(self.before.deadlines.values().any(|deadline| *deadline <= now_ms()))
    }

    /// Refusals that don't depend on what best available finds.
    fn refusal(&self) -> Option<Vec<String>> {
        let ask = self.ask;
        if ask.epoch != EPOCH {
            return Some(words(&[&"stale"]));
        }
        if let Some(record) = self.before.records().get(&ask.id.to_string()) {
            return Some(match record.step {
                _ if record.digest != ask.digest => words(&[&"mismatch"]),
                Step::Released => words(&[&"finished"]),
                _ => words(&[&"again", &self.before.holds[&ask.id.to_string()]]),
            });
        }
        if self.before.state() != "on_sale" && !ask.retake {
            return Some(words(&[&"closed", &self.before.state()]));
        }
        self.limits().or_else(|| self.chosen_refusal())
    }

    fn limits(&self) -> Option<Vec<String>> {
        let ask = self.ask;
        let mut per_offer: BTreeMap<i16, i64> = BTreeMap::new();
        for line in &ask.lines {
            let now = now_ms();
            if now < line.from_ms || (line.until_ms > 0 && now >= line.until_ms) {
                return Some(words(&[&"window", &line.offer]));
            }
            let wanted = per_offer.entry(line.offer).or_default();
            *wanted += i64::try_from(line.n).expect("few");
            let sold = self.count(&format!("o:{}", line.offer));
            let quota = i64::from(line.quota);
            if quota >= 0 && sold + *wanted > quota {
                return Some(words(&[&"quota", &line.offer, &(quota - sold).max(0)]));
            }
        }
        let bought = self.count(&format!("a:{}", ask.account));
        let limit = i64::from(ask.limit);
        if limit > 0 && bought + per_offer.values().sum::<i64>() > limit {
            return Some(words(&[&"limit", &(limit - bought).max(0)]));
        }
        let (promo, most) = ask.promo?;
        let used_up = most >= 0 && self.count(&format!("p:{promo}")) >= i64::from(most);
        used_up.then(|| words(&[&"promo"]))
    }

    fn is_free(&self, place: i32) -> bool {
        self.before.is_free(self.ask.channel, place)
    }

    /// The chosen lines and those of their places that are not free.
    fn taken(&self) -> Vec<(&Line, Vec<i32>)> {
        let chosen = self.ask.lines.iter().filter(|line| line.kind == 'p');
        let gone =
            |line: &Line| line.places.iter().copied().filter(|p| !self.is_free(*p)).collect();
        chosen.map(|line| (line, gone(line))).collect()
    }

    /// What chosen lines get.
    fn mine(&self) -> BTreeSet<i32> {
        let whole = self.taken().into_iter().filter(|(_, gone)| gone.is_empty());
        whole.flat_map(|(line, _)| line.places.clone()).collect()
    }

    fn chosen_refusal(&self) -> Option<Vec<String>> {
        let taken = self.taken();
        let gone: Vec<i32> = taken.iter().flat_map(|(_, gone)| gone.clone()).collect();
        let hopeless = |(line, gone): &(&Line, Vec<i32>)| {
            !gone.is_empty() && (!self.ask.equivalent || line.instead.is_empty())
        };
        if taken.iter().any(hopeless) {
            return Some(words(&[&"taken", &list(&gone), &self.due()]));
        }
        let mine = self.mine();
        let orphans = self.orphans(&mine);
        if !orphans.is_empty() {
            return Some(words(&[&"orphan", &list(&orphans)]));
        }
        let alone = self.ask.lines.iter().all(|line| line.kind == 'p');
        let again = alone && !gone.is_empty() && self.due() == 1;
        again.then(|| words(&[&"taken", &list(&gone), &1]))
    }

    /// Places that the chosen ones would strand.
    fn orphans(&self, mine: &BTreeSet<i32>) -> Vec<i32> {
        let bits: u32 = self.before.taken.iter().map(|byte| byte.count_ones()).sum();
        let strict = self.ask.orphans.is_some_and(|from| usize::try_from(bits).unwrap() < from);
        if !strict {
            return Vec::new();
        }
        let mut orphans = Vec::new();
        for stretch in &self.world.stretches {
            let within = stretch.first..stretch.first + stretch.length;
            let touched = mine.iter().any(|place| within.contains(place));
            if !touched || stretch.class != Class::Standard {
                continue;
            }
            for (first, length) in runs(stretch, |place| self.is_free(place)) {
                let run =
                    Stretch { first, length: i32::try_from(length).unwrap(), ..stretch.clone() };
                let left = runs(&run, |place| !mine.contains(&place));
                let rest: usize = left.iter().map(|run| run.1).sum();
                if rest > 1 && rest < length {
                    orphans.extend(left.iter().filter(|run| run.1 == 1).map(|run| run.0));
                }
            }
        }
        orphans
    }

    fn stretches_in(&self, ranges: &Ranges) -> Vec<&Stretch> {
        let numbers = ranges.iter().flat_map(|(from, to)| *from..=*to);
        numbers.map(|number| &self.world.stretches[usize::try_from(number).unwrap()]).collect()
    }

    /// Whether no other line looks for places where this one does.
    fn undisturbed(&self, line: &Line, ranges: &Ranges) -> bool {
        let touches = |other: &Ranges| {
            other.iter().any(|(a, b)| ranges.iter().any(|(c, d)| a <= d && c <= b))
        };
        self.ask.lines.iter().all(|other| {
            std::ptr::eq(other, line)
                || (!touches(&other.ranges) && (!self.ask.equivalent || !touches(&other.instead)))
        })
    }

    /// Refusals that depend on what was found.
    fn check_unforeseen(&self, said: &[String]) {
        match said[0].as_str() {
            "none" => self.check_none(said),
            "taken" => {
                let gone: Vec<i32> = self.taken().into_iter().flat_map(|(_, gone)| gone).collect();
                assert_eq!(said[1], list(&gone));
                let [line] = self.ask.lines.as_slice() else { return };
                let stretches = self.stretches_in(&line.instead);
                let longest = stretches.iter().map(|s| longest_run(s, |p| self.is_free(p))).max();
                assert!(longest.unwrap_or(0) < line.n, "there is an equivalent: {:?}", self.ask);
            }
            "quota" => {
                let ended = |line: &Line| {
                    let wanted: usize = self
                        .ask
                        .lines
                        .iter()
                        .filter(|other| other.offer == line.offer)
                        .map(|other| other.n)
                        .sum();
                    let sold = self.count(&format!("o:{}", line.offer));
                    let numbers = sold..sold + i64::try_from(wanted).unwrap();
                    numbers.into_iter().any(|number| tier_of(&line.tiers, number).is_none())
                };
                assert!(self.ask.lines.iter().any(ended), "tiers are left: {:?}", self.ask);
            }
            word => panic!("{word} was not to be expected: {:?}", self.ask),
        }
    }

    fn check_none(&self, said: &[String]) {
        let at: usize = said[1].parse().expect("a line");
        let line = &self.ask.lines[at - 1];
        assert_eq!(said[3], self.due().to_string());
        if !self.undisturbed(line, &line.ranges) {
            return;
        }
        let mine = self.mine();
        let free = |place| self.is_free(place) && !mine.contains(&place);
        let stretches = self.stretches_in(&line.ranges);
        let longest = stretches.iter().map(|s| longest_run(s, free)).max().unwrap_or(0);
        let total: usize = stretches.iter().flat_map(|s| runs(s, free)).map(|run| run.1).sum();
        let possible = if line.kind == 'b' { longest >= line.n } else { total >= line.n };
        assert!(!possible, "there are {longest} neighbours of {total}: {:?}", self.ask);
        assert!(said[2].parse::<usize>().unwrap() <= longest);
    }

    /// Places of each line, in the order of the answer.
    fn check_places(&self, places: &[HeldPlace], said: &[String]) {
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
    fn check_found(&self, line: &Line, ranges: &Ranges, got: &[i32], mine: Option<&BTreeSet<i32>>) {
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

    fn check_written(&self, places: &[HeldPlace], said: &[String], after: &Dump) {
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
        expected.head.insert("seq".into(), (self.before.seq() + 1).to_string());
        assert_eq!(after.decided(), expected.decided());
        self.check_tiers(places);
    }

    fn check_tiers(&self, places: &[HeldPlace]) {
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
