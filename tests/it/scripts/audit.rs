//! What must be true of an event in Redis at any moment.

use std::collections::{BTreeMap, BTreeSet};

use onsale::catalog::Stretch;
use onsale::catalog::listing::bit;
use onsale::holds::record::{Record, Step};

use super::judge::now_ms;
use super::world::Dump;

impl Dump {
    /// The records, read.
    pub fn records(&self) -> BTreeMap<String, Record> {
        let read = |(id, text): (&String, &String)| {
            let record = Record::parse(text).unwrap_or_else(|| panic!("no record: {text}"));
            assert_eq!(record.text(), *text, "a record is written one way only");
            (id.clone(), record)
        };
        self.holds.iter().map(read).collect()
    }

    pub fn seq(&self) -> i64 {
        self.head["seq"].parse().expect("a number")
    }

    /// What tells snapshots apart: it rises with every change of bits.
    pub fn version(&self) -> i64 {
        self.seq() + i64::try_from(self.holds.len()).expect("few")
    }

    pub fn state(&self) -> &str {
        &self.head["state"]
    }

    /// The same without what may differ after a refusal: hints, which are only bounds, and
    /// zeros at the end of bitmaps.
    pub fn decided(&self) -> Self {
        let mut same = Self { hints: Vec::new(), ..self.clone() };
        for bitmap in [&mut same.taken, &mut same.kills].into_iter().chain(&mut same.blocked) {
            let length = bitmap.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bitmap.truncate(length);
        }
        same
    }

    /// Whether somebody holds or bought it.
    pub fn is_taken(&self, place: i32) -> bool {
        bit(&self.taken, place)
    }

    /// Whether a channel can sell it now.
    pub fn is_free(&self, channel: i16, place: i32) -> bool {
        let blocked = &self.blocked[usize::try_from(channel).expect("a channel")];
        !bit(&self.taken, place) && !bit(blocked, place)
    }

    /// Checks every invariant of the layout.
    pub fn audit(&self, stretches: &[Stretch]) {
        let records = self.records();
        self.audit_places(&records);
        let blocked = self.blocked.iter().flatten().any(|byte| *byte != 0);
        assert!(!blocked || self.head["blocked"] == "1", "the head says when places are blocked");
        self.audit_sets(&records);
        self.audit_counts(&records);
        self.audit_hints(stretches);
        self.audit_asks();
    }

    fn audit_places(&self, records: &BTreeMap<String, Record>) {
        let mut listed = BTreeSet::new();
        for (id, record) in records {
            if record.step == Step::Released {
                assert!(record.places.is_empty() && record.opaque.is_empty(), "a full tombstone");
            } else {
                assert!(!record.places.is_empty(), "{id} lists nothing");
                let over = record.step == Step::Returning;
                assert!(!over || (record.opaque.is_empty() && record.promo.is_none()), "{id}");
            }
            for held in &record.places {
                assert!(listed.insert(held.place), "place {} is in two records", held.place);
            }
        }
        let bits = i32::try_from(self.taken.len() * 8).expect("few places");
        let taken: BTreeSet<i32> = (0..bits).filter(|place| bit(&self.taken, *place)).collect();
        assert_eq!(taken, listed, "bits are the union of live records");
    }

    fn audit_sets(&self, records: &BTreeMap<String, Record>) {
        let of = |step: Step| {
            let of_step = records.iter().filter(move |(_, record)| record.step == step);
            of_step.map(|(id, record)| (id.clone(), record.deadline_ms))
        };
        let deadlines: BTreeMap<String, i64> = of(Step::Held).collect();
        assert_eq!(deadlines, self.deadlines, "deadlines are those of held records");
        let ids = |set: &BTreeMap<String, i64>| set.keys().cloned().collect::<BTreeSet<_>>();
        let claiming: BTreeSet<String> = of(Step::Claiming).map(|(id, _)| id).collect();
        assert_eq!(claiming, ids(&self.claiming), "claiming");
        let released: BTreeSet<String> = of(Step::Released).map(|(id, _)| id).collect();
        assert_eq!(released, ids(&self.tombs), "tombstones");
        let returning: BTreeSet<String> = of(Step::Returning).map(|(id, _)| id).collect();
        assert_eq!(returning, ids(&self.returning), "what comes back");
    }

    /// Whoever is in line has a record and is known by account and level, and nobody else is.
    fn audit_asks(&self) {
        let mut expected = BTreeSet::new();
        for id in self.asks.keys() {
            let record = self.asked.get(id).unwrap_or_else(|| panic!("{id} has no record"));
            let parts: Vec<&str> = record.splitn(4, '|').collect();
            expected.insert(id.clone());
            for level in parts[2].split(',') {
                let guard = format!("{}:{level}", parts[0]);
                assert_eq!(self.asked.get(&guard), Some(id), "{guard}");
                assert!(expected.insert(guard), "one ask per account and level");
            }
        }
        assert_eq!(self.asked.keys().cloned().collect::<BTreeSet<_>>(), expected);
    }

    /// Whether somebody asks for places that come back.
    pub fn is_asked(&self) -> bool {
        self.asks.values().any(|until| *until > now_ms())
    }

    fn audit_counts(&self, records: &BTreeMap<String, Record>) {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for record in records.values().filter(|record| record.step < Step::Returning) {
            let n = i64::try_from(record.places.len()).expect("few places");
            *counts.entry(format!("a:{}", record.account)).or_default() += n;
            for held in &record.places {
                *counts.entry(format!("o:{}", held.offer)).or_default() += 1;
            }
            if let Some(promo) = record.promo {
                *counts.entry(format!("p:{promo}")).or_default() += 1;
            }
            match record.step {
                Step::Claimed => *counts.entry("c".into()).or_default() += n,
                Step::Sold => *counts.entry("s".into()).or_default() += n,
                _ => {}
            }
        }
        let mut counted = self.counts.clone();
        // Accounts are many: theirs must not stay behind at 0.
        counted.retain(|name, n| *n != 0 || name.starts_with("a:"));
        assert_eq!(counts, counted, "counters equal a recount");
    }

    fn audit_hints(&self, stretches: &[Stretch]) {
        assert_eq!(self.hints.len(), stretches.len());
        for (number, stretch) in stretches.iter().enumerate() {
            // Whatever the channel: only kills are blocked for all of them.
            let free = |place| !bit(&self.taken, place) && !bit(&self.kills, place);
            let longest = longest_run(stretch, free).min(255);
            let hint = usize::from(self.hints[number]);
            assert!(hint >= longest, "stretch {number}: {longest} free, but the hint says {hint}");
        }
    }
}

/// The runs of free places of a stretch: first place and length.
pub fn runs(stretch: &Stretch, free: impl Fn(i32) -> bool) -> Vec<(i32, usize)> {
    let mut runs: Vec<(i32, usize)> = Vec::new();
    let mut before = false;
    for place in stretch.first..stretch.first + stretch.length {
        let now = free(place);
        match runs.last_mut() {
            Some(last) if now && before => last.1 += 1,
            _ if now => runs.push((place, 1)),
            _ => {}
        }
        before = now;
    }
    runs
}

/// The longest of them.
pub fn longest_run(stretch: &Stretch, free: impl Fn(i32) -> bool) -> usize {
    runs(stretch, free).into_iter().map(|run| run.1).max().unwrap_or(0)
}
