//! The report of bots against people: tables with a bar for each share, and what follows.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::bots::budget::BUDGET;
use crate::bots::scene::Outcome;

/// Characters of a bar that stands for everything.
const BAR: f64 = 40.0;
/// The crowd that the engine is made for.
const CROWD: f64 = 100_000.0;

/// One scene.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was varied.
    pub name: String,
    /// Bots' share of identities.
    pub identities: f64,
    /// Bots' share of turns.
    pub turns: f64,
    /// Bots' share of tickets.
    pub tickets: f64,
}

impl Row {
    /// Of an outcome.
    pub fn new(name: String, outcome: &Outcome) -> Self {
        let turns = outcome.bot_turns + outcome.people_turns;
        Self {
            name,
            identities: outcome.identity_share(),
            turns: outcome.bot_turns as f64 / turns.max(1) as f64,
            tickets: outcome.bot_share(),
        }
    }
}

/// What proofs cost.
#[derive(Clone, Debug, Serialize)]
pub struct Proofs {
    /// Measured, by solving real challenges.
    pub hashes_per_core: f64,
    /// How long one can join.
    pub window_s: f64,
    /// Cores, and the identities that they pay for.
    pub by_cores: Vec<(f64, u64)>,
    /// Networks, and the identities that all cores pay for from them.
    pub by_networks: Vec<(u32, u64)>,
}

/// Everything that was played.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Raised when a field changes its meaning.
    pub version: u32,
    /// Of everybody's choices.
    pub seed: u64,
    /// The whole budget against 600 people: without and with the defences.
    pub full: (Outcome, Outcome),
    /// A hundredth of the budget against 1,000 people: a hundredth of the crowd.
    pub scaled: (Outcome, Outcome),
    /// With parts of the defences.
    pub parts: Vec<Row>,
    /// By the bots' accounts.
    pub accounts: Vec<Row>,
    /// By their networks.
    pub networks: Vec<Row>,
    /// What proofs alone are worth.
    pub proofs: Proofs,
}

fn bar(share: f64) -> String {
    "#".repeat((share * BAR).round() as usize)
}

fn table(f: &mut Formatter<'_>, title: &str, first: &str, rows: &[Row]) -> fmt::Result {
    writeln!(f, "\n{title}\n  {first:<24} identities   turns  tickets  (bots' share, in %)")?;
    rows.iter().try_for_each(|row| {
        let (name, tickets) = (&row.name, row.tickets * 100.0);
        let (identities, turns) = (row.identities * 100.0, row.turns * 100.0);
        writeln!(
            f,
            "  {name:<24} {identities:>10.1} {turns:>7.1} {tickets:>8.1}  {}",
            bar(row.tickets)
        )
    })
}

impl Report {
    fn pair(f: &mut Formatter<'_>, title: &str, pair: &(Outcome, Outcome)) -> fmt::Result {
        let (before, after) = pair;
        let cut = 1.0 - after.bot_share() / before.bot_share().max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "\n{title}: {} people, {} bot accounts ({:.1} % of identities)\n  tickets of bots: \
             {:.1} % without, {:.1} % with the defences: cut by {:.1} %",
            after.people,
            after.bots,
            after.identity_share() * 100.0,
            before.bot_share() * 100.0,
            after.bot_share() * 100.0,
            cut * 100.0
        )?;
        let z = after.bot_rank_z.unwrap_or_default();
        writeln!(f, "  bots' mean rank is {z:+.2} standard deviations from chance")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Bots against people, over HTTP; seed {}. Budget: {} accounts, {} networks of /24, {} \
             cores, {} cards.\nBots join and act at once, hold all they may, one in ten never \
             pays; people come after 0.5 to 3 s and want 1 to 4 places.",
            self.seed, BUDGET.accounts, BUDGET.networks, BUDGET.cores, BUDGET.cards
        )?;
        Self::pair(f, "Whole budget, small crowd", &self.full)?;
        Self::pair(f, "Budget and crowd of the issue, 1:100", &self.scaled)?;
        table(f, "By defence (1,000 bots, 600 people)", "with", &self.parts)?;
        table(f, "By accounts (600 people, all defences)", "accounts", &self.accounts)?;
        table(f, "By networks (400 accounts)", "networks of /24", &self.networks)?;
        let proofs = &self.proofs;
        writeln!(
            f,
            "\nAnonymous identities that proofs of work allow in {:.0} s, where an event asks for \
             no account\n({:.1} million hashes per core and second, measured), and their share \
             among {CROWD:.0} people",
            proofs.window_s,
            proofs.hashes_per_core / 1e6
        )?;
        let mut line = |what: String, identities: u64| {
            let share = identities as f64 / (identities as f64 + CROWD);
            writeln!(f, "  {what:<24} {identities:>10} {:>7.1} %  {}", share * 100.0, bar(share))
        };
        proofs.by_cores.iter().try_for_each(|(n, ids)| line(format!("{n} cores"), *ids))?;
        proofs.by_networks.iter().try_for_each(|(n, ids)| line(format!("{n} networks"), *ids))?;
        Self::conclude(f)
    }
}

impl Report {
    fn conclude(f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nWhat helps, and what doesn't\n\
             - The draw takes every advantage from being fast and from asking again: a bot's \
             account has a person's chances, no more.\n\
             - It does not tell people from accounts. Whoever has as many accounts as there are \
             people gets half. The limit per account keeps an account at what one person may \
             buy.\n\
             - So what counts is how many identities one can have. Accounts with verified \
             mailboxes cost most; the share follows their number. An 80 % cut needs a crowd of \
             more than four people per bot account.\n\
             - Proof of work alone is no wall against native code: see above. It prices \
             identities where none were needed, and keeps them from being made in advance.\n\
             - Networks matter for proofs (their difficulty rises per network) and for limits per \
             address, not for the draw.\n\
             - Cards are not varied: nothing that is played here counts how many accounts pay \
             with one card, so the share does not depend on them."
        )
    }
}
