//! How buyers ask: repeated when turned away, every answer counted as what it is.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::sleep;

use super::bodies::ProblemBody;
use super::journey::Journey;
use crate::verdict::tally::{Ending, Step};
use crate::wire::{Answer, Ask, Origin};

/// How often a request is repeated after 503, 504, 429 or a broken connection.
const MAX_REPEATS: u32 = 4;
/// The pause before a request is repeated; it doubles.
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Answers that ask for the same request again, with the same key.
const AGAIN: [StatusCode; 3] =
    [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];

/// Noes that belong to a sale. Everything else that isn't a success is a mistake, of the servers
/// or of this program.
const REFUSALS: [&str; 9] = [
    "places_taken",
    "none_left",
    "orphan_seat",
    "account_limit",
    "quota_reached",
    "not_on_sale",
    "hold_gone",
    "claim_lost",
    "order_state",
];

/// Whoever gets one of these stops: the journey has ended so.
pub type Onward<T> = Result<T, Ending>;

/// An answer that a step can go on with.
pub enum Reply {
    /// A success.
    Yes(Answer),
    /// A refusal, which may name an equivalent.
    No(ProblemBody),
}

impl Journey {
    /// Asks the shop, one server after the other: any of them must do.
    pub(super) async fn shop<'a>(
        &mut self,
        step: Step,
        path: &str,
        ask: impl Fn() -> Ask<'a>,
    ) -> Onward<Reply> {
        let crowd = self.crowd.clone();
        let first = usize::try_from(self.buyer.number).unwrap_or(0);
        let server = &crowd.servers[(first + self.requests) % crowd.servers.len()];
        self.requests += 1;
        let answer = self.send(step, server, path, ask).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Reply::Yes(answer));
        }
        match serde_json::from_slice::<ProblemBody>(&answer.body) {
            Ok(refusal) if REFUSALS.contains(&refusal.code.as_str()) => {
                self.note(|tally| {
                    *tally.refusals.entry((step, refusal.code.clone())).or_default() += 1;
                });
                Ok(Reply::No(refusal))
            }
            Ok(other) => Err(self.mistake(step, &other.code, &describe(&answer))),
            Err(_) => Err(self.mistake(step, answer.status.as_str(), &describe(&answer))),
        }
    }

    /// Sends a request, and repeats it, with the same keys, while it is turned away or lost.
    pub(super) async fn send<'a>(
        &mut self,
        step: Step,
        server: &Origin,
        path: &str,
        ask: impl Fn() -> Ask<'a>,
    ) -> Onward<Answer> {
        let mut pause = REPEAT_AFTER;
        for repeated in 0.. {
            let sent = server.ask(path, ask()).await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(error) => {
                    // Counted even if the repetition succeeds: nothing should break here.
                    let failed = self.mistake(step, "no answer", &error.to_string());
                    if repeated == MAX_REPEATS {
                        return Err(failed);
                    }
                    sleep(pause).await;
                    pause *= 2;
                    continue;
                }
            };
            let wanted = answer.wanted + std::mem::take(&mut self.late);
            let (service, queued) = (answer.service, answer.queued);
            self.note(|tally| tally.step(step, wanted, service, queued));
            if !AGAIN.contains(&answer.status) {
                return Ok(answer);
            }
            let code = serde_json::from_slice::<ProblemBody>(&answer.body).map(|body| body.code);
            let code = code.unwrap_or_else(|_| answer.status.as_str().to_owned());
            self.note(|tally| *tally.turned_away.entry((step, code)).or_default() += 1);
            if repeated == MAX_REPEATS {
                break;
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(Ending::TurnedAway)
    }

    /// Reads an answer.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&self, step: Step, body: &'a [u8]) -> Onward<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.mistake(step, "answer", &error.to_string()))
    }

    /// Counts what should not have happened, and ends the journey.
    pub(super) fn mistake(&self, step: Step, kind: &str, what: &str) -> Ending {
        self.note(|tally| tally.mistake(step, kind, what));
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
