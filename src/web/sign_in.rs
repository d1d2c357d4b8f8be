//! Signing in on pages: the address, then the code; or the link in the mail.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::page::{Fields, Oops, see_other, show};
use super::refusals::{self, Advice};
use super::session::Visitor;
use crate::accounts::http::{address, user_agent};
use crate::accounts::sign_in;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::http::extract::Query;
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem};
use crate::say;
use crate::suspicion::{self, ANYWHERE, Reason, Traces};
use crate::words::Language;

/// Where one goes after signing in, unless one came from somewhere.
const ACCOUNT: &str = "/account";
/// Longest address to go to afterwards.
const MAX_NEXT: usize = 300;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    /// Asked for a code: the page asks for it back.
    asked: bool,
    email: String,
    next: String,
    alert: Option<Advice>,
    holds: bool,
}

#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct LinkPage {
    token: String,
    email: String,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub struct SignInQuery {
    next: Option<String>,
}

/// The token of a mailed link.
#[derive(Deserialize)]
pub struct TokenQuery {
    token: Option<String>,
}

/// Leads to signing in first, where the event demands an account.
#[must_use]
pub fn first(sale: &Sale, visitor: &Visitor) -> Option<Response> {
    let event = &sale.listing.event;
    let anonymous = event.needs_account && visitor.signed_in.is_none();
    anonymous.then(|| see_other(&format!("/sign-in?next=/events/{}/choose", event.slug)))
}

/// A page of ours to go to, or none: never another site's.
fn own_page(next: Option<&str>) -> Option<&str> {
    let next = next.filter(|next| next.len() <= MAX_NEXT)?;
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (plain && next.starts_with('/') && !next.starts_with("//")).then_some(next)
}

/// Asks for the address.
pub async fn page(Query(query): Query<SignInQuery>, visitor: Visitor) -> Response {
    let next = own_page(query.next.as_deref());
    if visitor.signed_in.is_some() {
        return see_other(next.unwrap_or(ACCOUNT));
    }
    let next = next.unwrap_or_default().to_owned();
    let holds = visitor.holds();
    let page = SignInPage { asked: false, email: String::new(), next, alert: None, holds };
    show(StatusCode::OK, &page)
}

/// Has a code mailed, and asks for it.
pub async fn ask(
    State(app): State<Arc<App>>,
    client: Client,
    visitor: Visitor,
    fields: Fields,
) -> Response {
    let text = fields.text("email").unwrap_or_default();
    let asked = async {
        let locale = Some(Language::current().tag());
        sign_in::ask(&app, client, &address(text)?, locale).await?;
        Ok::<(), Problem>(())
    };
    let refused = asked.await.err();
    answer(&visitor, &fields, refused.is_none(), refused)
}

fn answer(visitor: &Visitor, fields: &Fields, asked: bool, refused: Option<Problem>) -> Response {
    let status = refused.as_ref().map_or(StatusCode::OK, |problem| problem.code.status());
    let page = SignInPage {
        asked,
        email: fields.text("email").unwrap_or_default().to_owned(),
        next: own_page(fields.text("next")).unwrap_or_default().to_owned(),
        alert: refused.as_ref().map(refusals::advice),
        holds: visitor.holds(),
    };
    show(status, &page)
}

/// Signs in by the code.
pub async fn confirm(
    State(app): State<Arc<App>>,
    client: Client,
    mut visitor: Visitor,
    traces: Traces,
    headers: HeaderMap,
    fields: Fields,
) -> Response {
    let text = |name| fields.text(name).unwrap_or_default();
    let email = match address(text("email")) {
        Ok(email) => email,
        Err(problem) => return answer(&visitor, &fields, false, Some(problem)),
    };
    match sign_in::by_code(&app, client, &email, text("code"), user_agent(&headers)).await {
        Ok(done) => {
            suspicion::note(&app, ANYWHERE, done.account, traces, Reason::SignedIn);
            visitor.sign_in(&app, &done.token);
            visitor.with(see_other(own_page(fields.text("next")).unwrap_or(ACCOUNT)))
        }
        Err(problem) => answer(&visitor, &fields, true, Some(problem)),
    }
}

/// Where the mailed link leads: shows who would sign in. Programs that look into mails follow
/// links too, so it takes one more step.
pub async fn link(
    State(app): State<Arc<App>>,
    Query(query): Query<TokenQuery>,
) -> Result<Response, Oops> {
    let token = query.token.unwrap_or_default();
    let email = sign_in::preview(&app, &token).await.map_err(again)?;
    Ok(show(StatusCode::OK, &LinkPage { token, email }))
}

/// Signs in by the link.
pub async fn follow(
    State(app): State<Arc<App>>,
    mut visitor: Visitor,
    traces: Traces,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Oops> {
    let token = fields.text("token").unwrap_or_default();
    let done = sign_in::by_link(&app, token, user_agent(&headers)).await.map_err(again)?;
    suspicion::note(&app, ANYWHERE, done.account, traces, Reason::SignedIn);
    visitor.sign_in(&app, &done.token);
    Ok(visitor.with(see_other(ACCOUNT)))
}

fn again(problem: Problem) -> Oops {
    let wrong = problem.code == Code::SignInCode;
    let oops = Oops::from(problem);
    if wrong { oops.then("/sign-in", say("go.sign_in")) } else { oops }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        assert_eq!(own_page(Some("/events/night/choose?x=1")), Some("/events/night/choose?x=1"));
        let long = "/".to_owned() + &"x".repeat(MAX_NEXT);
        for bad in ["", "x", "//evil.example", "/\\evil.example", "https://evil.example", &long] {
            assert_eq!(own_page(Some(bad)), None, "{bad}");
        }
        assert_eq!(own_page(Some("/a\r\nset-cookie: x")), None);
    }
}
