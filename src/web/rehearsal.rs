//! What people see of a rehearsal: a banner on every page of it, and the page where nothing is paid.

use std::cell::Cell;
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::page::{Fields, Oops, see_other, show};
use super::words;
use crate::app::App;
use crate::catalog::Event;
use crate::http::extract::{Body, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem};
use crate::ids::{AttemptId, OrderId};
use crate::orders::{Order, store};
use crate::payments::rehearsal::{Rehearsal, open_token};
use crate::payments::sandbox::{Scenario, TEST_CARDS};
use crate::payments::{Intent, IntentState, ProviderError, settle};
use crate::suspicion::{self, ledger::OrderNote};

tokio::task_local! {
    static SHOWN: Cell<bool>;
}

/// Remembers, for the request, whether it shows a rehearsal.
pub async fn remember(request: Request, next: Next) -> Response {
    SHOWN.scope(Cell::new(false), next.run(request)).await
}

/// This page is of this event.
pub fn mark(event: &Event) {
    if event.rehearsal {
        // Outside of a page there is nothing to mark.
        let _ = SHOWN.try_with(|shown| shown.set(true));
    }
}

/// Whether the page being made is of a rehearsal.
#[must_use]
pub fn shown() -> bool {
    SHOWN.try_with(Cell::get).unwrap_or(false)
}

#[derive(Template)]
#[template(path = "rehearsal_pay.html")]
struct PayPage {
    name: String,
    order: String,
    total: String,
    declined: bool,
    approved_card: &'static str,
    declined_card: &'static str,
}

/// A card, as the payment sandbox takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardBody {
    #[serde(alias = "number")]
    card: String,
}

/// What a program is answered.
#[derive(Default, Serialize)]
struct PaidView {
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// What a test card does here: it is taken or declined, and settled when that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Card {
    Approved,
    Declined,
}

impl Card {
    /// This is no place for a real card.
    fn read(number: &str) -> Option<Self> {
        let digits: String = number.chars().filter(|c| !c.is_whitespace()).collect();
        let card = TEST_CARDS.iter().find(|card| card.number == digits)?;
        let declined = matches!(card.scenario, Scenario::Decline | Scenario::InsufficientFunds);
        Some(if declined { Self::Declined } else { Self::Approved })
    }
}

fn card_that(does: Scenario) -> &'static str {
    TEST_CARDS.iter().find(|card| card.scenario == does).map_or("", |card| card.number)
}

/// The payment that a page's address names.
async fn find(app: &App, token: &str) -> Result<(AttemptId, Intent, Order), Problem> {
    let none = || Problem::new(Code::NotFound);
    let attempt = open_token(&app.keyring, token).ok_or_else(none)?;
    let intent = app.gateways.unpaid().state(attempt).await.map_err(refused)?;
    let order: OrderId = intent.order.ok_or_else(none)?;
    Ok((attempt, intent, store::get(&app.pg, order).await?))
}

fn refused(error: ProviderError) -> Problem {
    match error {
        ProviderError::NotFound => Problem::new(Code::NotFound),
        error => Problem::new(Code::ProviderUnavailable).detail(error.to_string()),
    }
}

/// The page: what would be paid, and two buttons.
pub async fn page(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
) -> Result<Response, Oops> {
    let (_, intent, order) = find(&app, &token).await?;
    if intent.state != IntentState::Open {
        return Ok(see_other(&app.order_url(order.id)));
    }
    pay_page(&app, &order, false).await
}

async fn pay_page(app: &App, order: &Order, declined: bool) -> Result<Response, Oops> {
    let sale = app.catalog.sale(order.event).await?;
    let sale = sale.ok_or_else(|| Problem::new(Code::NotFound))?;
    mark(&sale.listing.event);
    let page = PayPage {
        name: sale.listing.event.name.clone(),
        order: order.code(),
        total: words::price(order.total, order.currency),
        declined,
        approved_card: card_that(Scenario::Approve),
        declined_card: card_that(Scenario::Decline),
    };
    let status = if declined { StatusCode::PAYMENT_REQUIRED } else { StatusCode::OK };
    Ok(show(status, &page))
}

/// A card is presented: nothing is taken from it.
pub async fn pay(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let tried = async {
        let card = if json {
            Body::<CardBody>::from_request(request, &app).await?.0.card
        } else {
            let fields = Fields::from_request(request, &app).await?;
            fields.text("card").unwrap_or_default().to_owned()
        };
        let wrong = || Problem::field("/card", "not a test card");
        present(&app, &token, Card::read(&card).ok_or_else(wrong)?, json).await
    };
    match tried.await {
        Ok(answer) => answer,
        Err(oops) if json => oops.into_problem().into_response(),
        Err(oops) => oops.into_response(),
    }
}

async fn present(app: &Arc<App>, token: &str, card: Card, json: bool) -> Result<Response, Oops> {
    let (attempt, _, order) = find(app, token).await?;
    if card == Card::Declined {
        suspicion::note_order(app, order.id, OrderNote::Declined(None));
        let code = Some("card_declined");
        let answer = PaidView { code, ..PaidView::default() };
        return if json {
            Ok((StatusCode::PAYMENT_REQUIRED, Json(answer)).into_response())
        } else {
            pay_page(app, &order, true).await
        };
    }
    let payer = app.clone();
    // Not cancelled by a client that goes away: what is paid is settled.
    let paid = app.see_through(async move {
        let intent = payer.gateways.unpaid().pay(attempt).await.map_err(refused)?;
        settle::take_intent(&payer, Rehearsal::NAME, None, &intent).await?;
        Ok(intent.state)
    });
    let state = paid.await?;
    if !json {
        return Ok(see_other(&app.order_url(order.id)));
    }
    let (status, answer) = match state {
        IntentState::Succeeded { charged } => {
            (StatusCode::OK, PaidView { charged: Some(charged), code: None })
        }
        _ => (StatusCode::CONFLICT, PaidView { charged: None, code: Some("cancelled") }),
    };
    Ok((status, Json(answer)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_cards_are_looked_at() {
        assert_eq!(Card::read("4242 4242 4242 4242"), Some(Card::Approved));
        assert_eq!(Card::read(card_that(Scenario::Decline)), Some(Card::Declined));
        assert_eq!(Card::read("4000000000009995"), Some(Card::Declined));
        for number in ["", "4111111111111111", "4242"] {
            assert_eq!(Card::read(number), None, "{number}");
        }
    }

    #[test]
    fn no_page_is_marked_outside_of_a_request() {
        assert!(!shown());
    }
}
