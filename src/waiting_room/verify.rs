//! `onsale draw verify`: recomputes somebody's place in a draw, as a stranger would: from what was
//! published, trusting nobody.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use uuid::Uuid;

use super::draw::{Claim, SEED_BYTES, fraction, verify};

/// A shop must answer within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a place follows from, as it is entered; what is left out is read from `url`.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Whose place.
    pub subject: Uuid,
    /// The lane's number; of several, the last that was drawn.
    pub lane: Option<i16>,
    /// The event's id.
    pub event: Option<Uuid>,
    /// The revealed seed, in hexadecimal.
    pub seed: Option<String>,
    /// What was promised: SHA-256 of the seed, in hexadecimal.
    pub seed_hash: Option<String>,
    /// The public value's text.
    pub beacon: Option<String>,
    /// About how many joined the draw.
    pub joined: Option<u64>,
    /// A waiting room's address, to read from it what isn't entered.
    pub url: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The place, and among how many, if that is known.
    Place(i64, Option<u64>),
    /// The seed isn't the one that was promised.
    AnotherSeed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Place(place, joined) = self else {
            return write!(f, "the seed is NOT the one that was promised: its SHA-256 differs");
        };
        let u = fraction(*place);
        write!(f, "place {place} of {}\nu     {u:.9}", super::DRAWN)?;
        match joined {
            Some(n) => write!(f, "\nrank  about {} of {n}", (u * *n as f64) as u64 + 1),
            None => Ok(()),
        }
    }
}

/// What is read of a waiting room.
#[derive(Deserialize)]
struct Published {
    event: Uuid,
    lanes: Vec<PublishedLane>,
}

#[derive(Deserialize)]
struct PublishedLane {
    lane: i16,
    seed_hash: String,
    beacon: Option<String>,
    seed: Option<String>,
    joined: u64,
}

/// Answers a question.
///
/// # Errors
/// In words for people: what is missing, malformed, or can't be read.
pub async fn answer(mut question: Question) -> anyhow::Result<Verdict> {
    if let Some(url) = question.url.take() {
        let request = reqwest::Client::new().get(&url).timeout(ANSWER_WITHIN);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.with_context(|| format!("{url} can't be read"))?;
        let published: Published = answer.json().await.with_context(|| {
            format!("{url} is no waiting room; try http://SHOP/v1/events/EVENT/waiting-room")
        })?;
        complete(&mut question, published)?;
    }
    let text = |value: Option<String>, flag: &str| {
        value.with_context(|| format!("{flag} is missing (or give --url)"))
    };
    let seed = bytes(&text(question.seed, "--seed")?, "--seed")?;
    let seed_hash = question.seed_hash.map(|hash| bytes(&hash, "--seed-hash")).transpose()?;
    let beacon = text(question.beacon, "--beacon")?;
    let claim = Claim {
        event: question.event.context("--event is missing (or give --url)")?,
        lane: question.lane.unwrap_or(0),
        subject: question.subject,
        seed,
        seed_hash,
        beacon: &beacon,
    };
    Ok(verify(&claim).map_or(Verdict::AnotherSeed, |place| Verdict::Place(place, question.joined)))
}

/// Fills in what wasn't entered.
fn complete(question: &mut Question, published: Published) -> anyhow::Result<()> {
    let wanted = question.lane;
    let found = match wanted {
        Some(number) => published.lanes.into_iter().find(|lane| lane.lane == number),
        None => published.lanes.into_iter().rfind(|lane| lane.seed.is_some()),
    };
    let lane = found.context("there is no such lane, or nothing was drawn yet")?;
    question.lane = Some(lane.lane);
    question.event.get_or_insert(published.event);
    question.seed_hash.get_or_insert(lane.seed_hash);
    question.joined.get_or_insert(lane.joined);
    question.seed = question.seed.take().or(lane.seed);
    question.beacon = question.beacon.take().or(lane.beacon);
    anyhow::ensure!(question.seed.is_some(), "that lane's draw has not been made yet");
    Ok(())
}

fn bytes(hexadecimal: &str, flag: &str) -> anyhow::Result<[u8; SEED_BYTES]> {
    let bytes = hex::decode(hexadecimal.trim()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.with_context(|| format!("{flag} has {} hexadecimal digits", SEED_BYTES * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            event: Some(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
            lane: Some(3),
            subject: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0001_0001),
            seed: Some("42".repeat(32)),
            beacon: Some("heads".to_owned()),
            joined: Some(1_000),
            ..Question::default()
        }
    }

    #[tokio::test]
    async fn the_documented_vector_is_found_and_told() {
        let verdict = answer(question()).await.unwrap();
        assert_eq!(verdict, Verdict::Place(3_204_161_058_081_628_751, Some(1_000)));
        let text = verdict.to_string();
        assert!(text.contains("0.694") && text.contains("rank  about 695 of 1000"), "{text}");
    }

    #[tokio::test]
    async fn another_seed_and_nonsense_are_told() {
        let other = Question { seed_hash: Some("00".repeat(32)), ..question() };
        assert_eq!(answer(other).await.unwrap(), Verdict::AnotherSeed);
        for wrong in [
            Question { seed: Some("42".to_owned()), ..question() },
            Question { seed: None, ..question() },
            Question { beacon: None, ..question() },
            Question { event: None, ..question() },
        ] {
            assert!(answer(wrong).await.is_err());
        }
    }

    #[test]
    fn what_is_published_is_filled_in_but_does_not_override() {
        let lane = |lane, seed: Option<&str>| PublishedLane {
            lane,
            seed_hash: "aa".to_owned(),
            beacon: seed.map(|_| "tails".to_owned()),
            seed: seed.map(str::to_owned),
            joined: 7,
        };
        let published = || Published {
            event: Uuid::from_u128(9),
            lanes: vec![lane(0, Some("s0")), lane(1, Some("s1")), lane(2, None)],
        };
        let mut empty = Question::default();
        complete(&mut empty, published()).unwrap();
        assert_eq!(
            (empty.lane, empty.seed.as_deref(), empty.joined),
            (Some(1), Some("s1"), Some(7))
        );
        let mut own = Question { beacon: Some("mine".to_owned()), ..Question::default() };
        complete(&mut own, published()).unwrap();
        assert_eq!(own.beacon.as_deref(), Some("mine"));
        let mut early = Question { lane: Some(2), ..Question::default() };
        assert!(complete(&mut early, published()).is_err());
    }
}
