//! What is seen before anything is held: proofs, codes, sessions, signing in. And holds that are
//! let go.

use onsale::waiting_room::{Lane, LaneKind, Room, RoomState, draw::Draw, standard};
use onsale::workers::sign_ins;

use super::*;

/// A room with a lane for everybody, who have to prove work, and one with a code.
fn room(event: EventId) -> Room {
    let early = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
    let lane = |number: i16, code: &str| {
        let draw = Draw::new(event, number, [7; 32], "a coin", None, None);
        Lane { number, code: code.into(), draw, ..Lane::general(event, early, early, early) }
    };
    let fans =
        Lane { kind: LaneKind::Presale, access_code: Some("NORTH-STAR".into()), ..lane(1, "fans") };
    Room { proof: true, lanes: vec![lane(0, "general"), fans], ..standard(event) }
}

impl Shop {
    async fn put(&self, room: &Room) {
        self.server.put_room(room).await;
    }

    async fn join(&self, buyer: &Buyer, body: Value) -> Answer {
        let path = format!("/v1/events/{SHOW}/waiting-room/join");
        buyer.send(Method::POST, &path, None, Some(body)).await
    }

    /// How many hashes somebody is asked for, at most.
    async fn asked_for(&self, buyer: &Buyer) -> i64 {
        let challenge = buyer.get(&format!("/v1/events/{SHOW}/waiting-room/challenge")).await;
        challenge.expect(200).body["maxnumber"].as_i64().expect("a number")
    }

    /// How long the next hold of somebody lasts, in seconds.
    async fn next_lasts_s(&self, buyer: &Buyer, device: Option<&str>) -> i64 {
        let key = uuid::Uuid::now_v7().to_string();
        let hold = self.hold_from(buyer, device, &key).await.expect(201);
        let path = format!("/v1/events/{SHOW}/holds/{}", hold.id());
        buyer.send(Method::DELETE, &path, None, None).await.expect(204);
        lasts_s(&hold)
    }
}

#[tokio::test]
async fn refused_proofs_count_and_make_the_next_harder_for_who_sent_them() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let mut room = room(shop.event);
    shop.put(&room).await;
    let (eve, ada) = (shop.server.buyer().await, shop.server.buyer().await);
    for _ in 0..8 {
        let refused = shop.join(&eve, json!({"proof": "bm9uc2Vuc2U="})).await.expect(403);
        assert_eq!(refused.code(), "proof_invalid");
    }
    // Who sends none hasn't tried to cheat.
    shop.join(&ada, json!({})).await.expect(403);
    shop.count().await;
    // Three are free: a widget may be slow, or a clock wrong.
    for kind in ["account", "prefix"] {
        let (times, points) = shop.counted(kind, "proofs_refused").await;
        assert!(times == 5 && (2.4..=2.5).contains(&points), "{kind}: {times} {points}");
    }
    let (hers, others) = (shop.asked_for(&eve).await, shop.asked_for(&ada).await);
    assert!(hers > others, "{hers} {others}");
    room.state = RoomState::Lifted;
    shop.put(&room).await;
    assert_eq!(shop.next_lasts_s(&eve, None).await, WHOLE_S / 2);
    assert_eq!(shop.next_lasts_s(&ada, None).await, WHOLE_S);
    shop.end().await;
}

#[tokio::test]
async fn guessed_codes_count_wherever_they_are_tried() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let mut room = room(shop.event);
    shop.put(&room).await;
    let (eve, ada) = (shop.server.buyer().await, shop.server.buyer().await);
    for turn in 0..4 {
        let guess = format!("GUESS-{turn}");
        let joined = shop.join(&eve, json!({"lane": "fans", "access_code": guess})).await;
        assert_eq!(joined.expect(403).code(), "access_code");
        let path = format!("/v1/events/{SHOW}/access");
        let body = Some(json!({"code": format!("K7QM-2XB4-9RTE-0AW{turn}")}));
        let redeemed = eve.send(Method::POST, &path, None, body).await;
        assert_eq!(redeemed.expect(403).code(), "access_code");
    }
    // Ada mistypes it, and knows it.
    let wrong = json!({"lane": "fans", "access_code": "NORTH-STAT"});
    shop.join(&ada, wrong).await.expect(403);
    let right = shop.join(&ada, json!({"lane": "fans", "access_code": "NORTH-STAR"})).await;
    assert_eq!(right.expect(403).code(), "proof_needed", "the code was right");
    shop.count().await;
    let (times, points) = shop.counted("account", "codes_guessed").await;
    assert!(times == 5 && (2.4..=2.5).contains(&points), "{times} {points}");
    room.state = RoomState::Lifted;
    shop.put(&room).await;
    assert_eq!(shop.next_lasts_s(&eve, None).await, WHOLE_S / 2);
    assert_eq!(shop.next_lasts_s(&ada, None).await, WHOLE_S);
    shop.end().await;
}

/// Signs in on a device: the session.
async fn sign_in(shop: &Shop, email: &str, device: &str) -> Buyer {
    let buyer = shop.server.buyer().await;
    let ask = Some(json!({"email": email}));
    buyer.send(Method::POST, "/v1/sign-in", None, ask).await.expect(202);
    while sign_ins::run_once(&shop.server.server.app).await.expect("Postgres works") {}
    let body: String =
        sqlx::query_scalar("SELECT body FROM mailbox WHERE kind = 'sign_in' ORDER BY id DESC")
            .fetch_one(&shop.env.pg)
            .await
            .expect("a mail");
    let code = body.lines().find(|line| line.len() == 6 && line.parse::<u32>().is_ok());
    let url = format!("{}/v1/sign-in/confirm", shop.server.url);
    let confirm = buyer.http.post(url).header("onsale-device", device);
    let confirm = confirm.json(&json!({"email": email, "code": code.expect("a code")}));
    let session: Value = confirm.send().await.expect("an answer").json().await.expect("a session");
    Buyer { token: session["token"].as_str().expect("a token").to_owned(), ..buyer }
}

#[tokio::test]
async fn signing_in_speaks_for_account_and_device_once_and_for_no_neighbour() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let (eve, device) = device_of(&shop.server).await;
    for turn in 0..2 {
        shop.expire(&eve, Some(&device), &turn.to_string()).await;
    }
    let stranger = shop.server.buyer().await;
    assert_eq!(shop.next_lasts_s(&stranger, Some(&device)).await, WHOLE_S / 2);
    let eve = sign_in(&shop, "eve@example.org", &device).await;
    shop.count().await;
    let (times, points) = shop.counted("account", "signed_in").await;
    assert!(times == 1 && (-1.0..=-0.9).contains(&points), "{times} {points}");
    assert_eq!(shop.counted("device", "signed_in").await.0, 1);
    assert_eq!(shop.counted("prefix", "signed_in").await.0, 0);
    assert_eq!(shop.next_lasts_s(&eve, Some(&device)).await, WHOLE_S);
    // Again and again is worth no more than once.
    for _ in 0..2 {
        sign_in(&shop, "eve@example.org", &device).await;
    }
    shop.count().await;
    let (_, points) = shop.counted("account", "signed_in").await;
    assert!((-1.0..=-0.9).contains(&points), "{points}");
    for turn in 2..4 {
        shop.expire(&eve, Some(&device), &turn.to_string()).await;
    }
    assert_eq!(shop.next_lasts_s(&eve, Some(&device)).await, WHOLE_S / 2);
    shop.end().await;
}

#[tokio::test]
async fn many_sessions_and_holds_count_for_the_prefix_and_only_beside_ones_own_doings() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let eve = shop.server.buyer().await;
    shop.expire(&eve, None, "0").await;
    assert_eq!(shop.next_lasts_s(&eve, None).await, WHOLE_S, "one hold may expire");
    let crowd = Buyer { token: String::new(), ..eve.clone() };
    let mut sessions = Vec::new();
    for _ in 0..165 {
        let session = crowd.send(Method::POST, "/v1/sessions", None, None).await.expect(201);
        let token = session.body["token"].as_str().expect("a token").to_owned();
        sessions.push(Buyer { token, ..crowd.clone() });
    }
    let floor = eve.offer(SHOW, "floor").await;
    for one in &sessions[..55] {
        let wish = json!({"lines": [{"offer": floor, "area": "FLOOR", "quantity": 1}]});
        one.hold(SHOW, "k", wish).await.expect(201);
    }
    shop.count().await;
    let (times, _) = shop.counted("prefix", "sessions_from_prefix").await;
    assert!((65..80).contains(&times), "{times}");
    let (times, _) = shop.counted("prefix", "many_holds_from_prefix").await;
    assert!((5..15).contains(&times), "{times}");
    for kind in ["account", "device"] {
        assert_eq!(shop.counted(kind, "sessions_from_prefix").await.0, 0, "{kind}");
        assert_eq!(shop.counted(kind, "many_holds_from_prefix").await.0, 0, "{kind}");
    }
    assert_eq!(shop.next_lasts_s(&sessions[60], None).await, WHOLE_S, "has done nothing");
    assert_eq!(shop.next_lasts_s(&eve, None).await, WHOLE_S / 2);
    shop.end().await;
}

#[tokio::test]
async fn holds_that_are_let_go_count_once_they_are_many() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let eve = shop.server.buyer().await;
    for turn in 0..10 {
        let hold = shop.hold(&eve, &turn.to_string()).await.expect(201);
        let path = format!("/v1/events/{SHOW}/holds/{}", hold.id());
        eve.send(Method::DELETE, &path, None, None).await.expect(204);
    }
    shop.count().await;
    let (times, points) = shop.counted("account", "holds_let_go").await;
    assert!(times == 7 && (1.7..=1.75).contains(&points), "{times} {points}");
    assert_eq!(shop.next_lasts_s(&eve, None).await, WHOLE_S / 2);
    shop.end().await;
}
