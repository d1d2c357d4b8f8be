//! What the acquirer remembers, across restarts and at its bound.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use iso_currency::Currency;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::super::ledger::{Kept, Ledger, Unreachable};
use super::super::record::{Record, State};
use super::{Stack, state_in};
use crate::ids::{AttemptId, RefundId};
use crate::money::Money;
use crate::payments::{IntentState, NewRefund, Provider};

const APPROVE: &str = "4242424242424242";

/// A file that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("onsale-journal-{}", Uuid::new_v4())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that never wrote has nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn restarted(scratch: &Scratch, late: Duration) -> Stack {
    let journal = Some(scratch.0.clone());
    Stack::with(|config| {
        config.journal = journal;
        config.late = late;
    })
    .await
}

#[tokio::test]
async fn a_restart_forgets_no_payment() {
    let (scratch, hour) = (Scratch::new(), Duration::from_hours(1));
    let stack = restarted(&scratch, hour).await;
    let (paid, page) = stack.intent(1_000).await;
    stack.pay(&page, APPROVE).await;
    let refund = NewRefund {
        refund: RefundId::fresh(),
        reference: paid.clone(),
        amount: Money::new(1_000, Currency::EUR),
    };
    let made = stack.sandbox.refund(refund.clone()).await.expect("made");
    let (cancelled, cancelled_page) = stack.intent(1_000).await;
    stack.sandbox.cancel(&cancelled).await.expect("cancelled");
    let before = stack.sandbox.fetch(&paid).await.expect("there");
    // The statement's token outlives the process, but not its port.
    let token = cancelled_page.rsplit('/').next().expect("a token").to_owned();
    stack.end().await;

    // A kill can tear the last line.
    let mut file = std::fs::OpenOptions::new().append(true).open(&scratch.0).expect("the journal");
    file.write_all(b"{\"intent\":{\"attempt").expect("written");
    let stack = restarted(&scratch, hour).await;
    assert_eq!(stack.sandbox.fetch(&paid).await.expect("there"), before);
    assert_eq!(stack.sandbox.refund(refund).await.expect("found"), made);
    let page = format!("{}/pay/{token}", stack.base);
    assert_eq!(stack.pay(&page, APPROVE).await.0, StatusCode::CONFLICT);
    let listed = stack.sandbox.list(Timestamp::UNIX_EPOCH, None).await.expect("a page");
    assert_eq!(listed.intents.len(), 2);
}

#[tokio::test]
async fn what_was_processing_goes_on_after_a_restart() {
    let (scratch, hour) = (Scratch::new(), Duration::from_hours(1));
    let mut stack = restarted(&scratch, hour).await;
    let (reference, page) = stack.intent(100).await;
    stack.pay(&page, "4000009900000202").await;
    assert_eq!(state_in(&stack.happening().await), IntentState::Processing);
    assert!(stack.end().await.is_empty());

    // As if the hour had passed in between.
    let journal = std::fs::read_to_string(&scratch.0).expect("the journal");
    let (before, at) = journal.split_once(r#""settles_at":""#).expect("a moment");
    let (_, after) = at.split_once('"').expect("its end");
    let past = format!(r#"{before}"settles_at":"2020-01-01T00:00:00Z"{after}"#);
    std::fs::write(&scratch.0, past).expect("written");
    let mut stack = restarted(&scratch, hour).await;
    let paid = IntentState::Succeeded { charged: 100 };
    assert_eq!(state_in(&stack.happening().await), paid);
    let intent = stack.sandbox.fetch(&reference).await.expect("there");
    assert_eq!(intent.state, paid);
}

#[tokio::test]
async fn the_journal_holds_no_card_number() {
    let scratch = Scratch::new();
    let stack = restarted(&scratch, Duration::from_secs(1)).await;
    let (_, page) = stack.intent(100).await;
    for card in ["4000 0000 0000 0002", "4111 1111 1111 1111", APPROVE] {
        stack.pay(&page, card).await;
    }
    stack.end().await;
    let journal = std::fs::read_to_string(&scratch.0).expect("the journal");
    assert!(journal.contains(r#""last4":"4242""#));
    for number in ["42424242", "40000000", "4111"] {
        assert!(!journal.contains(number), "{number}");
    }
}

fn finish(ledger: &Ledger, attempt: AttemptId, now: Timestamp) -> Result<(), Unreachable> {
    ledger.change((attempt, None), now, |record| {
        record.state = State::Succeeded { charged: 1 };
        ((), Kept::Written)
    })
}

#[test]
fn a_full_ledger_drops_opened_pages_but_never_a_payable_payment() {
    let ledger = Ledger::open(None, 10).expect("no file");
    let start = Timestamp::now();
    let at = |seconds| start + SignedDuration::from_secs(seconds);
    for _ in 0..5 {
        ledger.change((AttemptId::fresh(), None), at(0), |_| ((), Kept::InMemory)).expect("room");
    }
    let paid: Vec<AttemptId> = (0..10).map(|_| AttemptId::fresh()).collect();
    for (attempt, second) in paid.iter().zip(0..) {
        finish(&ledger, *attempt, at(second)).expect("opened pages make room");
    }
    assert_eq!(finish(&ledger, AttemptId::fresh(), at(20)), Err(Unreachable::Full));
    // What is known can still change.
    assert_eq!(finish(&ledger, paid[0], at(21)), Ok(()));

    // After a day their statements can't be paid any more: the oldest make room.
    let day = 25 * 3_600;
    let second = u64::try_from(at(day).as_second()).expect("after 1970");
    let late = AttemptId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, second, 0)));
    finish(&ledger, late, at(day)).expect("the oldest is dropped");
    let state = |attempt| ledger.get(attempt, at(day)).map(|record: Record| record.state);
    let known = paid.iter().filter(|attempt| state(**attempt).is_ok()).count();
    assert_eq!(known, 9);
    // The dropped one isn't called untouched: it was paid.
    assert!(paid.iter().any(|attempt| state(*attempt) == Err(Unreachable::NotFound)));
    assert_eq!(state(AttemptId(Uuid::new_v4())), Err(Unreachable::NotFound));
}
