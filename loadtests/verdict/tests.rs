use std::path::Path;
use std::time::Duration;

use super::compare::compare;
use super::html::page;
use super::report::Facts;
use super::summary::{Sample, Summary};
use super::tally::{Ending, Fate, Sale, Step, Tally};
use crate::run::Seen;
use crate::scenario::parts::Limits;
use crate::scenario::{LIBRARY, Scenario};
use crate::visitors::persona::Persona;
use crate::visitors::{Count, Drawer, Gone};

fn scenario() -> Scenario {
    let (_, text) = LIBRARY.iter().find(|(name, _)| *name == "miniature").unwrap();
    let mut scenario = Scenario::parse(text, Path::new(".")).unwrap();
    scenario.thresholds.latency.clear();
    scenario.thresholds.generator_late_p99_ms = 100.0;
    scenario
}

/// Three places, sold to two buyers, four seconds after a run began.
fn clean() -> Facts {
    let mut tally = Tally::default();
    let millis = Duration::from_millis;
    for (second, places) in [(5_u64, vec![1, 2]), (6, vec![7])] {
        let at = Duration::from_secs(second);
        let now = tally.second(second as usize);
        (now.arrived, now.holds, now.purchases) = (1, 1, 1);
        now.places = places.len() as u32;
        tally.fates.push(Fate {
            persona: if second == 5 { Persona::Fan } else { Persona::Scalper },
            ending: Ending::Bought,
            came_s: 1.0,
            rank: Some(0.25),
            admitted_s: Some(1.0),
            tickets: places.len() as u32,
        });
        for step in [Step::Session, Step::Hold] {
            tally.step(step, second as usize, millis(20 * second), millis(2), Duration::ZERO);
        }
        tally.sale(millis(700), Sale { at, places });
        tally.late.record(millis(1));
    }
    let count = || Count { sold: 3, claimed: 0, held: 0, free: 0 };
    Facts {
        scenario: scenario(),
        interrupted: false,
        capacity: 3,
        opened_s: 4.0,
        connections: (2, 3),
        gone: Gone { came: 2, lost: 0, took: Duration::from_secs(8) },
        tally,
        seen: Seen {
            names: vec!["server-1".into(), "generator".into()],
            samples: vec![Sample { here: 2, cores: vec![0.5, 0.25], ..Sample::default() }; 8],
            used: vec![Duration::from_secs(4), Duration::from_secs(2)],
            machine: Duration::from_secs(7),
        },
        drawer: Some(Drawer { redis: count(), postgres: count(), agree: true }),
        drained: Ok(Duration::ZERO),
        audit: (true, "fine".to_owned()),
        chaos: Vec::new(),
    }
}

#[test]
fn a_clean_run_passes_and_its_report_says_so_first() {
    let summary = clean().summary();
    assert!(summary.passed, "{:?}", summary.problems);
    assert!(summary.to_string().starts_with("PASSED: SOLD OUT 3/3, audit clean\n"));
    assert_eq!((summary.whole.purchases, summary.rush.purchases), (2, 1));
    assert!((summary.whole.places_per_s - 1.5).abs() < 1e-9);
    assert_eq!(summary.sold_out_s, Some(2.0));
    let text = serde_json::to_string(&summary).unwrap();
    let read: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(page(&read), page(&summary), "what is read again shows the same");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let mut facts = clean();
    facts.audit.1 = "<script>alert(1)</script>".to_owned();
    let html = page(&facts.summary());
    for word in ["http://", "https://", "<script", "src=", "@import", "NaN", "inf\""] {
        assert!(!html.contains(word), "{word}");
    }
    assert!(html.contains("Passed") && html.matches("<svg").count() > 6);
}

#[test]
fn each_fault_keeps_it_from_passing() {
    let with = |change: fn(&mut Facts)| {
        let mut facts = clean();
        change(&mut facts);
        facts
    };
    let drawer = |change: fn(&mut Drawer)| {
        let mut facts = clean();
        facts.drawer.as_mut().map(change).unwrap();
        facts
    };
    let late = |facts: &mut Facts| {
        (0..9).for_each(|_| facts.tally.late.record(Duration::from_millis(150)));
    };
    let tight = |facts: &mut Facts| {
        let limits = Limits { p99_ms: Some(60.0), ..Limits::default() };
        facts.scenario.thresholds.latency.insert(Step::Hold, limits);
    };
    let never_asked = |facts: &mut Facts| {
        let limits = Limits { p50_ms: Some(1e6), ..Limits::default() };
        facts.scenario.thresholds.latency.insert(Step::Pay, limits);
    };
    let bots = |facts: &mut Facts| facts.scenario.thresholds.bots_share = 0.2;
    let faults = [
        ("drawer", drawer(|drawer| drawer.agree = false)),
        ("drawer", drawer(|drawer| drawer.redis.held = 1)),
        ("drawer", drawer(|drawer| drawer.postgres.sold = 2)),
        ("drawer", with(|facts| facts.drawer = None)),
        ("audit", with(|facts| facts.audit.0 = false)),
        ("same place: [7]", with(|facts| facts.tally.sales[0].places.push(7))),
        ("buyers have 2 tickets", with(|facts| facts.tally.places = 2)),
        ("errors: 1", with(|facts| facts.tally.mistake(Step::Pay, 1, "x", "y"))),
        ("left in outbox", with(|facts| facts.drained = Err(4))),
        ("late", with(late)),
        ("1 visitors", with(|facts| facts.gone.lost = 1)),
        ("interrupted", with(|facts| facts.interrupted = true)),
        ("hold p99: 120.", with(tight)),
        ("never asked", with(never_asked)),
        ("bots got: 33.33 %", with(bots)),
        (
            "places sold: 66",
            with(|facts| {
                facts.scenario.thresholds.sold_share = 1.0;
                facts.drawer.as_mut().unwrap().postgres.sold = 2;
            }),
        ),
    ];
    for (word, facts) in faults {
        let summary = facts.summary();
        assert!(!summary.passed, "{word}");
        let said = summary.problems.join("\n");
        assert!(said.contains(word), "{word}: {said}");
        assert!(summary.to_string().starts_with("FAILED"), "{word}");
        assert!(page(&summary).contains(">Failed<"), "{word}");
    }
}

#[test]
fn a_change_within_the_noise_is_none() {
    let run = |per_s: f64, noise: f64| {
        let mut summary = clean().summary();
        (summary.rush.purchases_per_s, summary.rush.noise_per_s) = (per_s, noise);
        summary
    };
    let quiet = compare(&[run(100.0, 20.0)], &[run(85.0, 20.0)]);
    assert!(!quiet.is_worse(), "{quiet}");
    let worse = compare(&[run(100.0, 2.0)], &[run(85.0, 2.0)]);
    assert!(worse.is_worse(), "{worse}");
    assert!(worse.to_string().contains("WORSE"));
    // Several runs of a side say better what is noise.
    let wide = [run(100.0, 0.0), run(70.0, 0.0), run(90.0, 0.0)];
    assert!(!compare(&wide, &[run(80.0, 0.0)]).is_worse());
    let better = compare(&[run(100.0, 2.0)], &[run(120.0, 2.0)]);
    assert!(!better.is_worse() && better.to_string().contains("better"));
}
