//! What every other script must do, by its header: the expected answer, and the expected state.

use onsale::catalog::listing;
use onsale::holds::record::{Record, Step};
use uuid::Uuid;

use super::ask::Entry;
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
        same.tombs.values_mut().for_each(|until| *until = 0);
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

    /// Frees all that a live record lists, and leaves a tombstone.
    fn end_record(&mut self, id: &str, record: &Record) {
        for held in &record.places {
            clear_bit(&mut self.taken, held.place);
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
        let tombstone =
            Record { promo: None, places: vec![], opaque: String::new(), ..record.clone() };
        self.set_step(id, &tombstone, Step::Released);
        self.tombs.insert(id.into(), 0);
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
            Step::Released => return (said(&["gone"]), after),
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
            Step::Released => said(&["gone"]),
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
            Step::Released => return (said(&["gone"]), after),
            Step::Held => true,
            Step::Claiming => account.is_none(),
            _ => false,
        };
        if !may {
            return (said(&["kept", record.step.letter()]), after);
        }
        after.end_record(&id, &record);
        after.raise_seq();
        (said(&["released", &record.places.len().to_string()]), after)
    }

    /// Ties between equal deadlines are broken by id, as Redis does.
    pub fn after_sweep(&self, epoch: i32, most: usize, tomb: i64, hanging: i64) -> (Said, Self) {
        let mut after = self.clone();
        if epoch != EPOCH {
            return (said(&["stale"]), after);
        }
        let mut due: Vec<_> = self.deadlines.iter().filter(|(_, at)| **at <= now_ms()).collect();
        due.sort_by_key(|(id, at)| (**at, (*id).clone()));
        due.truncate(most);
        let records = self.records();
        for (id, _) in &due {
            after.end_record(id, &records[*id]);
            // Tombstones that live no time are forgotten by the same call.
            after.tombs.insert((*id).clone(), now_ms() + tomb);
        }
        if !due.is_empty() {
            after.raise_seq();
        }
        let mut old: Vec<_> = after.tombs.iter().filter(|(_, until)| **until <= now_ms()).collect();
        old.sort_by_key(|(id, until)| (**until, (*id).clone()));
        let mut old: Vec<String> = old.into_iter().map(|(id, _)| id.clone()).collect();
        old.truncate(most);
        for id in &old {
            after.tombs.remove(id);
            after.holds.remove(id);
        }
        let hangs = self.claiming.values().filter(|since| **since <= now_ms() - hanging).count();
        let more = due.len() == most || old.len() == most;
        let said = [due.len(), old.len(), usize::from(more), hangs.min(most)];
        let words = std::iter::once("swept".to_owned());
        (words.chain(said.map(|n| n.to_string())).collect(), after)
    }

    pub fn after_mirror(&self, epoch: i32, entries: &[Entry]) -> (Said, Self) {
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
                Some(record) if record.step == Step::Released => {
                    if step != Step::Released {
                        conflicts.push(id);
                    }
                }
                Some(record) if step == Step::Released => {
                    after.end_record(&id, &record);
                    moved = true;
                }
                Some(record) if record.step < step => {
                    after.promote(&id, &record, step);
                    // No bit changes, but snapshots carry the counts.
                    moved = true;
                }
                Some(_) => {}
                None if step == Step::Released => {}
                None if entry.places.iter().any(|held| after.is_taken(held.place)) => {
                    conflicts.push(id);
                }
                None => {
                    after.write_order(&id, entry, step);
                    moved = true;
                }
            }
        }
        if moved {
            after.raise_seq();
        }
        (said(&["mirrored", &conflicts.join(",")]), after)
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
        after.raise_seq();
        (said(&["blocked", &places.len().to_string()]), after)
    }
}
