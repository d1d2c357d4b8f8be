//! When visitors come: a schedule made beforehand, which no answer of the servers changes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::Shard;

/// Resolution of curves, in seconds.
const BIN_S: f64 = 0.1;
/// Longest schedule, in seconds.
const MAX_SPAN_S: f64 = 86_400.0;
/// Of the spike's height, so many come at any time before it.
const SPIKE_FLOOR: f64 = 0.02;

/// Who comes when. Times are in seconds from the opening (T-0) on; negative: before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// How many come.
    pub visitors: u64,
    /// The first come then.
    #[serde(default)]
    pub from_s: f64,
    /// The last come then.
    pub until_s: f64,
    /// How they are spread over that time.
    #[serde(default)]
    pub curve: Curve,
    /// Where a page says "sold out", only one in so many goes on; 0: nobody reads it.
    #[serde(default)]
    pub heed_sold_out: u32,
}

/// How arrivals are spread. The height doesn't matter: `visitors` says how many come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Curve {
    /// Evenly.
    #[default]
    Steady,
    /// Heights from certain moments on.
    Step(Vec<[f64; 2]>),
    /// From one height to another.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// Grows towards T-0 and fades after it.
    Spike {
        /// It grows by a factor of 2.7 in so many seconds.
        build_up_s: f64,
        /// It fades by a factor of 2.7 in so many seconds.
        fade_s: f64,
    },
    /// Two peaks, as when the mail goes out and then the push message.
    DoublePeak {
        /// When, in seconds from T-0 on.
        at_s: [f64; 2],
        /// How wide each is, in seconds.
        width_s: f64,
        /// The second one's height against the first's.
        second: f64,
    },
    /// As it was once: lines of `second,arrivals` in a CSV file beside the scenario.
    Replay {
        /// The file.
        file: PathBuf,
        /// What was in it, for who has only what was written of the scenario.
        #[serde(default)]
        seconds: Vec<[f64; 2]>,
    },
}

impl Curve {
    fn height(&self, at_s: f64, (from_s, until_s): (f64, f64)) -> f64 {
        match self {
            Self::Steady => 1.0,
            Self::Step(steps) | Self::Replay { seconds: steps, .. } => {
                let begun = steps.partition_point(|[from, _]| *from <= at_s);
                begun.checked_sub(1).map_or(0.0, |step| steps[step][1])
            }
            Self::Ramp { from, to } => {
                from + (to - from) * (at_s - from_s) / (until_s - from_s).max(BIN_S)
            }
            Self::Spike { build_up_s, .. } if at_s < 0.0 => SPIKE_FLOOR + (at_s / build_up_s).exp(),
            Self::Spike { fade_s, .. } => (-at_s / fade_s).exp(),
            Self::DoublePeak { at_s: [first, other], width_s, second } => {
                let peak = |at: f64| (-((at_s - at) / width_s).powi(2) / 2.0).exp();
                peak(*first) + second * peak(*other)
            }
        }
    }
}

impl Arrivals {
    /// Reads the file to be replayed, if there is one.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read_replay(&mut self, beside: &Path) -> Result<()> {
        let Curve::Replay { file, seconds } = &mut self.curve else { return Ok(()) };
        seconds.clear();
        let path = beside.join(&*file);
        let reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path);
        for row in reader.with_context(|| format!("{}", path.display()))?.into_records() {
            let row = row.with_context(|| format!("{}", path.display()))?;
            let number = |at: usize| row.get(at).and_then(|text| text.trim().parse::<f64>().ok());
            match (number(0), number(1)) {
                (Some(second), Some(arrivals)) => seconds.push([second, arrivals]),
                // What isn't a number in the first row is a heading.
                _ if seconds.is_empty() => {}
                _ => anyhow::bail!("{}: {row:?} is no second and number", path.display()),
            }
        }
        seconds.sort_by(|a, b| a[0].total_cmp(&b[0]));
        Ok(())
    }

    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<()> {
        let span = self.until_s - self.from_s;
        ensure!((0.0..=MAX_SPAN_S).contains(&span), "arrivals: from_s is not after until_s");
        let positive = match &self.curve {
            Curve::Spike { build_up_s, fade_s } => *build_up_s > 0.0 && *fade_s > 0.0,
            Curve::DoublePeak { width_s, second, .. } => *width_s > 0.0 && *second >= 0.0,
            Curve::Ramp { from, to } => *from >= 0.0 && *to >= 0.0,
            Curve::Step(steps) | Curve::Replay { seconds: steps, .. } => {
                let in_order = steps.is_sorted_by(|one, next| one[0] <= next[0]);
                ensure!(in_order, "arrivals.curve: moments come in order");
                steps.iter().all(|[_, height]| *height >= 0.0)
            }
            Curve::Steady => true,
        };
        ensure!(positive, "arrivals.curve: widths and heights are positive");
        ensure!(self.cumulative().last().is_some_and(|all| *all > 0.0), "arrivals: nobody comes");
        Ok(())
    }

    /// How many come in each second, as it is intended.
    pub fn per_second(&self) -> Vec<f64> {
        let cumulative = self.cumulative();
        let all = cumulative.last().copied().unwrap_or(1.0);
        let bins = (1.0 / BIN_S).round() as usize;
        let mut before = 0.0;
        let ends = cumulative.chunks(bins).filter_map(|chunk| chunk.last());
        ends.map(|end| {
            let here = (end - before) / all * self.visitors as f64;
            before = *end;
            here
        })
        .collect()
    }

    fn cumulative(&self) -> Vec<f64> {
        let span = (self.from_s, self.until_s);
        let bins = (((span.1 - span.0) / BIN_S).ceil() as usize).max(1);
        let mut sum = 0.0;
        let middle = |bin: usize| span.0 + (bin as f64 + 0.5) * BIN_S;
        (0..bins)
            .map(|bin| {
                sum += self.curve.height(middle(bin), span);
                sum
            })
            .collect()
    }
}

/// The moments of a schedule, one after the other: as many who decide for themselves come (a
/// Poisson process with the curve's intensity, given how many come).
pub struct Schedule {
    rng: StdRng,
    from_s: f64,
    cumulative: Vec<f64>,
    left: u64,
    /// Sums of exponential gaps: until now, and all.
    now: f64,
    all: f64,
    bin: usize,
}

impl Schedule {
    /// The same seed gives the same schedule.
    pub fn new(arrivals: &Arrivals, seed: u64) -> Self {
        let gaps = StdRng::seed_from_u64(seed);
        let mut first = gaps.clone();
        let all = (0..=arrivals.visitors).map(|_| gap(&mut first)).sum();
        Self {
            rng: gaps,
            from_s: arrivals.from_s,
            cumulative: arrivals.cumulative(),
            left: arrivals.visitors,
            now: 0.0,
            all,
            bin: 0,
        }
    }
}

impl Schedule {
    /// The visitors that a generator plays, numbered from 1 on, and when each comes.
    pub fn of(self, shard: Shard) -> impl Iterator<Item = (u64, f64)> + use<> {
        let all = (0_u64..).zip(self).filter(move |(number, _)| shard.plays(*number));
        all.map(|(number, at_s)| (number + 1, at_s))
    }
}

impl Iterator for Schedule {
    /// Seconds from the opening on.
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.left = self.left.checked_sub(1)?;
        self.now += gap(&mut self.rng);
        let wanted = self.now / self.all * self.cumulative.last()?;
        while self.cumulative.get(self.bin).is_some_and(|end| *end < wanted) {
            self.bin += 1;
        }
        let before = self.bin.checked_sub(1).map_or(0.0, |bin| self.cumulative[bin]);
        let end = self.cumulative.get(self.bin).copied().unwrap_or(wanted);
        let part = if end > before { (wanted - before) / (end - before) } else { 0.0 };
        Some(self.from_s + (self.bin as f64 + part) * BIN_S)
    }
}

fn gap(rng: &mut StdRng) -> f64 {
    // 1 - u is never 0, whose logarithm is infinite.
    -(1.0 - rng.random::<f64>()).ln()
}
