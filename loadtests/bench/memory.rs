//! What a visitor who waits costs the server in memory: everybody joins and polls once.

use anyhow::{Context, Result};

use super::stage::{Cost, Stage};
use super::{CONNECTIONS, figure::Figure};
use crate::rig::gauge::resident_bytes;
use crate::waiting::drive::{Target, Until, drive};

/// Who joins and polls before anything is counted, so that the process has grown what it needs
/// for anybody at all.
const WARM_UP: u64 = 5_000;

/// Lets so many visitors wait. Once: what a process has grown it rarely gives back.
///
/// # Errors
/// If any of them can't join or poll.
pub async fn window(stage: &Stage, visitors: u64, figure: &mut Figure) -> Result<()> {
    let server = stage.rig.shop.server_pids().first().copied().context("there is no server")?;
    wait(stage, WARM_UP.min(visitors)).await?;
    let before = resident_bytes(server)?;
    let cost = Cost::begin(stage);
    wait(stage, visitors).await?;
    cost.end(stage, "visitor who joins and polls", visitors, figure);
    let after = resident_bytes(server)?;
    figure.value.0.push(after.saturating_sub(before) as f64 / visitors as f64);
    figure.limit.0.push(0.0);
    figure.notes.push(format!(
        "measured once: {:.1} MB with {} visitors, {:.1} MB with {visitors} more",
        before as f64 / 1e6,
        WARM_UP.min(visitors),
        after as f64 / 1e6
    ));
    Ok(())
}

async fn wait(stage: &Stage, visitors: u64) -> Result<()> {
    let polling = stage.join(visitors).await?;
    let target = Target::new(stage.server(), CONNECTIONS);
    drive(target, polling, 0, Until::Count(visitors)).await?;
    Ok(())
}
