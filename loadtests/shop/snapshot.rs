//! What is free at one instant.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use serde::Deserialize;

use super::{Shop, by_code};

/// With so many free seats or fewer, they are listed one by one: buyers take whatever there is.
const LAST_SEATS: u32 = 4_000;

/// What is free at one instant.
pub struct Snapshot {
    /// Names it.
    pub etag: HeaderValue,
    /// Free places altogether.
    pub free: u32,
    /// Free places by level.
    pub levels: Vec<u32>,
    /// Free places by area.
    pub areas: Vec<u32>,
    /// The last free seats and the level of each; empty while there are many.
    pub last: Vec<(i32, usize)>,
    epoch: i64,
    seq: i64,
    unavailable: Vec<u8>,
}

#[derive(Deserialize)]
struct SnapshotBody<'a> {
    epoch: i64,
    seq: i64,
    unavailable: &'a str,
    levels: Vec<LevelBody>,
    sections: Vec<SectionBody>,
}

#[derive(Deserialize)]
struct LevelBody {
    level: String,
    free: u32,
}

#[derive(Deserialize)]
struct SectionBody {
    section: String,
    free: u32,
}

impl Snapshot {
    /// Reads a snapshot.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn read(shop: &Shop, etag: HeaderValue, body: &[u8]) -> Result<Self> {
        let body: SnapshotBody<'_> = serde_json::from_slice(body).context("the snapshot")?;
        let unavailable = STANDARD.decode(body.unavailable).context("the snapshot's bitmap")?;
        let free = body.levels.iter().map(|level| level.free).sum();
        let levels: Vec<(String, u32)> =
            body.levels.into_iter().map(|level| (level.level, level.free)).collect();
        let sections: Vec<(String, u32)> =
            body.sections.into_iter().map(|section| (section.section, section.free)).collect();
        let (by_level, by_section) = (by_code(&levels), by_code(&sections));
        let of = |code: &str| by_level.get(code).copied().unwrap_or(0);
        let area = |code: &str| by_section.get(code).copied().unwrap_or(0);
        let mut snapshot = Self {
            etag,
            free,
            levels: shop.levels.iter().map(|level| of(&level.code)).collect(),
            areas: shop.areas.iter().map(|known| area(&known.code)).collect(),
            last: Vec::new(),
            epoch: body.epoch,
            seq: body.seq,
            unavailable,
        };
        if free <= LAST_SEATS {
            let seats = shop.runs.iter().flat_map(|run| {
                (run.first..run.first + run.length).map(|place| (place, run.level))
            });
            snapshot.last = seats.filter(|(place, _)| snapshot.is_free(*place)).collect();
        }
        Ok(snapshot)
    }

    /// Later ones compare greater.
    pub const fn order(&self) -> (i64, i64) {
        (self.epoch, self.seq)
    }

    /// Whether a place is free: its bit, counted from the left, is 0.
    pub fn is_free(&self, place: i32) -> bool {
        let Ok(place) = usize::try_from(place) else { return false };
        self.unavailable.get(place / 8).is_some_and(|byte| byte >> (7 - place % 8) & 1 == 0)
    }
}
