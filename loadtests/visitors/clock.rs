//! Whose turn it is to do something: one schedule for all who come and all who wait. Who waits is
//! an entry in it and nothing else; only who asks or shops has a task.

use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{sleep, sleep_until};

use super::Crowd;
use super::visitor::{Stage, Visitor};
use crate::scenario::Schedule;
use crate::verdict::tally::Ending;
use crate::wire::Ask;

/// Most who wake up before others are listened to.
const BATCH: usize = 256;
/// Longest sleep: somebody may have gone in the meantime.
const NAP: Duration = Duration::from_millis(50);
/// How long those who shop get to finish when all are sent home.
const FINISH_WITHIN: Duration = Duration::from_mins(2);
/// How often it is looked whether everything is sold.
const DRAWER_EVERY: Duration = Duration::from_millis(500);

/// What came of the crowd.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Gone {
    /// Visitors who came.
    pub came: u64,
    /// Of them, still on their way when the program stopped waiting for them.
    pub lost: u64,
    /// From the beginning of the run to the end.
    pub took: Duration,
}

/// Somebody who waits until they are due: the earliest is the greatest.
struct Entry(Box<Visitor>);

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Order {
        other.0.due.cmp(&self.0.due)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.due == other.0.due
    }
}

impl Eq for Entry {}

impl Crowd {
    /// Lets the visitors come and go until all have gone, everything is sold, or time is up.
    pub async fn play(self: &Arc<Self>) -> Gone {
        let until = self.opens + Duration::from_secs_f64(self.scenario.ends_s);
        let mut gone = tokio::select! {
            gone = self.let_come() => gone,
            () = self.watch(until) => Gone::default(),
        };
        self.end();
        let patience = Instant::now() + FINISH_WITHIN;
        while self.here() > 0 && Instant::now() < patience {
            sleep(Duration::from_millis(20)).await;
        }
        gone.lost = self.here();
        gone.took = self.begun.elapsed();
        gone
    }

    async fn let_come(self: &Arc<Self>) -> Gone {
        let mut gone = Gone::default();
        let (back, mut returned) = unbounded_channel();
        let mut coming = self.coming().peekable();
        let mut waiting: BinaryHeap<Entry> = BinaryHeap::new();
        let mut over = self.over.subscribe();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let now = Instant::now();
            while let Some((number, due)) = coming.next_if(|(_, due)| *due <= now) {
                gone.came += 1;
                if self.stays_away(number) {
                    self.tallies.note(number, |tally| tally.stayed_away += 1);
                    continue;
                }
                Self::wake(Box::new(Visitor::new(self, number, due)), &back);
            }
            while waiting.peek().is_some_and(|entry| entry.0.due <= now) {
                waiting.pop().into_iter().for_each(|entry| Self::wake(entry.0, &back));
            }
            let next = waiting.peek().map(|entry| entry.0.due);
            let next = next.into_iter().chain(coming.peek().map(|(_, due)| *due)).min();
            if next.is_none() && self.here() == 0 && returned.is_empty() {
                return gone;
            }
            let next = next.unwrap_or(now + NAP).min(now + NAP);
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => break,
                () = sleep_until(next.into()) => {}
                _ = returned.recv_many(&mut batch, BATCH) => {
                    waiting.extend(batch.drain(..).map(Entry));
                }
            }
        }
        while let Ok(visitor) = returned.try_recv() {
            waiting.push(Entry(visitor));
        }
        // Who still comes back finds that it is over.
        for entry in waiting {
            send_home(entry.0);
        }
        tokio::spawn(async move {
            while let Some(visitor) = returned.recv().await {
                send_home(visitor);
            }
        });
        gone
    }

    /// Who comes when, of those that this generator plays.
    fn coming(&self) -> impl Iterator<Item = (u64, Instant)> + use<> {
        let schedule = Schedule::new(&self.scenario.arrivals, self.scenario.seed);
        let opens = self.opens;
        schedule.of(self.shard).map(move |(number, at_s)| {
            let span = Duration::from_secs_f64(at_s.abs());
            let before = opens.checked_sub(span).unwrap_or(opens);
            (number, if at_s < 0.0 { before } else { opens + span })
        })
    }

    /// Where it says "sold out", few go on.
    fn stays_away(&self, number: u64) -> bool {
        let heed = u64::from(self.scenario.arrivals.heed_sold_out);
        heed > 0
            && !number.is_multiple_of(heed)
            && self.shop.seen().is_some_and(|seen| seen.free == 0)
    }

    fn wake(visitor: Box<Visitor>, back: &UnboundedSender<Box<Visitor>>) {
        let back = back.clone();
        tokio::spawn(async move {
            if let Some(visitor) = visitor.go().await {
                // Nobody listens any more once all are sent home.
                let _ = back.send(visitor);
            }
        });
    }

    /// Sends all home at the end of the time, or when the last place is sold.
    async fn watch(&self, until: Instant) {
        while Instant::now() < until {
            sleep(DRAWER_EVERY).await;
            let path = format!("{}/availability", self.shop.path);
            let seen = self.shop.seen();
            let known = seen.as_ref().map(|seen| &seen.etag);
            let answer = self.servers[0].ask(&path, Ask { known, ..Ask::default() }).await;
            // Who shops sees it as well; towards the end nobody may.
            if let Ok(answer) = answer
                && answer.status.is_success()
            {
                let _ = self.shop.note(answer.etag, &answer.body);
            }
            let gone = self.shop.seen().is_some_and(|seen| seen.free == 0);
            if gone && self.drawer().await.is_some_and(|drawer| drawer.is_empty()) {
                break;
            }
        }
        self.end();
        std::future::pending::<()>().await;
    }
}

fn send_home(mut visitor: Box<Visitor>) {
    if visitor.stage == Stage::Waiting {
        visitor.end(Ending::StillInLine);
    }
}
