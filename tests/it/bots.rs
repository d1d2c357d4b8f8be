//! Bots against people, a small scene of what `cargo surge bots` plays.

#[path = "../../loadtests/bots/mod.rs"]
mod simulation;

use onsale::waiting_room::proof::ProofConfig;
use rand::Rng;

use self::simulation::budget::{BUDGET, anonymous};
use self::simulation::scene::{Outcome, Scene};
use crate::support::Env;

/// A ratio that chance alone exceeds once in some 16,000 runs.
const SIGMAS: f64 = 4.0;

/// The crowd and budget, to scale: 100,000 people for 20,000 places and 1,000 accounts,
/// divided by 500.
const SCENE: Scene = Scene {
    seed: 0,
    places: 40,
    people: 200,
    bots: 2,
    networks: 1,
    draw: true,
    proof: true,
    limit: Some(4),
};

async fn play(env: &Env, scenes: &[Scene]) -> Vec<Outcome> {
    let server = env.server().await;
    let mut outcomes = Vec::new();
    for scene in scenes {
        let played = scene.play(&server.server.app, &server.url, env.organizer).await;
        outcomes.push(played.unwrap_or_else(|error| panic!("{scene:?}: {error:#}")));
    }
    server.stop().await;
    outcomes
}

async fn stage() -> Env {
    let mut env = Env::start().await;
    env.config.http.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    // What is shown here is what the waiting room does.
    env.config.suspicion.enabled = false;
    // Few hashes: what they would cost an attacker is computed.
    env.config.waiting_room.proof.base = 50;
    env.config.waiting_room.proof.max = 400;
    env
}

#[tokio::test]
async fn the_defences_take_most_of_the_tickets_from_bots() {
    let env = stage().await;
    let seed = rand::rng().random();
    println!("seed {seed}");
    let with = Scene { seed, ..SCENE };
    let without = Scene { draw: false, proof: false, limit: None, ..with };
    let outcomes = play(&env, &[without, with]).await;
    println!("{outcomes:#?}");
    let (before, after) = (outcomes[0].bot_share(), outcomes[1].bot_share());
    assert!(before > 0.8, "undefended, bots take what they want: {before}");
    assert!(after <= before * 0.2, "cut by at least 80 %: {before} to {after}");
    env.end().await;
}

#[tokio::test]
async fn a_bot_gains_nothing_over_a_person_in_the_draw() {
    let env = stage().await;
    let seed = rand::rng().random();
    println!("seed {seed}");
    let scene = Scene { seed, places: 20, people: 150, bots: 150, networks: 30, ..SCENE };
    let outcome = play(&env, &[scene]).await[0];
    println!("{outcome:#?}");
    let z = outcome.bot_rank_z.expect("a draw");
    assert!(z.abs() < SIGMAS, "bots' ranks are {z} standard deviations from chance");
    env.end().await;
}

#[test]
fn proof_of_work_alone_is_no_wall_and_says_so() {
    let config = ProofConfig::default();
    // Ten minutes of a native solver's 5 million hashes per core and second.
    let identities = anonymous(&config, &BUDGET, 5e6, 600.0);
    assert!(identities > BUDGET.accounts as u64, "{identities}: accounts would not be the limit");
    // But it is one that grows with use: half of the networks buy less than all of them.
    let fewer = simulation::budget::Budget { networks: BUDGET.networks / 20, ..BUDGET };
    assert!(anonymous(&config, &fewer, 5e6, 600.0) < identities);
}
