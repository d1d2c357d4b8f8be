//! Money that goes back, and the order in which the shop hears of it.

use onsale::payments::settle;
use onsale::workers::refunds;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::{GOOD, Shop};
use crate::support::Answer;
use crate::support::bank::{intent_event, reference};
use crate::support::stage::{SHOW, time_to_pay_is_over};
use crate::support::until;

#[tokio::test]
async fn a_wrong_amount_goes_back_and_the_order_can_still_be_paid() {
    let shop = Shop::open().await;
    let orders = [shop.order("a").await, shop.order("b").await];
    for order in &orders {
        shop.buyer.pay(order, "4000009900000806").await.expect(200);
        shop.becomes(order, "open").await;
        shop.refunded(order).await;
        shop.is(order, "open").await;
    }
    // One buyer pays again, rightly; the other doesn't.
    let path = format!("/v1/orders/{}/payments", orders[0].id());
    let again = shop.buyer.send(Method::POST, &path, None, None).await.expect(200);
    shop.buyer.pay(&again, GOOD).await.expect(200);
    shop.becomes(&orders[0], "paid").await;
    time_to_pay_is_over(&shop.env).await;
    shop.drive().await;
    shop.is(&orders[1], "released").await;
    shop.end().await;
}

#[tokio::test]
async fn refunds_made_at_the_bank_void_the_tickets_once_all_is_back() {
    let shop = Shop::open().await;
    let order = shop.paid("k").await;
    shop.bank.refund_outside(&order.id(), Some(100)).await;
    until("the shop knows", || async {
        shop.buyer.order(&order.id()).await.body["refunds"][0]["amount"] == 100
    })
    .await;
    shop.is(&order, "paid").await;
    shop.bank.refund_outside(&order.id(), None).await;
    shop.becomes(&order, "refunded").await;
    assert_eq!(shop.tickets(&order).await, ["void", "void"]);
    let other = shop.server.buyer().await;
    // Redis follows the commit that the order shows already.
    until("the places are free", || async {
        other.hold_places(SHOW, &shop.offer, "k", &order.places()).await.status == 201
    })
    .await;
    crate::support::stage::holds_are_over(&shop.env).await;
    onsale::workers::sweep::run_once(&shop.server.server.app).await.expect("swept");
    shop.end().await;
}

#[tokio::test]
async fn refunds_may_be_pending_and_may_fail() {
    let shop = Shop::open().await;
    for (card, end, tickets) in
        [("4000000000007726", "refunded", "void"), ("4000000000005126", "paid", "valid")]
    {
        let order = shop.order(card).await;
        shop.buyer.pay(&order, card).await.expect(200);
        shop.becomes(&order, "paid").await;
        let id = order.id().parse().expect("an id");
        settle::request_refund(&shop.server.server.app, id, "asked").await.expect("asked for");
        shop.is(&order, "refund_pending").await;
        refunds::run_once(&shop.server.server.app).await.expect("asked");
        shop.is(&order, "refund_pending").await;
        shop.becomes(&order, end).await;
        assert_eq!(shop.tickets(&order).await, [tickets, tickets], "{card}");
    }
    shop.end().await;
}

#[tokio::test]
async fn disputes_suspend_and_end() {
    let shop = Shop::open().await;
    for (end, status, tickets) in [("won", "paid", "valid"), ("lost", "refunded", "void")] {
        let order = shop.order(end).await;
        shop.buyer.pay(&order, "4000000000000259").await.expect(200);
        shop.becomes(&order, "disputed").await;
        assert_eq!(shop.tickets(&order).await, ["suspended", "suspended"]);
        shop.bank.dispute(&order.id(), end).await;
        shop.becomes(&order, status).await;
        assert_eq!(shop.tickets(&order).await, [tickets, tickets]);
    }
    shop.end().await;
}

/// What happened to an order, as events of the bank. The last is what remains.
fn story(order: &Answer, ends: &str) -> Vec<Value> {
    let (id, total) = (order.id(), order.body["total"].as_i64().expect("a total"));
    let intent = |n: u32, kind: &str, charged| {
        intent_event(&format!("evt_{id}_{n}"), kind, &id, total, charged)
    };
    let mut story =
        vec![intent(1, "intent.processing", None), intent(2, "intent.succeeded", Some(total))];
    let refund = json!({
        "id": format!("evt_{id}_3"), "type": "refund.updated", "created": "2026-01-01T00:00:00Z",
        "data": {"refund": {"reference": format!("sbre_{id}"), "intent": reference(&id),
            "refund": null, "amount": total, "currency": "EUR", "status": "succeeded"}},
    });
    let dispute = |n: u32, status: &str, kind: &str| {
        json!({
            "id": format!("evt_{id}_{n}"), "type": kind, "created": "2026-01-01T00:00:00Z",
            "data": {"dispute": {"reference": format!("sbdp_{id}"), "intent": reference(&id),
                "status": status}},
        })
    };
    match ends {
        "refunded" => story.push(refund),
        "disputed" => story.push(dispute(3, "open", "dispute.opened")),
        "won" => {
            story.push(dispute(3, "open", "dispute.opened"));
            story.push(dispute(4, "won", "dispute.won"));
        }
        "lost" => {
            story.push(dispute(3, "open", "dispute.opened"));
            story.push(dispute(4, "lost", "dispute.lost"));
        }
        _ => {}
    }
    story
}

#[tokio::test]
async fn events_in_any_order_and_number_have_one_effect() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let shop = Shop::open().await;
    let ends = [
        ("paid", "paid"),
        ("refunded", "refunded"),
        ("disputed", "disputed"),
        ("won", "paid"),
        ("lost", "refunded"),
    ];
    for (n, (end, status)) in ends.iter().cycle().take(10).enumerate() {
        let order = shop.order(&format!("k{n}")).await;
        // The money is at the bank, and the shop hears of it only by what follows.
        shop.buyer.pay(&order, "4000009900000707").await.expect(200);
        let story = story(&order, end);
        let mut events: Vec<Value> = story.iter().rev().cloned().collect();
        if n >= ends.len() {
            for event in &story {
                events.extend(vec![event.clone(); rng.random_range(0..3)]);
            }
            events.shuffle(&mut rng);
        }
        let kinds: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
        let all = events.iter().map(|event| shop.bank.send(&shop.server.url, event));
        if rng.random_bool(0.5) {
            for answer in futures::future::join_all(all).await {
                assert_eq!(answer, 200);
            }
        } else {
            for answer in all {
                assert_eq!(answer.await, 200);
            }
        }
        assert_eq!(shop.status(&order).await, *status, "{end}: {kinds:?}");
        let tickets = match *status {
            "paid" => "valid",
            "disputed" => "suspended",
            _ => "void",
        };
        assert_eq!(shop.tickets(&order).await, [tickets, tickets], "{end}: {kinds:?}");
    }
    shop.end().await;
}
