//! The waiting room: join, ask as told, take the turn.

use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use onsale::waiting_room::DRAWN;
use onsale::waiting_room::proof::{self, Challenge};
use rand::Rng;

use super::asking::{Onward, Reply};
use super::bodies::{JoinBody, PassBody, PlaceBody, SessionBody};
use super::persona::Persona;
use super::visitor::{Reach, Spot, Stage, Visitor};
use super::{MEMBERS_CODE, PRESALE};
use crate::verdict::tally::{Ending, Step};
use crate::wire::Ask;

/// Who is told "sold out" while in line goes home with this chance, each time.
const GOES_WHEN_SOLD_OUT: f64 = 0.3;
/// Wanderers leave the line at a poll with this chance, and miss their turn with the other.
const WANDERS_OFF: f64 = 0.04;
const MISSES_TURN: f64 = 0.4;
/// Double-clickers reload and join again once in so many polls.
const RELOADS: f64 = 0.2;
/// Who was told that it is their turn, and then that it isn't, asks again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Proofs that somebody makes to join once.
const MAX_PROOFS: u32 = 4;
/// What takes more hashes to prove is solved beside the other visitors.
const HEAVY_PROOF: u32 = 20_000;

impl Visitor {
    /// Gets a session.
    pub(super) async fn enter(&mut self) -> Onward<()> {
        let ask = || Ask { post: true, ..Ask::default() };
        let Reply::Yes(answer) = self.ask(Step::Session, "/v1/sessions", ask).await? else {
            return Err(Ending::Failed);
        };
        self.take_session(Step::Session, &answer.body)
    }

    /// Goes on with the session of an answer.
    pub(super) fn take_session(&mut self, step: Step, body: &[u8]) -> Onward<()> {
        let body: SessionBody<'_> = self.parse(step, body)?;
        let session = HeaderValue::try_from(format!("Bearer {}", body.token));
        let session = session.map_err(|error| self.mistake(step, "token", &error.to_string()))?;
        self.session = Some(session);
        Ok(())
    }

    /// Joins the line, with proof of work where it is asked for. Whoever never heard the answer
    /// proves once more: the first proof may have been taken.
    pub(super) async fn join(&mut self) -> Onward<()> {
        for _ in 0..MAX_PROOFS {
            if self.try_to_join().await? {
                return Ok(());
            }
        }
        Err(Ending::TurnedAway)
    }

    async fn try_to_join(&mut self) -> Onward<bool> {
        let proof = match &self.crowd.scenario.waiting_room {
            // A code by mail takes the place of the proof.
            Some(door) if door.proof_hashes > 0 && !self.signed_in => {
                Some(self.prove(door.proof_hashes).await?)
            }
            _ => None,
        };
        let mut body = serde_json::Map::new();
        body.extend(proof.map(|proof| ("proof".to_owned(), proof.into())));
        if self.persona == Persona::Member {
            body.insert("lane".to_owned(), PRESALE.into());
            body.insert("access_code".to_owned(), MEMBERS_CODE.into());
        }
        let body = serde_json::Value::Object(body).to_string();
        let (path, session) = (format!("{}/join", self.crowd.room_path), self.session.clone());
        let ask = || Ask { body: Some(body.clone()), session: session.as_ref(), ..Ask::default() };
        let answer = match self.ask(Step::Join, &path, ask).await? {
            Reply::Yes(answer) => answer,
            Reply::No(refusal) if refusal.code == "proof_spent" => return Ok(false),
            Reply::No(refusal) if refusal.code == "sign_in_needed" && !self.signed_in => {
                return self.sign_in().await.map(|()| false);
            }
            Reply::No(refusal) => return Err(shut_out(&refusal.code)),
        };
        let joined: JoinBody = self.parse(Step::Join, &answer.body)?;
        self.token = joined.token;
        self.stand(Spot::InLine);
        let second = self.second();
        self.note(|tally| tally.second(second).joined += 1);
        self.stage = Stage::Waiting;
        self.told_to_wait(joined.poll_after_ms);
        Ok(true)
    }

    async fn prove(&mut self, hashes: u32) -> Onward<String> {
        let (path, session) = (format!("{}/challenge", self.crowd.room_path), self.session.clone());
        let ask = || Ask { session: session.as_ref(), ..Ask::default() };
        let Reply::Yes(answer) = self.ask(Step::Challenge, &path, ask).await? else {
            return Err(Ending::Failed);
        };
        let challenge: Challenge = self.parse(Step::Challenge, &answer.body)?;
        let solved = if hashes > HEAVY_PROOF {
            tokio::task::spawn_blocking(move || proof::solve(&challenge)).await.ok().flatten()
        } else {
            proof::solve(&challenge)
        };
        self.due = Instant::now();
        solved.ok_or_else(|| self.mistake(Step::Challenge, "proof", "no solution"))
    }

    fn told_to_wait(&mut self, poll_after_ms: u64) {
        let mut after = Duration::from_millis(poll_after_ms);
        if self.persona == Persona::DoubleClicker {
            after /= 2;
        }
        self.due = Instant::now() + after;
        if self.persona == Persona::LostPhone || self.reach != Reach::Own {
            self.own = None;
        }
    }

    /// One poll, and the turn if it has come.
    pub(super) async fn ask_for_turn(&mut self) -> Onward<()> {
        self.polls += 1;
        if self.persona == Persona::DoubleClicker && self.rng.random_bool(RELOADS) {
            return self.join_again().await;
        }
        let (path, token) = (format!("{}/place", self.crowd.room_path), self.token.clone());
        let ask = || Ask { queue: Some(&token), ..Ask::default() };
        let Reply::Yes(answer) = self.ask(Step::Poll, &path, ask).await? else {
            return Err(Ending::Failed);
        };
        let place: PlaceBody<'_> = self.parse(Step::Poll, &answer.body)?;
        if self.rank.is_none()
            && let Some(at) = place.place.and_then(|text| text.parse::<i64>().ok())
            && at < DRAWN
        {
            self.rank = Some((at as f64 / DRAWN as f64) as f32);
        }
        match place.state {
            "your_turn" => self.take_turn().await,
            "lifted" => Err(self.shop().await),
            "closed" => Err(Ending::LineClosed),
            "missed" => Err(Ending::MissedTurn),
            "sold_out" if self.rng.random_bool(GOES_WHEN_SOLD_OUT) => Err(Ending::SoldOutInLine),
            "pre_queue" | "drawing" | "waiting" | "paused" | "sold_out" | "second_chance" => {
                if self.persona == Persona::Wanderer && self.rng.random_bool(WANDERS_OFF) {
                    return Err(Ending::LeftLine);
                }
                self.told_to_wait(place.poll_after_ms);
                Ok(())
            }
            other => {
                let what = format!("an unknown state: {other}");
                Err(self.mistake(Step::Poll, "state", &what))
            }
        }
    }

    /// Joining again with the token must give the same place; after the opening its turn may be
    /// over.
    async fn join_again(&mut self) -> Onward<()> {
        let before = self.token.clone();
        let body = serde_json::json!({ "token": before }).to_string();
        let (path, session) = (format!("{}/join", self.crowd.room_path), self.session.clone());
        let ask = || Ask { body: Some(body.clone()), session: session.as_ref(), ..Ask::default() };
        let answer = match self.ask(Step::Join, &path, ask).await? {
            Reply::Yes(answer) => answer,
            Reply::No(refusal) => return Err(shut_out(&refusal.code)),
        };
        let joined: JoinBody = self.parse(Step::Join, &answer.body)?;
        if joined.token != self.token && self.crowd.since_opening(Instant::now()) < 0.0 {
            return Err(self.mistake(Step::Join, "two places", "joining again gave another place"));
        }
        self.token = joined.token;
        self.told_to_wait(joined.poll_after_ms);
        Ok(())
    }

    async fn take_turn(&mut self) -> Onward<()> {
        if self.persona == Persona::Wanderer && self.rng.random_bool(MISSES_TURN) {
            return Err(Ending::MissedTurn);
        }
        let thinking = self.crowd.scenario.thinking;
        self.think(thinking.notice_s).await;
        let body = serde_json::json!({ "token": self.token }).to_string();
        let (path, session) = (format!("{}/pass", self.crowd.room_path), self.session.clone());
        let ask = || Ask { body: Some(body.clone()), session: session.as_ref(), ..Ask::default() };
        let answer = match self.ask(Step::Pass, &path, ask).await? {
            Reply::Yes(answer) => answer,
            Reply::No(refusal) if refusal.code == "turn_spent" => return Err(Ending::MissedTurn),
            Reply::No(_) => {
                self.due = Instant::now() + ASK_AGAIN;
                return Ok(());
            }
        };
        let pass: PassBody = self.parse(Step::Pass, &answer.body)?;
        self.pass = Some(pass.pass);
        self.admitted = Some(Instant::now());
        let second = self.second();
        self.note(|tally| tally.second(second).admitted += 1);
        let ending = self.shop().await;
        if ending != Ending::Bought && !matches!(ending, Ending::Vanished | Ending::Failed) {
            self.give_up_pass().await;
        }
        Err(ending)
    }

    /// Says goodbye, so that somebody else is let in.
    async fn give_up_pass(&mut self) {
        let (path, session) = (format!("{}/pass", self.crowd.room_path), self.session.clone());
        let Some(pass) = self.pass.take() else { return };
        let ask =
            || Ask { delete: true, session: session.as_ref(), pass: Some(&pass), ..Ask::default() };
        // Whether it is heard changes nothing for who leaves.
        let _ = self.ask(Step::GiveUp, &path, ask).await;
    }
}

/// How a visit ends that is refused at the door.
fn shut_out(code: &str) -> Ending {
    if code == "sign_in_needed" { Ending::SignInNeeded } else { Ending::LineClosed }
}
