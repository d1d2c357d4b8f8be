//! Choosing, holding and checking out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use rand::Rng;
use tokio::time::sleep;

use super::asking::{Named, Onward, Reply};
use super::bodies::{HeldBody, OrderBody};
use super::persona::Persona;
use super::visitor::{Spot, Visitor};
use super::wish::{Leaving, Wish, Wishes};
use crate::shop::Snapshot;
use crate::verdict::tally::{Ending, Step};
use crate::wire::Ask;

/// After so many refusals a visitor gives up; who is picky, sooner.
const MAX_REFUSALS: u32 = 8;
const MAX_REFUSALS_PICKY: u32 = 3;
/// With a pass in hand, one looks again so often whether something came back, every so often.
const LOOKS_WHEN_GONE: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A scalper's account buys so often at most.
const SCALPER_ORDERS: u32 = 3;
/// A hoarder holds so often at most.
const HOARDS: u32 = 6;
/// A phone is offline for so long.
const OFFLINE: [f64; 2] = [0.2, 2.0];

impl Visitor {
    /// Goes all the way, and says how it ended.
    pub(super) async fn shop(&mut self) -> Ending {
        self.stand(Spot::Inside);
        let limit = u32::try_from(self.crowd.scenario.terms.account_limit).unwrap_or(0);
        let most = if limit > 0 { limit } else { u32::MAX };
        let mut wishes = Wishes::new(&mut self.rng, self.persona, &self.crowd.shop, most);
        let orders = if self.persona == Persona::Scalper { SCALPER_ORDERS } else { 1 };
        for round in 0..orders {
            let ending = match self.buy(&mut wishes, round).await {
                Ok(()) => continue,
                Err(ending) => ending,
            };
            // Whoever has tickets has bought, whatever came of the next order.
            return if self.bought > 0 && ending != Ending::Failed {
                Ending::Bought
            } else {
                ending
            };
        }
        Ending::Bought
    }

    async fn buy(&mut self, wishes: &mut Wishes, round: u32) -> Onward<()> {
        let mut tries = Tries { round, refused: 0, looked: 0, hoarded: 0 };
        loop {
            let thinking = self.crowd.scenario.thinking;
            self.stand(Spot::Inside);
            self.think(thinking.choose_s).await;
            let (hold, places) = self.hold(wishes, &mut tries).await?;
            self.stand(Spot::Holding);
            self.think(thinking.checkout_s).await;
            let Some(order) = self.check_out(hold, places, wishes, &mut tries).await? else {
                continue;
            };
            self.stand(Spot::Paying);
            return self.pay(&order.0, order.1).await;
        }
    }

    /// Looks at what is free: the chart as of at most a moment ago.
    async fn look(&mut self) -> Onward<Arc<Snapshot>> {
        let crowd = self.crowd.clone();
        let path = format!("{}/availability", crowd.shop.path);
        let seen = crowd.shop.seen();
        let ask = || Ask { known: seen.as_ref().map(|seen| &seen.etag), ..Ask::default() };
        let Reply::Yes(answer) = self.ask(Step::Look, &path, ask).await? else {
            return Err(Ending::Refused);
        };
        match seen.as_ref() {
            Some(seen) if answer.status == StatusCode::NOT_MODIFIED => Ok(seen.clone()),
            _ => crowd
                .shop
                .note(answer.etag, &answer.body)
                .map_err(|error| self.mistake(Step::Look, "snapshot", &format!("{error:#}"))),
        }
    }

    /// Holds places: looks, wishes, and wishes again when others were faster.
    async fn hold(&mut self, wishes: &mut Wishes, tries: &mut Tries) -> Onward<(String, usize)> {
        let crowd = self.crowd.clone();
        let path = format!("{}/holds", crowd.shop.path);
        loop {
            let snapshot = self.look().await?;
            let Some(wish) = wishes.wish(&crowd.shop, &snapshot, tries.refused) else {
                tries.looked += 1;
                if self.pass.is_none() || tries.looked > LOOKS_WHEN_GONE || crowd.is_over() {
                    return Err(Ending::SoldOut);
                }
                self.wait(LOOK_AGAIN).await;
                continue;
            };
            let Some(held) = self.ask_for(&path, &wish, tries).await? else {
                tries.refused += 1;
                let picky = self.persona == Persona::Picky;
                let most = if picky { MAX_REFUSALS_PICKY } else { MAX_REFUSALS };
                if tries.refused > most {
                    return Err(Ending::Refused);
                }
                continue;
            };
            let second = self.second();
            self.note(|tally| tally.second(second).holds += 1);
            if self.persona == Persona::Hoarder {
                self.stand(Spot::Holding);
                tries.hoarded += 1;
                if tries.hoarded == HOARDS {
                    return Err(Ending::Vanished);
                }
                continue;
            }
            if let Some(leaving) = wishes.leaves(&crowd.shop, &snapshot) {
                return Err(self.leave(&held.id, leaving).await);
            }
            let places = held.places();
            return Ok((held.id, places));
        }
    }

    async fn ask_for(
        &mut self,
        path: &str,
        wish: &Wish,
        tries: &Tries,
    ) -> Onward<Option<HeldBody>> {
        let key = tries.key();
        let (session, pass) = (self.session.clone(), self.pass.clone());
        let ask = || Ask {
            body: Some(wish.body.clone()),
            session: session.as_ref(),
            key: Some(&key),
            pass: pass.as_deref(),
            ..Ask::default()
        };
        self.stumble(path, ask).await;
        let reply = self.ask(Step::Hold, path, ask).await?;
        let held = match reply {
            Reply::Yes(answer) => self.parse::<HeldBody>(Step::Hold, &answer.body)?,
            Reply::No(refusal) => match (refusal.code.as_str(), refusal.equivalent) {
                ("cooldown" | "blocked", _) => return Err(Ending::Blocked),
                ("account_limit", _) => return Err(Ending::LimitReached),
                ("pass_invalid", _) => return Err(Ending::PassOver),
                ("not_on_sale", _) => return Err(Ending::Refused),
                ("sign_in_needed", _) => return Err(Ending::SignInNeeded),
                (_, Some(equivalent)) => return Ok(Some(equivalent)),
                _ => return Ok(None),
            },
        };
        let places = held.places();
        if u32::try_from(places) != Ok(wish.places) {
            let what = format!("{places} places held, {} were asked for", wish.places);
            return Err(self.mistake(Step::Hold, "count", &what));
        }
        if self.persona == Persona::DoubleClicker {
            // The same click again has the same effect, and only once.
            if let Reply::Yes(again) = self.ask(Step::Hold, path, ask).await? {
                let again: HeldBody = self.parse(Step::Hold, &again.body)?;
                if again.id != held.id {
                    return Err(self.mistake(Step::Hold, "two effects", "one key, two holds"));
                }
            }
        }
        Ok(Some(held))
    }

    /// A phone that loses its connection sends, and hears nothing: the request may have had its
    /// effect or not.
    async fn stumble<'a>(&mut self, path: &str, ask: impl Fn() -> Ask<'a>) {
        if self.persona != Persona::LostPhone {
            return;
        }
        let crowd = self.crowd.clone();
        let server = &crowd.servers[self.number as usize % crowd.servers.len()];
        self.own = None;
        // Not even whether it was sent is known to who is offline.
        let Named { played, forwarded } = self.named(false);
        let ask = Ask { played: played.as_deref(), forwarded: forwarded.as_deref(), ..ask() };
        let _ = server.ask_and_hang_up(self.address(), path, ask).await;
        let offline = self.rng.random_range(OFFLINE[0]..OFFLINE[1]);
        sleep(Duration::from_secs_f64(offline)).await;
        self.due = Instant::now();
    }

    /// The same click on the checkout again is no second order.
    async fn click_again<'a>(
        &mut self,
        order: &OrderBody,
        path: &str,
        ask: impl Fn() -> Ask<'a>,
    ) -> Onward<()> {
        if self.persona != Persona::DoubleClicker {
            return Ok(());
        }
        if let Reply::Yes(again) = self.ask(Step::Checkout, path, ask).await? {
            let again: OrderBody = self.parse(Step::Checkout, &again.body)?;
            if again.id != order.id {
                return Err(self.mistake(Step::Checkout, "two effects", "one hold, two orders"));
            }
        }
        Ok(())
    }

    async fn leave(&mut self, hold: &str, leaving: Leaving) -> Ending {
        if leaving == Leaving::Vanishes {
            return Ending::Vanished;
        }
        let path = format!("{}/holds/{hold}", self.crowd.shop.path);
        let session = self.session.clone();
        let ask = || Ask { delete: true, session: session.as_ref(), ..Ask::default() };
        match self.ask(Step::GiveBack, &path, ask).await {
            Ok(_) => Ending::GaveBack,
            Err(ending) => ending,
        }
    }

    /// Checks out; nothing if the places were lost and no equivalent was held.
    async fn check_out(
        &mut self,
        hold: String,
        places: usize,
        wishes: &Wishes,
        tries: &mut Tries,
    ) -> Onward<Option<(OrderBody, usize)>> {
        let (mut hold, mut places) = (hold, places);
        let equivalent = wishes.accept_equivalent;
        let address = format!("\"email\":\"{}\"", self.email());
        let body = format!("{{{address},\"accept_equivalent\":{equivalent}}}");
        let session = self.session.clone();
        loop {
            let path = format!("{}/holds/{hold}/checkout", self.crowd.shop.path);
            let ask = || Ask {
                body: Some(body.clone()),
                session: session.as_ref(),
                key: Some("checkout"),
                ..Ask::default()
            };
            self.stumble(&path, ask).await;
            let refusal = match self.ask(Step::Checkout, &path, ask).await? {
                Reply::Yes(answer) => {
                    let order: OrderBody = self.parse(Step::Checkout, &answer.body)?;
                    self.click_again(&order, &path, ask).await?;
                    return Ok(Some((order, places)));
                }
                Reply::No(refusal) => refusal,
            };
            tries.refused += 1;
            if tries.refused > MAX_REFUSALS {
                return Err(Ending::Refused);
            }
            let Some(equivalent) = refusal.equivalent else { return Ok(None) };
            places = equivalent.places();
            hold = equivalent.id;
        }
    }
}

/// What somebody has tried: names the keys of their requests.
pub(super) struct Tries {
    round: u32,
    refused: u32,
    looked: u32,
    hoarded: u32,
}

impl Tries {
    fn key(&self) -> String {
        let Self { round, refused, looked, hoarded } = self;
        format!("hold-{round}-{refused}-{looked}-{hoarded}")
    }
}
