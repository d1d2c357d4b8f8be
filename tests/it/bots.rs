//! Bots against people in small: the scenes of `cargo surge bots`, with draws that are always the
//! same.

#[path = "../../loadtests/bots/mod.rs"]
mod scenes;

use onsale::http::limits::Limits;
use onsale::http::limits::table::Rate;
use onsale::suspicion::config::SuspicionConfig;

use self::scenes::budget::{Budget, easier};
use self::scenes::outcome::Outcome;
use self::scenes::scene::{Defences, Scene, Stage};
use crate::support::{Env, TestServer};

/// A small gang: one identity of twenty.
const GANG: Budget = Budget { accounts: 30, networks: 6, cores: 0.01, cards: 6 };
const PEOPLE: usize = 570;
const PLACES: usize = 120;
/// Anonymous joins from a network, so that a small gang feels it as a large one does.
const PER_NETWORK: u32 = 5;

fn scene(defences: Defences) -> Scene {
    let (seed, anonymous, per_core) = (11, 300, 1e6);
    Scene { seed, places: PLACES, people: PEOPLE, budget: GANG, anonymous, per_core, defences }
}

fn stage(env: &Env, server: &TestServer) -> Stage {
    let app = server.server.app.clone();
    let accounts_per_card = app.config.suspicion.accounts_per_card as usize;
    Stage {
        name: "test",
        app,
        url: server.url.clone(),
        organizer: env.organizer,
        accounts_per_card,
    }
}

/// As it is configured by default, but for how hard proofs are.
fn arm(env: &mut Env) {
    let config = &mut env.config;
    config.http.trusted_proxies = "127.0.0.0/8".parse().into_iter().collect();
    (config.limits, config.suspicion) = (Limits::default(), SuspicionConfig::default());
    config.waiting_room.proof = easier(config.waiting_room.proof.clone());
}

fn sold(outcome: &Outcome) -> u64 {
    outcome.people.tickets + outcome.bots.tickets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_take_everything_and_with_the_defences_their_share() {
    let mut env = Env::start().await;
    env.config.suspicion.enabled = false;
    let bare = env.server().await;
    let without = scene(Defences::NONE).play(&stage(&env, &bare)).await.expect("a sale");
    assert_eq!(sold(&without), PLACES as u64);
    assert!(without.bot_share() > 0.9, "{without:?}");
    assert!(without.bot_share() > 5.0 * without.identity_share());
    bare.stop().await;

    arm(&mut env);
    let armed = env.server().await;
    let with = scene(Defences::ACCOUNTS).play(&stage(&env, &armed)).await.expect("a sale");
    assert!(sold(&with) * 10 >= PLACES as u64 * 9, "{with:?}");
    assert_eq!(with.bots.joined, GANG.accounts);
    assert!(with.bot_share() < 0.2 * without.bot_share(), "{with:?}");
    // No more than people who want as much, come and pay: within four standard errors.
    let [bot, _, keen] = with.tickets_each();
    let noise = 4.0 * 4.0 / (with.bots.joined as f64) * (with.bots.turns.max(1) as f64).sqrt();
    assert!(bot <= keen + noise, "{bot} {keen} {with:?}");
    assert!(with.bot_rank_z.is_some_and(|z| z.abs() < 4.0), "{with:?}");
    armed.stop().await;
    env.audit_at_rest().await;
    env.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_accounts_networks_are_what_bots_run_out_of() {
    let mut env = Env::start().await;
    arm(&mut env);
    env.config.limits.shared.anonymous_joins =
        Rate { burst: PER_NETWORK, ..env.config.limits.shared.anonymous_joins };
    let server = env.server().await;
    let outcome = scene(Defences::ANYBODY).play(&stage(&env, &server)).await.expect("a sale");
    let (joined, accounts) = (outcome.bots.joined, outcome.bots.accounts);
    assert_eq!(accounts, GANG.accounts);
    // One more may come back while it is played.
    let most = (PER_NETWORK as usize + 1) * GANG.networks;
    assert!((1..=most).contains(&(joined - accounts)), "{outcome:?}");
    // Everybody else is let in, if need be with an account.
    assert_eq!(outcome.people.joined, PEOPLE);
    assert!((1..PEOPLE).contains(&outcome.people.accounts), "{outcome:?}");
    server.stop().await;
    env.end().await;
}
