//! The figures, as a table and as JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::drive::Window;

/// Commands or transactions that belong to no poll: a look at Redis costs one, a worker that
/// happens to run once more a handful. A poll that cost any would make it 100,000.
const STRAY: u64 = 500;

/// What Redis and Postgres did: commands and transactions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quiet {
    /// So many polls.
    pub polls: u64,
    /// In so long.
    pub seconds: f64,
    /// With them.
    pub with_polls: (u64, u64),
    /// In as much time without any.
    pub idle: (u64, u64),
}

/// Windows of all contenders, one after the other; each with processor time per request of the
/// server in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// Of a poll, and about of the bare handlers.
    pub answer_bytes: usize,
    /// Polls.
    pub polls: (Window, f64),
    /// The bare handler that copies a text.
    pub padded: (Window, f64),
    /// The bare handler that writes the same document.
    pub document: (Window, f64),
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Raised when a field changes its meaning.
    pub version: u32,
    /// Who joined.
    pub visitors: u64,
    /// Each with one request at a time.
    pub connections: usize,
    /// Of the machine, for everything.
    pub cores: usize,
    /// Joins with proof of work; solving isn't part of it.
    pub with_proof: Window,
    /// Joins without.
    pub joins: Window,
    /// Polls of everybody, before the draw.
    pub before_draw: Window,
    /// What was told after it, and how often.
    pub told: Vec<(&'static str, u64)>,
    /// The server's memory: before, after all have joined, after all have polled, in bytes.
    pub resident: [u64; 3],
    /// Redis's memory before and after, in bytes.
    pub redis: [u64; 2],
    /// What polls cost Redis and Postgres.
    pub quiet: Quiet,
    /// Polls, after the draw, against bare handlers.
    pub rounds: Vec<Round>,
}

/// The median, the least and the most.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    (at(last / 2).midpoint(at(last.div_ceil(2))), at(0), at(last))
}

impl Report {
    /// Whether polls cost Redis and Postgres nothing.
    pub fn is_quiet(&self) -> bool {
        let (with, idle) = (self.quiet.with_polls, self.quiet.idle);
        with.0 <= idle.0 + STRAY && with.1 <= idle.1 + STRAY
    }

    fn contender(&self, f: &mut Formatter<'_>, name: &str, of: Of) -> fmt::Result {
        let per_s = spread(self.rounds.iter().map(|round| of(round).0.per_s));
        let cpu = spread(self.rounds.iter().map(|round| of(round).1));
        let p50 = spread(self.rounds.iter().map(|round| of(round).0.p50_ms)).0;
        let p99 = spread(self.rounds.iter().map(|round| of(round).0.p99_ms)).0;
        writeln!(
            f,
            "  {name:<22} {:>9.0} {:>9.0} {:>9.0} {:>12.1} {:>8.1} {p50:>8.1} {p99:>8.1}",
            per_s.0, per_s.1, per_s.2, cpu.0, cpu.1
        )
    }

    fn ratio(&self, f: &mut Formatter<'_>, name: &str, of: Of) -> fmt::Result {
        let rounds = self.rounds.iter();
        let rate = spread(rounds.clone().map(|r| r.polls.0.per_s / of(r).0.per_s));
        let cpu = spread(rounds.map(|r| of(r).1 / r.polls.1));
        writeln!(
            f,
            "  polls : {name:<14} {:.2} ({:.2} to {:.2}) of its rate; {:.2} ({:.2} to {:.2}) by \
             processor time per request",
            rate.0, rate.1, rate.2, cpu.0, cpu.1, cpu.2
        )
    }
}

type Of = fn(&Round) -> (Window, f64);

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} visitors in one waiting room, 1 server process; {} connections; {} cores for \
             everything, this program included",
            self.visitors, self.connections, self.cores
        )?;
        writeln!(f, "\nPhase                    requests   seconds  requests/s   p50 ms   p99 ms")?;
        for (name, window) in [
            ("joins, proof of work", &self.with_proof),
            ("joins, without", &self.joins),
            ("polls before the draw", &self.before_draw),
        ] {
            writeln!(
                f,
                "  {name:<22} {:>8} {:>9.1} {:>11.0} {:>8.1} {:>8.1}",
                window.requests, window.seconds, window.per_s, window.p50_ms, window.p99_ms
            )?;
        }
        let [before, joined, polled] = self.resident.map(|bytes| bytes as f64);
        let each = (polled - before) / self.visitors as f64;
        writeln!(
            f,
            "\nServer memory {:.1} MB before, {:.1} MB after all joined, {:.1} MB after all \
             polled: {each:.1} bytes per visitor\nRedis memory  {:.2} MB before, {:.2} MB after",
            before / 1e6,
            joined / 1e6,
            polled / 1e6,
            self.redis[0] as f64 / 1e6,
            self.redis[1] as f64 / 1e6
        )?;
        let Quiet { polls, seconds, with_polls, idle } = self.quiet;
        writeln!(
            f,
            "\n{polls} polls in {seconds:.1} s: {} Redis commands, {} Postgres transactions\n\
             as long without:        {} Redis commands, {} Postgres transactions -> {}",
            with_polls.0,
            with_polls.1,
            idle.0,
            idle.1,
            if self.is_quiet() { "polls cost neither anything" } else { "POLLS ARE NOT FREE" }
        )?;
        write!(f, "told after the draw:")?;
        self.told.iter().try_for_each(|(state, count)| write!(f, " {state} {count}"))?;
        let bytes = self.rounds.first().map_or(0, |round| round.answer_bytes);
        writeln!(
            f,
            "\n\nPolls after the draw against bare handlers, {} rounds of interleaved windows, \
             answers of {bytes} bytes\n  {:<22} {:>9} {:>9} {:>9} {:>12} {:>8} {:>8} {:>8}",
            self.rounds.len(),
            "",
            "median/s",
            "least",
            "most",
            "CPU us each",
            "least",
            "p50 ms",
            "p99 ms"
        )?;
        self.contender(f, "polls", |round| round.polls)?;
        self.contender(f, "bare, a text", |round| round.padded)?;
        self.contender(f, "bare, same document", |round| round.document)?;
        self.ratio(f, "bare, a text", |round| round.padded)?;
        self.ratio(f, "same document", |round| round.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread([4.0, 1.0, 2.0, 3.0].into_iter()), (2.5, 1.0, 4.0));
        assert_eq!(spread([7.0].into_iter()), (7.0, 7.0, 7.0));
    }
}
