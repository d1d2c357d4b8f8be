//! Every key in Redis, and what lives there.
//!
//! All keys of one event share the hash tag `{event}`, so an event is one slot of a cluster and
//! a script may touch all its keys. They carry the layout version and the epoch: a rebuild fills
//! keys of a new name beside the old ones, and only then points [`Keys::head`] at them.
//!
//! | key | kind | content |
//! |---|---|---|
//! | `head` | hash | `epoch`, `state`: which generation below is valid; `blocked`; `seq` |
//! | `taken` | bitmap | a bit per place: set exactly while one live record lists it |
//! | `kills` | bitmap | places removed from sale |
//! | `blocked:<channel>` | bitmap | places that this channel can't sell: kills and others' allocations |
//! | `holds` | hash | id -> record (see `lua/hold.lua`), tombstones included |
//! | `deadlines` | zset | held ids by deadline (ms) |
//! | `claiming` | zset | ids between begin and claim by since when (ms) |
//! | `returning` | zset | ids that are over for their buyers, by when their places are free (ms) |
//! | `asks` | zset | who waits for places that come back: ids by until when (ms) |
//! | `asked` | hash | id -> what is asked (see `lua/ask.lua`) |
//! | `tombs` | zset | released ids by when they are forgotten (ms) |
//! | `counts` | hash | places per account and offer, uses per promo, places claimed and sold |
//! | `stretches` | string | 8 bytes each: first place, length |
//! | `hints` | string | a byte each: no free run of this stretch is longer |
//! | `proof:<nonce>` | string | a spent proof of work, until it would be too old anyway |
//!
//! In the head, `blocked` is `0` until a place is blocked in any channel: a hold looks no further
//! then. `seq` and the number of records together are the version of the bits, which only rises
//! (see `lua/snapshot.lua`).
//!
//! A lane of a waiting room has keys without an epoch, which name the run of Redis instead:
//!
//! | key | kind | content |
//! |---|---|---|
//! | `line:<lane>:<run_id>` | hash | `first`, `next`, `ceiling`: late-comers' numbers |
//! | `joined:<lane>:<run_id>` | `HyperLogLog` | who joined the draw |
//!
//! And there are keys that expire by themselves and belong to no event:
//!
//! | key | kind | content |
//! |---|---|---|
//! | `limit:<name>:<key>` | string | the theoretical arrival time (µs) of `lua/gcra.lua` |

use crate::ids::EventId;

/// Raised whenever the meaning of a key or record changes: old and new binaries that disagree
/// never read each other's data. The newer one rebuilds under its own names, and the older one,
/// which sees that in Postgres, takes no more holds.
pub const LAYOUT: i32 = 3;

/// A spent proof of work. It has no epoch in its name, because no rebuild makes it good again.
#[must_use]
pub fn spent_proof(prefix: &str, event: EventId, nonce: &str) -> String {
    format!("{prefix}:{LAYOUT}:{{{event}}}:proof:{nonce}")
}

/// The names of one event's keys in one epoch, written out once.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The one key without an epoch in its name: it says which epoch is valid.
    pub head: String,
    /// Places with a live record.
    pub taken: String,
    /// Places removed from sale.
    pub kills: String,
    /// Records.
    pub holds: String,
    /// Deadlines of held records.
    pub deadlines: String,
    /// Records between begin and claim.
    pub claiming: String,
    /// Records that are over, whose places come back.
    pub returning: String,
    /// Who asks for places that come back.
    pub asks: String,
    /// What they ask for.
    pub asked: String,
    /// Tombstones.
    pub tombs: String,
    /// Counters.
    pub counts: String,
    /// Where stretches lie.
    pub stretches: String,
    /// Longest free runs.
    pub hints: String,
    blocked: String,
}

impl Keys {
    /// The keys of `event` in `epoch`, under the deployment's `prefix`.
    #[must_use]
    pub fn new(prefix: &str, event: EventId, epoch: i32) -> Self {
        let base = format!("{prefix}:{LAYOUT}:{{{event}}}");
        let key = |name: &str| format!("{base}:{epoch}:{name}");
        Self {
            head: format!("{base}:head"),
            taken: key("taken"),
            kills: key("kills"),
            holds: key("holds"),
            deadlines: key("deadlines"),
            claiming: key("claiming"),
            returning: key("returning"),
            asks: key("asks"),
            asked: key("asked"),
            tombs: key("tombs"),
            counts: key("counts"),
            stretches: key("stretches"),
            hints: key("hints"),
            blocked: key("blocked"),
        }
    }

    /// Places that `channel` can't sell.
    #[must_use]
    pub fn blocked(&self, channel: i16) -> String {
        format!("{}:{channel}", self.blocked)
    }

    /// All keys of this epoch, to delete it when it is over.
    #[must_use]
    pub fn of_epoch(&self, channels: impl IntoIterator<Item = i16>) -> Vec<String> {
        let mut all: Vec<String> = [
            &self.taken,
            &self.kills,
            &self.holds,
            &self.deadlines,
            &self.claiming,
            &self.returning,
            &self.asks,
            &self.asked,
            &self.tombs,
            &self.counts,
            &self.stretches,
            &self.hints,
        ]
        .into_iter()
        .cloned()
        .collect();
        all.extend(channels.into_iter().map(|channel| self.blocked(channel)));
        all
    }
}

/// The names of a waiting room's counters for one lane, in one run of Redis: what an earlier run
/// counted is not believed.
#[derive(Clone, Debug)]
pub struct LaneKeys {
    /// Late-comers' numbers.
    pub numbers: String,
    /// Who joined the draw.
    pub joined: String,
}

impl LaneKeys {
    /// The counters of `lane` in the room of `event`.
    #[must_use]
    pub fn new(prefix: &str, event: EventId, lane: i16, run_id: &str) -> Self {
        let base = format!("{prefix}:{LAYOUT}:{{{event}}}");
        Self {
            numbers: format!("{base}:line:{lane}:{run_id}"),
            joined: format!("{base}:joined:{lane}:{run_id}"),
        }
    }
}

/// The names of keys that all events share.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    prefix: &'a str,
}

impl<'a> Shared<'a> {
    /// The keys under the deployment's `prefix`.
    #[must_use]
    pub const fn new(prefix: &'a str) -> Self {
        Self { prefix }
    }

    /// What `key` has used of the limit called `name`.
    #[must_use]
    pub fn limit(&self, name: &str, key: &str) -> String {
        format!("{}:{LAYOUT}:limit:{name}:{key}", self.prefix)
    }
}
