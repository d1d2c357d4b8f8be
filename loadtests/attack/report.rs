//! The report of bots against people: what was played, the shares, and whether the goal is met.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::plan::{Curve, Door, Played, Row};
use crate::bots::budget::{BUDGET, WINDOW_S};
use crate::bots::outcome::{Outcome, Side};

/// Characters of a bar that stands for everything.
const BAR: f64 = 40.0;
/// The part of the bots' share that the defences must take away.
pub const CUT: f64 = 0.8;
/// Standard errors that are noise.
const NOISE: f64 = 2.0;
/// Refusals that are worth a line.
const TOP: usize = 6;

/// Shares of the same scene without and with the defences.
#[derive(Clone, Debug, Serialize)]
pub struct Cut {
    /// Which scene.
    pub name: &'static str,
    /// Identities of people and of bots in the line, with the defences.
    pub people: usize,
    /// See above.
    pub bots: usize,
    /// Bots' share of the identities.
    pub chance: f64,
    /// Bots' share of the tickets without the defences.
    pub without: f64,
    /// With them: the mean, the lowest and the highest of all seeds.
    pub with: [f64; 3],
    /// The part that they take away.
    pub cut: f64,
}

impl Cut {
    fn new(name: &'static str, without: &[Outcome], with: &[Outcome]) -> Self {
        let (before, after) = (Outcome::sum(without), Outcome::sum(with));
        let shares = with.iter().map(Outcome::bot_share);
        let least = shares.clone().fold(f64::INFINITY, f64::min);
        let most = shares.fold(0.0, f64::max);
        Self {
            name,
            people: after.people.joined / with.len().max(1),
            bots: after.bots.joined / with.len().max(1),
            chance: after.identity_share(),
            without: before.bot_share(),
            with: [after.bot_share(), least, most],
            cut: 1.0 - after.bot_share() / before.bot_share().max(f64::MIN_POSITIVE),
        }
    }
}

/// Whether the goal is met.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// All of it.
    pub met: bool,
    /// Tickets per identity in the line, of all seeds together: a bot's, an average person's, and
    /// that of a person who wants as much, comes when called, and pays.
    pub each: [f64; 3],
    /// A bot's tickets against that last person's.
    pub gain: f64,
    /// The standard error of that.
    pub gain_error: f64,
    /// Shares, and what the defences take away.
    pub cuts: Vec<Cut>,
}

/// What was played, and what follows.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Raised when a field changes its meaning.
    pub version: u32,
    /// What was played.
    pub played: Played,
    /// What follows.
    pub verdict: Verdict,
}

impl Report {
    /// Judges.
    pub fn new(played: Played) -> Self {
        let mut cuts = Vec::new();
        if let Some((without, with)) = &played.whole {
            let pair = [std::slice::from_ref(without), std::slice::from_ref(with)];
            cuts.push(Cut::new("whole crowd, whole budget", pair[0], pair[1]));
        }
        let (hard, anybody) = (&played.hard, &played.anybody);
        cuts.push(Cut::new("tenth of the crowd, whole budget", &hard.0, &hard.1));
        cuts.push(Cut::new("tenth of both, anybody let in", &anybody.0, &anybody.1));
        let all = Outcome::sum(&hard.1);
        let each = all.tickets_each();
        let gain = if each[2] > 0.0 { each[0] / each[2] } else { f64::INFINITY };
        // Who has a turn is chance; what is bought in it hardly varies.
        let turns = [all.bots.turns, all.keen.turns].map(|turns| 1.0 / turns.max(1) as f64);
        let gain_error = gain * (turns[0] + turns[1]).sqrt();
        let met = gain <= 1.0 + NOISE * gain_error && cuts.iter().all(|cut| cut.cut >= CUT);
        let verdict = Verdict { met, each, gain, gain_error, cuts };
        Self { version: 2, played, verdict }
    }

    fn table(f: &mut Formatter<'_>, title: &str, rows: &[Row]) -> fmt::Result {
        writeln!(
            f,
            "\n{title}\n  {:<26} {:>8} {:>8} {:>8} {:>8}",
            "defences", "people", "bots", "chance", "tickets"
        )?;
        rows.iter().try_for_each(|row| line(f, row.name, &row.outcome, None))
    }

    fn curve(f: &mut Formatter<'_>, curve: &Curve) -> fmt::Result {
        writeln!(
            f,
            "\n{}\n  {:<26} {:>8} {:>8} {:>8} {:>8}  each seed",
            title(curve),
            curve.axis,
            "people",
            "bots",
            "chance",
            "tickets"
        )?;
        curve.points.iter().try_for_each(|point| {
            let here = if point.x == curve.budget { " (budget)" } else { "" };
            let sum = Outcome::sum(&point.outcomes);
            line(f, &format!("{}{here}", point.x), &sum, Some(&point.outcomes))
        })
    }
}

/// What a curve shows.
pub fn title(curve: &Curve) -> String {
    let door = match curve.door {
        Door::Accounts => "accounts only; the rest at the whole budget, a tenth of the crowd",
        Door::Anybody => "anybody let in; the rest at a tenth of the budget and of the crowd",
    };
    format!("Bots' share by {}: {door}", curve.axis)
}

fn bar(share: f64) -> String {
    "#".repeat((share * BAR).round() as usize)
}

fn line(f: &mut Formatter<'_>, name: &str, all: &Outcome, each: Option<&[Outcome]>) -> fmt::Result {
    let runs = each.map_or(1, <[_]>::len).max(1);
    write!(
        f,
        "  {name:<26} {:>8} {:>8} {:>7.1}% {:>7.1}%  ",
        all.people.joined / runs,
        all.bots.joined / runs,
        all.identity_share() * 100.0,
        all.bot_share() * 100.0
    )?;
    match each {
        None => writeln!(f, "{}", bar(all.bot_share())),
        Some(each) => {
            let shares: Vec<String> =
                each.iter().map(|one| format!("{:.1}", one.bot_share() * 100.0)).collect();
            writeln!(f, "{:<20} {}", shares.join(" "), bar(all.bot_share()))
        }
    }
}

fn refusals(side: &Side) -> String {
    let mut all: Vec<(&String, &u64)> = side.refusals.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1));
    let told: Vec<String> =
        all.iter().take(TOP).map(|(code, times)| format!("{code} {times}")).collect();
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { played, verdict, .. } = self;
        writeln!(
            f,
            "Bots against people, over HTTP; seeds {:?}\n\
             The attackers know the defences and have {} accounts, {} networks of /24, {} cores for \
             {WINDOW_S:.0} s\n(each {:.1} million hashes per second, measured) and {} cards. They \
             act within a fifth of a second, hold\nall they may and try again. People notice after 2 to \
             45 s, want 1 to 4 places (2.4 on average),\none in ten has gone when called, one in \
             twelve lets the places go.",
            played.seeds,
            BUDGET.accounts,
            BUDGET.networks,
            BUDGET.cores,
            played.per_core / 1e6,
            BUDGET.cards
        )?;
        Self::table(f, "What each defence does (10,000 people, whole budget)", &played.parts)?;
        let open = "The same where anybody is let in (10,000 people, a tenth of the budget)";
        Self::table(f, open, &played.open_parts)?;
        played.curves.iter().try_for_each(|curve| Self::curve(f, curve))?;
        let refused = |f: &mut Formatter<'_>, name: &str, all: &[Outcome]| {
            let sum = Outcome::sum(all);
            writeln!(
                f,
                "  {name}: bots {}\n    people {}",
                refusals(&sum.bots),
                refusals(&sum.people)
            )
        };
        writeln!(f, "\nRefused with, all seeds together")?;
        refused(f, "undefended", &played.hard.0)?;
        refused(f, "accounts only", &played.hard.1)?;
        refused(f, "anybody let in", &played.anybody.1)?;
        verdict.fmt(f)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nVerdict: the goal is {}", if self.met { "met" } else { "NOT met" })?;
        let [bot, person, keen] = self.each;
        writeln!(
            f,
            "  Tickets per identity in the line: {bot:.3} of a bot, {keen:.3} of a person who wants \
             as many, comes and pays:\n  {:.2} times as many, give or take {:.2} (goal: not more \
             than once, within {NOISE} of these). {person:.3} of an average person.",
            self.gain, self.gain_error
        )?;
        writeln!(
            f,
            "  {:<34} {:>8} {:>7} {:>8} {:>9} {:>22} {:>7}",
            "bots' share of the tickets",
            "people",
            "bots",
            "chance",
            "without",
            "with (of each seed)",
            "cut"
        )?;
        self.cuts.iter().try_for_each(|cut| {
            let [with, least, most] = cut.with.map(|share| share * 100.0);
            let with = format!("{with:.1}% ({least:.1}-{most:.1})");
            writeln!(
                f,
                "  {:<34} {:>8} {:>7} {:>7.1}% {:>8.1}% {with:>22} {:>6.1}%",
                cut.name,
                cut.people,
                cut.bots,
                cut.chance * 100.0,
                cut.without * 100.0,
                cut.cut * 100.0
            )
        })?;
        writeln!(f, "  Goal: a cut of at least {:.0} %.", CUT * 100.0)
    }
}
