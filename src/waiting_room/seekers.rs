//! Who of those inside still looks for places.
//!
//! Nobody is called who would find nothing, so everybody inside without places keeps some from
//! those who wait. Most who find nothing say no word: they close the page, and their pass lives on
//! for minutes. Towards the end of a sale they would keep its last places from everybody. So it is
//! noted when somebody got no places, or lost those they had; who doesn't ask again within
//! [`IDLE_AFTER_S`] is taken to have gone. They may come back as long as their pass is good: it is
//! only that others are let in, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::rooms::Rooms;
use crate::db::kept::Kept;
use crate::ids::{AccountId, EventId};

/// Who got no places and doesn't ask again for so long looks no more, in seconds.
pub const IDLE_AFTER_S: f64 = 10.0;
/// People who may wait to be noted; who is dropped counts as looking.
const MAX_WAITING: usize = 10_000;
/// How long they are collected for the next statement.
const COLLECT_FOR: Duration = Duration::from_millis(250);
/// People in one statement.
const CHUNK: usize = 500;
/// How long one statement may take.
const NOTED_WITHIN: Duration = Duration::from_secs(10);

/// Where it is said that somebody got nothing.
pub struct Seekers {
    queue: mpsc::Sender<(EventId, AccountId)>,
    rooms: Arc<Rooms>,
}

impl Seekers {
    /// The entrance, and what comes out of it for [`note`].
    #[must_use]
    pub fn new(rooms: Arc<Rooms>) -> (Self, mpsc::Receiver<(EventId, AccountId)>) {
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        (Self { queue, rooms }, receiver)
    }

    /// They got no places just now, or lost those they had. Never waits.
    pub fn missed(&self, event: EventId, account: AccountId) {
        if self.rooms.known(event).is_some() {
            // Who isn't noted counts as looking until their pass ends.
            let _still_looking = self.queue.try_send((event, account));
        }
    }
}

/// Notes them with their passes, until the process ends.
pub async fn note(mut missed: mpsc::Receiver<(EventId, AccountId)>, pg: Kept) {
    let mut people = Vec::new();
    while missed.recv_many(&mut people, CHUNK).await > 0 {
        let (events, accounts): (Vec<Uuid>, Vec<Uuid>) =
            people.drain(..).map(|(event, account)| (event.0, account.0)).unzip();
        let noted = async {
            let mut pg = pg.take().await?;
            // One by one (OFFSET 0), by the one key that has both, and changed where it was found:
            // said plainly, that a pass is good finds everybody inside. A pass that is locked is
            // just being ended.
            let noted = sqlx::query!(
                "WITH missed AS MATERIALIZED (
                     SELECT x.at FROM unnest($1::uuid[], $2::uuid[]) AS u (event_id, subject)
                     CROSS JOIN LATERAL (
                         SELECT p.ctid AS at FROM passes p
                         WHERE p.event_id = u.event_id AND p.subject = u.subject
                           AND coalesce(p.ended_at, 'infinity') = 'infinity'
                         OFFSET 0 FOR UPDATE SKIP LOCKED) x)
                 UPDATE passes p SET missed_at = now() FROM missed m WHERE p.ctid = m.at",
                &events,
                &accounts
            )
            .execute(&mut *pg)
            .await;
            pg.give_back(noted)
        };
        match tokio::time::timeout(NOTED_WITHIN, noted).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "who got no places counts as looking"),
            Err(late) => tracing::warn!(%late, "who got no places counts as looking"),
        }
        tokio::time::sleep(COLLECT_FOR).await;
    }
}
