//! A buyer who wants tickets whatever happens.

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Answer, Buyer, PATIENCE, until};

/// How long to wait before a busy server is asked again, at first and at most: who asks all the
/// time keeps it busy.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Repeats what a busy server asks to be repeated, or had no time for, with the same key.
pub async fn patiently<F: Future<Output = Answer>>(mut ask: impl FnMut() -> F) -> Answer {
    let (started, mut pause) = (Instant::now(), PAUSE);
    loop {
        let answer = ask().await;
        if ![503, 504].contains(&answer.status.as_u16()) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still {answer:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Buys two places together, later single ones, until it has an order or nothing is left; the
/// places that were paid.
pub async fn shop(url: &str, event: &str, offer: &str, number: usize) -> Vec<i64> {
    let buyer = Buyer::new(url).await;
    let (mut wanted, mut attempt, started) = (2, 0, Instant::now());
    while started.elapsed() < PATIENCE {
        attempt += 1;
        let key = format!("try-{attempt}");
        let hold = patiently(|| buyer.hold_best(event, offer, &key, wanted)).await;
        match (hold.status.as_u16(), hold.code()) {
            (200 | 201, _) => {}
            (409, "none_left") => {
                if wanted == 1 && nothing_left(&buyer, event).await {
                    return Vec::new();
                }
                wanted = 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            // The same key's hold died with the Redis it was in.
            (410, "hold_gone") | (409, "hold_in_checkout") => continue,
            _ => panic!("{hold:?}"),
        }
        let (id, email) = (hold.id(), format!("buyer{number}@example.org"));
        let order = patiently(|| buyer.checkout(event, &id, &email)).await;
        match (order.status.as_u16(), order.code()) {
            (201, _) => {}
            (409, "claim_lost") | (410, "hold_gone") => continue,
            _ => panic!("{order:?}"),
        }
        buyer.pay(&order, "4242424242424242").await.expect(200);
        let path = format!("/v1/orders/{id}");
        until("the order is paid", || async {
            patiently(|| buyer.get(&path)).await.body["status"] == "paid"
        })
        .await;
        return buyer.order(&id).await.places();
    }
    panic!("no luck in {attempt} tries");
}

async fn nothing_left(buyer: &Buyer, event: &str) -> bool {
    let path = format!("/v1/events/{event}/drawer");
    let drawer = patiently(|| buyer.get(&path)).await.expect(200);
    let redis = &drawer.body["redis"];
    redis["free"] == json!(0) && redis["held"] == json!(0) && redis["claimed"] == json!(0)
}
