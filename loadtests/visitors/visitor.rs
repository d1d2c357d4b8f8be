//! A visitor: small enough for a hundred thousand of them to wait.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep_until;

use super::Crowd;
use super::asking::Onward;
use super::persona::Persona;
use crate::scenario::Origin;
use crate::verdict::tally::{Ending, Fate, Tally};
use crate::wire::Connection;

/// Where visitors are, to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// On the way in, or out.
    Outside,
    /// In the waiting room.
    InLine,
    /// With a pass, or without a waiting room: choosing.
    Inside,
    /// With places on hold.
    Holding,
    /// With an order to be paid.
    Paying,
}

/// How many are where.
pub const SPOTS: usize = 5;

/// How a visitor reaches the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through a kept connection of their own.
    Own,
    /// Through a new connection each time.
    Fresh,
    /// Through connections that many share, as through a proxy.
    Shared,
    /// Over HTTP/2, through connections that many use at once.
    Multiplexed,
}

/// What a visitor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Comes.
    Arriving,
    /// Asks whether it is their turn.
    Waiting,
}

/// A visitor.
pub struct Visitor {
    pub(super) crowd: Arc<Crowd>,
    /// Which one: names their keys and their address.
    pub number: u64,
    /// Of which kind.
    pub persona: Persona,
    /// Where they come from.
    pub(super) origin: Origin,
    /// When the next request is intended: latencies count from here.
    pub due: Instant,
    /// When they were to come.
    pub(super) intended: Instant,
    pub(super) stage: Stage,
    pub(super) session: Option<HeaderValue>,
    /// Whether the session is that of an account.
    pub(super) signed_in: bool,
    pub(super) token: String,
    pub(super) pass: Option<Box<str>>,
    pub(super) own: Option<Connection>,
    pub(super) reach: Reach,
    pub(super) requests: u32,
    pub(super) polls: u32,
    /// Where the draw has put them, 0 to 1.
    pub(super) rank: Option<f32>,
    pub(super) admitted: Option<Instant>,
    pub(super) bought: u32,
    pub(super) rng: SmallRng,
    spot: Spot,
}

impl Crowd {
    /// Takes one of the connections of visitors' own, if there is one.
    fn takes_own(&self) -> bool {
        let most = self.shard.share(self.scenario.connections.own);
        let is_taken = self.own_taken.fetch_add(1, Ordering::Relaxed) < most;
        if !is_taken {
            self.own_taken.fetch_sub(1, Ordering::Relaxed);
        }
        is_taken
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.crowd.spots[self.spot as usize].fetch_sub(1, Ordering::Relaxed);
        if self.reach == Reach::Own {
            self.crowd.own_taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Visitor {
    /// The same seed and number give the same visitor.
    pub fn new(crowd: &Arc<Crowd>, number: u64, intended: Instant) -> Self {
        let scenario = &crowd.scenario;
        // Neighbouring seeds give unrelated streams.
        let seed = scenario.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = SmallRng::seed_from_u64(seed);
        let persona = crowd.mix.draw(&mut rng);
        let fresh = rng.random_bool(scenario.connections.fresh);
        let h2 = scenario.connections.h2;
        // Drawn only where it is asked for: other visitors stay who they are.
        let reach = if h2 > 0.0 && rng.random_bool(h2) {
            Reach::Multiplexed
        } else if crowd.takes_own() {
            Reach::Own
        } else if fresh {
            Reach::Fresh
        } else {
            Reach::Shared
        };
        // Drawn only where it is asked for as well.
        let origin = scenario.origin(persona, number, &mut rng).unwrap_or_else(|| {
            let is_abroad = crowd.abroad.is_some();
            if is_abroad { persona.played_address(number) } else { persona.address(number) }
        });
        crowd.spots[Spot::Outside as usize].fetch_add(1, Ordering::Relaxed);
        Self {
            crowd: crowd.clone(),
            number,
            persona,
            origin,
            due: intended,
            intended,
            stage: Stage::Arriving,
            session: None,
            signed_in: false,
            token: String::new(),
            pass: None,
            own: None,
            reach,
            requests: 0,
            polls: 0,
            rank: None,
            admitted: None,
            bought: 0,
            rng,
            spot: Spot::Outside,
        }
    }

    /// Moves on.
    pub(super) fn stand(&mut self, spot: Spot) {
        self.crowd.spots[self.spot as usize].fetch_sub(1, Ordering::Relaxed);
        self.crowd.spots[spot as usize].fetch_add(1, Ordering::Relaxed);
        self.spot = spot;
    }

    /// Their address on loopback.
    pub(super) fn address(&self) -> Ipv4Addr {
        let [a, b, c] = self.origin;
        Ipv4Addr::new(127, a, b, c)
    }

    pub(super) fn note<T>(&self, count: impl FnOnce(&mut Tally) -> T) -> T {
        self.crowd.tallies.note(self.number, count)
    }

    /// Seconds from the beginning of the run on.
    pub(super) fn second(&self) -> usize {
        self.crowd.second()
    }

    /// Thinks for so long, if they think at all; the next request is intended after that.
    pub(super) async fn think(&mut self, [from, to]: [f64; 2]) {
        if self.persona.thinks() {
            let seconds = if to > from { self.rng.random_range(from..to) } else { from };
            self.wait(Duration::from_secs_f64(seconds)).await;
        } else {
            self.due = Instant::now();
        }
    }

    /// Waits so long; the next request is intended after that.
    pub(super) async fn wait(&mut self, time: Duration) {
        self.due = Instant::now() + time;
        if !time.is_zero() {
            sleep_until(self.due.into()).await;
        }
    }

    /// Goes on from where they are: nothing once they have gone.
    pub async fn go(mut self: Box<Self>) -> Option<Box<Self>> {
        let late = self.due.elapsed();
        let second = self.second();
        self.note(|tally| {
            tally.late.record(late);
            tally.second(second).late_ms =
                tally.second(second).late_ms.max(late.as_secs_f32() * 1e3);
        });
        let ended = match self.stage {
            Stage::Arriving => self.arrive().await,
            Stage::Waiting => self.ask_for_turn().await,
        };
        match ended {
            Ok(()) => Some(self),
            Err(ending) => {
                self.end(ending);
                None
            }
        }
    }

    async fn arrive(&mut self) -> Onward<()> {
        let second = self.second();
        self.note(|tally| tally.second(second).arrived += 1);
        self.enter().await?;
        if self.crowd.scenario.waiting_room.is_some() {
            return self.join().await;
        }
        Err(self.shop().await)
    }

    /// Counts how it ended.
    pub fn end(&mut self, ending: Ending) {
        let fate = Fate {
            persona: self.persona,
            ending,
            came_s: self.crowd.since_opening(self.intended),
            rank: self.rank,
            admitted_s: self.admitted.map(|at| self.crowd.since_opening(at)),
            tickets: self.bought,
        };
        self.note(|tally| tally.fates.push(fate));
    }
}
