//! What stands in front of servers: a balancer that asks each whether it is ready, and sends nobody
//! to one that isn't. Without it every restart would be a crowd at a closed port.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::visitors::Crowd;
use crate::wire::{Ask, Origin};

/// How often it asks: servers that stop say so for longer before they close.
const EVERY: Duration = Duration::from_millis(250);
/// A server that says nothing for so long isn't ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks, until the program stops asking. Each server by itself: a slow one says nothing of others.
pub async fn balance(crowd: Arc<Crowd>) {
    join_all(crowd.servers.iter().map(watch)).await;
}

async fn watch(server: &Origin) {
    let Ok(probe) = Origin::new(server.address(), 1) else { return };
    loop {
        let answer = timeout(PATIENCE, probe.ask("/health/ready", Ask::default())).await;
        let is_ready =
            answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success()));
        server.take_out(!is_ready);
        sleep(EVERY).await;
    }
}
