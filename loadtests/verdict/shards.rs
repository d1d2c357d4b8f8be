//! What several generators have seen of one run, put together: counts add up, distributions are
//! merged (never percentiles of percentiles), seconds are those of the run for all of them, and
//! the verdict is taken over the whole.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::report::{Facts, began, cores};
use super::summary::{Latency, Sample, VERSION};
use crate::run::Seen;
use crate::scenario::Shard;

/// Largest part that is read, in bytes before it was compressed: two million visitors have some
/// 300 MB.
const MAX_PART_BYTES: u64 = 1 << 30;

/// Whose facts these are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shards {
    /// Which run it was: others' facts are never merged with them.
    pub run: Uuid,
    /// How many generators it has.
    pub of: u32,
    /// When it began, in seconds since 1970, by the first generator's clock.
    pub at: i64,
    /// Cores of the machine with the servers.
    pub cores: usize,
    /// Those whose facts these are.
    pub rows: Vec<ShardRow>,
}

/// A generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardRow {
    /// Which one, from 1 on. The first is with the servers, and has audited.
    pub shard: u32,
    /// Names its machine until that is started again.
    pub machine: String,
    /// Visitors who came from it.
    pub visitors: u64,
    /// How late they were woken.
    pub late: Latency,
    /// How long requests waited for a shared connection.
    pub queued: Latency,
    /// Most connections at once.
    pub most_connections: u32,
    /// Whether it was ended from outside.
    pub interrupted: bool,
}

impl Shards {
    /// Those of one generator whose run has just ended.
    pub fn one(run: Uuid, shard: Shard, facts: &Facts) -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let row = ShardRow {
            shard: shard.number,
            machine: machine.map_or_else(|_| String::new(), |id| id.trim().to_owned()),
            visitors: facts.gone.came,
            late: (&facts.tally.late).into(),
            queued: (&facts.tally.queued).into(),
            most_connections: facts.connections.0,
            interrupted: facts.interrupted,
        };
        Self { run, of: shard.of, at: began(&facts.gone), cores: cores(), rows: vec![row] }
    }

    /// Those from whom nothing came.
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.of).filter(|number| self.rows.iter().all(|row| row.shard != *number)).collect()
    }
}

/// What a generator writes that isn't the first, and what is read of a summary to be merged.
#[derive(Serialize, Deserialize)]
pub struct Part {
    version: u32,
    part: Option<String>,
}

impl Part {
    /// All that was counted.
    pub fn of(facts: &Facts) -> Self {
        Self { version: VERSION, part: Some(facts.pack()) }
    }

    /// What was counted.
    ///
    /// # Errors
    /// If it is of a run on one generator, or can't be read.
    pub fn facts(&self) -> Result<Facts> {
        let part = self.part.as_deref();
        Facts::unpack(part.context("a run on one generator has nothing to be merged with")?)
    }
}

impl Facts {
    /// Everything, as text that stays small.
    pub fn pack(&self) -> String {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let written = serde_json::to_vec(self).expect("facts are JSON");
        packed.write_all(&written).expect("memory takes everything");
        BASE64_STANDARD.encode(packed.finish().expect("memory takes everything"))
    }

    /// Reads it again.
    ///
    /// # Errors
    /// If it isn't what `pack` made.
    pub fn unpack(text: &str) -> Result<Self> {
        let packed = BASE64_STANDARD.decode(text.trim()).context("a part is no base64")?;
        let mut written = Vec::new();
        let unpacked = GzDecoder::new(&*packed).take(MAX_PART_BYTES).read_to_end(&mut written);
        unpacked.context("a part can't be unpacked")?;
        serde_json::from_slice(&written).context("a part can't be read")
    }

    fn whose(&self) -> Result<&Shards> {
        self.shards.as_ref().context("these are facts of no shard")
    }
}

/// Puts together what came from the generators of a run, in any order and number, if the first is
/// among them: who is missing keeps the whole from passing.
///
/// # Errors
/// If they aren't of one run, one of them is there twice, or the first isn't.
pub fn merge(parts: Vec<Facts>) -> Result<Facts> {
    let (mut first, mut others) = (None, Vec::new());
    for part in parts {
        if part.whose()?.rows.iter().any(|row| row.shard == 1) {
            ensure!(first.replace(part).is_none(), "the first generator is there twice");
        } else {
            others.push(part);
        }
    }
    let mut whole = first.context("the first generator is missing, which has audited")?;
    let Some(mut shards) = whole.shards.take() else { bail!("no shards") };
    others.sort_by_key(|part| {
        part.shards.as_ref().map(|shards| shards.rows.first().map(|row| row.shard))
    });
    for part in others {
        let theirs = part.whose()?.clone();
        ensure!(theirs.run == shards.run, "these are parts of different runs");
        for row in &theirs.rows {
            let is_new = shards.rows.iter().all(|known| known.shard != row.shard);
            ensure!(is_new, "generator {} is there twice", row.shard);
        }
        let known = |row: &ShardRow| shards.rows.iter().any(|other| other.machine == row.machine);
        let elsewhere = !theirs.rows.iter().any(known);
        whole.add(part, elsewhere);
        shards.rows.extend(theirs.rows);
    }
    shards.rows.sort_by_key(|row| row.shard);
    whole.shards = Some(shards);
    Ok(whole)
}

impl Facts {
    /// Adds another generator's. The rest, servers and audit, only the first has seen.
    fn add(&mut self, other: Self, elsewhere: bool) {
        self.interrupted |= other.interrupted;
        self.gone.came += other.gone.came;
        self.gone.lost += other.gone.lost;
        self.gone.took = self.gone.took.max(other.gone.took);
        self.tally.add(other.tally);
        self.tally.sales.sort_by_key(|sale| sale.at);
        add_seen(&mut self.seen, other.seen, elsewhere);
        let at_once = self.seen.samples.iter().map(|sample| sample.connections).max();
        let each = self.connections.0.max(other.connections.0);
        self.connections.0 = at_once.unwrap_or(0).max(each);
        self.connections.1 += other.connections.1;
    }
}

fn add_seen(mine: &mut Seen, theirs: Seen, elsewhere: bool) {
    let before = mine.names.len();
    mine.names.extend(theirs.names);
    mine.used.extend(theirs.used);
    if elsewhere {
        mine.machine += theirs.machine;
    }
    if mine.samples.len() < theirs.samples.len() {
        mine.samples.resize_with(theirs.samples.len(), Sample::default);
    }
    let mut theirs = theirs.samples.into_iter();
    for sample in &mut mine.samples {
        let other = theirs.next();
        // The places are the same for all.
        if let Some(other) = &other
            && sample.cores.is_empty()
        {
            sample.free = other.free;
        }
        let other = other.unwrap_or_default();
        sample.in_line += other.in_line;
        sample.inside += other.inside;
        sample.holding += other.holding;
        sample.paying += other.paying;
        sample.here += other.here;
        sample.connections += other.connections;
        sample.cores.resize(before, 0.0);
        sample.cores.extend(other.cores);
        sample.cores.resize(mine.names.len(), 0.0);
    }
}
