//! What is seen while a scenario is played: a screen where there is a terminal, otherwise a line
//! now and then. Plain escape sequences; nothing but the last second is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onsale::devstack::Progress;
use tokio::time::sleep_until;

use crate::run::Watch;
use crate::scenario::Scenario;
use crate::verdict::summary::Sample;
use crate::verdict::tally::{DRAWN_STEPS, Second, Step, Times};
use crate::visitors::{Crowd, Spot};

/// The screen is drawn anew so often.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// Without a terminal there is a line so often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Seconds that the small plots show.
const SHOWN_S: usize = 60;
/// Refusals that are listed.
const MOST_REFUSALS: usize = 8;

/// What is known at a moment.
struct Now {
    since_opening_s: f32,
    scenario: Arc<str>,
    capacity: u32,
    came: u64,
    sold: usize,
    purchases: usize,
    spots: [u64; 5],
    connections: u32,
    last: Second,
    arrivals: Vec<u32>,
    places: Vec<u32>,
    refusals: BTreeMap<(Step, String), u64>,
    turned_away: u64,
    errors: u64,
    steps: Vec<(Step, u64, Duration, Duration)>,
    sample: Option<Sample>,
    names: Vec<String>,
}

impl Now {
    fn look(crowd: &Crowd, watch: &Watch) -> Self {
        let second = crowd.second();
        let Scenario { name, .. } = &crowd.scenario;
        let (sample, names) = watch.last();
        let spots = [Spot::InLine, Spot::Inside, Spot::Holding, Spot::Paying, Spot::Outside];
        let mut now = Self {
            since_opening_s: crowd.since_opening(Instant::now()),
            scenario: name.as_str().into(),
            capacity: crowd.shop.capacity,
            came: 0,
            sold: 0,
            purchases: 0,
            spots: spots.map(|spot| crowd.count(spot)),
            connections: crowd.open.now(),
            last: Second::default(),
            arrivals: vec![0; SHOWN_S],
            places: vec![0; SHOWN_S],
            refusals: BTreeMap::new(),
            turned_away: 0,
            errors: 0,
            steps: Vec::new(),
            sample,
            names,
        };
        let mut times: Vec<Times> = DRAWN_STEPS.iter().map(|_| Times::default()).collect();
        crowd.tallies.each(|tally| {
            now.sold += tally.places;
            now.purchases += tally.sales.len();
            now.came += tally.seconds.iter().map(|s| u64::from(s.arrived)).sum::<u64>();
            for (key, count) in &tally.refusals {
                *now.refusals.entry(key.clone()).or_default() += count;
            }
            now.turned_away += tally.turned_away.values().sum::<u64>();
            now.errors += tally.mistakes.values().sum::<u64>();
            for (sum, step) in times.iter_mut().zip(DRAWN_STEPS) {
                sum.add(&tally.steps[step as usize].wanted);
            }
            for at in 0..SHOWN_S {
                // The last whole second is the last column.
                let back = SHOWN_S - at;
                let Some(of) = second.checked_sub(back).and_then(|s| tally.seconds.get(s)) else {
                    continue;
                };
                now.arrivals[at] += of.arrived;
                now.places[at] += of.places;
                if back == 1 {
                    now.last.merge(of);
                }
            }
        });
        now.steps = DRAWN_STEPS
            .into_iter()
            .zip(&times)
            .map(|(step, t)| (step, t.count(), t.quantile(0.5), t.quantile(0.99)))
            .collect();
        now
    }

    fn line(&self) -> String {
        let Self { came, sold, capacity, errors, turned_away, .. } = self;
        let [in_line, inside, holding, paying, _] = self.spots;
        let refused: u64 = self.refusals.values().sum();
        format!(
            "T{:+.0} s: {came} came, {in_line} in line, {inside} inside, {holding} holding, \
             {paying} paying, {sold}/{capacity} sold; {refused} refusals, {turned_away} turned \
             away, {errors} errors",
            self.since_opening_s
        )
    }

    fn draw(&self) -> String {
        let mut text = String::from("\x1b[H");
        // Memory takes everything.
        let mut row = |line: String| {
            let _ = write!(text, "{line}\x1b[K\r\n");
        };
        let [in_line, inside, holding, paying, _] = self.spots;
        row(format!(
            "\x1b[1msurge · {}\x1b[0m   T{:+.0} s   Ctrl-C ends it with a report",
            self.scenario, self.since_opening_s
        ));
        row(String::new());
        row(format!("  arrivals/s  {:>7}  {}", self.last.arrived, sparks(&self.arrivals)));
        row(format!("  places/s    {:>7}  {}", self.last.places, sparks(&self.places)));
        row(format!("  sold        {:>7}  {}", self.sold, bar(self.sold, self.capacity)));
        row(String::new());
        row(format!(
            "  came {:>8}   in line {in_line:>7}   choosing {inside:>6}   holding {holding:>6}   \
             paying {paying:>6}",
            self.came
        ));
        row(format!(
            "  let in/s {:>4}   purchases {:>5}   connections {:>6}   turned away {:>6}   errors \
             {:>4}",
            self.last.admitted, self.purchases, self.connections, self.turned_away, self.errors
        ));
        row(String::new());
        row("  latency       answers    p50 ms    p99 ms".to_owned());
        for (step, count, p50, p99) in &self.steps {
            let ms = |took: &Duration| took.as_secs_f64() * 1e3;
            row(format!("  {:<10} {count:>10} {:>9.1} {:>9.1}", step.name(), ms(p50), ms(p99)));
        }
        row(String::new());
        row("  refusals (never counted as sales)".to_owned());
        let mut refusals: Vec<_> = self.refusals.iter().collect();
        refusals.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for at in 0..MOST_REFUSALS {
            row(refusals.get(at).map_or_else(String::new, |((step, code), count)| {
                format!("  {:<10} {code:<20} {count:>8}", step.name())
            }));
        }
        if let Some(sample) = &self.sample {
            let cores = self.names.iter().zip(&sample.cores);
            let cores: Vec<String> =
                cores.map(|(name, cores)| format!("{name} {:.0} %", cores * 100.0)).collect();
            row(format!("  CPU  {}", cores.join("  ")));
        }
        text.push_str("\x1b[J");
        text
    }
}

fn bar(sold: usize, capacity: u32) -> String {
    const WIDTH: usize = 50;
    let share = sold as f64 / f64::from(capacity.max(1));
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    format!("{}{} {:.1} %", "█".repeat(full), "░".repeat(WIDTH - full), share * 100.0)
}

fn sparks(values: &[u32]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    values.iter().map(|value| LEVELS[(*value as usize * 7).div_ceil(most as usize)]).collect()
}

/// Shows it until nobody asks any more.
pub async fn show(crowd: Arc<Crowd>, watch: Arc<Watch>, screen: bool, say: Progress) {
    let every = if screen { DRAW_EVERY } else { LINE_EVERY };
    if screen {
        // Another page of the terminal, without a cursor: what was there comes back.
        put("\x1b[?1049h\x1b[?25l\x1b[2J");
    }
    for tick in 1_u32.. {
        sleep_until((crowd.begun + every * tick).into()).await;
        let now = Now::look(&crowd, &watch);
        if screen { put(&now.draw()) } else { say(&now.line()) }
    }
}

/// Gives the terminal back.
pub fn leave() {
    put("\x1b[?25h\x1b[?1049l");
}

fn put(text: &str) {
    let mut out = std::io::stderr().lock();
    // A terminal that is gone is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_sparks_fit_what_they_show() {
        assert!(bar(0, 100).starts_with('░') && bar(100, 100).ends_with("█ 100.0 %"));
        assert_eq!(sparks(&[0, 1, 7, 14]), "▁▂▅█");
    }
}
