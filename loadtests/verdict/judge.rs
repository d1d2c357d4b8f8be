//! Whether a run passed.

use std::collections::HashSet;
use std::time::Duration;

use super::report::Facts;

/// Later starts than this, for one buyer in a hundred, and the generator was too busy to be
/// believed.
const LATE_AT_MOST: Duration = Duration::from_millis(100);

/// Everything that keeps the run from passing.
pub fn problems(facts: &Facts<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |fine: bool, what: String| {
        if !fine {
            problems.push(what);
        }
    };
    let capacity = u64::from(facts.capacity);
    match &facts.drawer {
        Some(drawer) => {
            let (pg, redis) = (&drawer.postgres, &drawer.redis);
            let all = pg.sold == capacity && redis.sold == capacity && drawer.is_at_rest();
            check(all, format!("the drawer count: by Redis {redis:?}, by Postgres {pg:?}"));
        }
        None => check(false, "the drawer count was not answered".to_owned()),
    }
    check(facts.audit.0, "the audit found violations".to_owned());
    let mut places = HashSet::new();
    let twice = facts.tally.sales.iter().flat_map(|sale| &sale.places);
    let twice: Vec<&i32> = twice.filter(|place| !places.insert(**place)).collect();
    check(twice.is_empty(), format!("two buyers have tickets for the same place: {twice:?}"));
    let held = u64::try_from(places.len()).unwrap_or(u64::MAX);
    check(held == capacity, format!("buyers have tickets for {held} of {capacity} places"));
    let mistakes: u64 = facts.tally.mistakes.values().sum();
    check(mistakes == 0, format!("{mistakes} answers should not have happened (listed below)"));
    if let Err(left) = facts.drained {
        check(false, format!("{left} rows were left in outbox and mirror"));
    }
    let late = facts.tally.late.quantile(0.99);
    check(late <= LATE_AT_MOST, format!("the generator was late: p99 {late:.1?}"));
    let (dropped, lost) = (facts.gone.dropped, facts.gone.lost);
    check(dropped + lost == 0, format!("the generator dropped {dropped} and lost {lost} buyers"));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buyers::{Coming, Count, Drawer, Gone};
    use crate::rig::cpu::Reading;
    use crate::verdict::Report;
    use crate::verdict::tally::{Sale, Step, Tally};

    /// Three places, sold to two buyers.
    fn clean() -> Facts<'static> {
        let mut tally = Tally::default();
        for (second, places) in [(1, vec![1, 2]), (2, vec![7])] {
            let at = Duration::from_secs(second);
            tally.sale(at, Sale { at, places });
            tally.late.record(Duration::from_millis(1));
            tally.holds.push(at / 2);
        }
        let count = || Count { sold: 3, claimed: 0, held: 0, free: 0 };
        Facts {
            venue: "box",
            capacity: 3,
            servers: 2,
            connections: 1,
            opened: 3,
            coming: Coming { seed: 1, rate: 1.0, most: 2, within: Duration::from_secs(9) },
            gone: Gone { came: 2, took: Duration::from_secs(4), ..Gone::default() },
            tally,
            cpu: (Vec::new(), Reading { used: Vec::new(), machine: Duration::from_secs(1) }),
            drawer: Some(Drawer { redis: count(), postgres: count(), agree: true }),
            drained: Ok(Duration::ZERO),
            audit: (true, "fine".to_owned()),
        }
    }

    fn drawer(change: impl Fn(&mut Drawer)) -> Facts<'static> {
        let mut facts = clean();
        facts.drawer.as_mut().map(change).unwrap();
        facts
    }

    #[test]
    fn a_clean_run_passes_and_its_report_says_so_first() {
        let report = Report::new(clean());
        assert!(report.passed, "{:?}", report.problems);
        assert!(report.to_string().starts_with("PASSED: SOLD OUT 3/3, audit clean\n"));
        assert_eq!((report.whole.purchases, report.rush.purchases), (2, 1));
        assert!((report.whole.places_per_s - 1.5).abs() < 1e-9);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["version"], &json["sold"]), (&1.into(), &3.into()));
    }

    #[test]
    fn each_fault_keeps_it_from_passing() {
        let with = |change: fn(&mut Facts<'static>)| {
            let mut facts = clean();
            change(&mut facts);
            facts
        };
        let late = |facts: &mut Facts<'static>| {
            (0..9).for_each(|_| facts.tally.late.record(Duration::from_millis(150)));
        };
        let faults = [
            ("drawer", drawer(|drawer| drawer.agree = false)),
            ("drawer", drawer(|drawer| drawer.redis.held = 1)),
            ("drawer", drawer(|drawer| drawer.postgres.sold = 2)),
            ("drawer", with(|facts| facts.drawer = None)),
            ("audit", with(|facts| facts.audit.0 = false)),
            ("same place: [7]", with(|facts| facts.tally.sales[0].places.push(7))),
            ("2 of 3", with(|facts| drop(facts.tally.sales.pop()))),
            ("1 answers", with(|facts| facts.tally.mistake(Step::Pay, "x", "y"))),
            ("left in outbox", with(|facts| facts.drained = Err(4))),
            ("late", with(late)),
            ("dropped 1", with(|facts| facts.gone.dropped = 1)),
            ("lost 1", with(|facts| facts.gone.lost = 1)),
        ];
        for (word, facts) in faults {
            let report = Report::new(facts);
            assert!(!report.passed, "{word}");
            let said = report.problems.join("\n");
            assert!(said.contains(word), "{word}: {said}");
            assert!(report.to_string().starts_with("FAILED"), "{word}");
        }
    }
}
