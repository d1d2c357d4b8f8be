//! Pages: rendered here, working without scripts, followed by scripts where they help.
//!
//! Every form is an ordinary form. What it does is what the API does, by the same functions; a
//! refusal's code is turned into words by [`refusals`]. Scripts and styles are files of this
//! server only ([`assets`]), which the policy of [`page`] enforces.

mod account;
mod ask;
pub mod assets;
mod calendar;
pub mod chart;
mod checkout;
mod choose;
mod codes;
mod contact;
pub mod docs;
mod door;
mod draw;
pub mod embed;
mod event;
mod free;
mod hold;
pub mod language;
mod lines;
mod offers;
mod order;
pub mod page;
mod people;
mod presale;
mod preview;
pub mod refusals;
pub mod rehearsal;
pub mod renewal;
mod retype;
mod seats;
mod section;
pub mod session;
mod sign_in;
mod stage;
mod standing;
mod tickets;
pub mod view;
mod waiting;
mod wish;
pub mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use self::language::Reader;
use crate::app::App;
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem};

/// The pages' routes.
pub fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let pages = Router::new()
        .route("/", get(event::home))
        .route("/events/{slug}", get(event::event))
        .route("/events/{slug}/levels.css", get(levels))
        .route("/events/{slug}/calendar.ics", get(calendar::calendar))
        .route("/events/{slug}/chart", get(chart::chart))
        .route("/events/{slug}/places/{place}/view", get(view::figure))
        .route("/events/{slug}/places/{place}/view.svg", get(view::picture))
        .route("/events/{slug}/choose", get(choose::choose))
        .route("/events/{slug}/sections/{code}", get(section::section))
        .route("/events/{slug}/asks", post(ask::create).get(up))
        .route("/events/{slug}/asks/{ask}", get(ask::page))
        .route("/events/{slug}/asks/{ask}/state", get(ask::state))
        .route("/events/{slug}/asks/{ask}/withdraw", post(ask::withdraw).get(up))
        .route("/events/{slug}/holds", post(choose::create).get(up))
        .route("/events/{slug}/holds/{hold}", get(hold::hold))
        .route("/events/{slug}/holds/{hold}/extend", post(hold::extend).get(up))
        .route("/events/{slug}/holds/{hold}/change", post(retype::change).get(up))
        .route("/events/{slug}/holds/{hold}/release", post(hold::release).get(up))
        .route("/events/{slug}/holds/{hold}/checkout", post(checkout::checkout).get(up))
        .route("/events/{slug}/waiting-room", get(waiting::waiting))
        .route("/events/{slug}/waiting-room/join", post(waiting::join).get(up))
        .route("/events/{slug}/waiting-room/enter", post(waiting::enter).get(up))
        .route("/events/{slug}/waiting-room/give-up", post(waiting::give_up).get(up))
        .route("/events/{slug}/waiting-room/place", get(waiting::place))
        .route("/events/{slug}/waiting-room/stream", get(waiting::stream))
        .route("/events/{slug}/draw", get(draw::draw))
        .route("/events/{slug}/presale", get(presale::page))
        .route("/events/{slug}/presale/{id}/register", post(presale::register).get(presale::back))
        .route("/events/{slug}/presale/{id}/withdraw", post(presale::withdraw).get(presale::back))
        .route("/orders/{order}", get(order::order))
        .route("/orders/{order}/pay", post(order::pay).get(up))
        .route("/orders/{order}/cancel", post(order::cancel).get(up))
        .route("/orders/{order}/confirmation", post(contact::resend).get(up))
        .route("/orders/{order}/email", post(contact::change).get(up))
        .route("/rehearsals/pay/{payment}", get(rehearsal::page).post(rehearsal::pay))
        .route("/sign-in", get(sign_in::page).post(sign_in::ask))
        .route("/sign-in/code", post(sign_in::confirm).get(up))
        .route("/sign-in/link", get(sign_in::link).post(sign_in::follow))
        .route("/account", get(account::page))
        .route("/tickets", get(tickets::page))
        .route("/account/sign-out", post(account::sign_out).get(up))
        .route("/account/sessions/{session}/end", post(account::end).get(account::back))
        .route("/embed/{slug}", get(embed::enter))
        .route("/problems/{code}", get(docs::problem));
    let pages = dressed(app, pages).layer(from_fn_with_state(app.clone(), embed::frame));
    pages.merge(assets::routes()).route("/embed.js", get(embed::script))
}

/// Pages with what all pages have: their policy, and no forms from other sites.
pub fn dressed(app: &Arc<App>, pages: Router<Arc<App>>) -> Router<Arc<App>> {
    pages
        .layer(from_fn_with_state(app.clone(), renewal::renew))
        .layer(from_fn_with_state(app.clone(), session::same_origin))
        .layer(from_fn(rehearsal::remember))
        .layer(from_fn_with_state(app.clone(), page::policy))
        .layer(from_fn(language::choose))
}

/// What isn't there: a page for who asks for pages, a problem for programs.
pub async fn missing(State(app): State<Arc<App>>, request: Request) -> Response {
    refused(&app, for_people(&request).as_ref(), Problem::new(Code::NotFound))
}

/// Who reads the answer, if a page is asked for and not an answer for programs.
#[must_use]
pub fn for_people(request: &Request) -> Option<Reader> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let page = accept.is_some_and(|kinds| kinds.contains("text/html"));
    let page = page && !request.uri().path().starts_with("/v1/");
    page.then(|| Reader::of(request.uri(), request.headers()))
}

/// A refusal that no page has made: a page for people, a problem for programs.
pub fn refused(app: &App, reader: Option<&Reader>, problem: Problem) -> Response {
    let Some(reader) = reader else { return problem.into_response() };
    let retry = problem.retry_after_s();
    let oops = || reader.told(|| page::Oops::from(problem).into_response());
    let mut response = embed::within(reader.host(app), || page::dressed(app, oops()));
    reader.sign(&mut response);
    if let Some(seconds) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Where only forms lead, for who comes by the address bar: the page that has the form.
async fn up(uri: Uri) -> Response {
    let above = uri.path().rsplit_once('/').map_or("", |(above, _)| above);
    page::see_other(if above.starts_with('/') { above } else { "/" })
}

/// The colours of an event's price levels: the policy of pages allows no styles in their text.
async fn levels(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    headers: axum::http::HeaderMap,
) -> Result<Response, Problem> {
    let sale = crate::catalog::http::visible(&app, &slug).await?;
    let mut css = String::new();
    for level in &sale.listing.levels {
        let digits = level.color.strip_prefix('#').unwrap_or_default();
        if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            css.push_str(&format!(".level-{}{{--level:#{digits}}}\n", level.number));
        }
    }
    let etag = format!("\"c{}\"", sale.listing.event.version);
    let kind = "text/css; charset=utf-8";
    Ok(crate::holds::http::cached(&headers, &etag, kind, "public, max-age=60", || css.into()))
}
