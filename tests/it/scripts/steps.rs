//! The steps of a random sequence: taken, foretold by the model, and compared.

use onsale::catalog::Class;
use onsale::holds::record::HeldPlace;
use uuid::Uuid;

use super::ask::{DAY_MS, Entry, InLine, Sweep, account_id};
use super::judge::{now_ms, texts};
use super::sequences::Op;
use super::world::{Dump, EPOCH, World};

/// A sequence under way.
pub struct Play {
    pub world: World,
    pub before: Dump,
    pub epoch: i32,
    pub ids: Vec<Uuid>,
    /// Asks that were ever in line.
    pub asks: Vec<Uuid>,
}

fn day_or_none(day: bool) -> i64 {
    if day { DAY_MS } else { 0 }
}

impl Play {
    pub async fn step(&mut self, op: Op) {
        match op {
            Op::Hold(wish) => self.hold(&wish).await,
            Op::Begin { id, stranger } => self.begin(id, stranger).await,
            Op::Extend { id, stranger, by, most } => self.extend(id, stranger, by, most).await,
            Op::Release { id, who, delay } => self.release(id, who, day_or_none(delay)).await,
            Op::Sweep { most, tomb, hanging, delay, asks_follow, now } => {
                let (tomb, delay) = (day_or_none(tomb), day_or_none(delay));
                let (hanging, now) = (day_or_none(!hanging), now.map(|id| self.id(id)));
                self.sweep(&Sweep { most, tomb, hanging, delay, asks_follow, now }).await;
            }
            Op::Mirror { entries, tomb, delay } => {
                self.mirror(&entries, day_or_none(tomb), day_or_none(delay)).await;
            }
            Op::Ask { account, levels, known, hold, over } => {
                self.ask(account, levels, known, hold, over).await;
            }
            Op::Unask { account, ids } => self.unask(account, &ids).await,
            Op::Block { letters, refuse, places } => self.block(letters, refuse, &places).await,
            Op::State(open) => self.state(open).await,
            Op::Grow(units) => self.grow(units).await,
            Op::Snapshot { known } => self.snapshot(known).await,
            Op::Stale(_) => unreachable!("not nested"),
        }
        self.before.audit(&self.world.stretches);
    }

    /// Takes the state after a step, which must be the model's.
    async fn compare(&mut self, expected: &Dump, what: &str) {
        let after = self.world.dump().await;
        assert_eq!(after.without_created(), expected.without_created(), "{what}");
        let bits = |dump: &Dump| (dump.taken.clone(), dump.kills.clone(), dump.blocked.clone());
        let changed = bits(&after.decided()) != bits(&self.before.decided());
        let (was, is) = (self.before.version(), after.version());
        assert!(is >= was, "{what}: the version fell");
        assert!(!changed || is > was, "{what}: bits changed, the version did not");
        self.before = after;
    }

    pub fn id(&self, number: u8) -> Uuid {
        // One more than there are: an id that nobody knows.
        let at = usize::from(number) % (self.ids.len() + 1);
        self.ids.get(at).copied().unwrap_or_else(|| Uuid::from_u128(1))
    }

    fn owner(&self, id: Uuid, stranger: bool) -> Uuid {
        let record = self.before.records().remove(&id.to_string());
        let owner = record.map_or_else(|| account_id(0), |record| record.account.0);
        if stranger { account_id(9) } else { owner }
    }

    async fn begin(&mut self, id: u8, stranger: bool) {
        let id = self.id(id);
        let account = self.owner(id, stranger);
        for _ in 0..2 {
            let (expected, after) = self.before.after_begin(self.epoch, id, account);
            let reply = self.world.begin(self.epoch, id, account).await;
            assert_eq!(texts(&reply), expected);
            self.compare(&after, "begin").await;
        }
    }

    async fn extend(&mut self, id: u8, stranger: bool, by: i64, most: i64) {
        let id = self.id(id);
        let account = self.owner(id, stranger);
        let expected = self.before.after_extend(self.epoch, id, account, by, most);
        let reply = self.world.extend(self.epoch, id, account, by, most).await;
        let said = texts(&reply);
        // The model's clock is some milliseconds behind: at the edge both may be right.
        let edge = matches!(said[0].as_str(), "held" | "bound") && expected[0] != "gone";
        assert!(said[0] == expected[0] || edge, "{said:?} {expected:?}");
        let mut after = self.before.clone();
        if said[0] == "held" {
            let (until, now): (i64, i64) = (said[1].parse().unwrap(), said[2].parse().unwrap());
            let mut record = self.before.records().remove(&id.to_string()).unwrap();
            assert_eq!(until, (now + by).min(record.created_ms + most));
            assert!(until > record.deadline_ms);
            record.deadline_ms = until;
            after.holds.insert(id.to_string(), record.text());
            after.deadlines.insert(id.to_string(), until);
        }
        self.compare(&after, "extend").await;
    }

    async fn release(&mut self, id: u8, who: u8, delay: i64) {
        let id = self.id(id);
        let account = (who > 0).then(|| self.owner(id, who == 1));
        for _ in 0..2 {
            let (expected, after) = self.before.after_release(self.epoch, id, account);
            let from = now_ms();
            let reply = self.world.release(self.epoch, id, account, delay).await;
            assert_eq!(texts(&reply), expected);
            self.compare(&after, "release").await;
            if reply.word() == Some("released") {
                let due = self.before.returning[&id.to_string()];
                assert!(due >= from && due <= now_ms() + delay, "{due} is not within {delay}");
            }
        }
    }

    async fn sweep(&mut self, how: &Sweep) {
        let (expected, after) = self.before.after_sweep(self.epoch, how);
        let reply = self.world.sweep(self.epoch, how).await;
        let mut said = texts(&reply);
        if let Some(redis::Value::Array(hanging)) = reply.0.get(6) {
            said[6] = (hanging.len() / 2).to_string();
        }
        if let Some(redis::Value::Array(over)) = reply.0.get(7) {
            said[7] = (over.len() / 2).to_string();
        }
        assert_eq!(said, expected);
        self.compare(&after, "sweep").await;
    }

    async fn ask(
        &mut self,
        account: u8,
        levels: u8,
        known: Option<(u8, bool)>,
        hold: Option<u8>,
        over: bool,
    ) {
        let mut new = InLine::new(account);
        new.levels = ["0", "1", "0,1"][usize::from(levels)].into();
        new.life = day_or_none(!over);
        if let Some((known, same)) = known {
            new.id = self.ask_id(known);
            new.digest = if same { "d1".into() } else { "d2".into() };
        }
        if let Some(hold) = hold {
            new.hold = self.id(hold);
        }
        for _ in 0..2 {
            let (expected, after) = self.before.after_ask(self.epoch, &new);
            let from = now_ms();
            let reply = self.world.queue(self.epoch, &new).await;
            let said = texts(&reply);
            assert_eq!(said[..expected.len()], expected);
            self.compare(&after, "ask").await;
            if let "waiting" | "again" = said[0].as_str() {
                let until = self.before.asks[&new.id.to_string()];
                let line: Vec<_> = self.before.asks.iter().map(|(id, at)| (*at, id)).collect();
                let mine = (until, &new.id.to_string());
                let ahead = line.iter().filter(|other| **other < mine).count();
                assert_eq!((&said[1], &said[3]), (&until.to_string(), &ahead.to_string()));
                assert!(said[0] == "again" || (from..=now_ms()).contains(&(until - new.life)));
            }
        }
        self.asks.push(new.id);
    }

    fn ask_id(&self, number: u8) -> Uuid {
        let at = usize::from(number) % (self.asks.len() + 1);
        self.asks.get(at).copied().unwrap_or_else(Uuid::now_v7)
    }

    async fn unask(&mut self, account: Option<u8>, ids: &[u8]) {
        let ids: Vec<Uuid> = ids.iter().map(|id| self.ask_id(*id)).collect();
        let account = account.map(account_id);
        for _ in 0..2 {
            let (expected, after) = self.before.after_unask(self.epoch, account, &ids);
            let reply = self.world.unask(self.epoch, account, &ids).await;
            assert_eq!(texts(&reply), expected);
            self.compare(&after, "unask").await;
        }
    }

    async fn mirror(&mut self, drawn: &[(u8, u8, Vec<u8>)], tomb: i64, delay: i64) {
        let mut entries: Vec<Entry> = Vec::new();
        for (id, step, picks) in drawn {
            let known = self.id(*id);
            let record = self.before.records().remove(&known.to_string());
            let step = ['c', 's', 'r'][usize::from(*step)];
            let entry = match record {
                Some(record) => Entry {
                    id: known,
                    step,
                    account: record.account.0,
                    promo: record.promo,
                    places: record.places,
                },
                // An order that Redis has forgotten, on places that may be taken.
                None => {
                    let mut places: Vec<i32> =
                        picks.iter().map(|pick| self.seat(*pick, Class::Standard)).collect();
                    places.sort_unstable();
                    places.dedup();
                    let held = |place: i32| HeldPlace {
                        place,
                        stretch: self.world.stretch_of(place),
                        offer: 0,
                        tier: 0,
                    };
                    let places = places.into_iter().map(held).collect();
                    let promo = (picks[0] % 4 == 0).then_some(1);
                    Entry {
                        id: Uuid::now_v7(),
                        step,
                        account: account_id(picks[0] % 3),
                        promo,
                        places,
                    }
                }
            };
            entries.push(entry);
        }
        for _ in 0..2 {
            let (expected, after) = self.before.after_mirror(self.epoch, &entries, tomb);
            let reply = self.world.mirror(self.epoch, &entries, tomb, delay).await;
            assert_eq!(texts(&reply), expected);
            self.compare(&after, "mirror").await;
        }
        let known = self.before.records();
        self.ids
            .extend(entries.iter().map(|e| e.id).filter(|id| known.contains_key(&id.to_string())));
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    async fn block(&mut self, letters: u8, refuse: bool, picks: &[u8]) {
        // Killed, revived, allocated to channel 1, given to another channel, back to the public.
        let letters = ["111", "000", "-10", "-11", "-00"][usize::from(letters)];
        let mut places: Vec<i32> =
            picks.iter().map(|pick| self.seat(*pick, Class::Standard)).collect();
        places.sort_unstable();
        places.dedup();
        if letters.starts_with('-') {
            // Allocations of killed places are not looked at: they stay blocked.
            places.retain(|place| !onsale::catalog::listing::bit(&self.before.kills, *place));
        }
        for _ in 0..2 {
            let (expected, after) = self.before.after_block(self.epoch, refuse, letters, &places);
            let reply = self.world.block(self.epoch, refuse, letters, &places).await;
            assert_eq!(texts(&reply), expected);
            self.compare(&after, "block").await;
        }
    }

    async fn state(&mut self, open: bool) {
        let state = if open { "on_sale" } else { "paused" };
        let reply = self.world.state(self.epoch, state).await;
        let mut after = self.before.clone();
        if self.epoch == EPOCH {
            assert_eq!(reply.word(), Some("set"));
            after.head.insert("state".into(), state.into());
            after.head.insert("seq".into(), (self.before.seq() + 1).to_string());
        } else {
            assert_eq!(reply.word(), Some("stale"));
        }
        self.compare(&after, "state").await;
    }

    async fn grow(&mut self, units: i32) {
        let reply = self.world.grow(self.epoch, units, 0).await;
        let mut after = self.before.clone();
        if self.epoch == EPOCH {
            assert_eq!(reply.word(), Some("grown"));
            after.stretches = onsale::holds::rebuild::stretch_bytes(&self.world.stretches);
            after.head.insert("seq".into(), (self.before.seq() + 1).to_string());
        } else {
            assert_eq!(reply.word(), Some("stale"));
        }
        self.compare(&after, "grow").await;
    }

    async fn snapshot(&mut self, known: bool) {
        let version = if known { self.before.version().to_string() } else { String::new() };
        let reply = self.world.snapshot(self.epoch, &version).await;
        let count = |name: &str| self.before.counts.get(name).copied().unwrap_or(0);
        match reply.word() {
            Some("stale") => assert_ne!(self.epoch, EPOCH),
            Some("same") => {
                assert!(known);
                assert_eq!(reply.number(1), Some(self.before.version()));
                assert_eq!(reply.text(2), Some(self.before.state()));
                // Counts move while no bit does.
                assert_eq!(
                    (reply.number(3), reply.number(4)),
                    (Some(count("c")), Some(count("s")))
                );
            }
            Some("snapshot") => {
                assert!(!known);
                assert_eq!(reply.bytes(3), Some(&*self.before.taken));
                assert_eq!(reply.bytes(4), Some(&*self.before.blocked[0]));
                assert_eq!(reply.bytes(5), Some(&*self.before.kills));
                assert_eq!(
                    (reply.number(6), reply.number(7)),
                    (Some(count("c")), Some(count("s")))
                );
            }
            other => panic!("{other:?}"),
        }
        self.compare(&self.before.clone(), "snapshot").await;
    }
}
