//! Who of those inside still looks for places.
//!
//! Nobody is called who would find nothing, so everybody inside without places keeps some from
//! those who wait. Most who find nothing say no word: they close the page, and their pass lives on
//! for minutes. Towards the end of a sale they would keep its last places from everybody. So it is
//! noted when somebody got no places, or lost those they had; who doesn't ask again within
//! [`IDLE_AFTER_S`] is taken to have gone. They may come back as long as their pass is good: it is
//! only that others are let in, too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::rooms::Rooms;
use crate::db::kept::Kept;
use crate::ids::{AccountId, EventId};

/// Who got no places and doesn't ask again for so long looks no more, in seconds.
pub const IDLE_AFTER_S: f64 = 10.0;
/// People who may wait to be noted; who is dropped counts as before.
const MAX_WAITING: usize = 10_000;
/// How long they are collected for the next statement.
const COLLECT_FOR: Duration = Duration::from_millis(250);
/// People in one statement.
const CHUNK: usize = 500;
/// How long one statement may take.
const NOTED_WITHIN: Duration = Duration::from_secs(10);

/// Somebody inside, and whether they got nothing.
type Note = ((EventId, AccountId), bool);

/// Where it is said what somebody inside got.
pub struct Seekers {
    queue: mpsc::Sender<Note>,
    rooms: Arc<Rooms>,
}

impl Seekers {
    /// The entrance, and what comes out of it for [`note`].
    #[must_use]
    pub fn new(rooms: Arc<Rooms>) -> (Self, mpsc::Receiver<Note>) {
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        (Self { queue, rooms }, receiver)
    }

    /// They got no places just now, or lost those they had. Never waits.
    pub fn missed(&self, event: EventId, account: AccountId) {
        self.tell(event, account, true);
    }

    /// They have places now, or wait for some that may come back. Never waits.
    pub fn found(&self, event: EventId, account: AccountId) {
        self.tell(event, account, false);
    }

    fn tell(&self, event: EventId, account: AccountId, missed: bool) {
        if self.rooms.known(event).is_some() {
            let _as_before = self.queue.try_send(((event, account), missed));
        }
    }
}

/// Notes it with their passes, until the process ends.
pub async fn note(mut told: mpsc::Receiver<Note>, pg: Kept) {
    let mut notes = Vec::new();
    while told.recv_many(&mut notes, CHUNK).await > 0 {
        // What came last counts.
        let people: HashMap<_, _> = notes.drain(..).collect();
        let events: Vec<Uuid> = people.keys().map(|(event, _)| event.0).collect();
        let accounts: Vec<Uuid> = people.keys().map(|(_, account)| account.0).collect();
        let missed: Vec<bool> = people.into_values().collect();
        let noted = async {
            let mut pg = pg.take().await?;
            // One by one (OFFSET 0), by the one key that has both, and changed where it was found:
            // said plainly, that a pass is good finds everybody inside. Who asks without a pause
            // is noted now and then. A pass that is locked is being ended or noted by others.
            let noted = sqlx::query!(
                "WITH told AS MATERIALIZED (
                     SELECT x.at, u.missed
                     FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
                          AS u (event_id, subject, missed)
                     CROSS JOIN LATERAL (
                         SELECT p.ctid AS at FROM passes p
                         WHERE p.event_id = u.event_id AND p.subject = u.subject
                           AND coalesce(p.ended_at, 'infinity') = 'infinity'
                           AND CASE WHEN u.missed
                               THEN coalesce(p.missed_at, '-infinity') < now() - interval '2 s'
                               ELSE p.missed_at IS NOT NULL END
                         OFFSET 0 FOR UPDATE SKIP LOCKED) x)
                 UPDATE passes p SET missed_at = CASE WHEN t.missed THEN now() END
                 FROM told t WHERE p.ctid = t.at",
                &events,
                &accounts,
                &missed
            )
            .execute(&mut *pg)
            .await;
            pg.give_back(noted)
        };
        match tokio::time::timeout(NOTED_WITHIN, noted).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "who looks for places can't be noted"),
            Err(late) => tracing::warn!(%late, "who looks for places can't be noted"),
        }
        tokio::time::sleep(COLLECT_FOR).await;
    }
}
