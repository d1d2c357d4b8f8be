//! The path of a ticket, and its branches.

use onsale::demo::seed::Seed;
use reqwest::Method;
use serde_json::json;

use crate::support::{Env, hall, until};

#[tokio::test]
async fn two_seats_are_held_paid_and_become_tickets() {
    let env = Env::start().await;
    let hall = hall(4, 10, 20);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;

    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "one", 2).await.expect(201);
    let places = hold.places();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0] + 1, places[1], "neighbours");
    assert_eq!(hold.body["total"], 2 * (14_900 + 473));

    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    assert_eq!(order.id(), hold.id(), "one id from hold to order");
    assert_eq!(order.body["status"], "open");
    buyer.pay(&order, "4242424242424242").await.expect(200);

    let paid = buyer.order(&order.id()).await;
    assert_eq!(paid.body["status"], "paid");
    let tickets = paid.body["tickets"].as_array().expect("tickets");
    assert_eq!(tickets.len(), 2);
    for ticket in tickets {
        let code = json!({"code": ticket["code"]});
        let verified = buyer.send(Method::POST, "/v1/tickets/verify", None, Some(code)).await;
        assert_eq!(verified.body["authentic"], true);
        assert_eq!(verified.body["status"], "valid");
    }
    // The secret link works without the session, and nothing works without both.
    let link = paid.body["link"].as_str().expect("a link");
    let key = link.split("key=").nth(1).expect("a key");
    let stranger = server.buyer().await;
    let id = order.id();
    stranger.get(&format!("/v1/orders/{id}?key={key}")).await.expect(200);
    stranger.get(&format!("/v1/orders/{id}")).await.expect(404);
    stranger.get(&format!("/v1/orders/{id}?key=00")).await.expect(404);

    assert_eq!(buyer.drawer("show").await["postgres"]["sold"], 2);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn the_same_request_twice_has_one_effect_and_another_with_its_key_is_refused() {
    let env = Env::start().await;
    let hall = hall(4, 10, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;

    let first = buyer.hold_best("show", &offer, "k", 2).await.expect(201);
    let again = buyer.hold_best("show", &offer, "k", 2).await.expect(200);
    assert_eq!((first.id(), first.places()), (again.id(), again.places()));
    let other = buyer.hold_best("show", &offer, "k", 3).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");

    let order = buyer.checkout("show", &first.id(), "ada@example.org").await.expect(201);
    let repeated = buyer.checkout("show", &first.id(), "ada@example.org").await.expect(201);
    assert_eq!(order.id(), repeated.id());
    assert_eq!(order.body["payment"], repeated.body["payment"]);
    let changed = buyer.checkout("show", &first.id(), "eve@example.org").await.expect(422);
    assert_eq!(changed.code(), "checkout_mismatch");

    buyer.pay(&order, "4242424242424242").await.expect(200);
    let paid = buyer.checkout("show", &first.id(), "ada@example.org").await.expect(201);
    assert_eq!(paid.body["status"], "paid");
    let held = buyer.hold_best("show", &offer, "k", 2).await.expect(409);
    assert_eq!(held.code(), "hold_in_checkout");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_refusal_names_the_taken_places_and_may_come_with_an_equivalent() {
    let env = Env::start().await;
    let hall = hall(4, 10, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let (ada, eve) = (server.buyer().await, server.buyer().await);
    let offer = ada.offer("show", "front").await;
    let held = ada.hold_best("show", &offer, "a", 2).await.expect(201);

    let refused = eve.hold_places("show", &offer, "e1", &held.places()).await.expect(409);
    assert_eq!(refused.code(), "places_taken");
    assert_eq!(refused.body["places"], json!(held.places()));

    let wish = json!({
        "lines": [{"offer": offer, "places": held.places()}],
        "accept_equivalent": true,
    });
    let instead = eve.hold("show", "e2", wish).await.expect(201);
    assert_eq!(instead.body["instead_of"], json!(held.places()));
    assert_eq!(instead.places().len(), 2);
    assert!(instead.places().iter().all(|place| !held.places().contains(place)));
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_choice_that_strands_one_seat_is_refused_unless_it_cannot_be_helped() {
    let env = Env::start().await;
    let hall = hall(2, 5, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    // Seats 0 to 4 of the only row in front.
    let refused = buyer.hold_places("show", &offer, "a", &[1, 2]).await.expect(409);
    assert_eq!(refused.code(), "orphan_seat");
    assert_eq!(refused.body["places"], json!([0]));
    buyer.hold_places("show", &offer, "b", &[0, 1]).await.expect(201);
    // Of the three that are left two leave one, whichever they are.
    buyer.hold_places("show", &offer, "c", &[2, 3]).await.expect(201);
    buyer.hold_places("show", &offer, "d", &[4]).await.expect(201);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn areas_limits_and_mixed_wishes() {
    let env = Env::start().await;
    let hall = hall(2, 8, 30);
    let limited = Seed { account_limit: Some(6), ..Seed::new("show", &hall) };
    env.event(&limited).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let (front, floor) = (buyer.offer("show", "front").await, buyer.offer("show", "floor").await);
    let wish = json!({"lines": [
        {"offer": front, "best": 2},
        {"offer": floor, "area": "FLOOR", "quantity": 3},
    ]});
    let hold = buyer.hold("show", "a", wish).await.expect(201);
    assert_eq!(hold.places().len(), 5);
    let refused = buyer.hold_best("show", &front, "b", 2).await.expect(409);
    assert_eq!(refused.code(), "account_limit");
    assert_eq!(refused.body["left"], 1);
    // The same person with a second session is stopped at checkout.
    let order = buyer.checkout("show", &hold.id(), "a.da+x@gmail.com").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    let second = server.buyer().await;
    let more = second.hold_best("show", &front, "c", 2).await.expect(201);
    let over = second.checkout("show", &more.id(), "ada@googlemail.com").await.expect(409);
    assert_eq!(over.code(), "account_limit");
    // And the refused hold's places are free again.
    assert_eq!(buyer.drawer("show").await["redis"]["held"], 0);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_declined_card_keeps_the_seats_and_another_card_pays() {
    let env = Env::start().await;
    let hall = hall(2, 8, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4000000000000002").await.expect(402);
    until("the shop knows", || async {
        buyer.order(&order.id()).await.body["decline"] == "card_declined"
    })
    .await;
    assert_eq!(buyer.order(&order.id()).await.body["status"], "open");
    buyer.pay(&order, "4242424242424242").await.expect(200);
    assert_eq!(buyer.order(&order.id()).await.body["status"], "paid");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_released_or_cancelled_place_can_be_bought_by_the_next() {
    let env = Env::start().await;
    let hall = hall(2, 8, 0);
    env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let (ada, eve) = (server.buyer().await, server.buyer().await);
    let offer = ada.offer("show", "front").await;
    let hold = ada.hold_best("show", &offer, "a", 2).await.expect(201);
    let path = format!("/v1/events/show/holds/{}", hold.id());
    eve.send(Method::DELETE, &path, None, None).await.expect(404);
    ada.send(Method::DELETE, &path, None, None).await.expect(204);
    ada.send(Method::DELETE, &path, None, None).await.expect(204);

    let hold = eve.hold_places("show", &offer, "e", &hold.places()).await.expect(201);
    let order = eve.checkout("show", &hold.id(), "eve@example.org").await.expect(201);
    let cancel = format!("/v1/orders/{}/cancel", order.id());
    ada.send(Method::POST, &cancel, None, None).await.expect(404);
    let cancelled = eve.send(Method::POST, &cancel, None, None).await.expect(200);
    assert_eq!(cancelled.body["status"], "released");
    // The page that was open says so, and takes no money.
    eve.pay(&order, "4242424242424242").await.expect(409);

    let hold = ada.hold_places("show", &offer, "b", &hold.places()).await.expect(201);
    let order = ada.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    ada.pay(&order, "4242424242424242").await.expect(200);
    assert_eq!(ada.order(&order.id()).await.body["status"], "paid");
    server.stop().await;
    env.end().await;
}
