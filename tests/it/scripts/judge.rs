//! What the hold script must answer, by its header and brute force.

use std::collections::{BTreeMap, BTreeSet};

use onsale::catalog::{Class, Stretch};
use onsale::holds::record::{Step, parse_places};
use onsale::holds::redis::Reply;

use super::ask::{Ask, Line, Ranges};
use super::audit::{longest_run, runs};
use super::found::tier_of;
use super::world::{Dump, EPOCH, World};

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

pub fn list(places: &[i32]) -> String {
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

    pub fn count(&self, name: &str) -> i64 {
        self.before.counts.get(name).copied().unwrap_or(0)
    }

    fn due(&self) -> u8 {
        let due = |times: &BTreeMap<String, i64>| times.values().any(|time| *time <= now_ms());
        let asks = self.before.is_asked();
        u8::from(due(&self.before.deadlines) || (!asks && due(&self.before.returning)))
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
                Step::Returning | Step::Released => words(&[&"finished"]),
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

    pub fn is_free(&self, place: i32) -> bool {
        self.before.is_free(self.ask.channel, place)
    }

    /// The chosen lines and those of their places that are not free.
    pub fn taken(&self) -> Vec<(&Line, Vec<i32>)> {
        let chosen = self.ask.lines.iter().filter(|line| line.kind == 'p');
        let gone =
            |line: &Line| line.places.iter().copied().filter(|p| !self.is_free(*p)).collect();
        chosen.map(|line| (line, gone(line))).collect()
    }

    /// What chosen lines get.
    pub fn mine(&self) -> BTreeSet<i32> {
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

    pub fn stretches_in(&self, ranges: &Ranges) -> Vec<&Stretch> {
        let numbers = ranges.iter().flat_map(|(from, to)| *from..=*to);
        numbers.map(|number| &self.world.stretches[usize::try_from(number).unwrap()]).collect()
    }

    /// Whether no other line looks for places where this one does.
    pub fn undisturbed(&self, line: &Line, ranges: &Ranges) -> bool {
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
}
