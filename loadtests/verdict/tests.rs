use std::path::Path;
use std::time::Duration;

use super::compare::compare;
use super::html::page;
use super::report::Facts;
use super::shards::{Shards, merge};
use super::summary::{Sample, Summary};
use super::tally::{Ending, Fate, Sale, Step, Tally};
use crate::run::Seen;
use crate::scenario::parts::Limits;
use crate::scenario::{LIBRARY, Scenario, Shard};
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
pub fn clean() -> Facts {
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
        shards: None,
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
    let kept_out = |facts: &mut Facts| {
        facts.scenario.thresholds.people_kept_out = 0.5;
        facts.tally.fates.iter_mut().for_each(|fate| fate.ending = Ending::SignInNeeded);
    };
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
        ("people kept out: 100.00 %", with(kept_out)),
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
    // However fast it was.
    let failed = Summary { passed: false, ..run(100.0, 20.0) };
    assert!(compare(&[run(100.0, 20.0)], std::slice::from_ref(&failed)).is_worse());
    assert!(!compare(std::slice::from_ref(&failed), std::slice::from_ref(&failed)).is_worse());
    // Several runs of a side say better what is noise.
    let wide = [run(100.0, 0.0), run(70.0, 0.0), run(90.0, 0.0)];
    assert!(!compare(&wide, &[run(80.0, 0.0)]).is_worse());
    let better = compare(&[run(100.0, 2.0)], &[run(120.0, 2.0)]);
    assert!(!better.is_worse() && better.to_string().contains("better"));
}

/// What the visitors of a generator do, each something else.
fn counted(shard: Shard) -> Tally {
    let mut tally = Tally::default();
    for visitor in (0..900_u64).filter(|visitor| shard.plays(*visitor)) {
        let (second, micros) = (4 + visitor as usize % 40, visitor * visitor + 100);
        let took = Duration::from_micros(micros);
        for step in [Step::Session, Step::Join, Step::Hold] {
            tally.step(step, second, took * (step as u32 + 1), took, Duration::ZERO);
        }
        tally.refused.record(took);
        tally.late.record(Duration::from_micros(visitor));
        *tally.refusals.entry((Step::Hold, "none_left".to_owned())).or_default() += 1;
        let persona = Persona::ALL[visitor as usize % Persona::ALL.len()];
        let bought = visitor.is_multiple_of(3);
        tally.fates.push(Fate {
            persona,
            ending: if bought { Ending::Bought } else { Ending::SoldOut },
            came_s: (visitor * 577 % 901) as f32,
            rank: Some((visitor * 331 % 907) as f32 / 907.0),
            admitted_s: bought.then_some(1.0),
            tickets: u32::from(bought),
        });
        let now = tally.second(second);
        (now.arrived, now.joined) = (now.arrived + 1, now.joined + 1);
        now.late_ms = now.late_ms.max(visitor as f32);
        if bought {
            (now.purchases, now.places) = (now.purchases + 1, now.places + 1);
            let at = Duration::from_millis(second as u64 * 1_000 + visitor);
            tally.sale(took, Sale { at, places: vec![visitor as i32] });
        }
    }
    tally.sales.sort_by_key(|sale| sale.at);
    tally
}

/// What a generator of a run has seen; only the first has audited.
fn seen_by(run: u128, number: u32, of: u32) -> Facts {
    let shard = Shard { number, of };
    let mut facts = clean();
    facts.tally = counted(shard);
    facts.gone = Gone { came: facts.tally.fates.len() as u64, ..facts.gone };
    let count = || Count { sold: 300, claimed: 0, held: 0, free: 0 };
    facts.drawer = Some(Drawer { redis: count(), postgres: count(), agree: true });
    facts.capacity = 300;
    if number > 1 {
        (facts.drawer, facts.audit) = (None, (false, String::new()));
        facts.seen.names = vec![format!("generator-{number}")];
        facts.seen.used = vec![Duration::from_secs(1)];
        let sample = Sample { here: 5, cores: vec![0.1], ..Sample::default() };
        facts.seen.samples = vec![sample; 9];
    }
    facts.shards = Some(Shards::one(uuid::Uuid::from_u128(run), shard, &facts));
    facts
}

#[test]
fn the_parts_of_a_run_make_the_whole() {
    let alone = seen_by(1, 1, 1);
    let stored = |number| Facts::unpack(&seen_by(1, number, 3).pack()).unwrap();
    let whole = merge(vec![stored(3), stored(1), stored(2)]).unwrap();
    assert_eq!(whole.seen.names, ["server-1", "generator", "generator-2", "generator-3"]);
    let (whole, alone) = (whole.summary(), alone.summary());
    assert!(whole.passed, "{:?}", whole.problems);
    assert_eq!((whole.generator.visitors, whole.generator.late.count), (900, 300));
    assert_eq!(whole.shards.iter().map(|row| row.visitors).sum::<u64>(), 900);
    assert_eq!((whole.series.spots[0].here, whole.series.spots[8].here), (12, 10));
    assert!(whole.series.spots.iter().take(9).all(|spot| spot.cores.len() == 4));
    let told = |summary: &Summary| {
        let mut told = serde_json::to_value(summary).unwrap();
        // These are about the generators.
        for field in ["generator", "shards", "part", "cpu", "at", "cost", "checks"] {
            told.as_object_mut().unwrap().remove(field);
        }
        let series = told["series"].as_object_mut().unwrap();
        series.retain(|field, _| !["spots", "processes"].contains(&field.as_str()));
        // Sums of fractions depend on their order.
        let correlation = told["fairness"]["arrival_to_rank"].take().as_f64().unwrap();
        (told, (correlation * 1e9).round())
    };
    assert_eq!(told(&whole), told(&alone));
    // What was merged can be read again, and merged no further.
    let again = Facts::unpack(whole.part.as_deref().unwrap()).unwrap();
    assert!(merge(vec![again, stored(2)]).is_err());
}

#[test]
fn only_parts_of_one_run_are_merged_and_whoever_is_missing_is_named() {
    let refused = |parts: Vec<Facts>| merge(parts).map(|_| ()).unwrap_err().to_string();
    assert!(refused(vec![seen_by(1, 1, 2), seen_by(2, 2, 2)]).contains("different runs"));
    assert!(refused(vec![seen_by(1, 1, 2), seen_by(1, 1, 2)]).contains("twice"));
    let twice = vec![seen_by(1, 1, 2), seen_by(1, 2, 2), seen_by(1, 2, 2)];
    assert!(refused(twice).contains("twice"));
    assert!(refused(vec![seen_by(1, 2, 2)]).contains("first generator is missing"));
    assert!(refused(vec![clean()]).contains("no shard"));
    assert!(Facts::unpack("bm90IHppcHBlZA==").is_err() && Facts::unpack("?").is_err());
    let summary = merge(vec![seen_by(1, 1, 3), seen_by(1, 3, 3)]).unwrap().summary();
    assert!(!summary.passed && summary.problems.join(" ").contains("generators [2]"));
}

#[test]
fn the_worst_generator_decides_whether_it_was_late() {
    let mut late = seen_by(1, 2, 2);
    (0..20).for_each(|_| late.tally.late.record(Duration::from_millis(150)));
    late.shards = Some(Shards::one(uuid::Uuid::from_u128(1), Shard { number: 2, of: 2 }, &late));
    let mut first = seen_by(1, 1, 2);
    (0..9_000).for_each(|_| first.tally.late.record(Duration::ZERO));
    let summary = merge(vec![first, late]).unwrap().summary();
    assert!(!summary.passed && summary.problems.join(" ").contains("generator late"));
    assert!(summary.generator.late.p99_ms > 140.0);
    assert!(page(&summary).contains("generator 2"));
}
