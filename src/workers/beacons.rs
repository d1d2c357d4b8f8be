//! Beacons: what draws wait for is fetched where the operator has said from whom, and mixed in.
//!
//! A worker of its own: nobody in any line waits because a relay is slow. Every process asks;
//! whoever is first mixes it in, and what is mixed in stays.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::App;
use crate::ids::EventId;
use crate::registrations;
use crate::waiting_room::draw::Draw;
use crate::waiting_room::{self, Phase};

/// Draws that wait at once; the others have to wait for the next look.
const MAX_DUE: usize = 64;
/// Relays asked at once.
const AT_ONCE: usize = 8;
/// Longest answer that is read, in bytes; one of drand's has less than 1,000.
const MAX_ANSWER_BYTES: usize = 16_384;

/// Whose draw it is.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// A lane's of a waiting room.
    Lane(EventId, i16),
    /// A presale registration's.
    Registration(Uuid),
}

/// Fetches and mixes in whatever beacons are due. Never more to do at once.
///
/// # Errors
/// If Postgres fails. A relay that gives no good answer is asked again later.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    let template = &app.config.waiting_room.beacon_url;
    if template.is_empty() {
        return Ok(false);
    }
    let mut due = lanes(app).await?;
    for registration in registrations::store::read(&app.pg, None, None, true).await? {
        due.extend(awaited(&registration.draw, Whose::Registration(registration.id)));
    }
    due.truncate(MAX_DUE);
    let within = Duration::from_millis(app.config.waiting_room.beacon_within_ms);
    let mut answers = stream::iter(due)
        .map(|(whose, round)| async move {
            let url = template.replace("{round}", &round.to_string());
            let answer = tokio::time::timeout(within, fetch(&url, round)).await;
            (whose, answer.map_err(anyhow::Error::from).and_then(|answer| answer))
        })
        .buffer_unordered(AT_ONCE);
    while let Some((whose, answer)) = answers.next().await {
        match answer {
            Ok(beacon) => mix_in(app, whose, &beacon).await?,
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(?whose, why, "a draw has to wait: its beacon can't be fetched");
            }
        }
    }
    Ok(false)
}

/// The round that a draw still waits for.
fn awaited(draw: &Draw, whose: Whose) -> Option<(Whose, i64)> {
    draw.beacon_round.filter(|_| !draw.is_drawn()).map(|round| (whose, round))
}

/// The lanes that nobody can join before the draw any more.
async fn lanes(app: &App) -> sqlx::Result<Vec<(Whose, i64)>> {
    let events =
        sqlx::query_scalar!("SELECT event_id FROM waiting_rooms WHERE state IN ('open', 'paused')")
            .fetch_all(&app.pg)
            .await?;
    let mut due = Vec::new();
    for event in events.into_iter().map(EventId) {
        let Some(room) = app.rooms.get(event).await? else { continue };
        let now_ms = app.rooms.now_ms();
        for lane in room.lanes.iter().filter(|lane| room.phase(lane, now_ms) == Phase::Drawing) {
            due.extend(awaited(&lane.draw, Whose::Lane(event, lane.number)));
        }
    }
    Ok(due)
}

async fn mix_in(app: &App, whose: Whose, beacon: &str) -> sqlx::Result<()> {
    let mixed_in = match whose {
        Whose::Lane(event, lane) => {
            waiting_room::store::put_beacon(&app.pg, event, lane, beacon).await?
        }
        Whose::Registration(id) => registrations::store::put_beacon(&app.pg, id, beacon).await?,
    };
    // Whoever was first: it is asked for no more.
    if let Whose::Lane(event, _) = whose {
        app.rooms.refresh(&[event]).await?;
    }
    if mixed_in {
        tracing::info!(?whose, beacon, "a beacon was mixed into a draw");
    }
    Ok(())
}

/// A relay's answer, as drand's relays give it.
#[derive(Deserialize)]
struct Beacon {
    round: i64,
    randomness: String,
    signature: String,
}

/// The value of a round. What can be told from the answer alone is checked: that it is of that
/// round, and that the value follows from the signature. Whether the network has signed is for
/// whoever verifies the draw: the beacon's name says where to read the value.
async fn fetch(url: &str, round: i64) -> anyhow::Result<String> {
    let mut answer = reqwest::get(url).await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        ensure!(body.len() <= MAX_ANSWER_BYTES, "the answer has no end");
    }
    read(&body, round)
}

fn read(body: &[u8], round: i64) -> anyhow::Result<String> {
    let beacon: Beacon = serde_json::from_slice(body).context("the answer is no beacon")?;
    ensure!(beacon.round == round, "the answer is of round {}, not {round}", beacon.round);
    let signature = hex::decode(&beacon.signature).context("the signature is no hexadecimal")?;
    ensure!(!signature.is_empty(), "there is no signature");
    let value = hex::encode(Sha256::digest(signature));
    ensure!(value == beacon.randomness, "the value doesn't follow from the signature");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_of_that_round_that_follows_from_its_signature_is_taken() {
        let value = hex::encode(Sha256::digest([0xab, 0xcd]));
        let answer = |round: i64, value: &str, signature: &str| {
            let answer = serde_json::json!({"round": round, "randomness": value,
                "signature": signature, "previous_signature": "00"});
            read(answer.to_string().as_bytes(), 7).ok()
        };
        assert_eq!(answer(7, &value, "abcd").as_deref(), Some(value.as_str()));
        assert_eq!(answer(8, &value, "abcd"), None);
        assert_eq!(answer(7, &value, "abce"), None);
        assert_eq!(answer(7, &value.to_uppercase(), "abcd"), None);
        assert_eq!(answer(7, &hex::encode(Sha256::digest([])), ""), None);
        assert_eq!(answer(7, &value, "xyz"), None);
        assert!(read(b"<html>", 7).is_err() && read(br#"{"round": 7}"#, 7).is_err());
    }
}
