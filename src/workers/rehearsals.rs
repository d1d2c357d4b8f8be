//! Rehearsals: drawn when joining has closed, ended when their time is up, and removed.
//!
//! Each step is done by whoever comes first, and again by others after a crash; none of them does
//! harm twice.

use crate::app::App;
use crate::rehearsals::store;
use crate::waiting_room;

/// How long after its end a rehearsal is removed, in seconds: every process has heard of it by then.
const SETTLE_S: f64 = 2.0;
/// How long after its removal it is removed once more and forgotten, in seconds: longer than any
/// request or worker goes on with what it has begun.
const KEPT_S: f64 = 600.0;

/// Does what is due of every rehearsal. Always false: the next look is soon enough.
///
/// # Errors
/// If Postgres fails. Trouble with one rehearsal doesn't stop the others.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    if store::any(&app.pg).await? {
        go_on(app).await?;
    }
    forget_pictures(app);
    Ok(false)
}

async fn go_on(app: &App) -> sqlx::Result<()> {
    for shadow in store::overdue(&app.pg).await? {
        store::end(&app.pg, shadow).await?;
        app.catalog.refresh(shadow).await?;
        tracing::info!(%shadow, "a rehearsal has ended, because its time is up");
    }
    for (shadow, lane) in store::undrawn(&app.pg).await? {
        let beacon = hex::encode(rand::random::<[u8; 32]>());
        waiting_room::store::put_beacon(&app.pg, shadow, lane, &beacon).await?;
    }
    for shadow in store::ended(&app.pg, SETTLE_S).await? {
        match store::remove(app, shadow).await {
            Ok(()) => tracing::info!(%shadow, "nothing of a rehearsal is left"),
            Err(problem) => tracing::warn!(%shadow, ?problem, "a rehearsal can't be removed yet"),
        }
    }
    for shadow in store::removed(&app.pg, KEPT_S).await? {
        match store::remove(app, shadow).await {
            Ok(()) => store::forget(&app.pg, shadow).await?,
            Err(problem) => tracing::warn!(%shadow, ?problem, "a rehearsal stays remembered"),
        }
    }
    Ok(())
}

/// What this process keeps of events that are gone, beside the catalog.
fn forget_pictures(app: &App) {
    let known: std::collections::HashSet<_> = app.catalog.known().into_iter().collect();
    app.availability.retain(|event| known.contains(&event));
    app.manifests.retain(|event, _| known.contains(event));
    app.charts.retain(|event, _| known.contains(event));
    app.drawers.retain(|event, _| known.contains(event));
}
