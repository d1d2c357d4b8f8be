//! The hosted payment page: what a buyer sees, and the same steps as JSON for apps and loads.
//!
//! Every step is a form that works without scripts. A step sent as JSON is answered as JSON:
//! `{"card": "4242…"}` to the page's own address pays. `?wait=webhook` answers a success only
//! once the shop has acknowledged it, or after the configured wait; forms always wait so.

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;

use super::acquirer::{Acquirer, NotTried};
use super::answers::{PayAnswer, Problem, Sent, Step, see_other};
use super::cards::{Card, CardForm, FieldErrors, known_card};
use super::ledger::Kept;
use super::plan::Decline;
use super::record::State as Stands;
use super::statement::{STATEMENT_LIFE, Statement};
use super::test_cards::{TEST_CARDS, TestCard};
use super::views::{ChallengePage, NoticePage, PayPage, STYLE, show};

/// The largest form that is read, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;

/// The page's routes.
pub fn router() -> Router<Acquirer> {
    Router::new()
        .route("/pay/{token}", get(card_form).post(pay))
        .route("/pay/{token}/challenge", get(challenge_form).post(confirm))
        .route("/style.css", get(style))
        // A refusal is the same page at both depths, and asks for its style from either.
        .route("/pay/style.css", get(style))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(from_fn(crate::web::language::choose))
}

async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=300")];
    (headers, STYLE)
}

/// The statement in the address, if it can still be paid.
fn read(acquirer: &Acquirer, token: &str) -> Result<Statement, Problem> {
    let statement = acquirer.0.keys.open(token).ok_or(Problem::Unknown)?;
    let age = Timestamp::now().duration_since(statement.created_at);
    if age > STATEMENT_LIFE { Err(Problem::Expired) } else { Ok(statement) }
}

#[derive(Deserialize)]
struct FormQuery {
    /// The last four digits of a test card to fill in.
    test: Option<String>,
}

/// The card form, or what became of the payment.
async fn card_form(
    State(acquirer): State<Acquirer>,
    Path(token): Path<String>,
    Query(query): Query<FormQuery>,
) -> Response {
    let statement = match read(&acquirer, &token) {
        Ok(statement) => statement,
        Err(problem) => return problem.show(false),
    };
    let opened = acquirer.0.ledger.change(statement.key(), Timestamp::now(), |record| {
        let kept = if record.order.is_none() { Kept::InMemory } else { Kept::Unchanged };
        (record.learn(&statement).map(|()| record.clone()), kept)
    });
    let record = match opened {
        Ok(Ok(record)) => record,
        Ok(Err(refusal)) => return Problem::NotTried(NotTried::Refused(refusal)).show(false),
        Err(why) => return Problem::NotTried(NotTried::Unreachable(why)).show(false),
    };
    match record.state {
        Stands::Open | Stands::Challenged => {
            let form = query.test.map(|last4| prefilled(&last4)).unwrap_or_default();
            let declined = record.last_decline.map(Decline::message);
            let errors = FieldErrors::new();
            let page = PayPage::new(&statement, &form, &errors, declined);
            show(StatusCode::OK, &page, Some(&statement))
        }
        Stands::Processing { .. } => {
            show(StatusCode::OK, &NoticePage::processing(&statement), Some(&statement))
        }
        Stands::Succeeded { .. } => see_other(&statement.return_url),
        Stands::Cancelled => cancelled(&statement),
    }
}

fn cancelled(statement: &Statement) -> Response {
    let text = "Nothing was charged. Go back to the shop to start again.";
    let page = NoticePage::about(statement, "This payment was cancelled", text);
    show(StatusCode::OK, &page, Some(statement))
}

/// A form filled in with the test card that ends in `last4`, so that nobody types 16 digits.
fn prefilled(last4: &str) -> CardForm {
    let ends = |card: &&TestCard| last4.len() == 4 && card.number.ends_with(last4);
    let Some(card) = TEST_CARDS.iter().find(ends) else {
        return CardForm::default();
    };
    let year = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year() + 3;
    CardForm {
        number: card.grouped(),
        expiry: format!("12 / {:02}", year % 100),
        cvc: "123".to_owned(),
        name: "Test Buyer".to_owned(),
    }
}

#[derive(Deserialize)]
struct WaitQuery {
    wait: Option<String>,
}

/// A card form. JSON callers may leave out all but the card.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayBody {
    #[serde(alias = "card")]
    number: String,
    expiry: Option<String>,
    cvc: Option<String>,
    name: Option<String>,
}

impl PayBody {
    fn check(self, json: bool) -> Result<Card, (CardForm, FieldErrors)> {
        if json && self.expiry.is_none() && self.cvc.is_none() && self.name.is_none() {
            let wrong = |error| (CardForm::default(), FieldErrors::from([("number", error)]));
            return known_card(&self.number).map_err(wrong);
        }
        let form = CardForm {
            number: self.number,
            expiry: self.expiry.unwrap_or_default(),
            cvc: self.cvc.unwrap_or_default(),
            name: self.name.unwrap_or_default(),
        };
        form.check(Timestamp::now()).map_err(|errors| (form, errors))
    }
}

/// A card is presented.
async fn pay(
    State(acquirer): State<Acquirer>,
    Path(token): Path<String>,
    Query(query): Query<WaitQuery>,
    sent: Sent<PayBody>,
) -> Response {
    let statement = match read(&acquirer, &token) {
        Ok(statement) => statement,
        Err(problem) => return problem.show(sent.json),
    };
    let card = match sent.body.check(sent.json) {
        Ok(card) => card,
        Err((form, errors)) => return invalid(&statement, form, errors, sent.json),
    };
    let step = Step { acquirer: &acquirer, statement: &statement, json: sent.json };
    match acquirer.pay(&statement, card).await {
        Ok(outcome) => step.answer(outcome, query.wait.is_some(), &token).await,
        Err(why) => Problem::NotTried(why).show(sent.json),
    }
}

/// The form again, with errors next to the fields. What isn't a test number is not sent back.
fn invalid(statement: &Statement, mut form: CardForm, errors: FieldErrors, json: bool) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    if json {
        let answer = PayAnswer { code: Some("invalid"), fields: errors, ..PayAnswer::default() };
        return (status, Json(answer)).into_response();
    }
    form.cvc.clear();
    if known_card(&form.number).is_err() {
        form.number.clear();
    }
    show(status, &PayPage::new(statement, &form, &errors, None), Some(statement))
}

/// The bank's question, if there is one.
async fn challenge_form(State(acquirer): State<Acquirer>, Path(token): Path<String>) -> Response {
    let statement = match read(&acquirer, &token) {
        Ok(statement) => statement,
        Err(problem) => return problem.show(false),
    };
    match acquirer.0.ledger.get(statement.attempt, Timestamp::now()) {
        Ok(record) if record.state == Stands::Challenged => {
            let last4 = record.card.as_ref().map(|card| card.last4.as_str()).unwrap_or_default();
            show(StatusCode::OK, &ChallengePage::new(&statement, last4), Some(&statement))
        }
        Ok(_) => see_other(&format!("../{token}")),
        Err(why) => Problem::NotTried(NotTried::Unreachable(why)).show(false),
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answered {
    Approve,
    Fail,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmBody {
    outcome: Answered,
}

/// The buyer answers the bank's question.
async fn confirm(
    State(acquirer): State<Acquirer>,
    Path(token): Path<String>,
    Query(query): Query<WaitQuery>,
    sent: Sent<ConfirmBody>,
) -> Response {
    let statement = match read(&acquirer, &token) {
        Ok(statement) => statement,
        Err(problem) => return problem.show(sent.json),
    };
    let approve = matches!(sent.body.outcome, Answered::Approve);
    let step = Step { acquirer: &acquirer, statement: &statement, json: sent.json };
    match acquirer.confirm(&statement, approve).await {
        Ok(outcome) => step.answer(outcome, query.wait.is_some(), &format!("../{token}")).await,
        Err(why) => Problem::NotTried(why).show(sent.json),
    }
}
