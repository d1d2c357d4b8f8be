//! Which scenes are played.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::stages::Stages;
use crate::bots::budget::{BUDGET, Budget, hashes_per_core};
use crate::bots::outcome::Outcome;
use crate::bots::scene::{Defences, Scene, Stage};

/// The crowd that the engine is made for.
const CROWD: (usize, usize) = (100_000, 20_000);
/// People and places of all other scenes: a tenth of that.
const SMALL: (usize, usize) = (10_000, 2_000);
/// Of the budget, where scenes are a model of the whole in small.
const TENTH: f64 = 0.1;
/// Repetitions of scenes in which one part of the budget is varied.
const SWEPT: usize = 1;
/// For how long a core solves challenges to show how fast it is.
const SOLVING: Duration = Duration::from_secs(2);
/// Nobody tries to get more identities than this without an account.
const ANONYMOUS: usize = 25_000;

/// One scene, played with several seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// What was varied.
    pub x: f64,
    /// By seed.
    pub outcomes: Vec<Outcome>,
}

/// A part of the budget, varied while all else is at the budget.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// At which kind of event.
    pub door: Door,
    /// What is varied.
    pub axis: &'static str,
    /// The budget's own value.
    pub budget: f64,
    /// In order.
    pub points: Vec<Point>,
}

/// Who is let into an event's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Who has signed in.
    Accounts,
    /// Anybody, for a proof of work, and from each network only so many.
    Anybody,
}

/// A scene by what is in the attackers' way.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// In words.
    pub name: &'static str,
    /// What happened.
    pub outcome: Outcome,
}

/// Everything that was played.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Of the repetitions.
    pub seeds: Vec<u64>,
    /// Hashes per second of one core, measured by solving real challenges.
    pub per_core: f64,
    /// The whole crowd against the whole budget, without and with the defences.
    pub whole: Option<(Outcome, Outcome)>,
    /// A tenth of the crowd against the whole budget: without, and with the defences by seed.
    pub hard: (Vec<Outcome>, Vec<Outcome>),
    /// A tenth of both, where anybody is let in: without, and with the defences by seed.
    pub anybody: (Vec<Outcome>, Vec<Outcome>),
    /// With parts of the defences: a tenth of the crowd, the whole budget.
    pub parts: Vec<Row>,
    /// The same where anybody is let in, and a tenth of the budget.
    pub open_parts: Vec<Row>,
    /// By each part of the budget.
    pub curves: Vec<Curve>,
}

struct Runner<'a> {
    stages: &'a Stages,
    seeds: &'a [u64],
    per_core: f64,
    say: &'a (dyn Fn(&str) + Send + Sync),
    /// Scenes that were played: none is played twice.
    known: HashMap<String, Outcome>,
}

/// Plays them.
///
/// # Errors
/// If something is answered that nobody expects.
pub async fn play_all(
    stages: &Stages,
    seeds: &[u64],
    whole: bool,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Played> {
    say("solving challenges");
    let per_core = hashes_per_core(&stages.armed.app.keyring, SOLVING);
    let mut runner = Runner { stages, seeds, per_core, say, known: HashMap::new() };
    let hard = runner.scene(SMALL, BUDGET, Defences::ACCOUNTS);
    let open = runner.scene(SMALL, BUDGET.part(TENTH), Defences::ANYBODY);
    let hard = (runner.undefended(hard).await?, runner.defended(hard).await?);
    let anybody = (runner.undefended(open).await?, runner.defended(open).await?);
    let parts = runner.parts().await?;
    let open_parts = runner.open_parts().await?;
    let curves = runner.curves().await?;
    let whole = if whole {
        let whole = runner.scene(CROWD, BUDGET, Defences::ACCOUNTS);
        let bare = Scene { defences: Defences::NONE, ..whole };
        Some((runner.play(&stages.bare, bare).await?, runner.play(&stages.armed, whole).await?))
    } else {
        None
    };
    let seeds = seeds.to_vec();
    Ok(Played { seeds, per_core, whole, hard, anybody, parts, open_parts, curves })
}

impl Runner<'_> {
    fn scene(&self, crowd: (usize, usize), budget: Budget, defences: Defences) -> Scene {
        let (people, places) = crowd;
        let (seed, per_core) = (self.seeds[0], self.per_core);
        let anonymous = if defences == Defences::ANYBODY { ANONYMOUS } else { 0 };
        Scene { seed, places, people, budget, anonymous, per_core, defences }
    }

    async fn play(&mut self, stage: &Stage, scene: Scene) -> Result<Outcome> {
        let name = format!("{} {scene:?}", stage.name);
        if let Some(known) = self.known.get(&name) {
            return Ok(known.clone());
        }
        let outcome = scene.play(stage).await?;
        (self.say)(&format!(
            "{}, seed {}: {} people, {} of {} bots in line: {} called, {} and {} tickets, {:.1} % ({:.0} s, {:.0} of it joining)",
            stage.name,
            scene.seed,
            scene.people,
            outcome.bots.joined,
            outcome.bots.came,
            outcome.called,
            outcome.people.tickets,
            outcome.bots.tickets,
            outcome.bot_share() * 100.0,
            outcome.took_s,
            outcome.joined_s
        ));
        self.known.insert(name, outcome.clone());
        Ok(outcome)
    }

    async fn undefended(&mut self, scene: Scene) -> Result<Vec<Outcome>> {
        let (stages, mut outcomes) = (self.stages, Vec::new());
        for seed in self.seeds {
            let scene = Scene { seed: *seed, defences: Defences::NONE, anonymous: 0, ..scene };
            outcomes.push(self.play(&stages.bare, scene).await?);
        }
        Ok(outcomes)
    }

    async fn defended(&mut self, scene: Scene) -> Result<Vec<Outcome>> {
        let (stages, mut outcomes) = (self.stages, Vec::new());
        for seed in self.seeds {
            outcomes.push(self.play(&stages.armed, Scene { seed: *seed, ..scene }).await?);
        }
        Ok(outcomes)
    }

    /// What each defence adds, where people sign in.
    async fn parts(&mut self) -> Result<Vec<Row>> {
        let (stages, none) = (self.stages, Defences::NONE);
        let mut rows = Vec::new();
        for (name, stage, defences) in [
            ("nothing", &stages.bare, none),
            ("accounts", &stages.bare, Defences { account: true, ..none }),
            (
                "accounts, 4 places each",
                &stages.bare,
                Defences { draw: false, ..Defences::ACCOUNTS },
            ),
            ("accounts and a draw", &stages.bare, Defences { limit: false, ..Defences::ACCOUNTS }),
            ("accounts, 4 each, a draw", &stages.bare, Defences::ACCOUNTS),
            ("everything", &stages.armed, Defences::ACCOUNTS),
        ] {
            let scene = self.scene(SMALL, BUDGET, defences);
            rows.push(Row { name, outcome: self.play(stage, scene).await? });
        }
        Ok(rows)
    }

    /// The same where anybody is let in.
    async fn open_parts(&mut self) -> Result<Vec<Row>> {
        let stages = self.stages;
        let scene = self.scene(SMALL, BUDGET.part(TENTH), Defences::ANYBODY);
        let mut rows = Vec::new();
        for (name, stage, defences) in [
            ("nothing", &stages.bare, Defences::NONE),
            ("a draw, proofs, 4 each", &stages.uncounted, Defences::ANYBODY),
            ("and few per network", &stages.armed, Defences::ANYBODY),
        ] {
            let anonymous = if defences.draw { scene.anonymous } else { 0 };
            let scene = Scene { defences, anonymous, ..scene };
            rows.push(Row { name, outcome: self.play(stage, scene).await? });
        }
        Ok(rows)
    }

    async fn curves(&mut self) -> Result<Vec<Curve>> {
        let mut curves = Vec::new();
        let hard = self.scene(SMALL, BUDGET, Defences::ACCOUNTS);
        for (axis, values) in [
            ("accounts", [100.0, 300.0, 1_000.0, 3_000.0].as_slice()),
            ("networks", &[1.0, 200.0]),
            ("cores", &[0.01, 8.0]),
            ("cards", &[5.0, 20.0, 200.0]),
        ] {
            curves.push(self.curve(Door::Accounts, hard, axis, values).await?);
        }
        let open = self.scene(SMALL, BUDGET.part(TENTH), Defences::ANYBODY);
        for (axis, values) in [
            ("accounts", [100.0, 1_000.0].as_slice()),
            ("networks", &[1.0, 20.0, 60.0]),
            ("cores", &[0.001, 0.01, 0.8]),
            ("cards", &[5.0, 20.0]),
        ] {
            curves.push(self.curve(Door::Anybody, open, axis, values).await?);
        }
        Ok(curves)
    }

    async fn curve(
        &mut self,
        door: Door,
        scene: Scene,
        axis: &'static str,
        values: &[f64],
    ) -> Result<Curve> {
        let (stages, seeds, mut points) = (self.stages, self.seeds, Vec::new());
        for x in values {
            let budget = with(scene.budget, axis, *x);
            let mut outcomes = Vec::new();
            for seed in seeds.iter().take(SWEPT) {
                let scene = Scene { seed: *seed, budget, ..scene };
                outcomes.push(self.play(&stages.armed, scene).await?);
            }
            points.push(Point { x: *x, outcomes });
        }
        let budget = of(scene.budget, axis);
        Ok(Curve { door, axis, budget, points })
    }
}

/// The budget with another value of one part.
fn with(mut budget: Budget, axis: &str, x: f64) -> Budget {
    let whole = x.round() as usize;
    match axis {
        "accounts" => budget.accounts = whole,
        "networks" => budget.networks = whole,
        "cards" => budget.cards = whole,
        _ => budget.cores = x,
    }
    budget
}

fn of(budget: Budget, axis: &str) -> f64 {
    match axis {
        "accounts" => budget.accounts as f64,
        "networks" => budget.networks as f64,
        "cards" => budget.cards as f64,
        _ => budget.cores,
    }
}
