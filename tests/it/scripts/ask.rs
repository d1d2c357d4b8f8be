//! What the scripts are asked, written out as their headers say.

use onsale::holds::near::Near;
use onsale::holds::record::{HeldPlace, places_text};
use onsale::holds::redis::Reply;
use onsale::redis::scripts;
use uuid::Uuid;

use super::world::{CHANNELS, EPOCH, World};

/// How long a tombstone lives where a test doesn't care.
pub const DAY_MS: i64 = 86_400_000;

/// A wish, as the hold script is told it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub epoch: i32,
    pub id: Uuid,
    pub digest: String,
    pub account: Uuid,
    pub limit: i32,
    pub ttl_ms: i64,
    pub equivalent: bool,
    /// Taken places from which on the orphan rule is relaxed; none: the rule is off.
    pub orphans: Option<usize>,
    /// A promo code's number and its limit (-1: none).
    pub promo: Option<(i32, i32)>,
    pub retake: bool,
    pub channel: i16,
    pub lines: Vec<Line>,
    /// Without the script's short way.
    pub long: bool,
}

/// Tiers as count and date (ms), 0 for no bound.
pub type Tiers = Vec<(i64, i64)>;
/// Stretches, both ends included, best first.
pub type Ranges = Vec<(i32, i32)>;

#[derive(Clone, Debug)]
pub struct Line {
    pub kind: char,
    pub offer: i16,
    pub quota: i32,
    pub from_ms: i64,
    pub until_ms: i64,
    pub tiers: Tiers,
    pub n: usize,
    /// Of chosen places.
    pub places: Vec<i32>,
    /// Of everything else.
    pub ranges: Ranges,
    pub instead: Ranges,
}

impl Line {
    /// The best n of these stretches.
    pub fn best(offer: i16, n: usize, ranges: Ranges) -> Self {
        Self {
            kind: 'b',
            offer,
            quota: -1,
            from_ms: 0,
            until_ms: 0,
            tiers: vec![],
            n,
            places: vec![],
            ranges,
            instead: vec![],
        }
    }

    /// These places.
    pub fn chosen(offer: i16, places: &[i32]) -> Self {
        let mut places = places.to_vec();
        places.sort_unstable();
        Self { kind: 'p', places: places.clone(), ..Self::best(offer, places.len(), vec![]) }
    }

    /// n units of areas.
    pub fn area(offer: i16, n: usize, ranges: Ranges) -> Self {
        Self { kind: 'a', ..Self::best(offer, n, ranges) }
    }

    fn what(&self, world: &World) -> String {
        if self.kind != 'p' {
            return ranges_text(&self.ranges);
        }
        let by_stretch = self
            .places
            .chunk_by(|a, b| world.stretch_of(*a) == world.stretch_of(*b))
            .map(|group| {
                let number = world.stretch_of(group[0]);
                let stretch = &world.stretches[usize::try_from(number).expect("a stretch")];
                let watch = u8::from(stretch.class == onsale::catalog::Class::Standard);
                let places: Vec<String> = group.iter().map(i32::to_string).collect();
                let (first, length) = (stretch.first, stretch.length);
                format!("{number}:{first}:{length}:{watch}:{};", places.join("."))
            });
        by_stretch.collect()
    }
}

fn ranges_text(ranges: &[(i32, i32)]) -> String {
    let texts: Vec<String> = ranges.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    texts.join(",")
}

impl Ask {
    /// A public wish without limits, for ten minutes.
    pub fn new(account: u8, lines: Vec<Line>) -> Self {
        Self {
            epoch: EPOCH,
            id: Uuid::now_v7(),
            digest: "d1".into(),
            account: account_id(account),
            limit: 0,
            ttl_ms: 600_000,
            equivalent: false,
            orphans: None,
            promo: None,
            retake: false,
            channel: 0,
            lines,
            long: false,
        }
    }
}

/// A fixed account for each number.
pub fn account_id(number: u8) -> Uuid {
    Uuid::from_u128(0xacc0_0000 + u128::from(number))
}

/// A sweep, as the script is told it.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    pub most: usize,
    pub tomb: i64,
    pub hanging: i64,
    /// The bound of the delay of what ends.
    pub delay: i64,
    pub asks_follow: bool,
    /// A returning record whose places are free now.
    pub now: Option<Uuid>,
}

impl Sweep {
    /// Of all there is, which comes back at once.
    pub fn all() -> Self {
        let (most, hanging) = (100, DAY_MS);
        Self { most, tomb: DAY_MS, hanging, delay: 0, asks_follow: false, now: None }
    }
}

/// What everybody in line wishes for: text that the scripts don't read.
pub const WISH: &str = "{\"wish\":\"a|b\"}";

/// An ask for places that come back, as the script is told it.
#[derive(Clone, Debug)]
pub struct InLine {
    pub id: Uuid,
    pub hold: Uuid,
    pub digest: String,
    pub account: Uuid,
    pub levels: String,
    pub life: i64,
    pub most: usize,
}

impl InLine {
    /// For a day, for the best price level.
    pub fn new(account: u8) -> Self {
        let (id, hold) = (Uuid::now_v7(), Uuid::now_v7());
        let (digest, levels) = ("d1".into(), "0".into());
        Self { id, hold, digest, account: account_id(account), levels, life: DAY_MS, most: 3 }
    }
}

/// An order, as the mirror script is told it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: Uuid,
    pub step: char,
    pub account: Uuid,
    pub promo: Option<i32>,
    pub places: Vec<HeldPlace>,
}

/// A change of offers, as the script is told it.
#[derive(Clone, Debug)]
pub struct Retype {
    pub epoch: i32,
    pub id: Uuid,
    pub account: Uuid,
    /// What it was planned on; none: the record as it is.
    pub subject: Option<String>,
    /// A promo code's number and its limit (-1: none).
    pub promo: Option<(i32, i32)>,
    pub opaque: String,
    /// Offers that places move to; of a line's fields those that the script reads.
    pub to: Vec<Line>,
}

/// Arguments as texts.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { Vec::from([$($arg.to_string()),*]) };
}

impl World {
    /// What the short way is told: of chosen places of one row, by an offer without tiers.
    fn near(&self, ask: &Ask) -> Option<Near> {
        let [line] = &*ask.lines else { return None };
        let simple = line.kind == 'p' && line.tiers.is_empty() && ask.promo.is_none();
        if !simple || ask.long || ask.retake {
            return None;
        }
        let stretch = self.stretch_of(line.places[0]);
        let held = |place: &i32| HeldPlace { place: *place, stretch, offer: line.offer, tier: 0 };
        let places: Vec<HeldPlace> = line.places.iter().map(held).collect();
        let together = line.places.iter().all(|place| self.stretch_of(*place) == stretch);
        let row = &self.stretches[usize::try_from(stretch).expect("a stretch")];
        Near::of(row, places, ask.orphans.is_some()).filter(|_| together)
    }

    pub async fn hold(&self, ask: &Ask) -> Reply {
        self.hold_and_way(ask).await.0
    }

    /// Also whether it was held the short way.
    pub async fn hold_and_way(&self, ask: &Ask) -> (Reply, bool) {
        let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
        let orphans = number(ask.orphans.map(|from| i64::try_from(from).expect("few")));
        let promo = number(ask.promo.map(|promo| promo.0.into()));
        let most = ask.promo.map_or(-1, |promo| promo.1);
        let (limit, equivalent, retake) =
            (ask.limit, u8::from(ask.equivalent), u8::from(ask.retake));
        let mut wish = format!("{limit} {equivalent} {orphans} {promo} {most} {retake}\n");
        for line in &ask.lines {
            let Line { kind, offer, quota, from_ms, until_ms, n, .. } = line;
            let tiers: Vec<String> = line.tiers.iter().map(|(n, t)| format!("{n}:{t}")).collect();
            let (what, instead) = (line.what(self), ranges_text(&line.instead));
            let tiers = tiers.join(",");
            wish.push_str(&format!(
                "{kind} {offer} {quota} {from_ms} {until_ms} {tiers} {n} {what} {instead}\n"
            ));
        }
        let near = self.near(ask);
        let digest = &ask.digest;
        let places = near.as_ref().map(Near::text).unwrap_or_default();
        let end = format!("|{promo}|{digest}|{places}|{{\"opaque\":\"a|b\"}}");
        let mut args =
            args![ask.epoch, ask.id, format!("a:{}", ask.account), ask.ttl_ms, end, wish];
        if let Some(near) = &near {
            let line = &ask.lines[0];
            let closer = if near.closer { "1" } else { "" };
            let offer = format!("o:{}", line.offer);
            args.extend(args![offer, line.n, near.from, near.chosen, near.around, closer]);
            if (ask.limit, line.quota, line.from_ms, line.until_ms) != (0, -1, 0, 0) {
                args.extend(args![ask.limit, line.quota, line.from_ms, line.until_ms]);
            }
        }
        let keys = &self.sale.keys;
        let blocked = keys.blocked(ask.channel);
        let mut names = vec![&*keys.head, &*keys.taken, &*blocked, &*keys.holds, &*keys.deadlines];
        names.extend([&*keys.counts, &*keys.returning, &*keys.asks]);
        if ask.equivalent || ask.lines.iter().any(|line| line.kind != 'p') {
            names.extend([&*keys.stretches, &*keys.hints, &*keys.kills]);
        }
        let mut reply = self.ask(&scripts::HOLD, &names, &args).await;
        // The short way doesn't repeat which places it was told of.
        let short = reply.word() == Some("held") && reply.0.len() == 3;
        if short {
            reply.0.push(redis::Value::BulkString(places.into_bytes()));
        }
        (reply, short)
    }

    pub async fn begin(&self, epoch: i32, id: Uuid, account: Uuid) -> Reply {
        let keys = &self.sale.keys;
        let keys = [&*keys.head, &keys.holds, &keys.deadlines, &keys.claiming];
        self.ask(&scripts::BEGIN, &keys, &[epoch.to_string(), id.to_string(), account.to_string()])
            .await
    }

    pub async fn extend(&self, epoch: i32, id: Uuid, account: Uuid, by: i64, most: i64) -> Reply {
        let keys = &self.sale.keys;
        let keys = [&*keys.head, &keys.holds, &keys.deadlines];
        let args = args![epoch, id, account, by, most];
        self.ask(&scripts::EXTEND, &keys, &args).await
    }

    /// The record from its promo code on.
    pub async fn subject(&self, id: Uuid) -> String {
        let record = self.dump().await.holds.get(&id.to_string()).cloned().unwrap_or_default();
        onsale::holds::retype::redis::subject(&record).to_owned()
    }

    pub async fn retype(&self, change: &Retype) -> Reply {
        let subject = match &change.subject {
            Some(subject) => subject.clone(),
            None => self.subject(change.id).await,
        };
        let mut args = args![
            change.epoch,
            change.id,
            change.account,
            subject,
            change.promo.map(|promo| promo.0.to_string()).unwrap_or_default(),
            change.promo.map_or(-1, |promo| promo.1),
            change.opaque,
        ];
        for line in &change.to {
            let tiers: Vec<String> = line.tiers.iter().map(|(n, t)| format!("{n}:{t}")).collect();
            let places: Vec<String> = line.places.iter().map(i32::to_string).collect();
            let (quota, from, until) = (line.quota, line.from_ms, line.until_ms);
            args.extend(args![line.offer, quota, from, until, tiers.join(","), places.join(".")]);
        }
        let keys = &self.sale.keys;
        let keys = [&*keys.head, &keys.holds, &keys.counts];
        self.ask(&scripts::RETYPE, &keys, &args).await
    }

    /// `account`: none is the system; `delay`: its bound.
    pub async fn release(&self, epoch: i32, id: Uuid, account: Option<Uuid>, delay: i64) -> Reply {
        let (account, states) = match account {
            Some(account) => (account.to_string(), "h"),
            None => ("*".to_owned(), "hg"),
        };
        let args = args![epoch, id, account, states, Uuid::now_v7(), delay];
        let keys = &self.sale.keys;
        let keys = [
            &*keys.head,
            &keys.holds,
            &keys.deadlines,
            &keys.claiming,
            &keys.counts,
            &keys.returning,
        ];
        self.ask(&scripts::RELEASE, &keys, &args).await
    }

    pub async fn sweep(&self, epoch: i32, how: &Sweep) -> Reply {
        let Sweep { most, tomb, hanging, delay, asks_follow, now } = how;
        let now = now.map(|id| id.to_string()).unwrap_or_default();
        let secret = Uuid::now_v7();
        let args = args![epoch, most, tomb, hanging, secret, delay, u8::from(*asks_follow), now];
        let asks = &*self.sale.keys.asks;
        let keys = [&self.record_keys()[..], &[asks]].concat();
        self.ask(&scripts::SWEEP, &keys, &args).await
    }

    /// `delay`: the bound of what is released.
    pub async fn mirror(&self, epoch: i32, entries: &[Entry], tomb: i64, delay: i64) -> Reply {
        let mut args = args![epoch, tomb, Uuid::now_v7(), delay];
        for entry in entries {
            let promo = entry.promo.map(|promo| promo.to_string()).unwrap_or_default();
            let places = places_text(&entry.places);
            args.extend(args![entry.id, entry.step, entry.account, promo, places, ""]);
        }
        self.ask(&scripts::MIRROR, &self.record_keys(), &args).await
    }

    /// `letters`: of the kills and of what each channel can't sell.
    pub async fn block(&self, epoch: i32, refuse: bool, letters: &str, places: &[i32]) -> Reply {
        let keys = &self.sale.keys;
        let blocked = CHANNELS.map(|channel| keys.blocked(channel));
        let keys = [&*keys.head, &keys.taken, &keys.hints, &keys.kills, &blocked[0], &blocked[1]];
        let places: Vec<String> =
            places.iter().map(|place| format!("{place}:{}", self.stretch_of(*place))).collect();
        let args = args![epoch, u8::from(refuse), letters, places.join(",")];
        self.ask(&scripts::BLOCK, &keys, &args).await
    }

    pub async fn state(&self, epoch: i32, state: &str) -> Reply {
        self.ask(&scripts::STATE, &[&self.sale.keys.head], &[epoch.to_string(), state.into()]).await
    }

    /// Adds an area of so many units at the end.
    pub async fn grow(&mut self, epoch: i32, units: i32, level: i16) -> Reply {
        let last = self.stretches.last().expect("a stretch");
        let first = (last.first + last.length + 7) / 8 * 8;
        let (number, class) = (self.stretches.len(), onsale::catalog::Class::Area);
        let stretch = onsale::catalog::Stretch { first, length: units, level, class, section: 1 };
        let bytes = onsale::holds::rebuild::stretch_bytes(std::slice::from_ref(&stretch));
        let keys = &self.sale.keys;
        let keys = [&*keys.head, &keys.stretches, &keys.hints];
        let (epoch, number) = (epoch.to_string(), number.to_string());
        let args: [&[u8]; 3] = [epoch.as_bytes(), number.as_bytes(), &bytes];
        let reply = self.redis.eval(&self.sale.run_id, &scripts::GROW, &keys, &args).await;
        let reply = Reply(reply.expect("an answer"));
        if reply.word() == Some("grown") {
            self.stretches.push(stretch);
        }
        reply
    }

    pub async fn spend(&self, nonce: &str) -> Reply {
        let event = self.sale.listing.event.id;
        let key = onsale::redis::keys::spent_proof(&self.redis.prefix, event, nonce);
        self.ask(&scripts::SPEND, &[&key], &["60000".into()]).await
    }

    pub async fn snapshot(&self, epoch: i32, seq: &str) -> Reply {
        let keys = &self.sale.keys;
        let blocked = keys.blocked(0);
        let keys = [&*keys.head, &keys.taken, &blocked, &keys.kills, &keys.counts, &keys.holds];
        self.ask(&scripts::SNAPSHOT, &keys, &[epoch.to_string(), seq.into()]).await
    }

    pub async fn queue(&self, epoch: i32, new: &InLine) -> Reply {
        let InLine { id, hold, digest, account, levels, life, most } = new;
        let keys = &self.sale.keys;
        let keys = [&*keys.head, &keys.asks, &keys.holds, &keys.asked];
        let args = args![epoch, id, hold, digest, account, levels, life, most, WISH];
        self.ask(&scripts::ASK, &keys, &args).await
    }

    /// `account`: none is the system.
    pub async fn unask(&self, epoch: i32, account: Option<Uuid>, ids: &[Uuid]) -> Reply {
        let account = account.map_or_else(|| "*".to_owned(), |account| account.to_string());
        let mut args = args![epoch, account];
        args.extend(ids.iter().map(Uuid::to_string));
        let keys = &self.sale.keys;
        self.ask(&scripts::UNASK, &[&keys.head, &keys.asks, &keys.asked], &args).await
    }

    fn record_keys(&self) -> [&str; 9] {
        let keys = &self.sale.keys;
        [
            &keys.head,
            &keys.taken,
            &keys.holds,
            &keys.deadlines,
            &keys.claiming,
            &keys.counts,
            &keys.hints,
            &keys.tombs,
            &keys.returning,
        ]
    }
}
