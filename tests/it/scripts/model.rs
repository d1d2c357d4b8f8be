//! What every other script must do, by its header: the expected answer, and the expected state.

use std::collections::BTreeMap;

use onsale::catalog::listing;
use onsale::holds::record::{Record, Step};
use uuid::Uuid;

use super::ask::{Entry, InLine, Sweep, WISH};
use super::judge::now_ms;
use super::world::{Dump, EPOCH};

/// The expected answer's first texts.
pub type Said = Vec<String>;

fn said(parts: &[&str]) -> Said {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn clear_bit(bitmap: &mut [u8], place: i32) {
    let place = usize::try_from(place).unwrap();
    if let Some(byte) = bitmap.get_mut(place / 8) {
        *byte &= !(1 << (7 - place % 8));
    }
}

impl Dump {
    /// The same without times, which a model can't know to the millisecond.
    pub fn timeless(&self) -> Self {
        let mut same = self.decided();
        same.claiming.values_mut().for_each(|since| *since = 0);
        same.returning.values_mut().for_each(|due| *due = 0);
        same.tombs.values_mut().for_each(|until| *until = 0);
        same.asks.values_mut().for_each(|until| *until = 0);
        same
    }

    fn add(&mut self, name: String, n: i64) {
        *self.counts.entry(name).or_default() += n;
    }

    fn raise_seq(&mut self) {
        let seq = self.seq() + 1;
        self.head.insert("seq".into(), seq.to_string());
    }

    fn set_step(&mut self, id: &str, record: &Record, step: Step) {
        self.holds.insert(id.into(), Record { step, ..record.clone() }.text());
        self.deadlines.remove(id);
        self.claiming.remove(id);
    }

    /// Ends a record for its buyer: it counts no more, and its places come back at this time.
    fn end_record(&mut self, id: &str, record: &Record, due: i64) {
        for held in &record.places {
            self.add(format!("o:{}", held.offer), -1);
        }
        let n = i64::try_from(record.places.len()).unwrap();
        let account = format!("a:{}", record.account);
        self.add(account.clone(), -n);
        if self.counts[&account] <= 0 {
            self.counts.remove(&account);
        }
        if let Some(promo) = record.promo {
            self.add(format!("p:{promo}"), -1);
        }
        match record.step {
            Step::Claimed => self.add("c".into(), -n),
            Step::Sold => self.add("s".into(), -n),
            _ => {}
        }
        let over = Record { promo: None, opaque: String::new(), ..record.clone() };
        self.set_step(id, &over, Step::Returning);
        self.returning.insert(id.into(), due);
    }

    /// Frees all that a returning record lists, and leaves a tombstone until then.
    fn free_record(&mut self, id: &str, tomb: i64) {
        let record = self.records().remove(id).expect("a returning record");
        assert_eq!(record.step, Step::Returning);
        for held in &record.places {
            clear_bit(&mut self.taken, held.place);
        }
        self.set_step(id, &Record { places: vec![], ..record }, Step::Released);
        self.returning.remove(id);
        self.tombs.insert(id.into(), tomb);
    }

    pub fn after_begin(&self, epoch: i32, id: Uuid, account: Uuid) -> (Said, Self) {
        let (id, mut after) = (id.to_string(), self.clone());
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let Some(record) = self.records().remove(&id) else { return (said(&["gone"]), after) };
        if record.account.0 != account {
            return (said(&["foreign"]), after);
        }
        let word = match record.step {
            Step::Returning | Step::Released => return (said(&["gone"]), after),
            Step::Claimed | Step::Sold => "claimed",
            Step::Claiming => "claiming",
            Step::Held if record.deadline_ms <= now_ms() => return (said(&["expired"]), after),
            Step::Held => {
                after.set_step(&id, &record, Step::Claiming);
                after.claiming.insert(id.clone(), 0);
                "claiming"
            }
        };
        (said(&[word, &after.holds[&id]]), after)
    }

    /// The new deadline is the script's to say.
    pub fn after_extend(&self, epoch: i32, id: Uuid, account: Uuid, by: i64, most: i64) -> Said {
        let id = id.to_string();
        if epoch != EPOCH {
            return said(&["stale"]);
        }
        let Some(record) = self.records().remove(&id) else { return said(&["gone"]) };
        if record.account.0 != account {
            return said(&["foreign"]);
        }
        match record.step {
            Step::Returning | Step::Released => said(&["gone"]),
            Step::Held if record.deadline_ms <= now_ms() => said(&["gone"]),
            Step::Held => {
                let further = (now_ms() + by).min(record.created_ms + most) > record.deadline_ms;
                said(&[if further { "held" } else { "bound" }])
            }
            _ => said(&["claiming"]),
        }
    }

    pub fn after_release(&self, epoch: i32, id: Uuid, account: Option<Uuid>) -> (Said, Self) {
        let (id, mut after) = (id.to_string(), self.clone());
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let Some(record) = self.records().remove(&id) else { return (said(&["gone"]), after) };
        if account.is_some_and(|account| account != record.account.0) {
            return (said(&["foreign"]), after);
        }
        let may = match record.step {
            Step::Returning | Step::Released => return (said(&["gone"]), after),
            Step::Held => true,
            Step::Claiming => account.is_none(),
            _ => false,
        };
        if !may {
            return (said(&["kept", record.step.letter()]), after);
        }
        after.end_record(&id, &record, 0);
        (said(&["released", &record.places.len().to_string()]), after)
    }

    /// The first of what is due, as Redis sorts it: ties are broken by id.
    fn due(times: &BTreeMap<String, i64>, most: usize) -> Vec<String> {
        let mut due: Vec<_> = times.iter().filter(|(_, at)| **at <= now_ms()).collect();
        due.sort_by_key(|(id, at)| (**at, (*id).clone()));
        due.into_iter().map(|(id, _)| id.clone()).take(most).collect()
    }

    pub fn after_sweep(&self, epoch: i32, how: &Sweep) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let most = how.most;
        let due = Self::due(&self.deadlines, most);
        let records = self.records();
        for id in &due {
            // A delay of a day is over in no test; without one they are free by this call.
            let record = &records[id];
            let free_at = record.deadline_ms + how.delay;
            after.end_record(id, record, free_at);
        }
        let now = how.now.map(|id| id.to_string()).filter(|id| after.returning.contains_key(id));
        let asks = self.is_asked();
        // Tombstones that live no time are forgotten by the same call.
        let tomb = now_ms() + how.tomb;
        if let Some(id) = &now {
            after.free_record(id, tomb);
        }
        let free = !asks || how.asks_follow;
        let back = if free { Self::due(&after.returning, most) } else { vec![] };
        for id in &back {
            after.free_record(id, tomb);
        }
        let freed = back.len() + usize::from(now.is_some());
        let old = Self::due(&after.tombs, most);
        for id in &old {
            after.tombs.remove(id);
            after.holds.remove(id);
        }
        let raised = after.seq() + i64::from(freed > 0) + i64::try_from(old.len()).unwrap();
        after.head.insert("seq".into(), raised.to_string());
        let hangs = Self::due(
            &self.claiming.iter().map(|(id, at)| (id.clone(), at + how.hanging)).collect(),
            most,
        );
        let more = due.len() == most || back.len() == most || old.len() == most;
        let flags = [usize::from(more), usize::from(asks)];
        let said = [due.len(), freed, old.len(), flags[0], flags[1], hangs.len(), due.len()];
        let words = std::iter::once("swept".to_owned());
        (words.chain(said.map(|n| n.to_string())).collect(), after)
    }

    pub fn after_mirror(&self, epoch: i32, entries: &[Entry], tomb: i64) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let (mut conflicts, mut moved) = (Vec::new(), false);
        for entry in entries {
            let id = entry.id.to_string();
            let known = after.records().remove(&id);
            let step = match entry.step {
                'c' => Step::Claimed,
                's' => Step::Sold,
                _ => Step::Released,
            };
            match known {
                Some(record) if record.step >= Step::Returning => {
                    if step != Step::Released {
                        conflicts.push(id);
                    }
                }
                Some(record) if step == Step::Released => {
                    after.end_record(&id, &record, 0);
                    moved = true;
                }
                Some(record) if record.step < step => {
                    after.promote(&id, &record, step);
                    // No bit changes, but snapshots carry the counts.
                    moved = true;
                }
                Some(_) => {}
                None if step == Step::Released => {}
                None => {
                    moved |= after.make_way(entry, now_ms() + tomb);
                    if entry.places.iter().any(|held| after.is_taken(held.place)) {
                        conflicts.push(id);
                    } else {
                        after.write_order(&id, entry, step);
                        moved = true;
                    }
                }
            }
        }
        if moved {
            after.raise_seq();
        }
        (said(&["mirrored", &conflicts.join(",")]), after)
    }

    /// What only waits to come back gives way to a claim. Whether there was anything.
    fn make_way(&mut self, entry: &Entry, tomb: i64) -> bool {
        let wanted: Vec<i32> = entry.places.iter().map(|held| held.place).collect();
        let records = self.records();
        let in_the_way = records.iter().filter(|(_, record)| {
            record.step == Step::Returning
                && record.places.iter().any(|held| wanted.contains(&held.place))
        });
        let mut any = false;
        for (id, _) in in_the_way {
            self.free_record(id, tomb);
            any = true;
        }
        any
    }

    pub fn after_ask(&self, epoch: i32, new: &InLine) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        if self.holds.contains_key(&new.hold.to_string()) {
            return (said(&["served"]), after);
        }
        for id in Self::due(&self.asks, usize::MAX) {
            after.forget_ask(&id);
        }
        let id = new.id.to_string();
        if let Some(record) = after.asked.get(&id) {
            let same = record.split('|').nth(1) == Some(&new.digest);
            return (said(&[if same { "again" } else { "mismatch" }]), after);
        }
        let guards: Vec<String> =
            new.levels.split(',').map(|level| format!("{}:{level}", new.account)).collect();
        if let Some(other) = guards.iter().find_map(|guard| after.asked.get(guard)) {
            return (said(&["other", other]), after);
        }
        if after.asks.len() >= new.most {
            return (said(&["full"]), after);
        }
        let record = format!("{}|{}|{}|{WISH}", new.account, new.digest, new.levels);
        after.asked.insert(id.clone(), record);
        after.asked.extend(guards.into_iter().map(|guard| (guard, id.clone())));
        after.asks.insert(id, 0);
        (said(&["waiting"]), after)
    }

    /// Whether it was there.
    fn forget_ask(&mut self, id: &str) -> bool {
        self.asked.retain(|_, value| value != id);
        self.asks.remove(id);
        self.asked.remove(id).is_some()
    }

    pub fn after_unask(&self, epoch: i32, account: Option<Uuid>, ids: &[Uuid]) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let mut left = 0;
        for id in ids.iter().map(Uuid::to_string) {
            let owner = after.asked.get(&id).and_then(|record| record.split('|').next());
            let account = account.map(|account| account.to_string());
            if owner.is_some() && (account.is_none() || owner == account.as_deref()) {
                left += usize::from(after.forget_ask(&id));
            }
        }
        (said(&["left", &left.to_string()]), after)
    }

    fn promote(&mut self, id: &str, record: &Record, step: Step) {
        let n = i64::try_from(record.places.len()).unwrap();
        if record.step == Step::Claimed {
            self.add("c".into(), -n);
        }
        self.add(if step == Step::Sold { "s" } else { "c" }.into(), n);
        self.set_step(id, record, step);
    }

    fn write_order(&mut self, id: &str, entry: &Entry, step: Step) {
        let n = i64::try_from(entry.places.len()).unwrap();
        for held in &entry.places {
            listing::set_bit(&mut self.taken, held.place);
            self.add(format!("o:{}", held.offer), 1);
        }
        self.add(format!("a:{}", entry.account), n);
        if let Some(promo) = entry.promo {
            self.add(format!("p:{promo}"), 1);
        }
        self.add(if step == Step::Sold { "s" } else { "c" }.into(), n);
        let record = Record {
            step,
            deadline_ms: 0,
            account: entry.account.into(),
            // When it was mirrored; see `without_created`.
            created_ms: 0,
            promo: entry.promo,
            digest: String::new(),
            places: entry.places.clone(),
            opaque: String::new(),
        };
        self.holds.insert(id.into(), record.text());
    }

    /// The same without the times at which mirrored records were written.
    pub fn without_created(&self) -> Self {
        let mut same = self.timeless();
        for (id, record) in self.records() {
            if record.deadline_ms == 0 {
                same.holds.insert(id, Record { created_ms: 0, ..record }.text());
            }
        }
        same
    }

    pub fn after_block(
        &self,
        epoch: i32,
        refuse: bool,
        letters: &str,
        places: &[i32],
    ) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let taken = places.iter().filter(|place| refuse && self.is_taken(**place));
        let taken: Vec<String> = taken.map(i32::to_string).collect();
        if !taken.is_empty() {
            return (said(&["taken", &taken.join(",")]), after);
        }
        let [public, channel] = after.blocked.as_mut_slice() else { panic!("two channels") };
        for (bitmap, letter) in [&mut after.kills, public, channel].into_iter().zip(letters.chars())
        {
            for place in places {
                match letter {
                    '1' => listing::set_bit(bitmap, *place),
                    '0' => clear_bit(bitmap, *place),
                    _ => {}
                }
            }
        }
        if letters.contains('1') {
            after.head.insert("blocked".into(), "1".into());
        }
        after.raise_seq();
        (said(&["blocked", &places.len().to_string()]), after)
    }
}
