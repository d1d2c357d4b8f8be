//! Presale registration: its draw, its codes, its mails.

use std::collections::HashSet;

use onsale::waiting_room::draw::{Claim, verify};
use onsale::workers::{beacons, registrations};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Door, hold, redeem};
use crate::accounts::signed_in;
use crate::support::process::free_address;
use crate::support::relay::{self, Manner, Relay};
use crate::support::{Answer, Buyer, Env};

/// The beacon's round, where it is fetched.
const ROUND: i64 = 12;

/// Registers somebody.
async fn register(buyer: &Buyer, path: &str) -> Answer {
    buyer.send(Method::POST, path, None, Some(json!({"locale": "en"}))).await
}

impl Door {
    /// A buyer who has proved this address.
    pub(super) async fn person(&self, email: &str) -> Buyer {
        signed_in(&self.env, &self.server, email).await
    }

    /// A registration for these many winners; its path for buyers.
    pub(super) async fn registration(&self, set: &str, winners: i32) -> String {
        let body = json!({"name": "Fans first", "code_set": set, "winners": winners,
                          "closes_at": "2090-01-01T00:00:00Z", "beacon_name": "a coin",
                          "beacon_round": ROUND});
        let made = self.post("registrations", "r", body.clone()).await.expect(201);
        let again = self.post("registrations", "r", body).await.expect(200);
        assert_eq!(made.id(), again.id());
        format!("/v1/events/show/registrations/{}", made.id())
    }

    /// Time passes: registering is over. What was promised is guarded in the database, so that
    /// this needs its owner.
    pub(super) async fn over(&self) {
        let now = "ALTER TABLE registrations DISABLE TRIGGER registrations_forward;
                   UPDATE registrations SET opens_at = now() - interval '2 hours',
                          closes_at = now() - interval '1 hour', draw_at = now();
                   ALTER TABLE registrations ENABLE TRIGGER registrations_forward";
        sqlx::raw_sql(now).execute(&self.env.pg).await.unwrap();
    }

    pub(super) async fn beacon(&self, path: &str, beacon: &str) -> Answer {
        let id = path.rsplit('/').next().unwrap();
        self.post(&format!("registrations/{id}/beacon"), "b", json!({"beacon": beacon})).await
    }

    pub(super) async fn work(&self) {
        while registrations::run_once(&self.server.server.app).await.unwrap() {}
    }

    /// Recipients and texts of the mails about draws.
    pub(super) async fn mails(&self) -> Vec<(String, String)> {
        sqlx::query_as("SELECT recipient, body FROM mailbox WHERE kind = 'drawn' ORDER BY id")
            .fetch_all(&self.env.pg)
            .await
            .unwrap()
    }
}

/// Gives the only registration that there is another address, behind the engine's back.
async fn change_address(door: &Door, key: &str) {
    let done = sqlx::query("UPDATE registrants SET email_key = $1").bind(key);
    done.execute(&door.env.pg).await.unwrap();
}

#[tokio::test]
async fn one_person_registers_once_and_may_withdraw_until_the_end() {
    let door = Door::open().await;
    let set = door.set("fans", json!({})).await;
    let path = door.registration(&set, 2).await;
    let (ada, eve) = (door.person("Ada@example.org").await, door.person("eve@x.org").await);
    let first = register(&ada, &path).await.expect(201);
    assert_eq!(first.body["email"], "Ada@example.org");
    let again = register(&ada, &path).await.expect(200);
    assert_eq!(first.body, again.body);
    // Whoever has proved no address can't take part, and nobody can name another's.
    let nobody = door.server.buyer().await;
    assert_eq!(register(&nobody, &path).await.expect(403).code(), "sign_in_needed");
    for bad in [json!({"email": "ada@example.org"}), json!({"locale": "e n"}), json!({"locale": 1})]
    {
        eve.send(Method::POST, &path, None, Some(bad)).await.expect(422);
    }
    // The same person, signed in anew, is the same account; an address that another account has
    // registered with is refused by the table itself.
    let tagged = door.person("ada+2@example.org").await;
    assert_eq!(register(&tagged, &path).await.expect(200).body, first.body);
    change_address(&door, "eve@x.org").await;
    assert_eq!(register(&eve, &path).await.expect(409).code(), "exists");
    change_address(&door, "ada@example.org").await;
    let mine = ada.get(&format!("{path}/mine")).await.expect(200);
    assert_eq!((&mine.body["outcome"], &mine.body["place"]), (&Value::Null, &Value::Null));
    eve.get(&format!("{path}/mine")).await.expect(404);
    assert_eq!(eve.get(&path).await.expect(200).body["registered"], 1);
    for _ in 0..2 {
        ada.send(Method::DELETE, &path, None, None).await.expect(204);
    }
    register(&eve, &path).await.expect(201);
    assert_eq!(door.beacon(&path, "heads").await.expect(409).code(), "event_state");
    door.over().await;
    let late = register(&ada, &path).await.expect(409);
    assert_eq!((late.code(), &late.body["phase"]), ("registration_closed", &json!("closed")));
    let late = eve.send(Method::DELETE, &path, None, None).await.expect(409);
    assert_eq!(late.code(), "registration_closed");
    // What was promised can't be changed, not even by hand.
    for change in ["winners = 9", "seed = sha256('x')", "beacon_name = 'y'", "draw_at = now()"] {
        let change = format!("UPDATE registrations SET {change}");
        let refused = sqlx::query(sqlx::AssertSqlSafe(change)).execute(&door.env.pg).await;
        let refused = refused.expect_err("a promise");
        let constraint = refused.as_database_error().unwrap().constraint().map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("registrations_forward"));
    }
    door.close().await;
}

#[tokio::test]
async fn the_lowest_places_win_a_code_of_their_own_and_all_are_told_once() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let set = door.set("fans", json!({"offers": [offer]})).await;
    let path = door.registration(&set, 4).await;
    let mut buyers = Vec::new();
    for at in 0..10 {
        let buyer = door.person(&format!("fan{at}@example.org")).await;
        register(&buyer, &path).await.expect(201);
        buyers.push(buyer);
    }
    let before = buyer.get(&path).await.expect(200);
    assert_eq!((&before.body["phase"], &before.body["seed"]), (&json!("open"), &Value::Null));
    door.work().await;
    door.over().await;
    door.work().await;
    assert_eq!(buyer.get(&path).await.body["phase"], "closed");
    assert_eq!(door.beacon(&path, "heads").await.expect(200).body["phase"], "drawing");
    assert_eq!(door.beacon(&path, "tails").await.expect(409).code(), "event_state");
    door.work().await;
    let page = buyer.get(&path).await.expect(200).body;
    assert_eq!(
        (&page["phase"], &page["won"], &page["lane"]),
        (&json!("drawn"), &json!(4), &json!(-1))
    );
    assert_eq!(page["seed_hash"], before.body["seed_hash"]);
    // Anyone finds the same places, and who has won, from what the page says.
    let bytes = |name: &str| hex::decode(page[name].as_str().unwrap()).unwrap().try_into().unwrap();
    let last: i64 = page["last_place"].as_str().unwrap().parse().unwrap();
    let mut winners = Vec::new();
    for buyer in &buyers {
        let mine = buyer.get(&format!("{path}/mine")).await.expect(200).body;
        let claim = Claim {
            event: page["event"].as_str().unwrap().parse().unwrap(),
            lane: i16::try_from(page["lane"].as_i64().unwrap()).unwrap(),
            subject: mine["subject"].as_str().unwrap().parse().unwrap(),
            seed: bytes("seed"),
            seed_hash: Some(bytes("seed_hash")),
            beacon: page["beacon"].as_str().unwrap(),
        };
        let place = verify(&claim).unwrap();
        assert_eq!(mine["place"], place.to_string());
        assert_eq!(mine["outcome"] == "won", place <= last, "{mine}");
        assert_eq!(mine["code"].is_string(), place <= last);
        if place <= last {
            winners.push((buyer.clone(), mine["code"].as_str().unwrap().to_owned(), mine));
        }
    }
    assert_eq!(winners.len(), 4);
    let mails = door.mails().await;
    let told: HashSet<&String> = mails.iter().map(|(recipient, _)| recipient).collect();
    assert_eq!((mails.len(), told.len()), (10, 10));
    for (_, code, mine) in &winners {
        let mail = mails.iter().find(|(to, _)| mine["email"] == json!(to)).unwrap();
        assert!(mail.1.contains(code.as_str()), "{}", mail.1);
    }
    // The code is the winner's alone, and opens the presale.
    let (winner, code, _) = &winners[0];
    let loser = buyers.iter().find(|one| winners.iter().all(|(won, ..)| won.token != one.token));
    redeem(loser.unwrap(), code).await.expect(403);
    let opened = redeem(winner, code).await.expect(200);
    hold(winner, &offer, "k", opened.body["grant"].as_str().unwrap()).await.expect(201);
    door.work().await;
    assert_eq!(door.mails().await.len(), 10);
    door.server.stop().await;
    door.env.end().await;
}

/// Puts so many people into the registration at once.
async fn crowd(door: &Door, path: &str, people: i32) -> Uuid {
    let id: Uuid = path.rsplit('/').next().unwrap().parse().unwrap();
    sqlx::query(
        "INSERT INTO registrants (registration, account, email, email_key)
         SELECT $1, gen_random_uuid(), a || '@example.org', a || '@example.org'
         FROM generate_series(1, $2) AS a",
    )
    .bind(id)
    .bind(people)
    .execute(&door.env.pg)
    .await
    .unwrap();
    id
}

#[tokio::test]
async fn a_draw_that_is_broken_off_anywhere_goes_on_where_it_was() {
    let door = Door::open().await;
    let set = door.set("fans", json!({})).await;
    let path = door.registration(&set, 1_500).await;
    let id = crowd(&door, &path, 12_000).await;
    // No mails here: there are too many.
    sqlx::raw_sql(
        "CREATE FUNCTION no_mail() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN NEW.due_at := 'infinity'; RETURN NEW; END $$;
         CREATE TRIGGER no_mail BEFORE UPDATE ON registrants
             FOR EACH ROW EXECUTE FUNCTION no_mail()",
    )
    .execute(&door.env.pg)
    .await
    .unwrap();
    door.over().await;
    door.beacon(&path, "heads").await.expect(200);
    // Two nodes work at the same time, and each is dropped in the middle of its work now and then.
    let app = &door.server.server.app;
    let mut pause = 1;
    loop {
        let look = std::time::Duration::from_millis(pause);
        let broken_off = tokio::time::timeout(look, registrations::run_once(app));
        let (one, two) = tokio::join!(registrations::run_once(app), broken_off);
        if let Ok(two) = two {
            two.unwrap();
        }
        pause = pause % 97 + 13;
        if !one.unwrap() && buyer_sees_it_done(&door, &path).await {
            break;
        }
    }
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE outcome = 'won'),
                count(*) FILTER (WHERE outcome = 'lost'), count(DISTINCT code)
         FROM registrants WHERE registration = $1",
    )
    .bind(id)
    .fetch_one(&door.env.pg)
    .await
    .unwrap();
    assert_eq!(counts, (12_000, 1_500, 10_500, 1_500));
    // The winners are exactly those with the lowest places, and each has one code.
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT outcome, rank() OVER (ORDER BY place, account) AS rank FROM registrants
         ) r WHERE (outcome = 'won') <> (rank <= 1500)",
    )
    .fetch_one(&door.env.pg)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let codes: (i64, i64, i32) = sqlx::query_as(
        "SELECT count(*), count(DISTINCT account), (SELECT codes FROM code_sets)
         FROM access_codes",
    )
    .fetch_one(&door.env.pg)
    .await
    .unwrap();
    assert_eq!(codes, (1_500, 1_500, 1_500));
    door.close().await;
}

async fn buyer_sees_it_done(door: &Door, path: &str) -> bool {
    door.me.get(path).await.expect(200).body["phase"] == "drawn"
}

#[tokio::test]
async fn fewer_people_than_places_all_win_and_nobody_is_an_answer_too() {
    let door = Door::open().await;
    let set = door.set("fans", json!({})).await;
    let path = door.registration(&set, 50).await;
    let empty = json!({"name": "Nobody", "code_set": set, "winners": 1, "beacon_name": "b",
                       "closes_at": "2090-01-01T00:00:00Z"});
    let empty = door.post("registrations", "empty", empty).await.expect(201);
    assert_eq!(empty.body["lane"], -2);
    let empty = format!("/v1/events/show/registrations/{}", empty.id());
    crowd(&door, &path, 20).await;
    door.over().await;
    for path in [&path, &empty] {
        door.beacon(path, "heads").await.expect(200);
    }
    door.work().await;
    let page = door.me.get(&path).await.expect(200).body;
    assert_eq!((&page["won"], &page["registered"]), (&json!(20), &json!(20)));
    let page = door.me.get(&empty).await.expect(200).body;
    let nobody = (&json!("drawn"), &json!(0), &Value::Null);
    assert_eq!((&page["phase"], &page["won"], &page["last_place"]), nobody);
    assert_eq!(door.mails().await.len(), 20);
    let all = door.me.get("/v1/events/show/registrations").await.expect(200).body;
    assert_eq!(all.as_array().unwrap().len(), 2);
    door.close().await;
}

#[tokio::test]
async fn a_beacon_is_fetched_once_registering_is_over_and_only_the_right_one_draws() {
    let address = free_address();
    let mut env = Env::start().await;
    env.config.waiting_room.beacon_url = relay::template(address);
    let door = Door::of(env).await;
    let relay = Relay::open(address).await;
    let set = door.set("fans", json!({})).await;
    let path = door.registration(&set, 1).await;
    let ada = door.person("ada@example.org").await;
    register(&ada, &path).await.expect(201);
    let app = &door.server.server.app;
    beacons::run_once(app).await.unwrap();
    assert_eq!(relay.asked(), 0, "one can still register");
    door.over().await;
    for manner in [Manner::OtherRound, Manner::OtherValue, Manner::Broken] {
        relay.is(manner);
        beacons::run_once(app).await.unwrap();
        door.work().await;
        assert_eq!(door.me.get(&path).await.expect(200).body["beacon"], Value::Null, "{manner:?}");
    }
    relay.is(Manner::Good);
    beacons::run_once(app).await.unwrap();
    beacons::run_once(app).await.unwrap();
    assert_eq!(relay.asked(), 4);
    door.work().await;
    let drawn = door.me.get(&path).await.expect(200).body;
    assert_eq!(drawn["beacon"], relay::said(ROUND)["randomness"]);
    assert_eq!((&drawn["phase"], &drawn["won"]), (&json!("drawn"), &json!(1)));
    door.close().await;
}

#[tokio::test]
async fn a_registration_that_makes_no_sense_is_refused() {
    let door = Door::open().await;
    let set = door.set("fans", json!({})).await;
    let good = json!({"name": "Fans", "code_set": set, "winners": 5, "beacon_name": "coin",
                      "closes_at": "2090-01-01T00:00:00Z"});
    let cases = [
        ("name", json!(""), "/name"),
        ("code_set", json!(Uuid::now_v7()), "/code_set"),
        ("winners", json!(0), "/winners"),
        ("beacon_name", json!("\u{202e}"), "/beacon_name"),
        ("closes_at", json!("2020-01-01T00:00:00Z"), "/closes_at"),
        ("opens_at", json!("2091-01-01T00:00:00Z"), "/closes_at"),
        ("draw_at", json!("2089-01-01T00:00:00Z"), "/draw_at"),
    ];
    for (field, value, pointer) in cases {
        let mut bad = good.clone();
        bad[field] = value;
        let refused = door.post("registrations", field, bad).await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{field}");
    }
    door.post("registrations", "good", good).await.expect(201);
    door.close().await;
}
