//! Counts that must be exact whoever else asks at the same time.

use std::sync::Arc;

use onsale::catalog::{Class, UnitPrice};
use onsale::holds::record::{self, HeldPlace, OfferPrices, PriceSnapshot, parse_places};
use onsale::holds::redis::Reply;
use proptest::prelude::*;

use super::ask::{Ask, Line, Sweep, account_id};
use super::world::{EPOCH, Server, World};

const TASKS: u8 = 100;

async fn hall(server: &Server) -> World {
    server.world(&[(200, 0, Class::Standard), (300, 0, Class::Area)]).await
}

/// All at once: each its own account and wish.
async fn rush(world: World, wish: impl Fn(u8) -> Ask) -> (Vec<Reply>, World) {
    let world = Arc::new(world);
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let (world, ask) = (world.clone(), wish(number));
            tokio::spawn(async move { world.hold(&ask).await })
        })
        .collect();
    let mut replies = Vec::with_capacity(tasks.len());
    for task in tasks {
        replies.push(task.await.expect("a reply"));
    }
    (replies, Arc::into_inner(world).expect("all tasks have ended"))
}

fn tiers(reply: &Reply) -> Vec<i16> {
    assert_eq!(reply.word(), Some("held"));
    let places = parse_places(reply.text(3).expect("places")).expect("places");
    places.iter().map(|held| held.tier).collect()
}

#[tokio::test]
async fn a_tier_ends_within_a_hold() {
    let server = Server::start().await;
    let world = hall(&server).await;
    let line = || Line { tiers: vec![(5, 0), (0, 0)], ..Line::best(1, 3, vec![(0, 0)]) };
    let first = world.hold(&Ask::new(0, vec![line()])).await;
    let ask = Ask::new(1, vec![line()]);
    let second = world.hold(&ask).await;
    assert_eq!([tiers(&first), tiers(&second)].concat(), [0, 0, 0, 0, 0, 1]);
    // What comes back is sold at the early price again: the count is what was sold.
    world.release(EPOCH, ask.id, None, 0).await;
    world.sweep(EPOCH, &Sweep::all()).await;
    let third = world.hold(&Ask::new(2, vec![line(), line()])).await;
    assert_eq!(tiers(&third), [0, 0, 1, 1, 1, 1]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiers_quotas_limits_and_promo_codes_are_exact_in_a_rush() {
    let server = Server::start().await;
    let early = |n| Ask::new(n, vec![Line { tiers: vec![(30, 0), (0, 0)], ..area(1) }]);
    let (replies, world) = rush(hall(&server).await, early).await;
    let cheap = replies.iter().flat_map(tiers).filter(|tier| *tier == 0).count();
    assert_eq!((cheap, replies.len()), (30, usize::from(TASKS)));
    world.end().await;

    let some = |n: u8| Ask::new(n, vec![Line { quota: 40, ..area(1 + usize::from(n % 2)) }]);
    let (replies, world) = rush(hall(&server).await, some).await;
    let dump = world.dump().await;
    assert_eq!(dump.counts["o:0"], 40, "neither more nor less");
    assert!(words(&replies, "held") + words(&replies, "quota") == usize::from(TASKS));
    dump.audit(&world.stretches);
    world.end().await;

    let mine = |n: u8| {
        let both = vec![Line::best(0, 1, vec![(0, 0)]), area(1)];
        let lines = if n.is_multiple_of(2) { vec![area(1)] } else { both };
        Ask { limit: 7, account: account_id(0), ..Ask::new(n, lines) }
    };
    let (_, world) = rush(hall(&server).await, mine).await;
    assert_eq!(world.dump().await.counts[&format!("a:{}", account_id(0))], 7);
    world.end().await;

    let promo = |n| Ask { promo: Some((3, 5)), ..Ask::new(n, vec![area(2)]) };
    let (replies, world) = rush(hall(&server).await, promo).await;
    assert_eq!((words(&replies, "held"), words(&replies, "promo")), (5, usize::from(TASKS) - 5));
    assert_eq!(world.dump().await.counts["p:3"], 5);
    world.end().await;
}

fn area(n: usize) -> Line {
    Line::area(0, n, vec![(1, 1)])
}

fn words(replies: &[Reply], word: &str) -> usize {
    replies.iter().filter(|reply| reply.word() == Some(word)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_asked_a_hundred_times_at_once_holds_once() {
    let server = Server::start().await;
    let ask = Ask::new(0, vec![Line::best(0, 2, vec![(0, 0)])]);
    let (replies, world) = rush(hall(&server).await, |_| ask.clone()).await;
    assert_eq!((words(&replies, "held"), words(&replies, "again")), (1, usize::from(TASKS) - 1));
    world.end().await;
}

proptest! {
    #[test]
    fn packages_cost_their_price_to_the_cent(
        size in 1..50_i32,
        packages in 1..4_i32,
        price in 0..1_000_000_i64,
        fee in 0..10_000_i64,
        tax in 0..10_000_i64,
    ) {
        let unit = UnitPrice { price, fee, tax, discount: 7 };
        let offers = vec![OfferPrices { offer: 2, size, tiers: vec![unit] }];
        let prices = PriceSnapshot {
            channel: 0,
            offers,
            pass: None,
            traces: onsale::suspicion::Traces::NONE,
        };
        let held = |place| HeldPlace { place, stretch: 0, offer: 2, tier: 0 };
        let places: Vec<_> = (0..size * packages).map(held).collect();
        let lines = record::lines(&places, &prices).expect("prices");
        let sum = |of: &dyn Fn(&record::Line) -> i64| -> i64 {
            lines.iter().map(|line| of(line) * i64::try_from(line.places.len()).unwrap()).sum()
        };
        let packages = i64::from(packages);
        prop_assert_eq!(record::total(&lines), packages * unit.total());
        prop_assert_eq!(sum(&|line| line.tax), packages * tax);
        prop_assert_eq!(sum(&|line| line.discount), packages * 7);
        prop_assert_eq!(lines.iter().map(|line| line.places.len()).sum::<usize>(), places.len());
    }
}
