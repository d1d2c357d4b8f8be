//! Paying, and waiting for the tickets.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use rand::Rng;
use tokio::time::sleep;

use super::asking::{Onward, Reply, describe};
use super::bodies::{OrderBody, PaidBody};
use super::persona::Persona;
use super::visitor::Visitor;
use crate::verdict::tally::{Ending, Sale, Step};
use crate::wire::Ask;

/// How long a buyer who has paid waits for the tickets: shops that aren't told have to ask.
const TICKETS_WITHIN: Duration = Duration::from_secs(90);
/// How often a buyer who has paid looks for the tickets: at first, and later.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_EVERY_AT_MOST: Duration = Duration::from_secs(2);
/// A test card that is approved, and one that is declined.
const GOOD_CARD: &str = "4242424242424242";
const DECLINED_CARD: &str = "4000000000000002";
/// A slow payer takes this much of the time there is to pay; who takes more than all of it is
/// too late.
const SLOW: [f64; 2] = [0.2, 1.1];

impl Visitor {
    pub(super) async fn pay(&mut self, order: &OrderBody, places: usize) -> Onward<()> {
        let Some(payment) = &order.payment else {
            return Err(self.mistake(Step::Checkout, "payment", "an order without a payment"));
        };
        let crowd = self.crowd.clone();
        let Some(page) = crowd.payment_page(&payment.url) else {
            let what = format!("a page elsewhere: {}", payment.url);
            return Err(self.mistake(Step::Checkout, "payment", &what));
        };
        let page = format!("{page}?wait=webhook");
        if self.persona == Persona::SlowPayer {
            let share = self.rng.random_range(SLOW[0]..SLOW[1]);
            let time = f64::from(crowd.scenario.terms.pay_seconds) * share;
            self.wait(Duration::from_secs_f64(time)).await;
        } else {
            self.think(crowd.scenario.thinking.pay_s).await;
        }
        if self.persona == Persona::DeclinedCard {
            self.present(&page, DECLINED_CARD, order.total).await?;
        }
        let mut fate: f64 = self.rng.random();
        let card = crowd.scenario.payments.all().into_iter().find(|(share, _)| {
            fate -= share;
            fate < 0.0
        });
        let card = card.map_or(GOOD_CARD, |(_, card)| card);
        self.present(&page, card, order.total).await?;
        if card == DECLINED_CARD {
            self.present(&page, GOOD_CARD, order.total).await?;
        }
        self.collect(&order.id, places).await
    }

    /// Presents a card; a decline is part of any sale.
    async fn present(&mut self, page: &str, card: &str, total: i64) -> Onward<()> {
        let body = format!("{{\"card\":\"{card}\"}}");
        let ask = || Ask { body: Some(body.clone()), ..Ask::default() };
        let crowd = self.crowd.clone();
        let answer = self.send(Step::Pay, Some(&crowd.sandbox), page, ask).await?;
        let paid = serde_json::from_slice::<PaidBody>(&answer.body).unwrap_or_default();
        match answer.status {
            StatusCode::OK if paid.charged == Some(total) => self.answered(Step::Pay, &answer),
            StatusCode::ACCEPTED => self.answered(Step::Pay, &answer),
            StatusCode::PAYMENT_REQUIRED if card == DECLINED_CARD => {
                self.refused(Step::Pay, "card_declined");
            }
            StatusCode::CONFLICT if paid.code.as_deref() == Some("cancelled") => {
                self.refused(Step::Pay, "too_late");
                return Err(Ending::TooLate);
            }
            _ => return Err(self.mistake(Step::Pay, "not charged", &describe(&answer))),
        }
        Ok(())
    }

    /// Waits for the tickets, and checks that they are what was paid for.
    async fn collect(&mut self, order: &str, places: usize) -> Onward<()> {
        let path = format!("/v1/orders/{order}");
        let session = self.session.clone();
        let (paid, mut pause) = (Instant::now(), LOOK_EVERY);
        let order = loop {
            let ask = || Ask { session: session.as_ref(), ..Ask::default() };
            let Reply::Yes(answer) = self.ask(Step::Order, &path, ask).await? else {
                return Err(Ending::Failed);
            };
            let order: OrderBody = self.parse(Step::Order, &answer.body)?;
            if !["open", "cancelling", "late"].contains(&order.status.as_str()) {
                break order;
            }
            if paid.elapsed() > TICKETS_WITHIN {
                let what = format!("{path} is still {}", order.status);
                return Err(self.mistake(Step::Order, "no tickets in time", &what));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY_AT_MOST);
            self.due = Instant::now();
        };
        match order.status.as_str() {
            "paid" if order.tickets.len() == places => {}
            // Money that came after the order was released goes back if the places are gone.
            "released" | "refund_due" | "refund_pending" | "refunded" => {
                self.refused(Step::Order, "too_late");
                return Err(Ending::TooLate);
            }
            status => {
                let tickets = order.tickets.len();
                let what = format!("{path}: {status}, {tickets} tickets for {places} places");
                return Err(self.mistake(Step::Order, "tickets", &what));
            }
        }
        let (second, at) = (self.second(), self.crowd.begun.elapsed());
        let took = self.admitted.unwrap_or(self.intended).elapsed();
        let places: Vec<i32> = order.tickets.iter().map(|ticket| ticket.place.place).collect();
        self.bought += u32::try_from(places.len()).unwrap_or(u32::MAX);
        self.note(|tally| {
            let tickets = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let now = tally.second(second);
            (now.purchases, now.places) = (now.purchases + 1, now.places + tickets);
            tally.sale(took, Sale { at, places });
        });
        Ok(())
    }
}
