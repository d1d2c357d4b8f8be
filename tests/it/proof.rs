//! Proof of work on joining: asked for over HTTP, solved as programs do, and spent once.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use onsale::app::App;
use onsale::demo::seed::Seed;
use onsale::http::problem::{Code, Problem};
use onsale::ids::EventId;
use onsale::waiting_room::proof::{self, Challenge, Purpose};
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};

use crate::support::process::free_address;
use crate::support::stage::{SHOW, keys, redis};
use crate::support::{Answer, Buyer, Env, TestServer, hall, until};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PATH: &str = "/v1/events/show/waiting-room/challenge";

struct Door {
    env: Env,
    event: EventId,
    server: TestServer,
}

impl Door {
    async fn open() -> Self {
        Self::of(Env::start().await).await
    }

    async fn of(mut env: Env) -> Self {
        // Few hashes: what is tested is who is believed.
        env.config.waiting_room.proof.base = 200;
        env.config.waiting_room.proof.max = 1_600;
        let event = env.event(&Seed::new(SHOW, &hall(1, 4, 0))).await;
        let server = env.server().await;
        Self { env, event, server }
    }

    fn app(&self) -> &App {
        &self.server.server.app
    }

    /// A new buyer, whom they are, and a proof of theirs.
    async fn proof(&self) -> (Purpose, String) {
        let buyer = self.server.buyer().await;
        let payload = proof::solve(&challenge(&buyer).await).expect("solved");
        (self.purpose(&buyer), payload)
    }

    fn purpose(&self, buyer: &Buyer) -> Purpose {
        let app = self.app();
        let account = app.keyring.verify_session(&buyer.token, app.now()).expect("a session");
        Purpose { event: self.event, account }
    }

    async fn check(&self, purpose: Purpose, payload: &str) -> Result<(), Problem> {
        proof::check(self.app(), CLIENT, purpose, payload).await
    }

    async fn end(self) {
        self.server.stop().await;
        self.env.end().await;
    }
}

fn read(answer: Answer) -> Challenge {
    serde_json::from_value(answer.expect(200).body).expect("a challenge")
}

async fn challenge(buyer: &Buyer) -> Challenge {
    read(buyer.get(PATH).await)
}

fn refused(result: Result<(), Problem>) -> (Code, String) {
    let problem = result.expect_err("refused");
    (problem.code, problem.reason().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_solved_challenge_is_good_once() {
    let door = Door::open().await;
    let (mine, payload) = door.proof().await;
    let (theirs, _) = door.proof().await;
    let (code, why) = refused(door.check(theirs, &payload).await);
    assert_eq!((code, why.contains("another session")), (Code::ProofInvalid, true), "{why}");
    let elsewhere = Purpose { event: EventId::fresh(), ..mine };
    let (code, why) = refused(door.check(elsewhere, &payload).await);
    assert_eq!((code, why.contains("another event")), (Code::ProofInvalid, true), "{why}");
    // Being refused elsewhere has not spent it.
    door.check(mine, &payload).await.expect("accepted");
    assert_eq!(refused(door.check(mine, &payload).await).0, Code::ProofSpent);
    assert_eq!(keys(&door.env, "proof:*").await.len(), 1);
    door.end().await;
}

#[tokio::test]
async fn of_many_at_once_one_spends_it() {
    let door = Door::open().await;
    let (mine, payload) = door.proof().await;
    let all = futures::future::join_all((0..50).map(|_| door.check(mine, &payload))).await;
    assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 1);
    let spent = all.into_iter().filter_map(Result::err).map(|problem| problem.code);
    assert!(spent.into_iter().all(|code| code == Code::ProofSpent));
    door.end().await;
}

#[tokio::test]
async fn marks_end_by_themselves_and_are_no_loss() {
    let door = Door::of(Env::with_own_redis().await).await;
    let (mine, payload) = door.proof().await;
    door.check(mine, &payload).await.expect("accepted");
    let mut redis = redis(&door.env).await;
    let marks = keys(&door.env, "proof:*").await;
    let left_ms: i64 =
        redis::cmd("PTTL").arg(&marks[0]).query_async(&mut redis).await.expect("a time");
    // Longer than the challenge is good for, on any clock, and not for ever.
    assert!((600_000..=1_200_000).contains(&left_ms), "{left_ms}");
    redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.expect("forgotten");
    door.check(mine, &payload).await.expect("the same account for the same event again");
    let (theirs, _) = door.proof().await;
    assert_eq!(refused(door.check(theirs, &payload).await).0, Code::ProofInvalid);
    door.end().await;
}

#[tokio::test]
async fn another_process_with_the_same_keys_believes_it_and_knows_what_was_spent() {
    let door = Door::open().await;
    let other = door.env.spawn_server(free_address(), &[], |_| {}).await;
    let mut buyer = door.server.buyer().await;
    buyer.url.clone_from(&other.url);
    let payload = proof::solve(&challenge(&buyer).await).expect("solved");
    let mine = door.purpose(&buyer);
    door.check(mine, &payload).await.expect("accepted");
    let second = door.env.server().await;
    let again = proof::check(&second.server.app, CLIENT, mine, &payload).await;
    assert_eq!(refused(again).0, Code::ProofSpent);
    second.stop().await;
    other.terminate().await;
    door.end().await;
}

#[tokio::test]
async fn without_redis_nothing_is_believed() {
    let door = Door::of(Env::with_own_redis().await).await;
    let (mine, payload) = door.proof().await;
    door.env.stack.kill_redis().await.expect("killed");
    let (code, _) = refused(door.check(mine, &payload).await);
    assert_eq!(code, Code::Unavailable);
    // Challenges need none.
    let buyer = door.server.buyer().await;
    challenge(&buyer).await;
    door.env.stack.start_redis().await.expect("started");
    until("proofs are accepted again", || async { door.check(mine, &payload).await.is_ok() }).await;
    door.end().await;
}

#[tokio::test]
async fn whom_a_challenge_is_for_is_known() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let url = format!("{}{PATH}", buyer.url);
    let ask = |name, value: String| {
        let request = buyer.http.get(&url).header(name, value);
        async move { request.send().await.expect("an answer") }
    };
    let nobody = buyer.http.get(&url).send().await.expect("an answer");
    assert_eq!(nobody.status(), 401);
    let forged = format!("{}x", buyer.token);
    assert_eq!(ask(AUTHORIZATION, format!("Bearer {forged}")).await.status(), 401);
    assert_eq!(ask(COOKIE, format!("onsale_session={forged}")).await.status(), 401);
    let page = ask(COOKIE, format!("onsale_session={}", buyer.token)).await;
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()[CACHE_CONTROL], "no-store");
    let challenge: Challenge = page.json().await.expect("a challenge");
    let payload = proof::solve(&challenge).expect("solved");
    door.check(door.purpose(&buyer), &payload).await.expect("accepted");
    let missing = buyer.get("/v1/events/nothing/waiting-room/challenge").await.expect(404);
    assert_eq!(missing.code(), "not_found");
    door.end().await;
}

#[tokio::test]
async fn who_is_refused_often_works_more() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let before = challenge(&buyer).await;
    assert_eq!(before.maxnumber, 400);
    let mine = door.purpose(&buyer);
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for _ in 0..60 {
        let checked = proof::check(door.app(), here, mine, "nonsense").await;
        assert_eq!(refused(checked).0, Code::ProofInvalid);
    }
    let after = challenge(&buyer).await;
    assert!(after.maxnumber > 2 * before.maxnumber, "{}", after.maxnumber);
    // What was asked for before is still good: nobody is caught by others' doings.
    let payload = proof::solve(&before).expect("solved");
    door.check(mine, &payload).await.expect("accepted");
    door.end().await;
}

#[tokio::test]
async fn a_challenge_is_over_after_its_time() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let app = door.app();
    let config = &app.config.waiting_room.proof;
    let life = Duration::from_secs(u64::from(config.lifetime_s));
    let difficulty = proof::difficulty::Difficulty(10);
    let mine = door.purpose(&buyer);
    let old = proof::issue(&app.keyring, config, mine, difficulty, app.now() - life);
    let (code, why) = refused(door.check(mine, &proof::solve(&old).expect("solved")).await);
    assert_eq!((code, why.contains("expired")), (Code::ProofInvalid, true), "{why}");
    assert!(keys(&door.env, "proof:*").await.is_empty());
    door.end().await;
}
