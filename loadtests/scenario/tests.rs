use rand::SeedableRng;

use super::*;

fn arrivals(curve: Curve, from_s: f64, until_s: f64) -> Arrivals {
    Arrivals { visitors: 20_000, from_s, until_s, curve, heed_sold_out: 0 }
}

fn between(arrivals: &Arrivals, from: f64, to: f64) -> usize {
    Schedule::new(arrivals, 1).filter(|at| (from..to).contains(at)).count()
}

#[test]
fn the_whole_library_can_be_read() {
    for (name, text) in LIBRARY {
        let scenario = Scenario::parse(text, Path::new(".")).unwrap();
        assert_eq!(&scenario.name, name);
        assert!(!scenario.about.contains('\n') && !scenario.about.is_empty(), "{name}");
    }
}

#[test]
fn a_seed_is_a_schedule_and_everybody_comes_in_order() {
    let even = arrivals(Curve::Steady, 0.0, 40.0);
    let one: Vec<f64> = Schedule::new(&even, 1).collect();
    assert_eq!(one, Schedule::new(&even, 1).collect::<Vec<f64>>());
    assert_ne!(one, Schedule::new(&even, 2).collect::<Vec<f64>>());
    assert!(one.is_sorted() && one.len() == 20_000);
    assert!(one[0] >= 0.0 && *one.last().unwrap() <= 40.0);
    // As many gaps are longer than the mean as an exponential distribution says: 1 / e.
    let gaps = one.windows(2).filter(|pair| pair[1] - pair[0] > 40.0 / 20_000.0);
    let share = gaps.count() as f64 / 20_000.0;
    assert!((0.35..0.39).contains(&share), "{share}");
    let seconds = even.per_second();
    assert!(seconds.len() == 40 && seconds.iter().all(|n| (n - 500.0).abs() < 1e-6));
}

#[test]
fn shards_play_everybody_as_one_generator_would() {
    let even = arrivals(Curve::Steady, -5.0, 40.0);
    let of = |number, of| Schedule::new(&even, 1).of(Shard { number, of }).collect::<Vec<_>>();
    let mut all = [of(1, 3), of(2, 3), of(3, 3)].concat();
    all.sort_by_key(|(number, _)| *number);
    assert_eq!(all, of(1, 1));
    assert_eq!(
        all.iter().map(|(_, at)| *at).collect::<Vec<_>>(),
        Schedule::new(&even, 1).collect::<Vec<_>>()
    );
}

#[test]
fn a_scenario_that_was_written_is_the_same_when_read() {
    for (name, text) in LIBRARY {
        let scenario = Scenario::parse(text, Path::new(".")).unwrap();
        let written = serde_json::to_value(&scenario).unwrap();
        let read: Scenario = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written, "{name}");
        read.check().unwrap();
    }
}

#[test]
fn curves_are_what_they_are_called() {
    let step = arrivals(Curve::Step(vec![[0.0, 1.0], [10.0, 3.0]]), 0.0, 20.0);
    assert!((4_800..5_200).contains(&between(&step, 0.0, 10.0)));
    let ramp = arrivals(Curve::Ramp { from: 0.0, to: 10.0 }, 0.0, 20.0);
    assert!((4_800..5_200).contains(&between(&ramp, 0.0, 10.0)));
    let spike = arrivals(Curve::Spike { build_up_s: 5.0, fade_s: 2.0 }, -60.0, 20.0);
    assert!(between(&spike, -5.0, 0.0) > 3 * between(&spike, -15.0, -10.0));
    assert!(between(&spike, 0.0, 2.0) > 2 * between(&spike, 4.0, 6.0));
    let at_s = [10.0, 30.0];
    let double = arrivals(Curve::DoublePeak { at_s, width_s: 2.0, second: 0.5 }, 0.0, 40.0);
    let (first, other) = (between(&double, 0.0, 20.0), between(&double, 20.0, 40.0));
    assert!((1.9..2.1).contains(&(first as f64 / other as f64)), "{first} {other}");
}

#[test]
fn arrivals_can_be_replayed() {
    let directory = std::env::temp_dir().join(format!("surge-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("past.csv"), "second,arrivals\n0,10\n1,0\n2,30\n").unwrap();
    let curve = Curve::Replay { file: "past.csv".into(), seconds: Vec::new() };
    let mut past = arrivals(curve, 0.0, 3.0);
    past.read_replay(&directory).unwrap();
    past.check().unwrap();
    let read: Arrivals = serde_json::from_str(&serde_json::to_string(&past).unwrap()).unwrap();
    assert_eq!(read.per_second(), past.per_second(), "without the file as well");
    assert!((4_800..5_200).contains(&between(&past, 0.0, 1.0)));
    assert_eq!(between(&past, 1.01, 2.0), 0);
    std::fs::write(directory.join("past.csv"), "0,10\nx,y\n").unwrap();
    assert!(past.read_replay(&directory).is_err());
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The miniature with another curve, as a file with another beside it.
fn with_curve(curve: &str, csv: &str) -> anyhow::Result<Scenario> {
    let directory = std::env::temp_dir().join(format!("surge-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&directory).unwrap();
    let text = LIBRARY.iter().find(|(name, _)| *name == "miniature").unwrap().1;
    let (before, rest) = text.split_once("curve = ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let (file, past) = (directory.join("mine.toml"), directory.join("past.csv"));
    std::fs::write(&file, format!("{before}curve = {curve}\n{after}")).unwrap();
    std::fs::write(past, csv).unwrap();
    let found = Scenario::find(file.to_str().unwrap());
    std::fs::remove_dir_all(&directory).unwrap();
    found
}

#[test]
fn every_curve_of_the_readme_can_be_written() {
    // From 12 s before the opening to 8 s after it: where half of all have come.
    let curves = [
        ("\"steady\"", -2.0),
        ("{ step = [[-12, 0], [4, 1]] }", 6.0),
        ("{ ramp = { from = 0, to = 10 } }", 2.14),
        ("{ spike = { build_up_s = 1, fade_s = 0.1 } }", -0.8),
        ("{ double_peak = { at_s = [-8, 4], width_s = 0.5, second = 0.01 } }", -8.0),
        ("{ replay = { file = \"past.csv\" } }", 5.5),
    ];
    for (curve, half_s) in curves {
        let scenario = with_curve(curve, "second,arrivals\n-12,0\n5,700\n6,0\n").unwrap();
        let schedule = Schedule::new(&scenario.arrivals, 7);
        let at: Vec<f64> = schedule.collect();
        let half = at[at.len() / 2];
        assert!((half - half_s).abs() < 0.5, "{curve}: {half}");
        assert!(at[0] >= -12.0 && *at.last().unwrap() <= 8.0, "{curve}");
    }
    for wrong in ["{ step = [[4, 1], [0, 2]] }", "{ replay = { file = \"none.csv\" } }", "\"wave\""]
    {
        assert!(with_curve(wrong, "").is_err(), "{wrong}");
    }
    assert!(with_curve("{ replay = { file = \"past.csv\" } }", "second,arrivals\n").is_err());
}

#[test]
fn a_day_is_replayed_without_waiting_for_it() {
    let seconds = (0..86_400).map(|second| [f64::from(second), f64::from(second % 60)]).collect();
    let curve = Curve::Replay { file: "day.csv".into(), seconds };
    let day = arrivals(curve, 0.0, 86_400.0);
    day.check().unwrap();
    assert_eq!(Schedule::new(&day, 1).count(), 20_000);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let text = LIBRARY.iter().find(|(name, _)| *name == "miniature").unwrap().1;
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let error = Scenario::parse(&text.replacen(from, to, 1), Path::new(".")).unwrap_err();
        format!("{error:#}")
    };
    assert!(refused("visitors = ", "visiters = ").contains("visiters"));
    assert!(refused("fan = ", "member = 1\nfan = ").contains("no presale"));
    assert!(refused("servers = 2", "servers = 0").contains("servers"));
    assert!(refused("lost = 0.02", "lost = 1.5").contains("payments"));
    assert!(refused("homes_of = 2", "homes_of = 0").contains("homes_of"));
    assert!(refused("networks = 4", "networks = 5000").contains("networks"));
    assert!(Scenario::find("no-such-thing").is_err());
}

#[test]
fn a_storm_comes_from_the_networks_that_it_is_said_to_have() {
    let storm = Scenario::find("bot-storm").unwrap();
    let rng = &mut SmallRng::seed_from_u64(1);
    let mut networks = |persona| {
        let origins = 1..=storm.arrivals.visitors;
        let mut found: Vec<[u8; 2]> = origins
            .map(|number| storm.origin(persona, number, rng).unwrap())
            .map(|[a, b, _]| [a, b])
            .collect();
        found.sort_unstable();
        found.dedup();
        found.len()
    };
    assert_eq!(networks(Persona::Scalper), 20);
    assert_eq!(networks(Persona::Hoarder), 20);
    assert!(networks(Persona::Fan) > 4_000);
    // Others have addresses by their number, as rings have.
    let arena = Scenario::find("arena").unwrap();
    assert_eq!(arena.origin(Persona::Fan, 1, rng), None);
}
