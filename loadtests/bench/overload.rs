//! More holds than the server can do: what it still does of them, and how long they take.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use onsale::ids::AccountId;
use onsale::keyring::Keyring;
use serde_json::json;

use super::CONNECTIONS;
use super::figure::Figure;
use super::holds::{Holding, post, wish};
use super::open_loop::{Offering, offer};
use super::stage::{Cost, Stage};
use super::stock::Stock;
use crate::waiting::client::Reply;
use crate::waiting::drive::{Target, Until, drive};

/// Offered, in shares of the peak; the last is what is judged by goodput, the first by waits.
const SHARES: [f64; 3] = [0.8, 1.5, 3.0];
/// More than the peak may be held when more is offered, but not by so much.
const MOST: f64 = 1.5;
/// What is said when nothing was begun.
const SHED: &[u8] = b"\"code\":\"overloaded\"";

/// Holds of pairs that are still free.
struct Rush {
    keyring: Arc<Keyring>,
    stock: Arc<Stock>,
    free: Mutex<Vec<usize>>,
}

impl Offering for Rush {
    fn write(&self, request: &mut Vec<u8>) -> Result<usize> {
        let next = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let at = next.context("everything is held")?;
        let pair = self.stock.pairs[at];
        let mut path = String::with_capacity(64);
        write!(path, "/v1/events/{}/holds", self.stock.events[pair.event].slug)?;
        let session = self.keyring.session(AccountId::fresh(), Timestamp::now());
        post(request, &path, &session, "1", &wish(&pair));
        Ok(at)
    }

    fn read(&self, about: usize, reply: &Reply<'_>) -> Result<bool> {
        if [503, 504].contains(&reply.status) {
            // Of any other such answer the places may be held all the same.
            if reply.body.windows(SHED.len()).any(|part| part == SHED) {
                self.free.lock().unwrap_or_else(PoisonError::into_inner).push(about);
            }
            return Ok(false);
        }
        let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
        ensure!(reply.status == 201, "a hold: {} {}", reply.status, shown());
        Ok(true)
    }
}

/// The peak, in a closed loop in which the crowd's connections take turns, and then each share of
/// it in an open one over as many.
///
/// # Errors
/// If any answer is neither a hold nor "too busy".
pub async fn window(
    stage: &Stage,
    (stock, crowd): (&Arc<Stock>, usize),
    length: Duration,
    figure: &mut Figure,
) -> Result<()> {
    stage.empty(stock).await?;
    // Of the same crowd: a server that talks with thousands does less than one that knows a few.
    let target = Target { address: stage.server(), connections: crowd, at_once: CONNECTIONS };
    let holding = Arc::new(Holding { keyring: stage.keyring.clone(), stock: stock.clone() });
    let most = stock.pairs.len() as u64;
    let peak = drive(target, holding, 0, Until::Either(most, length)).await?.per_s;
    figure.limit.0.push(peak);
    figure.notes.clear();
    let mut parts = Vec::new();
    for share in SHARES {
        stage.empty(stock).await?;
        let free = Mutex::new((0..stock.pairs.len()).rev().collect());
        let keyring = stage.keyring.clone();
        let rush = Arc::new(Rush { keyring, stock: stock.clone(), free });
        let cost = Cost::begin(stage);
        // Held places don't come back: what there is must last for the window.
        let lasting_s = most.saturating_sub(crowd as u64) as f64 / (peak * share.min(MOST));
        let length = length.min(Duration::from_secs_f64(lasting_s));
        let offered = offer(stage.server(), crowd, (peak * share, length), rush).await?;
        let mut notes = std::mem::take(&mut figure.notes);
        cost.end(stage, "hold", (offered.good_per_s * length.as_secs_f64()) as u64, figure);
        notes.push(format!(
            "offered {:.0} % ({:.0}/s, sent {:.0}/s): {:.0} holds/s, {:.0}/s told to come again; \
             from the intended moment p50 {:.1} ms, p99 {:.1} ms; generator late p99 {:.1} ms",
            share * 100.0,
            offered.intended_per_s,
            offered.sent_per_s,
            offered.good_per_s,
            offered.refused_per_s,
            offered.p50_ms,
            offered.p99_ms,
            offered.late_p99_ms
        ));
        notes.extend(figure.notes.drain(..).filter(|note| note.contains("core was full")));
        figure.notes = notes;
        parts.push(json!({ "offered": share, "length_s": length.as_secs_f64(), "was": offered }));
        if share <= 1.0
            && let Some(also) = &mut figure.also
        {
            also.value.0.push(offered.p99_ms);
        }
        if share >= SHARES[SHARES.len() - 1] {
            figure.value.0.push(offered.good_per_s);
        }
    }
    figure.part(json!({ "peak_per_s": peak, "shares": parts }));
    Ok(())
}
