//! What there is to do in the queues of Postgres, asked for all of them at once: at rest a process
//! asks one question a few times a second, and not one for each queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::app::App;
use crate::orders::mirror::MISSED_AFTER;

/// A worker that isn't called looks for itself now and then.
const UNCALLED: Duration = Duration::from_secs(5);

/// Calls the workers of queues that have something for them.
#[derive(Clone, Default)]
pub struct Bells {
    /// Claims whose time to pay is over, and late money.
    pub deadlines: Bell,
    /// Commits that Redis has not followed.
    pub mirror: Bell,
    /// Commits to be told, and mails about orders.
    pub outbox: Bell,
    /// Codes to be mailed.
    pub sign_ins: Bell,
    /// Draws of registrations, and mails about them.
    pub registrations: Bell,
    /// Money that goes back.
    pub refunds: Bell,
}

/// Calls one worker.
#[derive(Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    fn ring_if(&self, due: bool) {
        if due {
            self.0.notify_one();
        }
    }

    /// Waits for a call, but not for ever.
    pub async fn wait(&self) {
        // Without a call in time there is a look as well.
        let _ = tokio::time::timeout(UNCALLED, self.0.notified()).await;
    }
}

/// Looks, and calls whoever has something to do: each query finds what that worker's own would
/// find. Always false: the next look is soon enough.
///
/// # Errors
/// If Postgres fails. Workers that aren't called look for themselves.
pub async fn run_once(app: &App, bells: &Bells) -> sqlx::Result<bool> {
    let mut pg = app.errands.take().await?;
    let due = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM payment_deadlines WHERE due_at <= now()) AS "deadlines!",
                  EXISTS (SELECT FROM mirror WHERE created_at < now() - make_interval(secs => $1))
                      AS "mirror!",
                  EXISTS (SELECT FROM outbox)
                      OR EXISTS (SELECT FROM mails WHERE sent_at IS NULL AND due_at <= now())
                      AS "outbox!",
                  EXISTS (SELECT FROM sign_ins WHERE sent_at IS NULL AND due_at <= now()
                          AND expires_at > now()) AS "sign_ins!",
                  EXISTS (SELECT FROM registrations
                          WHERE done_at IS NULL AND draw_at <= now())
                      OR EXISTS (SELECT FROM registrants WHERE outcome IS NOT NULL
                                 AND sent_at IS NULL AND due_at <= now()) AS "registrations!",
                  EXISTS (SELECT FROM refunds WHERE status IN ('due', 'pending')
                          AND due_at <= now()) AS "refunds!""#,
        MISSED_AFTER.as_secs_f64()
    )
    .fetch_one(&mut *pg)
    .await;
    let due = pg.give_back(due)?;
    bells.deadlines.ring_if(due.deadlines);
    bells.mirror.ring_if(due.mirror);
    bells.outbox.ring_if(due.outbox);
    bells.sign_ins.ring_if(due.sign_ins);
    bells.registrations.ring_if(due.registrations);
    bells.refunds.ring_if(due.refunds);
    Ok(false)
}
