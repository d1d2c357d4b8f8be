//! One buyer's way from the door to the tickets, over real HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use tokio::time::sleep;

use super::Crowd;
use super::asking::{Onward, Reply, describe};
use super::bodies::{HeldBody, OrderBody, PaidBody, SessionBody};
use super::persona::{Buyer, Leaving, Wish};
use crate::shop::Snapshot;
use crate::verdict::tally::{Ending, Sale, Step, Tally};
use crate::wire::Ask;

/// After so many refusals a buyer gives up.
const MAX_REFUSALS: u32 = 8;
/// How long a buyer who has paid waits for the tickets.
const TICKETS_WITHIN: Duration = Duration::from_secs(30);
/// How often a buyer who has paid looks for the tickets.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A test card that is approved, and one that is declined.
const GOOD_CARD: &str = "{\"card\":\"4242424242424242\"}";
const DECLINED_CARD: &str = "{\"card\":\"4000000000000002\"}";

/// A buyer on the way.
pub struct Journey {
    pub(super) crowd: Arc<Crowd>,
    pub(super) buyer: Buyer,
    /// When the buyer was to arrive, by the schedule.
    due: Instant,
    /// How late the buyer is: it counts into the first request.
    pub(super) late: Duration,
    session: HeaderValue,
    /// Requests so far: they take turns between the servers.
    pub(super) requests: usize,
}

impl Journey {
    /// A buyer who was to arrive at `due`.
    pub fn new(crowd: Arc<Crowd>, buyer: Buyer, due: Instant) -> Self {
        let session = HeaderValue::from_static("");
        Self { crowd, buyer, due, late: Duration::ZERO, session, requests: 0 }
    }

    /// Goes all the way, and counts how it ended.
    pub async fn go(mut self) {
        let ending = match self.buy().await {
            Ok(()) => Ending::Bought,
            Err(ending) => ending,
        };
        self.note(|tally| *tally.endings.entry(ending).or_default() += 1);
    }

    pub(super) fn note<T>(&self, count: impl FnOnce(&mut Tally) -> T) -> T {
        self.crowd.tallies.note(self.buyer.number, count)
    }

    async fn buy(&mut self) -> Onward<()> {
        self.late = self.due.elapsed();
        self.note(|tally| tally.late.record(self.late));
        self.enter().await?;
        let mut refused = 0;
        loop {
            let (hold, places) = self.hold(&mut refused).await?;
            let Some(order) = self.check_out(hold, places, &mut refused).await? else { continue };
            return self.pay(&order.0, order.1).await;
        }
    }

    /// Gets a session.
    async fn enter(&mut self) -> Onward<()> {
        let path = "/v1/sessions";
        let ask = || Ask { post: true, ..Ask::default() };
        let Reply::Yes(answer) = self.shop(Step::Session, path, ask).await? else {
            return Err(Ending::Failed);
        };
        let body: SessionBody<'_> = self.parse(Step::Session, &answer.body)?;
        self.session = HeaderValue::try_from(format!("Bearer {}", body.token))
            .map_err(|error| self.mistake(Step::Session, "token", &error.to_string()))?;
        Ok(())
    }

    /// Looks at what is free: the chart as of at most a moment ago.
    async fn look(&mut self) -> Onward<Arc<Snapshot>> {
        let crowd = self.crowd.clone();
        let path = format!("{}/availability", crowd.shop.path);
        let seen = crowd.shop.seen();
        let ask = || Ask { known: seen.as_ref().map(|seen| &seen.etag), ..Ask::default() };
        let Reply::Yes(answer) = self.shop(Step::Look, &path, ask).await? else {
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
    async fn hold(&mut self, refused: &mut u32) -> Onward<(String, usize)> {
        let crowd = self.crowd.clone();
        let path = format!("{}/holds", crowd.shop.path);
        loop {
            let snapshot = self.look().await?;
            let wish = self.buyer.wish(&crowd.shop, &snapshot, *refused).ok_or(Ending::SoldOut)?;
            let Some(held) = self.ask_for(&path, &wish, *refused).await? else {
                *refused += 1;
                if *refused > MAX_REFUSALS {
                    return Err(Ending::Refused);
                }
                continue;
            };
            let at = crowd.opened.elapsed();
            self.note(|tally| tally.holds.push(at));
            if let Some(leaving) = self.buyer.leaves(&crowd.shop, &snapshot) {
                return Err(self.leave(&held.id, leaving).await);
            }
            let places = held.places();
            return Ok((held.id, places));
        }
    }

    async fn ask_for(&mut self, path: &str, wish: &Wish, refused: u32) -> Onward<Option<HeldBody>> {
        let key = format!("hold-{refused}");
        let session = self.session.clone();
        let body = &wish.body;
        let ask = || Ask {
            body: Some(body.clone()),
            session: Some(&session),
            key: Some(&key),
            ..Ask::default()
        };
        let Reply::Yes(answer) = self.shop(Step::Hold, path, ask).await? else {
            return Ok(None);
        };
        let held: HeldBody = self.parse(Step::Hold, &answer.body)?;
        let places = held.places();
        if u32::try_from(places) != Ok(wish.places) {
            let what = format!("{places} places held, {} were asked for", wish.places);
            return Err(self.mistake(Step::Hold, "count", &what));
        }
        Ok(Some(held))
    }

    async fn leave(&mut self, hold: &str, leaving: Leaving) -> Ending {
        if leaving == Leaving::GivesBack {
            let path = format!("{}/holds/{hold}", self.crowd.shop.path);
            let session = self.session.clone();
            let ask = || Ask { delete: true, session: Some(&session), ..Ask::default() };
            if let Err(ending) = self.shop(Step::GiveBack, &path, ask).await {
                return ending;
            }
        }
        Ending::Left
    }

    /// Checks out; nothing if the places were lost and no equivalent was held.
    async fn check_out(
        &mut self,
        hold: String,
        places: usize,
        refused: &mut u32,
    ) -> Onward<Option<(OrderBody, usize)>> {
        let (mut hold, mut places) = (hold, places);
        let (number, equivalent) = (self.buyer.number, self.buyer.accept_equivalent);
        let address = format!("\"email\":\"buyer-{number}@load.example\"");
        let body = format!("{{{address},\"accept_equivalent\":{equivalent}}}");
        let session = self.session.clone();
        loop {
            let path = format!("{}/holds/{hold}/checkout", self.crowd.shop.path);
            let ask = || Ask {
                body: Some(body.clone()),
                session: Some(&session),
                key: Some("checkout"),
                ..Ask::default()
            };
            let refusal = match self.shop(Step::Checkout, &path, ask).await? {
                Reply::Yes(answer) => {
                    let order: OrderBody = self.parse(Step::Checkout, &answer.body)?;
                    return Ok(Some((order, places)));
                }
                Reply::No(refusal) => refusal,
            };
            *refused += 1;
            if *refused > MAX_REFUSALS {
                return Err(Ending::Refused);
            }
            let Some(equivalent) = refusal.equivalent else { return Ok(None) };
            places = equivalent.places();
            hold = equivalent.id;
        }
    }

    async fn pay(&mut self, order: &OrderBody, places: usize) -> Onward<()> {
        let Some(payment) = &order.payment else {
            return Err(self.mistake(Step::Checkout, "payment", "an order without a payment"));
        };
        let crowd = self.crowd.clone();
        let Some(page) = payment.url.strip_prefix(&*crowd.sandbox_url) else {
            let what = format!("a page elsewhere: {}", payment.url);
            return Err(self.mistake(Step::Checkout, "payment", &what));
        };
        let page = format!("{page}?wait=webhook");
        if self.buyer.declined_first {
            let ask = || Ask { body: Some(DECLINED_CARD.to_owned()), ..Ask::default() };
            let answer = self.send(Step::Pay, &crowd.sandbox, &page, ask).await?;
            if answer.status != StatusCode::PAYMENT_REQUIRED {
                return Err(self.mistake(Step::Pay, "declined card", &describe(&answer)));
            }
            self.note(|tally| {
                *tally.refusals.entry((Step::Pay, "card_declined".to_owned())).or_default() += 1;
            });
        }
        let ask = || Ask { body: Some(GOOD_CARD.to_owned()), ..Ask::default() };
        let answer = self.send(Step::Pay, &crowd.sandbox, &page, ask).await?;
        let paid = serde_json::from_slice::<PaidBody>(&answer.body).ok().and_then(|b| b.charged);
        if !answer.status.is_success() || paid != Some(order.total) {
            return Err(self.mistake(Step::Pay, "not charged", &describe(&answer)));
        }
        self.collect(&order.id, places).await
    }

    /// Waits for the tickets, and checks that they are what was paid for.
    async fn collect(&mut self, order: &str, places: usize) -> Onward<()> {
        let path = format!("/v1/orders/{order}");
        let session = self.session.clone();
        let paid = Instant::now();
        let order = loop {
            let ask = || Ask { session: Some(&session), ..Ask::default() };
            let Reply::Yes(answer) = self.shop(Step::Order, &path, ask).await? else {
                return Err(Ending::Failed);
            };
            let order: OrderBody = self.parse(Step::Order, &answer.body)?;
            if order.status != "open" {
                break order;
            }
            if paid.elapsed() > TICKETS_WITHIN {
                let what = format!("{path} is still open");
                return Err(self.mistake(Step::Order, "no tickets in time", &what));
            }
            sleep(LOOK_EVERY).await;
        };
        if order.status != "paid" || order.tickets.len() != places {
            let (status, tickets) = (&order.status, order.tickets.len());
            let what = format!("{path}: {status}, {tickets} tickets for {places} places");
            return Err(self.mistake(Step::Order, "tickets", &what));
        }
        let (at, took) = (self.crowd.opened.elapsed(), self.due.elapsed());
        let places = order.tickets.iter().map(|ticket| ticket.place.place).collect();
        self.note(|tally| tally.sale(took, Sale { at, places }));
        Ok(())
    }
}
