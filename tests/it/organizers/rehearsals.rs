//! Rehearsals: a shadow is sold like its event, charges, tells and lets in nobody, and goes.

use jiff::{SignedDuration, Timestamp};
use onsale::audit;
use onsale::http::limits::Limits;
use onsale::ids::EventId;
use onsale::suspicion;
use onsale::waiting_room::{Lane, Room, draw::Draw, standard};
use onsale::workers;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{Shop, organizer};
use crate::support::{Answer, Buyer, Env};

const CARD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000002";

impl Shop {
    async fn rehearse(&self, event: &str, key: &str) -> Answer {
        let opens_at = Timestamp::now();
        self.post(&format!("events/{event}/rehearsals"), key, json!({"opens_at": opens_at})).await
    }

    async fn rehearsal(&self, event: &str, shadow: &str) -> Answer {
        self.get(&format!("events/{event}/rehearsals/{shadow}")).await
    }

    async fn end_rehearsal(&self, event: &str, shadow: &str) -> Answer {
        let path = format!("/v1/organizer/events/{event}/rehearsals/{shadow}");
        self.me.send(Method::DELETE, &path, None, None).await
    }

    async fn work(&self) {
        let app = &self.server.server.app;
        suspicion::run_once(app).await.expect("Postgres");
        workers::rehearsals::run_once(app).await.expect("Postgres");
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.env.pg).await.expect(sql);
    }

    /// Lets time pass since the rehearsal's last step.
    async fn later(&self) {
        self.execute(
            "UPDATE rehearsals SET ended_at = ended_at - interval '1 hour',
                                   removed_at = removed_at - interval '1 hour'",
        )
        .await;
    }

    async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.env.pg).await.expect(sql)
    }

    /// What either server still has of an event.
    async fn left_of(&self, event: &str) -> Vec<String> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.columns
             WHERE table_schema = 'public' AND column_name = 'event_id' AND data_type = 'uuid'
               AND table_name <> 'rehearsals'",
        )
        .fetch_all(&self.env.pg)
        .await
        .unwrap();
        assert!(tables.len() > 20, "{tables:?}");
        let mut left = Vec::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM {table} WHERE event_id = '{event}'");
            if self.count(&sql).await > 0 {
                left.push(table);
            }
        }
        let sql = format!("SELECT count(*) FROM events WHERE id = '{event}'");
        left.extend((self.count(&sql).await > 0).then(|| "events".to_owned()));
        let mut bulk = self.server.server.app.redis.bulk().await.expect("Redis");
        let pattern = format!("*{event}*");
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut bulk).await.expect("keys");
        left.extend(keys);
        left
    }

    async fn audit(&self) {
        let scope = audit::Scope { at_rest: true, ..audit::Scope::default() };
        let redis = &self.server.server.app.redis;
        let report = audit::run(&self.env.pg, Some(redis), &scope).await.expect("a report");
        assert!(report.clean, "{}", report.table());
    }
}

async fn buy(buyer: &Buyer, event: &str, n: u32) -> Answer {
    let offer = buyer.offer(event, "front").await;
    let held = buyer.hold_best(event, &offer, "hold", n).await.expect(201);
    let order = buyer.checkout(event, &held.id(), "ada@example.org").await.expect(201);
    assert_eq!(order.body["status"], "open");
    order
}

#[tokio::test]
async fn a_shadow_is_sold_and_nobody_is_charged_told_or_let_in() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let real = buy(&buyer, "show", 2).await;
    buyer.pay(&real, CARD).await.expect(200);

    let made = shop.rehearse("show", "one").await.expect(201);
    let (shadow, slug) = (made.id(), made.body["slug"].as_str().unwrap().to_owned());
    assert!(slug.starts_with("show-rehearsal-"), "{slug}");
    // One at a time, and one per key.
    let path = "events/show/rehearsals";
    let again = json!({"opens_at": made.body["opens_at"]});
    shop.post(path, "two", again).await.expect(409);
    shop.post(&format!("events/{shadow}/rehearsals"), "x", json!({"opens_at": Timestamp::now()}))
        .await
        .expect(409);
    // It is in no list, and for older programs a draft.
    for list in [buyer.get("/v1/events").await, shop.get("events").await] {
        let slugs: Vec<&Value> =
            list.body["events"].as_array().unwrap().iter().map(|event| &event["slug"]).collect();
        assert_eq!(slugs, ["show"]);
    }
    assert_eq!(shop.count("SELECT count(*) FROM events WHERE status = 'draft'").await, 1);
    // Nor can it be changed.
    shop.patch(&format!("events/{shadow}"), json!({"name": "X"})).await.expect(409);
    shop.set_status(&shadow, "closed").await.expect(409);

    // The same path, by id or slug; the same places as are sold for real.
    let visitor = shop.buyer().await;
    let order = buy(&visitor, &slug, 2).await;
    assert_eq!(order.places(), real.places());
    assert_eq!(order.body["total"], real.body["total"]);
    let page = order.body["payment"]["url"].as_str().unwrap();
    assert!(page.starts_with(&format!("{}/rehearsals/pay/", shop.server.url)), "{page}");
    visitor
        .send(Method::POST, page, None, Some(json!({"card": "4111111111111111"})))
        .await
        .expect(422);
    visitor.pay(&order, DECLINED).await.expect(402);
    let paid = visitor.pay(&order, CARD).await.expect(200);
    assert_eq!(paid.body["charged"], order.body["total"]);
    let order = visitor.order(&order.id()).await;
    assert_eq!(
        (order.body["status"].as_str(), order.body["tickets"].as_array().map(Vec::len)),
        (Some("paid"), Some(2))
    );
    // No gate believes its tickets.
    let code = order.body["tickets"][0]["code"].as_str().unwrap();
    let checked = buyer.send(Method::POST, "/v1/tickets/verify", None, Some(json!({"code": code})));
    let checked = checked.await.expect(200);
    assert_eq!(checked.body["authentic"], false);
    assert!(checked.body["reason"].as_str().unwrap().contains("rehearsal"));
    // No mail leaves.
    while workers::outbox::run_once(&shop.server.server.app).await.expect("Postgres") {}
    let to = |id: &str| format!("SELECT count(*) FROM mailbox WHERE order_id = '{id}'");
    assert_eq!(shop.count(&to(&real.id())).await, 1);
    assert_eq!(shop.count(&to(&order.id())).await, 0);
    let view = shop.rehearsal("show", &shadow).await.expect(200).body;
    assert_eq!(
        (&view["mails_unsent"], &view["orders_paid"], &view["places_sold"]),
        (&json!(1), &json!(1), &json!(2))
    );
    // Pages say so.
    let page = reqwest::get(format!("{}/events/{slug}", shop.server.url)).await.unwrap();
    assert!(page.text().await.unwrap().contains("This is a rehearsal."));
    let page = reqwest::get(format!("{}/events/show", shop.server.url)).await.unwrap();
    assert!(!page.text().await.unwrap().contains("rehearsal"));

    // An order that is not paid ends without a provider; one that is can be refunded.
    let late = shop.buyer().await;
    let open = buy(&late, &slug, 3).await;
    late.send(Method::POST, &format!("/v1/orders/{}/cancel", open.id()), None, None)
        .await
        .expect(200);
    late.pay(&open, CARD).await.expect(409);
    let refund = format!("events/{shadow}/orders/{}/refund", order.id());
    shop.post(&refund, "r", json!({"reason": "asked"})).await.expect(200);
    workers::refunds::run_once(&shop.server.server.app).await.expect("Postgres");
    assert_eq!(visitor.order(&order.id()).await.body["status"], "refunded");
    visitor.drawer(&slug).await;
    let audited = format!("events/show/rehearsals/{shadow}/audit?at_rest=true");
    let audited = shop.get(&audited).await.expect(200).body;
    assert_eq!((&audited["clean"], &audited["violations"]), (&json!(true), &json!([])));

    // The database refuses any other provider, and this one for real.
    for (order, provider) in [(order.id(), "stripe"), (real.id(), "rehearsal")] {
        let sql = format!(
            "INSERT INTO attempts (order_id, id, provider, status, amount, currency)
             VALUES ('{order}', gen_random_uuid(), '{provider}', 'cancelled', 1, 'EUR')"
        );
        let refused = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.env.pg).await.unwrap_err();
        let constraint = refused.as_database_error().unwrap().constraint().map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("rehearsals_charge_nobody"));
    }
    shop.audit().await;

    // It ends at once, and goes.
    let visitor = shop.buyer().await;
    let order = buy(&visitor, &slug, 1).await;
    assert_eq!(shop.end_rehearsal("show", &shadow).await.expect(202).body["ended"], true);
    visitor.get(&format!("/v1/events/{slug}")).await.expect(404);
    shop.later().await;
    shop.work().await;
    assert_eq!(shop.left_of(&shadow).await, Vec::<String>::new());
    shop.rehearsal("show", &shadow).await.expect(404);
    visitor.pay(&order, CARD).await.expect(404);
    shop.later().await;
    shop.work().await;
    assert_eq!(shop.count("SELECT count(*) FROM rehearsals").await, 0);
    // The event is as it was, and can be rehearsed again.
    assert_eq!(buyer.order(&real.id()).await.body["status"], "paid");
    let drawer = buyer.drawer("show").await;
    assert_eq!(drawer["postgres"]["sold"], 2);
    shop.rehearse("show", "three").await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn a_rehearsal_ends_by_itself_whatever_died() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let shadow = shop.rehearse("show", "one").await.expect(201).id();
    let visitor = shop.buyer().await;
    let offer = visitor.offer(&shadow, "front").await;
    visitor.hold_best(&shadow, &offer, "hold", 2).await.expect(201);
    shop.work().await;
    visitor.get(&format!("/v1/events/{shadow}")).await.expect(200);
    shop.execute(
        "UPDATE rehearsals SET opens_at = opens_at - interval '2 hours',
                               ends_at = now() - interval '1 second'",
    )
    .await;
    shop.work().await;
    let ended = shop.count("SELECT count(*) FROM rehearsals WHERE ended_at IS NOT NULL").await;
    assert_eq!(ended, 1);
    visitor.hold_best(&shadow, &offer, "again", 2).await.expect(404);
    // Half of it is gone when its process dies.
    shop.execute(&format!("SELECT remove_rehearsal_sales('{shadow}')")).await;
    shop.later().await;
    shop.work().await;
    assert_eq!(shop.left_of(&shadow).await, Vec::<String>::new());
    shop.close().await;
}

fn room(event: EventId) -> Room {
    let at = |minutes: i64| Timestamp::now() + SignedDuration::from_mins(minutes);
    let draw = Draw::new(event, 0, [0; 32], "a beacon", None, None);
    let general = Lane { draw, ..Lane::general(event, at(100), at(590), at(600)) };
    Room { proof: false, lanes: vec![general], ..standard(event) }
}

#[tokio::test]
async fn a_waiting_room_is_rehearsed_by_visitors_who_are_counted_apart() {
    let mut env = Env::start().await;
    env.config.limits = Limits::default();
    let server = env.server().await;
    let me = organizer(&env, &server, env.organizer, &onsale::organizers::keys::Scope::ALL).await;
    let shop = Shop { env, server, me };
    shop.show("show").await;
    let id = shop.server.server.app.find_sale("show").await.unwrap().listing.event.id;
    shop.server.put_room(&room(id)).await;
    let made = shop.rehearse("show", "one").await.expect(201);
    let (shadow, tag) = (made.id(), made.body["tag"].as_str().unwrap().to_owned());
    shop.work().await;

    let post = async |path: &str, header: Option<String>, token: Option<&str>, body: Value| {
        let mut request = shop.me.http.post(format!("{}{path}", shop.server.url)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(header) = header {
            request = request.header("onsale-rehearsal", header);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let join = format!("/v1/events/{shadow}/waiting-room/join");
    let mut last = String::new();
    // More from one address than may begin sessions, and more than may join without an account.
    for visitor in 0..400_u32 {
        let from = format!("10.{}.{}.1", visitor / 40, visitor % 250);
        let header = Some(format!("{tag} {from}"));
        let (status, session) = post("/v1/sessions", header.clone(), None, json!({})).await;
        assert_eq!(status, 201, "{visitor}: {session}");
        if visitor % 4 == 0 {
            let token = session["token"].as_str().unwrap();
            let (status, joined) = post(&join, header, Some(token), json!({})).await;
            assert_eq!(status, 200, "{visitor}: {joined}");
            last = joined["token"].as_str().unwrap().to_owned();
        }
    }
    assert!(!last.is_empty());
    // One visitor is limited like any other, and the tag is good for nothing else.
    let mut statuses = Vec::new();
    for _ in 0..400 {
        let header = Some(format!("{tag} 10.99.99.99"));
        statuses.push(post("/v1/sessions", header, None, json!({})).await.0);
    }
    assert!(statuses.contains(&429), "nobody is unlimited");
    // What was played counts against nobody: the machine that played it has all of its own left.
    let (status, _) = post("/v1/sessions", None, None, json!({})).await;
    assert_eq!(status, 201);
    let anywhere =
        "SELECT count(*) FROM suspicion WHERE event_id = '00000000-0000-0000-0000-000000000000'";
    suspicion::run_once(&shop.server.server.app).await.unwrap();
    assert_eq!(shop.count(anywhere).await, 0);

    // The lane was drawn when joining had closed, by the worker.
    let drawn = format!(
        "SELECT count(*) FROM waiting_lanes WHERE event_id = '{shadow}' \
                         AND beacon IS NOT NULL"
    );
    assert_eq!(shop.count(&drawn).await, 1);
    let real = format!(
        "SELECT count(*) FROM waiting_lanes WHERE event_id = '{id}' \
                        AND beacon IS NULL AND serving = 0"
    );
    assert_eq!(shop.count(&real).await, 1);
    shop.end_rehearsal("show", &shadow).await.expect(202);
    shop.later().await;
    shop.work().await;
    assert_eq!(shop.left_of(&shadow).await, Vec::<String>::new());
    shop.close().await;
}
