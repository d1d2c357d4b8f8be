//! How visitors ask: repeated when turned away, every answer counted as what it is.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use rand::Rng;
use serde::Deserialize;
use tokio::time::sleep;

use super::bodies::ProblemBody;
use super::visitor::{Reach, Visitor};
use crate::verdict::tally::{Ending, Step};
use crate::wire::{Answer, Ask, Origin, WireError};

/// Whoever is turned away, or gets no answer, asks again for so long.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause before a request is repeated, unless the answer says another; it doubles.
const REPEAT_AFTER: Duration = Duration::from_millis(200);
/// Longest pause.
const REPEAT_AFTER_AT_MOST: Duration = Duration::from_secs(5);

/// Answers that ask for the same request again, with the same key.
const AGAIN: [StatusCode; 4] = [
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
    StatusCode::BAD_GATEWAY,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Noes that belong to a sale. Everything else that isn't a success is a mistake, of the servers
/// or of this program.
const REFUSALS: [&str; 20] = [
    "places_taken",
    "none_left",
    "orphan_seat",
    "account_limit",
    "quota_reached",
    "not_on_sale",
    "hold_gone",
    "hold_in_checkout",
    "claim_lost",
    "order_state",
    "not_your_turn",
    "turn_spent",
    "pass_invalid",
    "line_closed",
    "proof_spent",
    "cooldown",
    "blocked",
    "checkout_mismatch",
    "sign_in_needed",
    "sign_in_code",
];

/// Whoever gets one of these stops: the visit has ended so.
pub type Onward<T> = Result<T, Ending>;

/// An answer that a step can go on with.
pub enum Reply {
    /// A success.
    Yes(Answer),
    /// A refusal, which may name an equivalent.
    No(ProblemBody),
}

/// Who asks, in headers.
pub struct Named {
    /// To a deployment at which a rehearsal is on.
    pub played: Option<String>,
    /// By a proxy.
    pub forwarded: Option<String>,
}

impl Visitor {
    /// Asks the shop: any of its servers must do.
    pub(super) async fn ask<'a>(
        &mut self,
        step: Step,
        path: &str,
        ask: impl Fn() -> Ask<'a>,
    ) -> Onward<Reply> {
        let answer = self.send(step, None, path, ask).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
            self.answered(step, &answer);
            return Ok(Reply::Yes(answer));
        }
        match serde_json::from_slice::<ProblemBody>(&answer.body) {
            Ok(refusal) if REFUSALS.contains(&refusal.code.as_str()) => {
                self.refused(step, &refusal.code);
                Ok(Reply::No(refusal))
            }
            Ok(other) => Err(self.mistake(step, &other.code, &describe(&answer))),
            Err(_) => Err(self.mistake(step, answer.status.as_str(), &describe(&answer))),
        }
    }

    /// Counts a success: from when it was intended, and of it the last exchange.
    pub(super) fn answered(&mut self, step: Step, answer: &Answer) {
        let (wanted, second) = (self.due.elapsed(), self.second());
        self.note(|tally| tally.step(step, second, wanted, answer.service, answer.queued));
        self.due = Instant::now();
    }

    /// Counts a refusal.
    pub(super) fn refused(&mut self, step: Step, code: &str) {
        let (took, second) = (self.due.elapsed(), self.second());
        self.note(|tally| {
            tally.second(second).refused += 1;
            tally.refused.record(took);
            *tally.refusals.entry((step, code.to_owned())).or_default() += 1;
        });
        self.due = Instant::now();
    }

    /// Sends a request, and repeats it, with the same keys, while it is turned away or lost.
    pub(super) async fn send<'a>(
        &mut self,
        step: Step,
        to: Option<&Origin>,
        path: &str,
        ask: impl Fn() -> Ask<'a>,
    ) -> Onward<Answer> {
        let (started, mut pause) = (Instant::now(), REPEAT_AFTER);
        loop {
            let (code, after) = match self.exchange(to, path, ask()).await {
                Ok(answer) if !AGAIN.contains(&answer.status) => return Ok(answer),
                Ok(answer) => {
                    let code = serde_json::from_slice::<ProblemBody>(&answer.body);
                    let code = code.map(|body| body.code);
                    let code = code.unwrap_or_else(|_| answer.status.as_str().to_owned());
                    if REFUSALS.contains(&code.as_str()) {
                        return Ok(answer);
                    }
                    let second = self.second();
                    self.note(|tally| {
                        tally.second(second).turned_away += 1;
                        *tally.turned_away.entry((step, code)).or_default() += 1;
                    });
                    (None, answer.retry_after_s)
                }
                // Counted even if the repetition succeeds: nothing should break here.
                Err(error) => (Some(self.lost(step, &error)), None),
            };
            if started.elapsed() > PATIENCE || self.crowd.is_over() {
                return Err(code.unwrap_or(Ending::TurnedAway));
            }
            let told = after.map(|seconds| Duration::from_secs(seconds.into()));
            let jitter = self.rng.random_range(0.75..1.25);
            sleep(told.unwrap_or(pause).mul_f64(jitter)).await;
            pause = (pause * 2).min(REPEAT_AFTER_AT_MOST);
        }
    }

    /// How servers are told who asks, where the connection doesn't tell it: only loopback has an
    /// address for everybody, and a deployment has its own proxies.
    pub(super) fn named(&self, is_proxied: bool) -> Named {
        let (abroad, here) = (self.crowd.abroad.as_ref(), self.crowd.is_on_loopback);
        let [a, b, c] = self.origin;
        // The network of who is named is that of their neighbours, whose connections say it.
        let first = if here && abroad.is_none() { 127 } else { 10 };
        let client = format!("{first}.{a}.{b}.{c}");
        let played = abroad.map(|abroad| format!("{} {client}", abroad.tag));
        let is_named = (is_proxied || !here) && abroad.is_none();
        Named { played, forwarded: is_named.then_some(client) }
    }

    /// One exchange, however this visitor reaches the servers.
    async fn exchange(
        &mut self,
        to: Option<&Origin>,
        path: &str,
        ask: Ask<'_>,
    ) -> Result<Answer, WireError> {
        let crowd = self.crowd.clone();
        let is_proxied = matches!(self.reach, Reach::Shared | Reach::Multiplexed);
        let Named { played, forwarded } = self.named(is_proxied);
        let ask = Ask { played: played.as_deref(), ..ask };
        if let Some(elsewhere) = to {
            return elsewhere.ask(path, ask).await;
        }
        let from = self.address();
        let ask = Ask { forwarded: forwarded.as_deref(), ..ask };
        let server = |at: u64| {
            let count = crowd.servers.len();
            let at = usize::try_from(at).unwrap_or(0) % count;
            let mut from_there = (at..at + count).map(|at| &crowd.servers[at % count]);
            from_there.find(|server| !server.is_out()).unwrap_or(&crowd.servers[at])
        };
        let requests = u64::from(self.requests);
        match self.reach {
            Reach::Own => {
                // Another server once this one has failed.
                let server = server(self.number + requests);
                let answer = server.ask_through(&mut self.own, from, path, ask).await;
                self.requests += u32::from(answer.is_err());
                answer
            }
            Reach::Fresh => {
                self.requests += 1;
                server(self.number + requests).ask_through(&mut None, from, path, ask).await
            }
            Reach::Multiplexed => {
                self.requests += 1;
                server(self.number + requests).ask_multiplexed(path, ask).await
            }
            Reach::Shared => {
                self.requests += 1;
                server(self.number + requests).ask(path, ask).await
            }
        }
    }

    /// Reads an answer.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&self, step: Step, body: &'a [u8]) -> Onward<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.mistake(step, "answer", &error.to_string()))
    }

    fn lost(&self, step: Step, error: &WireError) -> Ending {
        let kind = match error {
            WireError::Connect(_) => "can't connect",
            WireError::Timeout => "no answer in time",
            WireError::NoConnection => "no connection was free",
            _ => "no answer",
        };
        self.mistake(step, kind, &error.to_string())
    }

    /// Counts what should not have happened; whoever can't go on has failed.
    pub(super) fn mistake(&self, step: Step, kind: &str, what: &str) -> Ending {
        let second = self.second();
        self.note(|tally| tally.mistake(step, second, kind, what));
        Ending::Failed
    }
}

/// An answer in a few words.
pub fn describe(answer: &Answer) -> String {
    /// Most characters of a body that are shown.
    const SHOWN: usize = 300;
    let body = String::from_utf8_lossy(&answer.body);
    format!("{} {}", answer.status, body.chars().take(SHOWN).collect::<String>())
}
