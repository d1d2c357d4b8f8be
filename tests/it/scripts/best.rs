//! Best available against brute force: every n, every filling, and events of every size.

use onsale::catalog::Class;

use super::ask::{Ask, Line};
use super::judge::Judge;
use super::world::{Server, World};

/// Asks, judges and gives the word.
async fn judged(world: &World, ask: &Ask) -> String {
    let before = world.dump().await;
    let reply = world.hold(ask).await;
    let after = world.dump().await;
    Judge { world, before: &before, ask }.check(&reply, &after);
    reply.word().expect("a word").to_owned()
}

/// A generator that needs no seed to be repeated.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Rows of 20 to 40 seats, the first of 500, until there are so many places.
pub fn rows(places: i32) -> Vec<(i32, i16, Class)> {
    let mut dice = Dice::new(7);
    let mut shape = vec![(500.min(places), 0, Class::Standard)];
    let mut left = places - shape[0].0;
    while left > 0 {
        let length = (20 + i32::try_from(dice.below(21)).expect("small")).min(left);
        shape.push((length, 0, Class::Standard));
        left -= length;
    }
    shape
}

/// Takes so many percent of all places at random.
pub async fn sell(world: &World, percent: u64) {
    let mut dice = Dice::new(percent);
    let places = world.stretches.iter().flat_map(|s| s.first..s.first + s.length);
    let taken: Vec<i32> = places.filter(|_| dice.below(100) < percent).collect();
    world.fill(&taken, &[]).await;
}

#[tokio::test]
async fn every_number_of_neighbours_is_found_where_it_just_fits() {
    let server = Server::start().await;
    for n in 1..=50_usize {
        let exact = i32::try_from(n).expect("small");
        for length in [exact, exact + 2, 60, 93, 254, 255, 256, 500] {
            let mut shape = vec![(length, 0, Class::Standard)];
            if n > 1 {
                shape.insert(0, (exact - 1, 0, Class::Standard));
            }
            let last = i32::try_from(shape.len()).expect("small") - 1;
            let world = server.world(&shape).await;
            let ask = Ask::new(0, vec![Line::best(0, n, vec![(0, last)])]);
            assert_eq!(judged(&world, &ask).await, "held", "{n} in a row of {length}");
            // Next to each other: what is left of the row is bounded by its hint now.
            let more = Ask { account: super::ask::account_id(1), ..ask.clone() };
            let more = Ask { id: uuid::Uuid::now_v7(), ..more };
            judged(&world, &more).await;
            world.end().await;
        }
    }
}

#[tokio::test]
async fn an_event_of_any_size_and_filling_gives_the_best_there_is() {
    let server = Server::start().await;
    for places in [1_000, 20_000, 100_000] {
        let world = server.world(&rows(places)).await;
        let last = i32::try_from(world.stretches.len()).expect("small") - 1;
        for percent in [0, 50, 95, 100] {
            sell(&world, percent).await;
            for n in [1, 2, 3, 4, 5, 10, 36, 37, 38, 45, 46, 47, 50] {
                if percent == 0 {
                    sell(&world, percent).await;
                }
                for orphans in [None, Some(usize::MAX >> 16)] {
                    let mut ask = Ask::new(0, vec![Line::best(0, n, vec![(0, last)])]);
                    // Bits without records are no event that a record could be released in.
                    ask.orphans = orphans;
                    let word = judged(&world, &ask).await;
                    assert!(percent > 0 || word == "held", "{n} of an empty hall");
                    assert!(percent < 100 || word == "none", "{n} of a full hall");
                }
            }
            let mut ask = Ask::new(0, vec![Line::best(0, 12, vec![(0, last)])]);
            ask.lines[0].kind = 's';
            judged(&world, &ask).await;
        }
        world.end().await;
    }
}

#[tokio::test]
async fn an_area_of_a_hundred_thousand_gives_its_first_free_units() {
    let server = Server::start().await;
    let world = server.world(&[(9, 0, Class::Standard), (100_003, 0, Class::Area)]).await;
    for percent in [0, 50, 95, 100] {
        sell(&world, percent).await;
        for n in [1, 2, 37, 45, 50] {
            let word = judged(&world, &Ask::new(0, vec![Line::area(0, n, vec![(1, 1)])])).await;
            assert_eq!(word, if percent == 100 { "none" } else { "held" });
        }
    }
    world.end().await;
}

#[tokio::test]
async fn units_added_to_a_live_event_can_be_bought() {
    let server = Server::start().await;
    let mut world = server.world(&[(3, 0, Class::Area)]).await;
    assert_eq!(world.grow(super::world::EPOCH, 20, 0).await.word(), Some("grown"));
    let ask = Ask::new(0, vec![Line::area(0, 23, vec![(0, 1)])]);
    assert_eq!(judged(&world, &ask).await, "held");
    world.dump().await.audit(&world.stretches);
    world.end().await;
}

#[tokio::test]
async fn what_one_channel_cannot_sell_another_finds() {
    let server = Server::start().await;
    let world = server.world(&[(10, 0, Class::Standard), (4, 0, Class::Standard)]).await;
    // The good row is allocated to channel 1.
    world.fill(&[], &(0..10).collect::<Vec<_>>()).await;
    let best = |n| Ask::new(0, vec![Line::best(0, n, vec![(0, 1)])]);
    assert_eq!(judged(&world, &best(4)).await, "held");
    assert_eq!(judged(&world, &best(2)).await, "none");
    assert_eq!(judged(&world, &Ask { channel: 1, ..best(6) }).await, "held");
    world.dump().await.audit(&world.stretches);
    world.end().await;
}

#[tokio::test]
async fn a_refused_wish_leaves_no_hint_that_hides_seats() {
    let server = Server::start().await;
    let world = server.world(&[(8, 0, Class::Standard)]).await;
    let lines = vec![Line::chosen(0, &[0, 1, 2, 3]), Line::best(0, 5, vec![(0, 0)])];
    assert_eq!(judged(&world, &Ask::new(0, lines)).await, "none");
    let ask = Ask::new(0, vec![Line::best(0, 8, vec![(0, 0)])]);
    assert_eq!(judged(&world, &ask).await, "held");
    world.end().await;
}

#[tokio::test]
async fn the_orphan_rule_looks_at_a_wish_as_a_whole() {
    let server = Server::start().await;
    let world = server.world(&[(5, 0, Class::Standard)]).await;
    let strict = |lines| Ask { orphans: Some(1_000), ..Ask::new(0, lines) };
    // Two adults and the child beside them: alone, the adults would strand seat 0.
    let family = vec![Line::chosen(0, &[1, 2]), Line::chosen(1, &[0])];
    assert_eq!(judged(&world, &strict(family)).await, "held");
    world.end().await;
    let world = server.world(&[(10, 0, Class::Standard)]).await;
    // Neither line alone strands seat 9 of more than the rest of a run.
    let split = vec![Line::chosen(0, &[5]), Line::chosen(1, &[6, 7, 8])];
    assert_eq!(judged(&world, &strict(split)).await, "orphan");
    world.end().await;
}
