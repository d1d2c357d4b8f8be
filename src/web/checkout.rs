//! From what is held to its payment.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::event::find;
use super::hold::{Told, known, render};
use super::page::{Fields, Oops, see_other};
use super::session::Visitor;
use super::{embed, people, refusals, retype};
use crate::app::App;
use crate::checkout::{self, CheckoutRequest, details};
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem};
use crate::ids::HoldId;
use crate::payments::PayWith;
use crate::say;
use crate::words::Language;

/// Turns the hold into an order and leads to its payment.
pub async fn checkout(
    State(app): State<Arc<App>>,
    Path((slug, hold)): Path<(String, HoldId)>,
    mut visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let account = known(&visitor, &slug)?;
    let built = app.built(sale.clone()).await?;
    let retyped = retype::apply(&app, &built, &visitor, (hold, account), &fields).await;
    if let Some(told) = first(retyped) {
        return render(&app, &sale, hold, &visitor, &fields, told).await;
    }
    let request = asked(&fields);
    let request = match visitor.session() {
        Some(session) => {
            let first = format!("/sign-in?next=/events/{slug}/holds/{hold}");
            let by = checkout::by(&app, &built, &session, request).await;
            by.map_err(|problem| match problem.code {
                Code::SignInNeeded => Oops::from(problem).then(first, say("go.sign_in")),
                _ => problem.into(),
            })?
        }
        None => request,
    };
    if let Err(problem) = details::check(&app, &built, hold, account, &request).await {
        let told = Told { refused: Some(problem), ..Told::default() };
        return render(&app, &sale, hold, &visitor, &fields, told).await;
    }
    // Tracked, not cancelled: a browser that goes away leaves no half-made order.
    let task = {
        let (app, built) = (app.clone(), built.clone());
        app.tasks.clone().spawn(checkout::checkout(app, built, hold, account, request))
    };
    match task.await.map_err(Problem::internal)? {
        Ok(done) => {
            visitor.forget(&app);
            let to = match done.pay_with {
                // Nobody frames the payment's page: the order's leads there in another window.
                Some(PayWith::Redirect { url }) if embed::host().is_none() => url,
                _ => app.keyring.order_path(hold.order()),
            };
            Ok(visitor.with(see_other(&to)))
        }
        Err(problem) => {
            if let Some(other) = equivalent(&problem) {
                visitor.remember(&app, sale.listing.event.id, other);
                let places = refusals::numbers(&problem, "places");
                let places: Vec<String> = places.iter().map(i32::to_string).collect();
                let to = format!("/events/{slug}/holds/{other}?instead={}", places.join("."));
                return Ok(visitor.with(see_other(&to)));
            }
            match problem.code {
                Code::CheckoutMismatch => Ok(see_other(&format!("/orders/{hold}"))),
                // The claim refused them, so the hold is over too.
                Code::ClaimLost | Code::AccountLimit | Code::QuotaReached | Code::PromoCode => {
                    let choose = format!("/events/{slug}/choose");
                    Err(Oops::from(problem).then(choose, say("go.choose_again")))
                }
                _ => {
                    let told = Told { refused: Some(problem), ..Told::default() };
                    render(&app, &sale, hold, &visitor, &fields, told).await
                }
            }
        }
    }
}

/// The hold of equally good places that came with a lost claim.
fn equivalent(problem: &Problem) -> Option<HoldId> {
    problem.member("equivalent")?.get("id")?.as_str()?.parse().ok()
}

/// What is told instead of going on, if the form changed prices: nobody pays another than the one
/// that they chose and have seen.
fn first(retyped: Result<bool, Problem>) -> Option<Told> {
    match retyped {
        Ok(false) => None,
        Ok(true) => Some(Told { said: say("hold.changed_first").into(), ..Told::default() }),
        // Whatever it became: the next step finds out, and says so.
        Err(problem) if matches!(problem.code, Code::NotFound | Code::HoldGone) => None,
        Err(problem) => Some(Told { refused: Some(problem), ..Told::default() }),
    }
}

/// What the form asks for.
fn asked(fields: &Fields) -> CheckoutRequest {
    CheckoutRequest {
        email: fields.text("email").map(str::to_owned),
        name: fields.text("name").map(str::to_owned),
        locale: Some(Language::current().tag().to_owned()),
        accept_equivalent: fields.ticked("equivalent"),
        attendees: people::entered(fields),
        terms_accepted: fields.text("terms").map(str::to_owned),
    }
}
