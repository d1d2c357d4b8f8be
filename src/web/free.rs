//! What is free, for pages: the counts of the public snapshot, or nothing while there is none.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::app::App;
use crate::catalog::Place;
use crate::catalog::cache::Sale;
use crate::holds::availability::Snapshot;

/// What is free at one moment.
pub struct Free {
    levels: HashMap<String, u32>,
    sections: HashMap<String, u32>,
    snapshot: Option<Arc<Snapshot>>,
}

#[derive(Deserialize)]
struct Counts {
    levels: Vec<LevelCount>,
    sections: Vec<SectionCount>,
}

#[derive(Deserialize)]
struct LevelCount {
    level: String,
    free: u32,
}

#[derive(Deserialize)]
struct SectionCount {
    section: String,
    free: u32,
}

impl Free {
    /// What is free of an event. A page is shown without counts rather than not at all.
    pub async fn of(app: &App, sale: &Arc<Sale>) -> Self {
        let snapshot = match app.built(sale.clone()).await {
            Ok(sale) => app.availability.snapshot(app, &sale).await.ok(),
            Err(_) => None,
        };
        let counts = snapshot.as_ref().and_then(|s| serde_json::from_slice::<Counts>(&s.body).ok());
        let counts = counts.unwrap_or(Counts { levels: Vec::new(), sections: Vec::new() });
        Self {
            levels: counts.levels.into_iter().map(|c| (c.level, c.free)).collect(),
            sections: counts.sections.into_iter().map(|c| (c.section, c.free)).collect(),
            snapshot,
        }
    }

    /// Where it doesn't matter what is free.
    #[must_use]
    pub fn unknown() -> Self {
        Self { levels: HashMap::new(), sections: HashMap::new(), snapshot: None }
    }

    /// Free places of the level with this code.
    #[must_use]
    pub fn level(&self, code: &str) -> Option<u32> {
        self.levels.get(code).copied()
    }

    /// Free places of the section with this code.
    #[must_use]
    pub fn section(&self, code: &str) -> Option<u32> {
        self.sections.get(code).copied()
    }

    /// Whether nothing is left for anyone.
    #[must_use]
    pub fn sold_out(&self) -> bool {
        !self.levels.is_empty() && self.levels.values().all(|free| *free == 0)
    }

    /// Whether the public can get this place; not known is yes, the hold will tell.
    #[must_use]
    pub fn is_free(&self, place: &Place) -> bool {
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.is_free(place.number))
    }

    /// The sale's state in Redis.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.snapshot.as_ref().map(|snapshot| snapshot.state.as_str())
    }

    /// Where the stream of changes goes on from: `epoch-seq`.
    #[must_use]
    pub fn since(&self) -> String {
        self.snapshot.as_ref().map(|s| format!("{}-{}", s.epoch, s.seq)).unwrap_or_default()
    }
}
