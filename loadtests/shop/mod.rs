//! What buyers know of the event: its offers and its chart, as the public API shows them, and
//! what is free as of their last look.

mod snapshot;
#[cfg(test)]
pub mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwapOption;
use hyper::header::HeaderValue;
use serde::Deserialize;

pub use self::snapshot::Snapshot;

/// The event as every buyer knows it.
pub struct Shop {
    /// `/v1/events/{event}`.
    pub path: String,
    /// How many places there are.
    pub capacity: u32,
    /// Price levels in the API's order.
    pub levels: Vec<Level>,
    /// Areas (general admission).
    pub areas: Vec<Area>,
    /// Runs of neighbouring seats of one level, the best of each level first.
    pub runs: Vec<Run>,
    seen: ArcSwapOption<Snapshot>,
}

/// A price level.
pub struct Level {
    code: String,
    /// Offers that sell its seats.
    pub seats: Vec<Offer>,
    /// Which of the runs are its, accessible ones excepted.
    pub runs: Vec<usize>,
}

/// An area.
pub struct Area {
    /// The section's code.
    pub code: String,
    /// Offers that sell it.
    pub offers: Vec<Offer>,
}

/// What can be bought.
#[derive(Clone)]
pub struct Offer {
    /// Its id.
    pub id: Arc<str>,
    /// Fewest places per order.
    pub min: u32,
    /// Most places per order.
    pub max: u32,
}

/// Neighbouring seats with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first seat's number.
    pub first: i32,
    /// How many.
    pub length: i32,
    /// Index of their level.
    pub level: usize,
    /// For visitors in wheelchairs and who is with them.
    pub accessible: bool,
}

#[derive(Deserialize)]
struct EventBody {
    id: String,
    capacity: u32,
    offers: Vec<OfferBody>,
}

#[derive(Deserialize)]
struct OfferBody {
    id: String,
    level: String,
    areas: Vec<String>,
    seated: bool,
    min_per_order: u32,
    max_per_order: u32,
    multiple_of: u32,
    package_size: u32,
    needs_access_code: bool,
}

#[derive(Deserialize)]
struct ManifestBody {
    levels: Vec<LevelBody>,
    sections: Vec<SectionBody>,
}

#[derive(Deserialize)]
struct LevelBody {
    code: String,
}

#[derive(Deserialize)]
struct SectionBody {
    code: String,
    area: bool,
    rows: Vec<RowBody>,
}

#[derive(Deserialize)]
struct RowBody {
    places: Vec<i32>,
    levels: Vec<usize>,
    attributes: Vec<(i32, Vec<String>)>,
}

impl Shop {
    /// Reads the event and its manifest as the API answered them.
    ///
    /// # Errors
    /// If they aren't what the API promises, or nothing can be bought.
    pub fn read(event: &[u8], manifest: &[u8]) -> Result<Self> {
        let event: EventBody = serde_json::from_slice(event).context("the event")?;
        let manifest: ManifestBody = serde_json::from_slice(manifest).context("the manifest")?;
        let runs = runs(&manifest);
        let mut levels: Vec<Level> = manifest
            .levels
            .into_iter()
            .map(|level| Level { code: level.code, seats: Vec::new(), runs: Vec::new() })
            .collect();
        for (at, run) in runs.iter().enumerate().filter(|(_, run)| !run.accessible) {
            levels.get_mut(run.level).context("a seat of no level")?.runs.push(at);
        }
        let coded = manifest.sections.into_iter().filter(|section| section.area);
        let mut areas: Vec<Area> =
            coded.map(|section| Area { code: section.code, offers: Vec::new() }).collect();
        // Codes, packages and multiples are for other programs.
        let plain = |offer: &&OfferBody| {
            !offer.needs_access_code && offer.package_size == 1 && offer.multiple_of == 1
        };
        for body in event.offers.iter().filter(plain) {
            let id = body.id.as_str().into();
            let offer = Offer { id, min: body.min_per_order, max: body.max_per_order };
            if body.seated {
                let level = levels.iter_mut().find(|level| level.code == body.level);
                level.context("an offer of no level")?.seats.push(offer.clone());
            }
            for area in areas.iter_mut().filter(|area| body.areas.contains(&area.code)) {
                area.offers.push(offer.clone());
            }
        }
        ensure!(event.capacity > 0 && !event.offers.is_empty(), "there is nothing to buy");
        let path = format!("/v1/events/{}", event.id);
        let seen = ArcSwapOption::empty();
        Ok(Self { path, capacity: event.capacity, levels, areas, runs, seen })
    }

    /// What anybody saw last.
    pub fn seen(&self) -> Option<Arc<Snapshot>> {
        self.seen.load_full()
    }

    /// Takes note of a snapshot, unless it is the known one or older.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn note(&self, etag: Option<HeaderValue>, body: &[u8]) -> Result<Arc<Snapshot>> {
        let etag = etag.context("a snapshot without an ETag")?;
        if let Some(known) = self.seen().filter(|known| known.etag == etag) {
            return Ok(known);
        }
        let snapshot = Arc::new(Snapshot::read(self, etag, body)?);
        self.seen.rcu(|known| match known {
            Some(known) if known.order() >= snapshot.order() => Some(known.clone()),
            _ => Some(snapshot.clone()),
        });
        Ok(snapshot)
    }
}

/// Cuts rows into runs: consecutive numbers, one level, accessible or not.
fn runs(manifest: &ManifestBody) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in manifest.sections.iter().flat_map(|section| &section.rows) {
        let reserved =
            |words: &[String]| words.iter().any(|w| w == "accessible" || w == "companion");
        let marked: HashSet<i32> = row
            .attributes
            .iter()
            .filter(|(_, words)| reserved(words))
            .map(|(place, _)| *place)
            .collect();
        // A row is sorted by what is printed on its seats, which may be the other way round.
        let mut seats: Vec<(i32, usize)> =
            row.places.iter().copied().zip(row.levels.iter().copied()).collect();
        seats.sort_unstable();
        let first_of_row = runs.len();
        for (place, level) in seats {
            let accessible = marked.contains(&place);
            match runs[first_of_row..].last_mut() {
                Some(run)
                    if run.first + run.length == place
                        && run.level == level
                        && run.accessible == accessible =>
                {
                    run.length += 1;
                }
                _ => runs.push(Run { first: place, length: 1, level, accessible }),
            }
        }
    }
    // Places of a level are numbered by quality.
    runs.sort_by_key(|run| run.first);
    runs
}

/// Free places by code, as the snapshot lists them.
fn by_code(list: &[(String, u32)]) -> HashMap<&str, u32> {
    list.iter().map(|(code, free)| (code.as_str(), *free)).collect()
}
