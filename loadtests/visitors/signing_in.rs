//! Signing in, for who is told to at the door: a code is asked for, read in the mail, and typed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::asking::{Onward, Reply};
use super::visitor::Visitor;
use crate::verdict::tally::{Ending, Step};
use crate::wire::Ask;

/// How long a mail may take; who has none by then was let down.
const MAIL_WITHIN: Duration = Duration::from_secs(60);
/// Codes that somebody asks for: an answer may be lost after the code was used.
const MAX_CODES: u32 = 3;
/// People look into their mailbox and type the code within so many seconds.
const TYPES_S: [f64; 2] = [2.0, 8.0];

impl Visitor {
    /// Their address.
    pub(super) fn email(&self) -> String {
        format!("visitor-{}@load.example", self.number)
    }

    /// Signs in; from then on their session is that of an account.
    pub(super) async fn sign_in(&mut self) -> Onward<()> {
        let crowd = self.crowd.clone();
        let Some(letters) = crowd.letters.as_ref().filter(|_| self.has_mailbox()) else {
            return Err(Ending::SignInNeeded);
        };
        let (email, mut last) = (self.email(), 0);
        for _ in 0..MAX_CODES {
            let body = serde_json::json!({ "email": email }).to_string();
            let ask = || Ask { body: Some(body.clone()), ..Ask::default() };
            let Reply::Yes(_) = self.ask(Step::SignIn, "/v1/sign-in", ask).await? else {
                return Err(Ending::SignInNeeded);
            };
            let Some(letter) = letters.wait_for(&email, last, MAIL_WITHIN).await else {
                if crowd.is_over() {
                    return Err(Ending::SignInNeeded);
                }
                return Err(self.mistake(Step::SignIn, "no mail", "no code came by mail"));
            };
            last = letter.id;
            self.due = Instant::now();
            self.think(TYPES_S).await;
            let body = serde_json::json!({ "email": email, "code": letter.code }).to_string();
            let ask = || Ask { body: Some(body.clone()), ..Ask::default() };
            match self.ask(Step::Confirm, "/v1/sign-in/confirm", ask).await? {
                Reply::Yes(answer) => {
                    self.signed_in = true;
                    return self.take_session(Step::Confirm, &answer.body);
                }
                Reply::No(_) => {}
            }
        }
        Err(Ending::SignInNeeded)
    }

    /// Everybody has a mailbox, but bots: they take those that they have, one each.
    fn has_mailbox(&self) -> bool {
        if !self.persona.is_bot() {
            return true;
        }
        let crowd = &self.crowd;
        let all = crowd.scenario.bots.map_or(0, |bots| bots.mailboxes);
        crowd.bot_mailboxes_taken.fetch_add(1, Ordering::Relaxed) < crowd.shard.share(all)
    }
}
