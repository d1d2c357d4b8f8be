//! Random sequences of everything, each step checked against the model and the invariants.
//!
//! `PROPTEST_CASES` raises the number of cases, `PROPS_SEED` repeats a run: a failure prints it.

use onsale::catalog::Class;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use super::steps::Play;
use super::world::{EPOCH, Server};

const CASES: u32 = 60;
const STEPS: usize = 40;

/// A step; numbers choose among what there is when it is taken.
#[derive(Clone, Debug)]
pub enum Op {
    Hold(Wish),
    Begin {
        id: u8,
        stranger: bool,
    },
    Extend {
        id: u8,
        stranger: bool,
        by: i64,
        most: i64,
    },
    Release {
        id: u8,
        who: u8,
        delay: bool,
    },
    Sweep {
        most: usize,
        tomb: bool,
        hanging: bool,
        delay: bool,
        asks_follow: bool,
        now: Option<u8>,
    },
    Mirror {
        entries: Vec<(u8, u8, Vec<u8>)>,
        tomb: bool,
        delay: bool,
    },
    Ask {
        account: u8,
        levels: u8,
        known: Option<(u8, bool)>,
        hold: Option<u8>,
        over: bool,
    },
    Unask {
        account: Option<u8>,
        ids: Vec<u8>,
    },
    Block {
        letters: u8,
        refuse: bool,
        places: Vec<u8>,
    },
    State(bool),
    Grow(i32),
    Snapshot {
        known: bool,
    },
    /// Any of the above in an epoch that has passed.
    Stale(Box<Op>),
}

/// Kind, offer, how many, and which.
pub type DrawnLine = (u8, u8, u8, Vec<u8>);

#[derive(Clone, Debug)]
pub struct Wish {
    pub account: u8,
    pub limit: i32,
    pub due: bool,
    pub equivalent: bool,
    pub orphans: u8,
    pub promo: u8,
    pub retake: bool,
    pub channel: i16,
    pub again: Option<(u8, bool)>,
    pub lines: Vec<DrawnLine>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let line = (0..5_u8, 0..16_u8, 1..6_u8, prop::collection::vec(any::<u8>(), 1..4));
    let lines = prop::collection::vec(line, 1..4);
    let again = prop::option::weighted(0.1, (any::<u8>(), any::<bool>()));
    let rules = (0..3_u8, 0..4_u8, prop::bool::weighted(0.1), 0..2_i16);
    let who = (0..3_u8, prop_oneof![3 => Just(0), 1 => Just(6), 1 => Just(12)]);
    let rest = (prop::bool::weighted(0.15), any::<bool>(), again, lines);
    (who, rules, rest).prop_map(|((account, limit), rules, (due, equivalent, again, lines))| {
        let (orphans, promo, retake, channel) = rules;
        Wish { account, limit, due, equivalent, orphans, promo, retake, channel, again, lines }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let some = || prop::collection::vec(any::<u8>(), 1..4);
    let entry = (any::<u8>(), 0..3_u8, some());
    let tomb = || any::<bool>();
    let rare = || prop::bool::weighted(0.2);
    let plain = prop_oneof![
        10 => wish().prop_map(Op::Hold),
        3 => (any::<u8>(), rare()).prop_map(|(id, stranger)| Op::Begin { id, stranger }),
        2 => (any::<u8>(), rare(), 0..900_000_i64, 0..900_000_i64)
            .prop_map(|(id, stranger, by, most)| Op::Extend { id, stranger, by, most }),
        3 => (any::<u8>(), 0..4_u8, rare())
            .prop_map(|(id, who, delay)| Op::Release { id, who, delay }),
        4 => sweep(),
        4 => (prop::collection::vec(entry, 1..4), tomb(), rare())
            .prop_map(|(entries, tomb, delay)| Op::Mirror { entries, tomb, delay }),
        1 => ask(),
        1 => (prop::option::of(0..3_u8), some())
            .prop_map(|(account, ids)| Op::Unask { account, ids }),
        2 => (0..5_u8, any::<bool>(), some())
            .prop_map(|(letters, refuse, places)| Op::Block { letters, refuse, places }),
        1 => prop::bool::weighted(0.7).prop_map(Op::State),
        1 => (1..12_i32).prop_map(Op::Grow),
        1 => any::<bool>().prop_map(|known| Op::Snapshot { known }),
    ];
    let stale = plain.clone().prop_map(|op| Op::Stale(Box::new(op)));
    prop_oneof![30 => plain, 1 => stale]
}

fn sweep() -> impl Strategy<Value = Op> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), any::<bool>());
    let now = prop::option::weighted(0.2, any::<u8>());
    (1..4_usize, flags, now).prop_map(|(most, (tomb, hanging, delay, asks_follow), now)| {
        Op::Sweep { most, tomb, hanging, delay, asks_follow, now }
    })
}

fn ask() -> impl Strategy<Value = Op> {
    let known = prop::option::weighted(0.2, (any::<u8>(), any::<bool>()));
    let hold = prop::option::weighted(0.1, any::<u8>());
    let over = prop::bool::weighted(0.3);
    (0..3_u8, 0..3_u8, known, hold, over).prop_map(|(account, levels, known, hold, over)| Op::Ask {
        account,
        levels,
        known,
        hold,
        over,
    })
}

fn shape() -> impl Strategy<Value = Vec<(i32, i16, Class)>> {
    let rows = prop::collection::vec(1..15_i32, 2..6);
    (rows, 2..5_i32, 3..21_i32, 1..15_i32).prop_map(|(rows, wide, area, back)| {
        let mut shape: Vec<_> = rows.into_iter().map(|row| (row, 0, Class::Standard)).collect();
        shape.push((wide, 0, Class::Accessible));
        shape.push((area, 0, Class::Area));
        shape.push((back, 1, Class::Standard));
        shape
    })
}

/// The runner, and the seed that repeats it.
fn runner() -> (TestRunner, String) {
    let given = std::env::var("PROPS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(Uuid::now_v7);
    let bytes = [seed.into_bytes(), seed.into_bytes()].concat();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    (TestRunner::new_with_rng(config, rng), seed.to_string())
}

#[test]
fn any_sequence_keeps_every_invariant() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let (mut runner, seed) = runner();
    let cases = (shape(), prop::collection::vec(op(), 1..STEPS));
    let outcome = runner.run(&cases, |(shape, ops)| {
        runtime.block_on(one_case(&server, &shape, ops));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("PROPS_SEED={seed}: {error}"));
}

async fn one_case(server: &Server, shape: &[(i32, i16, Class)], ops: Vec<Op>) {
    let others = server.all_keys().await;
    let neighbour = server.world(&[(8, 0, Class::Standard)]).await;
    let untouched = neighbour.dump().await;
    let world = server.world(shape).await;
    let mut play =
        Play { before: world.dump().await, world, epoch: EPOCH, ids: vec![], asks: vec![] };
    for op in ops {
        match op {
            Op::Stale(op) => {
                play.epoch = EPOCH - 1;
                play.step(*op).await;
                play.epoch = EPOCH;
            }
            op => play.step(op).await,
        }
    }
    assert_eq!(neighbour.dump().await, untouched, "another event was changed");
    let known: Vec<String> = [&play.world, &neighbour]
        .into_iter()
        .flat_map(|world| {
            let keys = &world.sale.keys;
            keys.of_epoch(super::world::CHANNELS).into_iter().chain([keys.head.clone()])
        })
        .collect();
    let all = server.all_keys().await;
    let mut fresh = all.difference(&others);
    assert!(fresh.all(|key| known.contains(key)), "keys of nobody: {all:?}");
    play.world.end().await;
    neighbour.end().await;
}
