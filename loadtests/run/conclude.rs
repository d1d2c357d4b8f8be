//! Once all have gone: waits until everything is at rest, counts and audits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use onsale::devstack::Progress;
use tokio::time::sleep;

use super::{Came, Seen, chaos};
use crate::rig::Rig;
use crate::scenario::Fault;
use crate::verdict::report::Facts;
use crate::visitors::{Crowd, Drawer};

/// Orders and holds may take so long to come to rest once all are gone, beyond what the sale's
/// terms let them take.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// What a server was interrupted in, mails above all, others take over after so long.
const LEASES_WITHIN: Duration = Duration::from_mins(7);
/// How often the audit is repeated in that time.
const AUDIT_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const REST_EVERY: Duration = Duration::from_millis(250);

/// Audits, again and again for so long while it finds anything.
async fn audit(rig: &Rig, patience: Duration) -> Result<(bool, String)> {
    let started = Instant::now();
    loop {
        let audit = rig.shop.audit().await?;
        if audit.0 || started.elapsed() >= patience {
            return Ok(audit);
        }
        sleep(AUDIT_EVERY).await;
    }
}

/// Waits until everything is at rest, counts and audits.
///
/// # Errors
/// If the servers or the audit can't be asked.
pub async fn conclude(
    rig: &Rig,
    crowd: &Arc<Crowd>,
    came: Came,
    seen: Seen,
    say: &Progress,
) -> Result<Facts> {
    let Came { gone, chaos: struck, interrupted, .. } = came;
    say("waiting until everything is at rest");
    let terms = crowd.scenario.terms;
    let unpaid = Duration::from_secs(u64::try_from(terms.hold_seconds + terms.pay_seconds)?);
    let deadline = Instant::now() + REST_WITHIN + unpaid;
    let drawer = loop {
        let drawer = crowd.drawer().await;
        if drawer.as_ref().is_some_and(Drawer::is_at_rest) || Instant::now() > deadline {
            break drawer;
        }
        sleep(REST_EVERY).await;
    };
    // Whatever a server was interrupted in telling, by its own end or by Postgres's, is leased.
    let interrupting = [Fault::KillServer.name(), Fault::RestartPostgres.name()];
    let was_interrupted = struck.iter().any(|row| interrupting.contains(&row.what.as_str()));
    let leases = if was_interrupted { LEASES_WITHIN } else { Duration::ZERO };
    let drained = rig.shop.drain(leases).await?;
    if crowd.scenario.chaos.iter().any(|chaos| chaos.what == Fault::CorruptTicket) {
        say("chaos: the database is corrupted");
        chaos::corrupt(&rig.shop.pg).await?;
    }
    say("auditing");
    let audit = audit(rig, leases).await?;
    Ok(Facts { drawer, drained, audit, chaos: struck, ..Facts::of(crowd, gone, seen, interrupted) })
}
