//! What a hold costs in Redis, by size and filling: printed, not judged.

use super::ask::{Ask, Line};
use super::best::{Dice, rows, sell};
use super::world::{Server, World};

const BATCHES: usize = 15;
const CALLS: u32 = 20;

/// Microseconds that Redis has spent in scripts so far, and how many calls.
async fn spent(world: &World) -> (f64, f64) {
    let mut connection = world.connection.clone();
    let info: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.expect("INFO");
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or("");
    let value = |name: &str| {
        let value = line.split([':', ',']).find_map(|part| part.strip_prefix(name));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    (value("usec="), value("calls="))
}

/// The median of batches: what else the machine does hits some of them only.
async fn measure(world: &World, wish: impl Fn() -> Line) -> f64 {
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let before = spent(world).await;
        for _ in 0..CALLS {
            let ask = Ask { orphans: Some(usize::MAX >> 16), ..Ask::new(0, vec![wish()]) };
            world.hold(&ask).await;
        }
        let after = spent(world).await;
        batches.push((after.0 - before.0) / (after.1 - before.1));
    }
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}

#[tokio::test]
#[ignore = "prints times; run it alone: the server's statistics are of all that runs"]
async fn what_a_hold_costs() {
    let server = Server::start().await;
    println!("{:>8} {:>5} {:>12} {:>12} {:>12}", "places", "sold", "2 chosen", "best 2", "best 6");
    for places in [1_000, 20_000, 100_000] {
        for percent in [0, 50, 95] {
            let world = server.world(&rows(places)).await;
            let last = i32::try_from(world.stretches.len()).expect("small") - 1;
            sell(&world, percent).await;
            let dice = std::cell::RefCell::new(Dice::new(1));
            let chosen = || {
                let mut dice = dice.borrow_mut();
                let at = dice.below(world.stretches.len().try_into().expect("small"));
                let row = &world.stretches[usize::try_from(at).expect("small")];
                let seats = u64::try_from(row.length).expect("long").max(2) - 1;
                let seat = row.first + i32::try_from(dice.below(seats)).expect("small");
                let end = (row.first + row.length - 1).min(seat + 1);
                Line::chosen(0, &if end > seat { vec![seat, end] } else { vec![seat] })
            };
            let two = measure(&world, chosen).await;
            sell(&world, percent).await;
            let best2 = measure(&world, || Line::best(0, 2, vec![(0, last)])).await;
            sell(&world, percent).await;
            let best6 = measure(&world, || Line::best(0, 6, vec![(0, last)])).await;
            println!("{places:>8} {percent:>4}% {two:>9.1} µs {best2:>9.1} µs {best6:>9.1} µs");
            world.end().await;
        }
    }
    // House seats: four in the middle of each of the best 50 rows.
    let world = server.world(&rows(20_000)).await;
    let middle = |row: &onsale::catalog::Stretch| {
        let from = row.first + row.length / 2;
        from..from + 4
    };
    let aside: Vec<i32> = world.stretches[..50].iter().flat_map(middle).collect();
    let best: Vec<i32> = world.stretches[..50]
        .iter()
        .flat_map(|row| row.first..row.first + row.length)
        .filter(|place| !aside.contains(place))
        .collect();
    world.fill(&best, &aside).await;
    let last = i32::try_from(world.stretches.len()).expect("small") - 1;
    let best2 = measure(&world, || Line::best(0, 2, vec![(0, last)])).await;
    println!(
        "  20,000, in the best 50 rows only 4 seats free and another channel's: {best2:.1} µs"
    );
    world.end().await;
}
