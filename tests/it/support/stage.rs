//! Two servers and a payment provider as processes of their own, and what must be true at rest.

use std::time::Duration;

use onsale::catalog::manifest::Manifest;
use onsale::config::{Config, Role};
use onsale::demo::seed::Seed;
use onsale::ids::EventId;

use super::process::{Process, free_address};
use super::{Buyer, Env, PATIENCE, hall, until};

/// The name of the event that stages have on sale.
pub const SHOW: &str = "show";

/// Two servers that run every worker at short intervals, and a sandbox.
pub struct Stage {
    pub env: Env,
    pub event: EventId,
    pub first: Process,
    pub second: Process,
    pub acquirer: Process,
}

/// Workers at the pace of tests.
pub fn brisk(config: &mut Config) {
    config.roles = vec![Role::Http, Role::Workers];
    config.workers.sweep_ms = 50;
    config.workers.poll_ms = 50;
    config.workers.hanging_ms = 5_000;
    config.workers.reconcile_s = 1;
    config.workers.compare_s = 1;
}

impl Stage {
    /// A small hall on sale. The first server gets these variables, and is told of payments
    /// first.
    pub async fn start(env: Env, variables: &[(&str, &str)]) -> Self {
        Self::with(env, variables, &hall(4, 10, 10), |_| {}).await
    }

    /// The same with other places, and a last word on both servers' configuration.
    pub async fn with(
        env: Env,
        variables: &[(&str, &str)],
        manifest: &Manifest,
        change: impl Fn(&mut Config),
    ) -> Self {
        let event = env.event(&Seed::new(SHOW, manifest)).await;
        let (one, two, sandbox) = (free_address(), free_address(), free_address());
        let configure = |config: &mut Config| {
            brisk(config);
            config.payments.sandbox.url = format!("http://{sandbox}");
            change(config);
        };
        let shops = [one, two];
        let (acquirer, second) = tokio::join!(
            env.spawn_sandbox(sandbox, &shops),
            env.spawn_server(two, &[], configure),
        );
        built(&second.url).await;
        let first = env.spawn_server(one, variables, configure).await;
        Self { env, event, first, second, acquirer }
    }

    /// Waits for the end that everything must come to, then stops all.
    pub async fn end(self) {
        at_rest(&self.env, self.event, &self.second.url).await;
        drop(self.first);
        self.second.terminate().await;
        self.acquirer.kill().await;
        self.env.end().await;
    }
}

/// Waits until the event is built.
pub async fn built(url: &str) {
    let scout = Buyer::new(url).await;
    until("the event is built", || async {
        scout.get(&format!("/v1/events/{SHOW}/drawer")).await.status.is_success()
    })
    .await;
}

/// Waits until every order has come to an end and both sides of the drawer agree with no hold
/// left, then checks what the auditor would.
pub async fn at_rest(env: &Env, event: EventId, url: &str) {
    let scout = Buyer::new(url).await;
    let mut seen = String::new();
    let started = std::time::Instant::now();
    loop {
        let drawer = scout.get(&format!("/v1/events/{SHOW}/drawer")).await.body;
        let waiting = waiting(env, event).await;
        let quiet = drawer["agree"] == true
            && drawer["redis"]["held"] == 0
            && drawer["redis"]["claimed"] == 0;
        if quiet && waiting.is_empty() {
            break;
        }
        seen = format!("{waiting:?} {drawer}");
        assert!(started.elapsed() < PATIENCE, "never at rest: {seen}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(seen);
    sound(env, event).await;
    env.audit_at_rest().await;
}

/// Orders that have not come to their end, and rows that workers have yet to deal with.
async fn waiting(env: &Env, event: EventId) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT status || ' ' || id FROM orders WHERE event_id = $1
           AND status IN ('open', 'cancelling', 'late', 'refund_due', 'refund_pending')
         UNION ALL SELECT 'mirror ' || id FROM mirror
         UNION ALL SELECT 'refund ' || status || ' ' || id FROM refunds
                   WHERE status IN ('due', 'pending')",
    )
    .bind(event.0)
    .fetch_all(&env.pg)
    .await
    .expect("Postgres")
}

/// What must be true of the event in Postgres at any moment.
pub async fn sound(env: &Env, event: EventId) {
    let wrong: Vec<String> = sqlx::query_scalar(
        "SELECT 'claim of another: ' || c.place FROM claims c LEFT JOIN orders o
           ON o.id = c.order_id AND has_claims(o.status) AND c.place = ANY (o.places)
         WHERE c.event_id = $1 AND o.id IS NULL
         UNION ALL
         SELECT 'no claim for ' || o.id || ' on ' || p FROM orders o, unnest(o.places) p
         WHERE o.event_id = $1 AND has_claims(o.status) AND NOT EXISTS (
             SELECT FROM claims c WHERE c.event_id = o.event_id AND c.place = p
               AND c.order_id = o.id)
         UNION ALL
         SELECT 'sold ' || c.sold || ' but ' || o.status || ' ' || o.id
         FROM claims c JOIN orders o ON o.id = c.order_id
         WHERE c.event_id = $1
           AND c.sold <> (o.status IN ('paid', 'disputed', 'refund_pending'))
         UNION ALL
         SELECT 'tickets of ' || o.id || ': ' || count(t.place) FROM orders o LEFT JOIN tickets t
           ON t.order_id = o.id AND t.event_id = o.event_id AND t.status <> 'void'
         WHERE o.event_id = $1 GROUP BY o.id
         HAVING count(t.place) <> CASE WHEN o.status IN ('paid', 'disputed', 'refund_pending')
                                       THEN cardinality(o.places) ELSE 0 END
         UNION ALL
         SELECT 'charged ' || sum(a.charged) || ' for ' || o.total || ' ' || o.status || ' ' || o.id
         FROM orders o JOIN attempts a ON a.order_id = o.id AND a.charged IS NOT NULL
         WHERE o.event_id = $1 GROUP BY o.id
         HAVING sum(a.charged) - coalesce((SELECT sum(r.amount) FROM refunds r
                    WHERE r.order_id = o.id AND r.status <> 'failed'), 0)
             <> CASE WHEN o.status IN ('paid', 'disputed', 'late') THEN o.total
                     WHEN EXISTS (SELECT FROM disputes d WHERE d.order_id = o.id
                                  AND d.status = 'lost') THEN o.total ELSE 0 END
         UNION ALL
         SELECT 'unpaid tickets: ' || o.id FROM orders o
         WHERE o.event_id = $1 AND o.status = 'paid' AND o.total > 0 AND NOT EXISTS (
             SELECT FROM attempts a WHERE a.order_id = o.id AND a.status = 'succeeded'
               AND NOT a.unwanted AND a.charged = o.total)",
    )
    .bind(event.0)
    .fetch_all(&env.pg)
    .await
    .expect("Postgres");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The number of rows that a query counts, for one event.
pub async fn count(env: &Env, event: EventId, query: &'static str) -> i64 {
    sqlx::query_scalar(query).bind(event.0).fetch_one(&env.pg).await.expect("a count")
}

/// The time to pay of all open orders is over: now, not later.
pub async fn time_to_pay_is_over(env: &Env) {
    for statement in [
        "UPDATE orders SET pay_by = now() - interval '1 second' WHERE status = 'open'",
        "UPDATE payment_deadlines SET due_at = now()",
    ] {
        sqlx::query(statement).execute(&env.pg).await.expect("Postgres");
    }
}

/// A connection to the environment's Redis.
pub async fn redis(env: &Env) -> redis::aio::MultiplexedConnection {
    super::patient_redis(&env.stack.redis_url).await
}

/// The environment's keys whose names end so.
pub async fn keys(env: &Env, ending: &str) -> Vec<String> {
    let pattern = format!("{}:*:{ending}", env.config.redis.prefix);
    let mut redis = redis(env).await;
    redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.expect("keys")
}

/// The delay of all that comes back is over: now, not later.
pub async fn returns_are_due(env: &Env) {
    let script = redis::Script::new(
        "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
            redis.call('ZADD', KEYS[1], 1, id)
        end",
    );
    let mut redis = redis(env).await;
    for returning in keys(env, "returning").await {
        let () = script.key(returning).invoke_async(&mut redis).await.expect("delays are over");
    }
}

/// The time of all holds is over: now, not later.
pub async fn holds_are_over(env: &Env) {
    let script = redis::Script::new(
        "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
            local record = redis.call('HGET', KEYS[2], id)
            local state, rest = string.match(record, '^(%a)|%d+(|.*)$')
            if state == 'h' then
                redis.call('HSET', KEYS[2], id, 'h|1' .. rest)
                redis.call('ZADD', KEYS[1], 1, id)
            end
        end",
    );
    let mut redis = redis(env).await;
    for deadlines in keys(env, "deadlines").await {
        let holds = deadlines.replace(":deadlines", ":holds");
        let () = script
            .key(deadlines)
            .key(holds)
            .invoke_async(&mut redis)
            .await
            .expect("deadlines are moved");
    }
}
