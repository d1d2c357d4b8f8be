//! What workers are called for: each when something of its queue is due, and not for others'.

use std::time::Duration;

use onsale::workers::due::{self, Bell, Bells};

use crate::support::Env;

/// A row that is due, its end, and who is called for it.
const QUEUES: [(&str, &str, fn(&Bells) -> &Bell); 8] = [
    (
        "INSERT INTO payment_deadlines (due_at, orders) VALUES (now(), '{}')",
        "UPDATE payment_deadlines SET due_at = now() + interval '1 hour'",
        |bells| &bells.deadlines,
    ),
    (
        "INSERT INTO mirror (orders, created_at) VALUES ('{}', now() - interval '2 seconds')",
        "UPDATE mirror SET created_at = now() + interval '1 hour'",
        |bells| &bells.mirror,
    ),
    ("INSERT INTO outbox (kind, orders) VALUES ('paid', '{}')", "DELETE FROM outbox", |bells| {
        &bells.outbox
    }),
    (
        "INSERT INTO mails (order_id, kind, due_at) VALUES (gen_random_uuid(), 'paid', now())",
        "UPDATE mails SET sent_at = now()",
        |bells| &bells.outbox,
    ),
    (
        "INSERT INTO sign_ins (id, email_key, email, key, due_at, expires_at)
         VALUES (gen_random_uuid(), 'a@b.c', 'a@b.c', 1, now(), now() + interval '1 minute')",
        "UPDATE sign_ins SET expires_at = now()",
        |bells| &bells.sign_ins,
    ),
    (
        "INSERT INTO refunds (id, order_id, provider, intent, amount, currency, reason)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'sandbox', 'pi_1', 1, 'EUR', 'unwanted')",
        "UPDATE refunds SET status = 'done', reference = 're_1'",
        |bells| &bells.refunds,
    ),
    (
        "INSERT INTO registrations (id, event_id, number, name, code_set, opens_at, closes_at,
                                    draw_at, winners, seed, beacon_name)
         SELECT gen_random_uuid(), gen_random_uuid(), 0, 'r', gen_random_uuid(), t, t + '1 s',
                now(), 1, decode(repeat('00', 32), 'hex'), 'b'
         FROM (SELECT now() - interval '1 hour' t) t",
        "UPDATE registrations SET done_at = now()",
        |bells| &bells.registrations,
    ),
    (
        "INSERT INTO registrants (registration, account, email, email_key, place, outcome)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'a@b.c', 'a@b.c', 1, 'lost')",
        "UPDATE registrants SET sent_at = now()",
        |bells| &bells.registrations,
    ),
];

#[tokio::test]
async fn each_worker_is_called_when_something_is_due() {
    let env = Env::start().await;
    let server = env.server().await;
    let (app, bells) = (&server.server.app, Bells::default());
    let look = async || due::run_once(app, &bells).await.unwrap();
    let mut pg = env.pg.acquire().await.unwrap();
    // Rows of their own, that belong to nothing.
    sqlx::query("SET session_replication_role = replica").execute(&mut *pg).await.unwrap();
    for (begin, end, bell) in QUEUES {
        sqlx::query(begin).execute(&mut *pg).await.unwrap();
        look().await;
        assert!(is_rung(bell(&bells)).await, "{begin}");
        sqlx::query(end).execute(&mut *pg).await.unwrap();
        look().await;
        assert!(!is_rung(bell(&bells)).await, "{end}");
        for (other, _, bell) in QUEUES {
            assert!(!is_rung(bell(&bells)).await, "{begin} calls whom {other} calls");
        }
    }
    drop(pg);
    server.stop().await;
    env.end().await;
}

/// A call is there at once, or it isn't.
async fn is_rung(bell: &Bell) -> bool {
    tokio::time::timeout(Duration::from_millis(10), bell.wait()).await.is_ok()
}
