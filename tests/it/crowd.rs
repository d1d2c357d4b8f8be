//! A thousand buyers, a hundred seats, two server processes.

use std::collections::HashSet;

use onsale::config::Role;
use onsale::demo::seed::Seed;

use crate::support::process::free_address;
use crate::support::shopper::patiently;
use crate::support::{Buyer, Env, hall, until};

const BUYERS: usize = 1_000;
const SEATS: i64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_buyers_get_exactly_the_hundred_seats_there_are() {
    let env = Env::start().await;
    let hall = hall(10, 10, 0);
    let event = env.event(&Seed::new("crowd", &hall)).await;
    let (one, two, sandbox) = (free_address(), free_address(), free_address());
    let acquirer = env.spawn_sandbox(sandbox, &[one, two]).await;
    let change = |config: &mut onsale::config::Config| {
        config.roles = vec![Role::Http, Role::Workers];
        config.workers.hanging_ms = 60_000;
        config.payments.sandbox.url = format!("http://{sandbox}");
    };
    let first = env.spawn_server(one, &[], change).await;
    let second = env.spawn_server(two, &[], change).await;
    let scout = Buyer::new(&first.url).await;
    until("the event is built", || async {
        scout.get("/v1/events/crowd/drawer").await.status.is_success()
    })
    .await;
    let offers = [scout.offer("crowd", "front").await, scout.offer("crowd", "back").await];

    let mut buyers = Vec::with_capacity(BUYERS);
    for number in 0..BUYERS {
        let url = if number % 2 == 0 { &first.url } else { &second.url }.clone();
        let offer = offers[number / 2 % 2].clone();
        buyers.push(tokio::spawn(buy(url, offer, number)));
    }
    let mut sold: Vec<i64> = Vec::new();
    for buyer in buyers {
        sold.extend(buyer.await.expect("a buyer's journey"));
    }
    let distinct: HashSet<i64> = sold.iter().copied().collect();
    assert_eq!(distinct.len(), sold.len(), "no seat was sold twice");
    assert_eq!(i64::try_from(sold.len()).unwrap(), SEATS, "and none was left");
    let tickets: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT place) FROM tickets WHERE event_id = $1 AND status = 'valid'",
    )
    .bind(event.0)
    .fetch_one(&env.pg)
    .await
    .unwrap();
    assert_eq!(tickets, SEATS);
    until("the drawer agrees", || async {
        scout.get("/v1/events/crowd/drawer").await.body["agree"] == true
    })
    .await;
    first.terminate().await;
    second.terminate().await;
    acquirer.kill().await;
    env.end().await;
}

/// Wants two seats together, later one, until nothing is left; the places that were paid.
async fn buy(url: String, offer: String, number: usize) -> Vec<i64> {
    let buyer = Buyer::new(&url).await;
    for attempt in 0..50 {
        let wanted = if attempt == 0 { 2 } else { 1 };
        let key = format!("try-{attempt}");
        let hold = patiently(|| buyer.hold_best("crowd", &offer, &key, wanted)).await;
        match (hold.status.as_u16(), hold.code()) {
            // 200: an answer was lost on the way, and the same key found the hold.
            (200 | 201, _) => {}
            (409, "none_left") if wanted == 2 => continue,
            (409, "none_left") => return Vec::new(),
            _ => panic!("{hold:?}"),
        }
        let email = format!("buyer{number}@example.org");
        let id = hold.id();
        let order = patiently(|| buyer.checkout("crowd", &id, &email)).await.expect(201);
        buyer.pay(&order, "4242424242424242").await.expect(200);
        until("the order is paid", || async {
            buyer.order(&order.id()).await.body["status"] == "paid"
        })
        .await;
        return buyer.order(&order.id()).await.places();
    }
    Vec::new()
}
