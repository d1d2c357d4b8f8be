//! Scenarios: what is sold, who comes when, what goes wrong, and what must hold. Files in TOML;
//! the same file and seed intend the same thing every time.

mod arrivals;
mod library;
mod origins;
pub mod parts;
mod shard;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

pub use self::arrivals::{Arrivals, Curve, Schedule};
pub use self::library::LIBRARY;
pub use self::origins::{Bots, Origin, People};
pub use self::parts::{
    Chaos, Connections, Door, Fault, Machine, Payments, Thinking, Thresholds, Venue,
};
pub use self::shard::Shard;
use crate::rig::Terms;
use crate::visitors::persona::Persona;

/// A scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// What it is about, in one line.
    pub about: String,
    /// Names the schedule and the visitors.
    #[serde(default = "one")]
    pub seed: u64,
    /// What is sold.
    pub venue: Venue,
    /// Server processes.
    #[serde(default = "two")]
    pub servers: usize,
    /// The run ends so long after the opening even if the sale doesn't, in seconds.
    pub ends_s: f64,
    /// Whether servers limit requests per address, session and account as they do by default.
    #[serde(default)]
    pub limits: bool,
    /// On which terms it is sold.
    #[serde(default)]
    pub terms: Terms,
    /// The waiting room; without one everybody shops at once.
    pub waiting_room: Option<Door>,
    /// Who comes when.
    pub arrivals: Arrivals,
    /// How they reach the servers.
    #[serde(default)]
    pub connections: Connections,
    /// How many of each kind come, as weights.
    pub personas: BTreeMap<Persona, f64>,
    /// Where people come from; without the section each has an address of their own, and people
    /// who come one after the other share a network.
    pub people: Option<People>,
    /// What bots have; without the section a ring of scalpers shares a network, and hoarders come
    /// from where people come from.
    pub bots: Option<Bots>,
    /// How long people take.
    #[serde(default)]
    pub thinking: Thinking,
    /// How the payment provider behaves.
    #[serde(default)]
    pub payments: Payments,
    /// What goes wrong on purpose.
    #[serde(default)]
    pub chaos: Vec<Chaos>,
    /// What must hold.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What the machine costs.
    pub machine: Option<Machine>,
    /// The file's text.
    #[serde(default)]
    pub text: String,
}

const fn one() -> u64 {
    1
}

const fn two() -> usize {
    2
}

/// Most visitors of a scenario.
const MAX_VISITORS: u64 = 2_000_000;

impl Scenario {
    /// Finds it in the library, or reads the file.
    ///
    /// # Errors
    /// If there is no such thing, or it makes no sense.
    pub fn find(name: &str) -> Result<Self> {
        if let Some((_, text)) = LIBRARY.iter().find(|(known, _)| *known == name) {
            return Self::parse(text, Path::new("."));
        }
        let path = PathBuf::from(name);
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| {
            format!("{name} is neither a file nor in the library: see `surge scenarios`")
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads a scenario; files it names are beside it.
    ///
    /// # Errors
    /// If it can't be read or makes no sense.
    pub fn parse(text: &str, beside: &Path) -> Result<Self> {
        let mut scenario: Self = toml::from_str(text).context("the scenario can't be read")?;
        text.clone_into(&mut scenario.text);
        scenario.arrivals.read_replay(beside)?;
        scenario.check().with_context(|| format!("scenario {}", scenario.name))?;
        Ok(scenario)
    }

    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        ensure!((1..=16).contains(&self.servers), "servers: 1 to 16");
        ensure!((1.0..=86_400.0).contains(&self.ends_s), "ends_s: 1 to 86400");
        ensure!(
            (1..=MAX_VISITORS).contains(&self.arrivals.visitors),
            "arrivals.visitors: 1 to {MAX_VISITORS}"
        );
        self.arrivals.check()?;
        ensure!(
            self.waiting_room.is_some() || self.arrivals.from_s >= 0.0,
            "arrivals.from_s: nobody can come before the opening without a waiting room"
        );
        let weights: f64 = self.personas.values().sum();
        let fine = self.personas.values().all(|weight| *weight >= 0.0);
        ensure!(fine && weights > 0.0, "personas: weights are not negative, and not all 0");
        ensure!((1..=20_000).contains(&self.connections.shared), "connections.shared: 1 to 20000");
        ensure!(share(self.connections.h2), "connections.h2: 0 to 1");
        ensure!(share(self.connections.fresh), "connections.fresh: 0 to 1");
        let payments: f64 = self.payments.all().iter().map(|(share, _)| share).sum();
        ensure!(share(payments), "payments: shares are together at most 1");
        let Thinking { notice_s, choose_s, checkout_s, pay_s } = self.thinking;
        for [from, to] in [notice_s, choose_s, checkout_s, pay_s] {
            ensure!((0.0..=to).contains(&from) && to <= 600.0, "thinking: [from, to], 0 to 600 s");
        }
        self.people.iter().try_for_each(|people| people.check(self.arrivals.visitors))?;
        self.bots.iter().try_for_each(Bots::check)?;
        let needs_presale = self.personas.get(&Persona::Member).is_some_and(|weight| *weight > 0.0);
        let has_presale = self.waiting_room.as_ref().is_some_and(|door| door.presale.is_some());
        ensure!(has_presale || !needs_presale, "personas.member: there is no presale");
        Ok(())
    }

    /// Where the visitor with this number comes from, if the scenario says it.
    pub fn origin(&self, persona: Persona, number: u64, rng: &mut SmallRng) -> Option<Origin> {
        if persona.is_bot() {
            return self.bots.map(|bots| bots.origin(number));
        }
        let weight = |of: fn(Persona) -> bool| -> f64 {
            let kinds = self.personas.iter().filter(|(persona, _)| of(**persona));
            kinds.map(|(_, weight)| weight).sum()
        };
        let people = weight(|persona| !persona.is_bot()) / weight(|_| true);
        let people = people * self.arrivals.visitors as f64;
        self.people.map(|home| home.origin(number, people, rng))
    }

    /// How long before the opening the run begins, in seconds.
    pub fn lead_s(&self) -> f64 {
        (-self.arrivals.from_s).max(0.0)
    }
}
