//! The auditor finds what is wrong, and nothing else: a small event with an order in every state
//! passes, and each way of corrupting it breaks exactly the checks that it must.

mod postgres;
mod redis;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, cmd, pipe};
use futures::StreamExt;
use onsale::audit::{self, Report, Scope};
use onsale::holds::record::Record;
use onsale::holds::redis::{self as grips, Begun};
use onsale::ids::{EventId, HoldId};
use onsale::redis::Redis;
use onsale::redis::keys::Keys;
use reqwest::Method;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::support::{Env, TestServer};

const EVENT: EventId = EventId(Uuid::from_u128(0xe0));
const RETAKE: Uuid = Uuid::from_u128(0xa0);
const ABANDONED: Uuid = Uuid::from_u128(0xa1);
/// Orders in `world.sql`.
const ORDERS: u128 = 11;
/// Longer than this test takes, shorter than the hours by which cases are late.
const GRACE: Duration = Duration::from_mins(30);
/// Databases corrupted at once.
const AT_ONCE: usize = 4;

/// The event, sold, in a database to copy and in Redis.
struct World {
    env: Env,
    redis: Arc<Redis>,
    keys: Keys,
    held: String,
    claiming: String,
}

fn with_ids(text: &str) -> String {
    let quoted = |id: Uuid| format!("'{id}'");
    let mut text = text
        .replace(":event", &quoted(EVENT.0))
        .replace(":retake", &quoted(RETAKE))
        .replace(":abandoned", &quoted(ABANDONED));
    for n in 1..=ORDERS {
        text = text.replace(&format!(":{n}:"), &quoted(Uuid::from_u128(n)));
    }
    text
}

async fn execute(pg: &PgPool, text: &str) {
    sqlx::raw_sql(AssertSqlSafe(with_ids(text))).execute(pg).await.expect(text);
}

impl World {
    async fn new() -> Self {
        let env = Env::start().await;
        execute(&env.pg, include_str!("world.sql")).await;
        let server = env.server().await;
        let (held, claiming) = hold_some(&env, &server).await;
        let redis = server.server.app.redis.clone();
        let epoch = sqlx::query_scalar::<_, i32>("SELECT epoch FROM epochs")
            .fetch_one(&env.pg)
            .await
            .expect("an epoch");
        let keys = Keys::new(&redis.prefix, EVENT, epoch);
        // Nobody may be connected to a database that is copied.
        server.server.app.pg.close().await;
        server.stop().await;
        env.pg.close().await;
        Self { env, redis, keys, held, claiming }
    }

    /// The database's name.
    fn database(&self) -> &str {
        &self.env.config.redis.prefix
    }

    /// A copy of the database, to be corrupted.
    async fn copy(&self, name: &str) -> (String, PgPool) {
        let copy = format!("{}_{name}", self.database());
        let url = self.env.stack.fresh_database(&copy, Some(self.database())).await;
        let pg = PgPool::connect(&url.expect("a copy")).await.expect("Postgres");
        (copy, pg)
    }

    async fn drop_copy(&self, copy: String, pg: PgPool) {
        pg.close().await;
        self.env.stack.drop_database(&copy).await.expect("the copy goes");
    }

    async fn audit(&self, pg: &PgPool, at_rest: bool) -> Report {
        let scope = Scope { event: None, at_rest, grace: GRACE };
        audit::run(pg, Some(&self.redis), &scope).await.expect("a report")
    }

    /// One word of a case's command.
    fn expand(&self, word: &str) -> String {
        let keys = &self.keys;
        let id = |name: &str| match name {
            "held" => self.held.clone(),
            "claiming" => self.claiming.clone(),
            n => Uuid::from_u128(n.parse().expect("an order's number")).to_string(),
        };
        match word {
            "@head" => keys.head.clone(),
            "@taken" => keys.taken.clone(),
            "@holds" => keys.holds.clone(),
            "@deadlines" => keys.deadlines.clone(),
            "@returning" => keys.returning.clone(),
            "@claiming" => keys.claiming.clone(),
            "@counts" => keys.counts.clone(),
            "@stretches" => keys.stretches.clone(),
            "@hints" => keys.hints.clone(),
            "@blocked:0" => keys.blocked(0),
            "@blocked:1" => keys.blocked(1),
            word => match word.split_once('*') {
                Some((before, name)) => format!("{before}{}", id(name)),
                None => word.to_owned(),
            },
        }
    }

    async fn corrupt(&self, command: &str) {
        let mut bulk = self.redis.bulk().await.expect("Redis");
        let words: Vec<String> = command.split(' ').map(|word| self.expand(word)).collect();
        if let [verb, id, from, to] = &words[..]
            && verb == "EDIT"
        {
            let id = self.expand(&format!("*{id}"));
            let text: String =
                Cmd::hget(&self.keys.holds, &id).query_async(&mut bulk).await.expect("a record");
            let edited = text.replacen(from, to, 1);
            assert_ne!(text, edited, "{command}");
            Cmd::hset(&self.keys.holds, id, edited).exec_async(&mut bulk).await.expect("edited");
            return;
        }
        cmd(&words[0]).arg(&words[1..]).exec_async(&mut bulk).await.expect(command);
    }

    /// Everything that Redis has of the event.
    async fn dump(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut keys = self.keys.of_epoch([0, 1]);
        keys.push(self.keys.head.clone());
        let mut bulk = self.redis.bulk().await.expect("Redis");
        let mut ask = pipe();
        for key in &keys {
            ask.cmd("DUMP").arg(key);
        }
        let texts: Vec<Option<Vec<u8>>> = ask.query_async(&mut bulk).await.expect("a dump");
        keys.into_iter().zip(texts).collect()
    }

    async fn restore(&self, dump: &[(String, Option<Vec<u8>>)]) {
        let mut bulk = self.redis.bulk().await.expect("Redis");
        let mut write = pipe();
        write.atomic();
        for (key, text) in dump {
            match text {
                Some(text) => write.cmd("RESTORE").arg(key).arg(0).arg(text).arg("REPLACE"),
                None => write.del(key),
            };
        }
        write.exec_async(&mut bulk).await.expect("restored");
    }
}

/// One hold that stays, one in checkout, one that was let go: their real records.
async fn hold_some(env: &Env, server: &TestServer) -> (String, String) {
    let buyer = server.buyer().await;
    let offer = buyer.offer("audited", "Seat").await;
    let mut ids = Vec::new();
    for place in [9, 23, 6] {
        let key = format!("hold-{place}");
        ids.push(buyer.hold_places("audited", &offer, &key, &[place]).await.expect(201).id());
    }
    let path = format!("/v1/events/audited/holds/{}", ids[2]);
    buyer.send(Method::DELETE, &path, None, None).await.expect(204);

    let app = &server.server.app;
    let sale = app.catalog.refresh(EVENT).await.expect("Postgres").expect("the event");
    let mut bulk = app.redis.bulk().await.expect("Redis");
    let text: String =
        Cmd::hget(&sale.keys.holds, &ids[1]).query_async(&mut bulk).await.expect("a record");
    let hold: HoldId = ids[1].parse().expect("an id");
    let account = Record::parse(&text).expect("a record").account;
    let begun = grips::begin(&app.redis, &sale, hold, account).await.expect("an answer");
    assert!(matches!(begun, Begun::Claiming(_)), "{begun:?}");
    assert_eq!(env.config.redis.prefix, app.redis.prefix);
    (ids[0].clone(), ids[1].clone())
}

/// In what a report differs from what it must find, in words.
fn difference(name: &str, breaks: &[&'static str], report: &Report) -> Option<String> {
    let found: BTreeSet<&str> = report.violated().into_iter().collect();
    let wanted: BTreeSet<&str> = breaks.iter().copied().collect();
    (found != wanted)
        .then(|| format!("{name}: must find {wanted:#?}, finds {found:#?}\n{}", report.table()))
}

#[tokio::test]
async fn each_corruption_breaks_exactly_the_checks_that_it_must() {
    let world = World::new().await;
    let (copy, pg) = world.copy("clean").await;
    let mut wrong = Vec::new();
    for at_rest in [false, true] {
        let report = world.audit(&pg, at_rest).await;
        assert_eq!(report.clean, report.violated().is_empty());
        wrong.extend(difference("nothing", &[], &report));
        let skipped = report.checks.iter().filter(|check| check.skipped.is_some()).count();
        assert_eq!(skipped > 0, !at_rest, "{}", report.table());
    }
    let dump = world.dump().await;
    for case in redis::CASES {
        for command in case.commands {
            world.corrupt(command).await;
        }
        wrong.extend(difference(case.name, case.breaks, &world.audit(&pg, true).await));
        world.restore(&dump).await;
    }
    wrong.extend(difference("what was restored", &[], &world.audit(&pg, true).await));

    let found = futures::stream::iter(postgres::CASES).map(|case| {
        let world = &world;
        async move {
            let (copy, pg) = world.copy(case.name).await;
            execute(&pg, case.sql).await;
            let report = world.audit(&pg, true).await;
            world.drop_copy(copy, pg).await;
            difference(case.name, case.breaks, &report)
        }
    });
    wrong.extend(found.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let report = world.audit(&pg, true).await;
    let checks: BTreeSet<&str> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(checks.len(), report.checks.len(), "names are unique");
    let broken = postgres::CASES.iter().map(|case| case.breaks);
    let broken: BTreeSet<&str> =
        broken.chain(redis::CASES.iter().map(|case| case.breaks)).flatten().copied().collect();
    assert_eq!(checks, broken, "every check fails for some corruption");
    world.drop_copy(copy, pg).await;
    world.env.end().await;
}

#[tokio::test]
async fn while_a_sale_runs_only_what_stays_wrong_counts() {
    let world = World::new().await;
    let (copy, pg) = world.copy("running").await;
    let dump = world.dump().await;
    // Redis alone can't excuse itself by what Postgres may just be committing.
    world.corrupt("HINCRBY @counts o:1 1").await;
    let report = world.audit(&pg, false).await;
    assert_eq!(report.violated(), ["counters in Redis"], "{}", report.table());
    world.restore(&dump).await;

    world.corrupt("EDIT 1 s| c|").await;
    world.corrupt("HINCRBY @counts s -2").await;
    world.corrupt("HINCRBY @counts c 2").await;
    let report = world.audit(&pg, false).await;
    assert_eq!(report.violated(), ["records follow orders"], "{}", report.table());
    // The same, while its commit is still to be mirrored.
    execute(&pg, "INSERT INTO mirror (orders) VALUES (ARRAY[:1:]::uuid[])").await;
    let report = world.audit(&pg, false).await;
    assert!(report.clean, "{}", report.table());
    world.restore(&dump).await;

    // A closed event is safe; there is nothing to compare.
    world.corrupt("DEL @head").await;
    let report = world.audit(&pg, false).await;
    assert!(report.clean && report.table().contains("epoch is"), "{}", report.table());
    let alone = audit::run(&pg, None, &Scope::default()).await.expect("a report");
    assert!(alone.clean && alone.events == 0, "{}", alone.table());
    let names = |report: &Report| report.checks.iter().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(names(&alone), names(&report));
    world.drop_copy(copy, pg).await;
    world.env.end().await;
}
