//! Holds in Redis: calling the scripts and reading their answers.

use std::fmt::Display;
use std::io::Write;

use rand::Rng;
use redis::Value;

use super::TOMBSTONE_MS;
use super::near::Near;
use super::plan::{Plan, PlanLine};
use super::record::{HeldPlace, Record, Step, parse_places};
use super::text::push_number;
use crate::catalog::cache::Sale;
use crate::ids::{AccountId, HoldId};
use crate::redis::scripts::{self, Script};
use crate::redis::{Call, Redis, Trouble};
use crate::suspicion::Lasting;

/// Most records that a sweep of what comes back at once looks at.
const AT_ONCE: usize = 100;

/// What became of a wish. Everything but `Held` and `Again` is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The places are held.
    Held {
        /// Until when, by Redis's clock in milliseconds.
        deadline_ms: i64,
        /// Redis's clock now.
        now_ms: i64,
        /// Which.
        places: Vec<HeldPlace>,
        /// The asked places that were taken, if these are equivalents.
        instead_of: Vec<i32>,
    },
    /// The same request was made before: its record.
    Again {
        /// As it stands.
        record: Record,
        /// Redis's clock now.
        now_ms: i64,
    },
    /// The same key was used with another request.
    Mismatch,
    /// The same key's hold is over.
    Finished,
    /// The epoch has passed.
    Stale,
    /// The event is not on sale: its state.
    Closed(String),
    /// The buyer's limit leaves only so many.
    Limit(i64),
    /// The offer's quota leaves only so many.
    Quota {
        /// The offer's number.
        offer: i16,
        /// Places left.
        left: i64,
    },
    /// The offer is outside its window.
    Window(i16),
    /// The promo code is used up.
    Promo,
    /// The choice would strand these single seats.
    Orphan(Vec<i32>),
    /// These places are not free.
    Taken {
        /// Which.
        places: Vec<i32>,
        /// Whether a sweep may free some at once.
        due: bool,
    },
    /// Not enough places together for this line.
    None {
        /// The line, counted from 0.
        line: usize,
        /// The longest free run that was seen.
        longest: i64,
        /// Whether a sweep may free some at once.
        due: bool,
    },
}

/// How checkout begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The record is ours to claim.
    Claiming(Record),
    /// It was claimed before.
    Claimed(Record),
    /// Its time is over.
    Expired,
    /// There is no such hold.
    Gone,
    /// It is another account's.
    Foreign,
    /// The epoch has passed.
    Stale,
}

/// What became of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Until then, by Redis's clock; and that clock.
    Until(i64, i64),
    /// The total is used up.
    Bound(i64, i64),
    /// Checkout has begun.
    Claiming,
    /// No such hold any more.
    Gone,
    /// Another account's.
    Foreign,
    /// The epoch has passed.
    Stale,
}

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is over; the places come back.
    LetGo,
    /// It was over before.
    Gone,
    /// Checkout has begun.
    Kept,
    /// Another account's.
    Foreign,
    /// The epoch has passed.
    Stale,
}

/// What a sweep did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Holds that ended.
    pub ended: i64,
    /// Records whose places are free now.
    pub freed: i64,
    /// Tombstones that were forgotten.
    pub forgotten: i64,
    /// Whether there is more to do.
    pub more: bool,
    /// Whether somebody asks for places that come back: those are served first.
    pub asks: bool,
    /// Claiming records whose node seems to have died.
    pub hanging: Vec<(HoldId, Record)>,
    /// Whose the holds were that ended, and what they had locked. No other answer names them.
    pub over: Vec<(AccountId, String)>,
}

/// One order whose record must follow Postgres.
#[derive(Clone, Debug)]
pub struct MirrorEntry {
    /// The record's id.
    pub id: HoldId,
    /// To which step it must have come.
    pub step: Step,
    /// Whose it is.
    pub account: AccountId,
    /// Its promo code's number.
    pub promo: Option<i32>,
    /// Its places.
    pub places: Vec<HeldPlace>,
}

/// Who asks for places, and how the answer is to be remembered.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The hold's id.
    pub id: HoldId,
    /// Of the request.
    pub digest: String,
    /// The account.
    pub account: AccountId,
    /// Late money takes its places again: without limits, even if the sale is not open.
    pub retake: bool,
}

/// Asks the hold script.
///
/// # Errors
/// See [`Trouble`]; after [`Trouble::Unknown`] the places may be held, and the same id finds them.
pub async fn hold(redis: &Redis, sale: &Sale, asker: &Asker, plan: &Plan) -> Result<Held, Trouble> {
    let blocked = sale.keys.blocked(plan.channel);
    let keys = hold_keys(sale, &blocked, plan);
    let reply = hold_args(sale, asker, plan).eval(redis, sale, &scripts::HOLD, &keys).await?;
    read_held(&reply, plan).ok_or_else(|| reply.bad(&scripts::HOLD))
}

/// The same, to be run together with others.
#[must_use]
pub fn hold_call(sale: &Sale, asker: &Asker, plan: &Plan) -> Call {
    let blocked = sale.keys.blocked(plan.channel);
    hold_args(sale, asker, plan).call(&scripts::HOLD, &hold_keys(sale, &blocked, plan))
}

fn hold_keys<'a>(sale: &'a Sale, blocked: &'a str, plan: &Plan) -> Vec<&'a str> {
    let keys = &sale.keys;
    let mut all = Vec::with_capacity(11);
    all.extend([&*keys.head, &*keys.taken, blocked, &*keys.holds, &*keys.deadlines]);
    all.extend([&*keys.counts, &*keys.returning, &*keys.asks]);
    if plan.accept_equivalent || plan.lines.iter().any(|line| line.kind != "p") {
        all.extend([&*keys.stretches, &*keys.hints, &*keys.kills]);
    }
    all
}

fn hold_args(sale: &Sale, asker: &Asker, plan: &Plan) -> Args {
    // Late money takes its places again: without the short way, which obeys all rules.
    let near = plan.near.as_ref().filter(|_| !asker.retake);
    let mut args = Args::new(sale);
    args.push(asker.id);
    args.push(format_args!("a:{}", asker.account));
    args.push_number(i64::from(plan.lasting.of(sale.listing.event.hold_seconds)) * 1_000);
    args.push_bytes(record_end(asker, plan, near).as_bytes());
    args.push_bytes(wish_text(sale, asker, plan).as_bytes());
    if let (Some(near), Some(line)) = (near, plan.lines.first()) {
        push_near(&mut args, sale, near, line);
    }
    args
}

/// The end of the record, as far as it is known before.
fn record_end(asker: &Asker, plan: &Plan, near: Option<&Near>) -> String {
    let mut text = String::with_capacity(256);
    text.push('|');
    if let Some((number, _)) = plan.promo {
        push_number(&mut text, number);
    }
    text.push('|');
    text.push_str(&asker.digest);
    text.push('|');
    if let Some(near) = near {
        text.push_str(&near.text());
    }
    text.push('|');
    text.push_str(&serde_json::to_string(&plan.prices).unwrap_or_default());
    text
}

/// A line of words about all of it, and a line of words for each of its lines.
fn wish_text(sale: &Sale, asker: &Asker, plan: &Plan) -> String {
    let event = &sale.listing.event;
    let mut text = String::with_capacity(128);
    push_number(&mut text, if asker.retake { 0 } else { event.account_limit.unwrap_or(0) });
    text.push_str(if plan.accept_equivalent { " 1 " } else { " 0 " });
    if event.orphan_rule && !asker.retake {
        let from = sale.listing.capacity() * super::ORPHANS_ALLOWED_FROM_PERCENT / 100;
        push_number(&mut text, from);
    }
    text.push(' ');
    if let Some((number, _)) = plan.promo {
        push_number(&mut text, number);
    }
    text.push(' ');
    push_number(&mut text, plan.promo.and_then(|(_, most)| most).unwrap_or(-1));
    text.push_str(if asker.retake { " 1\n" } else { " 0\n" });
    for line in &plan.lines {
        push_line(&mut text, line, asker.retake, plan.accept_equivalent);
    }
    text
}

/// Late money takes its places without quota, window and tiers.
fn push_line(text: &mut String, line: &PlanLine, retake: bool, accept_equivalent: bool) {
    let (quota, from_ms, until_ms, tiers) = if retake {
        (-1, 0, 0, "")
    } else {
        (line.quota.unwrap_or(-1), line.from_ms, line.until_ms, &*line.tiers)
    };
    text.push_str(line.kind);
    for number in [line.offer.into(), quota.into(), from_ms, until_ms] {
        text.push(' ');
        push_number(text, number);
    }
    text.push(' ');
    text.push_str(tiers);
    text.push(' ');
    push_number(text, line.count);
    text.push(' ');
    text.push_str(&line.what);
    text.push(' ');
    text.push_str(if accept_equivalent { &line.instead } else { "" });
    text.push('\n');
}

/// What the short way needs.
fn push_near(args: &mut Args, sale: &Sale, near: &Near, line: &PlanLine) {
    args.push(format_args!("o:{}", line.offer));
    args.push_number(line.count);
    for number in [near.from, near.chosen, near.around] {
        args.push_number(number);
    }
    args.push_bytes(if near.closer { b"1" } else { b"" });
    let limit = sale.listing.event.account_limit.unwrap_or(0);
    if limit > 0 || line.quota.is_some() || line.from_ms != 0 || line.until_ms != 0 {
        let quota = line.quota.unwrap_or(-1);
        for number in [limit.into(), quota.into(), line.from_ms, line.until_ms] {
            args.push_number(number);
        }
    }
}

/// Reads the hold script's answer to this plan. `None` if it is outside its contract.
#[must_use]
pub fn read_held(reply: &Reply, plan: &Plan) -> Option<Held> {
    Some(match reply.word()? {
        word @ ("held" | "equivalent") => Held::Held {
            deadline_ms: reply.number(1)?,
            now_ms: reply.number(2)?,
            places: match &plan.near {
                // On the short way the script doesn't repeat what it was told.
                Some(near) if reply.0.len() == 3 => near.places.clone(),
                _ => parse_places(reply.text(3)?)?,
            },
            instead_of: if word == "held" { Vec::new() } else { reply.numbers(4)? },
        },
        "again" => Held::Again { record: Record::parse(reply.text(1)?)?, now_ms: reply.number(2)? },
        "mismatch" => Held::Mismatch,
        "finished" => Held::Finished,
        "stale" => Held::Stale,
        "closed" => Held::Closed(reply.text(1)?.to_owned()),
        "limit" => Held::Limit(reply.number(1)?),
        "quota" => {
            Held::Quota { offer: i16::try_from(reply.number(1)?).ok()?, left: reply.number(2)? }
        }
        "window" => Held::Window(i16::try_from(reply.number(1)?).ok()?),
        "promo" => Held::Promo,
        "orphan" => Held::Orphan(reply.numbers(1)?),
        "taken" => Held::Taken { places: reply.numbers(1)?, due: reply.number(2)? == 1 },
        "none" => Held::None {
            line: usize::try_from(reply.number(1)? - 1).ok()?,
            longest: reply.number(2)?,
            due: reply.number(3)? == 1,
        },
        _ => return None,
    })
}

/// Begins checkout of a hold.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn begin(
    redis: &Redis,
    sale: &Sale,
    id: HoldId,
    account: AccountId,
) -> Result<Begun, Trouble> {
    let keys = &sale.keys;
    let keys = [&*keys.head, &keys.holds, &keys.deadlines, &keys.claiming];
    let mut args = Args::new(sale);
    args.push(id);
    args.push(account);
    let reply = args.eval(redis, sale, &scripts::BEGIN, &keys).await?;
    let record = || Record::parse(reply.text(1)?);
    let begun = match reply.word() {
        Some("claiming") => record().map(Begun::Claiming),
        Some("claimed") => record().map(Begun::Claimed),
        Some("expired") => Some(Begun::Expired),
        Some("gone") => Some(Begun::Gone),
        Some("foreign") => Some(Begun::Foreign),
        Some("stale") => Some(Begun::Stale),
        _ => None,
    };
    begun.ok_or_else(|| reply.bad(&scripts::BEGIN))
}

/// Extends a hold within the event's bound.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn extend(
    redis: &Redis,
    sale: &Sale,
    id: HoldId,
    account: AccountId,
    lasting: Lasting,
) -> Result<Extended, Trouble> {
    let event = &sale.listing.event;
    let keys = &sale.keys;
    let keys = [&*keys.head, &keys.holds, &keys.deadlines];
    let mut args = Args::new(sale);
    args.push(id);
    args.push(account);
    args.push(i64::from(lasting.of(event.hold_seconds)) * 1_000);
    args.push(i64::from(lasting.of(event.hold_max_seconds)) * 1_000);
    let reply = args.eval(redis, sale, &scripts::EXTEND, &keys).await?;
    let times = || Some((reply.number(1)?, reply.number(2)?));
    let extended = match reply.word() {
        Some("held") => times().map(|(until, now)| Extended::Until(until, now)),
        Some("bound") => times().map(|(until, now)| Extended::Bound(until, now)),
        Some("claiming") => Some(Extended::Claiming),
        Some("gone") => Some(Extended::Gone),
        Some("foreign") => Some(Extended::Foreign),
        Some("stale") => Some(Extended::Stale),
        _ => None,
    };
    extended.ok_or_else(|| reply.bad(&scripts::EXTEND))
}

/// Who lets go of a hold.
#[derive(Clone, Copy, Debug)]
pub enum Letting {
    /// Its buyer, before checkout.
    Buyer(AccountId),
    /// The system, also after a refused claim.
    System,
}

/// Ends a hold. Its places come back after the event's delay.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn release(
    redis: &Redis,
    sale: &Sale,
    id: HoldId,
    letting: Letting,
) -> Result<Released, Trouble> {
    let mut args = Args::new(sale);
    args.push(id);
    match letting {
        Letting::Buyer(account) => {
            args.push(account);
            args.push("h");
        }
        Letting::System => {
            args.push("*");
            args.push("hg");
        }
    }
    push_delay(&mut args, sale);
    let keys = &sale.keys;
    let keys =
        [&*keys.head, &keys.holds, &keys.deadlines, &keys.claiming, &keys.counts, &keys.returning];
    let reply = args.eval(redis, sale, &scripts::RELEASE, &keys).await?;
    match reply.word() {
        Some("released") => {
            free_at_once(redis, sale).await;
            Ok(Released::LetGo)
        }
        Some("gone") => Ok(Released::Gone),
        Some("kept") => Ok(Released::Kept),
        Some("foreign") => Ok(Released::Foreign),
        Some("stale") => Ok(Released::Stale),
        _ => Err(reply.bad(&scripts::RELEASE)),
    }
}

/// What the delay of what comes back is drawn from and bounded by. The secret is another one for
/// each call, so that nobody can foresee when the places of a hold that they know are free.
fn push_delay(args: &mut Args, sale: &Sale) {
    args.push(format!("{:032x}", rand::rng().random::<u128>()));
    args.push(i64::from(sale.listing.event.return_seconds) * 1_000);
}

/// Without a delay nothing has to wait for the next sweep.
async fn free_at_once(redis: &Redis, sale: &Sale) {
    if sale.listing.event.return_seconds > 0 {
        return;
    }
    let args = sweep_args(sale, AT_ONCE, i64::MAX, Sweeping::OnlyFrees(None));
    let freed = args.eval(redis, sale, &scripts::SWEEP, &sweep_keys(sale)).await;
    if let Err(trouble) = freed {
        tracing::debug!(%trouble, "what comes back is left to the next sweep");
    }
}

/// Ends holds past their deadline, and frees what has come back unless somebody asks for it.
/// `None`: the epoch has passed.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn sweep(
    redis: &Redis,
    sale: &Sale,
    most: usize,
    hanging_after_ms: i64,
) -> Result<Option<Swept>, Trouble> {
    let args = sweep_args(sale, most, hanging_after_ms, Sweeping::Alone);
    let reply = args.eval(redis, sale, &scripts::SWEEP, &sweep_keys(sale)).await?;
    swept(&reply)
}

/// A sweep that is followed, in the same transaction, by the holds for those who ask. It frees at
/// most so many records, and looks for no claims that hang.
#[must_use]
pub fn sweep_for_asks(sale: &Sale, most: usize) -> Call {
    sweep_args(sale, most, i64::MAX, Sweeping::BeforeAsks).call(&scripts::SWEEP, &sweep_keys(sale))
}

/// Reads the sweep script's answer. `None`: the epoch has passed.
///
/// # Errors
/// If it is outside its contract.
pub fn swept(reply: &Reply) -> Result<Option<Swept>, Trouble> {
    match reply.word() {
        Some("stale") => Ok(None),
        Some("swept") => read_swept(reply).map(Some).ok_or_else(|| reply.bad(&scripts::SWEEP)),
        _ => Err(reply.bad(&scripts::SWEEP)),
    }
}

/// Asks the hold script for places of which some may be those of a record that still has to come
/// back: it does so in the same step, whatever its delay.
///
/// # Errors
/// See [`hold`].
pub async fn hold_after(
    redis: &Redis,
    sale: &Sale,
    returning: HoldId,
    asker: &Asker,
    plan: &Plan,
) -> Result<Held, Trouble> {
    let sweep = sweep_args(sale, 1, i64::MAX, Sweeping::OnlyFrees(Some(returning)));
    let calls = [sweep.call(&scripts::SWEEP, &sweep_keys(sale)), hold_call(sale, asker, plan)];
    let mut replies = redis.eval_together(&sale.run_id, &calls).await?;
    let reply = Reply(replies.pop().unwrap_or_default());
    read_held(&reply, plan).ok_or_else(|| reply.bad(&scripts::HOLD))
}

/// What a sweep is for.
#[derive(Clone, Copy)]
enum Sweeping {
    /// Everything that is due.
    Alone,
    /// The holds for those who ask follow.
    BeforeAsks,
    /// It ends no hold, because its caller doesn't count them; it frees this record at once.
    OnlyFrees(Option<HoldId>),
}

fn sweep_args(sale: &Sale, most: usize, hanging_after_ms: i64, sweeping: Sweeping) -> Args {
    let returning = match sweeping {
        Sweeping::OnlyFrees(returning) => returning,
        Sweeping::Alone | Sweeping::BeforeAsks => None,
    };
    let mut args = Args::new(sale);
    args.push(most);
    args.push(TOMBSTONE_MS);
    args.push(hanging_after_ms);
    push_delay(&mut args, sale);
    args.push(u8::from(matches!(sweeping, Sweeping::BeforeAsks)));
    args.push(returning.map(|id| id.to_string()).unwrap_or_default());
    args.push(u8::from(matches!(sweeping, Sweeping::OnlyFrees(_))));
    args
}

fn read_swept(reply: &Reply) -> Option<Swept> {
    let Value::Array(list) = reply.0.get(6)? else { return None };
    let mut hanging = Vec::with_capacity(list.len() / 2);
    for pair in list.chunks_exact(2) {
        let id = as_text(&pair[0])?.parse().ok()?;
        // A name without a record can only be left over; the comparer deals with it.
        if let Some(record) = as_text(&pair[1]).and_then(Record::parse) {
            hanging.push((id, record));
        }
    }
    let Value::Array(list) = reply.0.get(7)? else { return None };
    let mut over = Vec::with_capacity(list.len() / 2);
    for pair in list.chunks_exact(2) {
        over.push((as_text(&pair[0])?.parse().ok()?, as_text(&pair[1])?.to_owned()));
    }
    Some(Swept {
        over,
        ended: reply.number(1)?,
        freed: reply.number(2)?,
        forgotten: reply.number(3)?,
        more: reply.number(4)? == 1,
        asks: reply.number(5)? == 1,
        hanging,
    })
}

/// Makes records follow Postgres. `None`: the epoch has passed. Otherwise the ids whose places
/// another record lists.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn mirror(
    redis: &Redis,
    sale: &Sale,
    entries: &[MirrorEntry],
) -> Result<Option<Vec<HoldId>>, Trouble> {
    let mut args = Args::new(sale);
    args.push(TOMBSTONE_MS);
    push_delay(&mut args, sale);
    for entry in entries {
        args.push(entry.id);
        args.push(entry.step.letter());
        args.push(entry.account);
        args.push(entry.promo.map(|promo| promo.to_string()).unwrap_or_default());
        args.push(super::record::places_text(&entry.places));
        args.push("");
    }
    let reply = args.eval(redis, sale, &scripts::MIRROR, &record_keys(sale)).await?;
    if entries.iter().any(|entry| entry.step == Step::Released) {
        free_at_once(redis, sale).await;
    }
    match reply.word() {
        Some("stale") => Ok(None),
        Some("mirrored") => {
            let ids = reply.text(1).ok_or_else(|| reply.bad(&scripts::MIRROR))?;
            let ids = ids.split(',').filter(|id| !id.is_empty()).map(str::parse);
            let ids: Result<Vec<HoldId>, _> = ids.collect();
            ids.map(Some).map_err(|_| reply.bad(&scripts::MIRROR))
        }
        _ => Err(reply.bad(&scripts::MIRROR)),
    }
}

/// All that a record touches.
fn record_keys(sale: &Sale) -> [&str; 9] {
    let keys = &sale.keys;
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

fn sweep_keys(sale: &Sale) -> [&str; 10] {
    let [head, taken, holds, deadlines, claiming, counts, hints, tombs, returning] =
        record_keys(sale);
    let asks = &*sale.keys.asks;
    [head, taken, holds, deadlines, claiming, counts, hints, tombs, returning, asks]
}

/// Arguments of a script, one after the other; the first is always the epoch.
pub struct Args {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Args {
    /// Starts with the sale's epoch.
    #[must_use]
    pub fn new(sale: &Sale) -> Self {
        let mut args = Self { bytes: Vec::with_capacity(512), ends: Vec::with_capacity(32) };
        args.push_number(sale.epoch);
        args
    }

    /// Adds one.
    pub fn push(&mut self, value: impl Display) {
        let written = write!(self.bytes, "{value}");
        debug_assert!(written.is_ok(), "memory takes everything");
        self.ends.push(self.bytes.len());
    }

    /// Adds a number.
    pub fn push_number(&mut self, number: impl itoa::Integer) {
        self.push_bytes(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds raw bytes.
    pub fn push_bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// A call of the script, to be run together with others.
    #[must_use]
    pub fn call(self, script: &'static Script, keys: &[&str]) -> Call {
        let args = self.all().map(<[u8]>::to_vec).collect();
        Call { script, keys: keys.iter().map(|key| (*key).to_owned()).collect(), args }
    }

    /// Runs the script on the Redis that the sale was built on.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn eval(
        &self,
        redis: &Redis,
        sale: &Sale,
        script: &'static Script,
        keys: &[&str],
    ) -> Result<Reply, Trouble> {
        let args: Vec<&[u8]> = self.all().collect();
        redis.eval(&sale.run_id, script, keys, &args).await.map(Reply)
    }
}

/// A script's answer: a word, then its values.
pub struct Reply(pub Vec<Value>);

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl Reply {
    /// The first word.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        self.text(0)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<&str> {
        as_text(self.0.get(at)?)
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self.0.get(at)? {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A whole number, as a number or as text.
    #[must_use]
    pub fn number(&self, at: usize) -> Option<i64> {
        match self.0.get(at)? {
            Value::Int(number) => Some(*number),
            other => as_text(other)?.parse().ok(),
        }
    }

    /// Numbers between commas.
    #[must_use]
    pub fn numbers(&self, at: usize) -> Option<Vec<i32>> {
        let text = self.text(at)?;
        text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
    }

    /// The error for an answer outside the contract.
    #[must_use]
    pub fn bad(&self, script: &'static Script) -> Trouble {
        Trouble::BadReply(script.name, format!("{:?}", self.0))
    }
}
