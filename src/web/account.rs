//! An account's page: its orders, and where it is signed in.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::page::{Oops, see_other, show};
use super::session::Visitor;
use super::standing::standing;
use super::words::{self, When};
use crate::accounts::{sessions, store};
use crate::app::App;
use crate::catalog::http::PageQuery;
use crate::http::extract::{Path, Query};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, SessionId};
use crate::orders::http::{listing_of, page as orders_page};
use crate::{counted, say};

struct OrderItem {
    link: String,
    event: String,
    venue: String,
    when: When,
    code: String,
    places: String,
    total: String,
    status: &'static str,
    title: String,
}

struct SessionItem {
    id: SessionId,
    current: bool,
    agent: String,
    since: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    email: String,
    orders: Vec<OrderItem>,
    next: Option<Uuid>,
    first: bool,
    sessions: Vec<SessionItem>,
}

fn sign_in_first() -> Response {
    see_other("/sign-in?next=/account")
}

/// What belongs to whoever has signed in.
pub async fn page(
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let (Some(account), Some(session)) = (visitor.account, visitor.signed_in) else {
        return Ok(sign_in_first());
    };
    let (orders, next) = orders(&app, account, query.cursor).await?;
    let page = AccountPage {
        email: store::email(&app.pg, account).await?,
        orders,
        next,
        first: query.cursor.is_none(),
        sessions: living(&app, account, session).await?,
    };
    Ok(show(StatusCode::OK, &page))
}

async fn orders(
    app: &App,
    account: AccountId,
    cursor: Option<Uuid>,
) -> Result<(Vec<OrderItem>, Option<Uuid>), Problem> {
    let (orders, next) = orders_page(app, account, cursor).await?;
    let mut items = Vec::with_capacity(orders.len());
    for order in &orders {
        let listing = listing_of(app, order).await?;
        let event = &listing.event;
        items.push(OrderItem {
            link: format!("/orders/{}", order.id),
            event: event.name.clone(),
            venue: event.venue.name.clone(),
            when: When::new(event.starts_at, &event.venue.time_zone),
            code: order.code(),
            places: counted("count.places", order.places.len()).into(),
            total: words::price(order.total, order.currency),
            status: order.status.word(),
            title: standing(order.status, false).title,
        });
    }
    Ok((items, next))
}

async fn living(
    app: &App,
    account: AccountId,
    current: SessionId,
) -> sqlx::Result<Vec<SessionItem>> {
    let living = store::living(&app.pg, account).await?;
    let item = |living: store::Living| SessionItem {
        id: living.id,
        current: living.id == current,
        agent: living.user_agent,
        since: When::new(living.created_at, "UTC").since(),
    };
    Ok(living.into_iter().map(item).collect())
}

/// Signs out here.
pub async fn sign_out(State(app): State<Arc<App>>, mut visitor: Visitor) -> Result<Response, Oops> {
    if let (Some(account), Some(session)) = (visitor.account, visitor.signed_in) {
        sessions::revoke(&app, session, account).await?;
        visitor.sign_out(&app);
    }
    Ok(visitor.with(see_other("/")))
}

/// Signs out elsewhere.
pub async fn end(
    State(app): State<Arc<App>>,
    Path(session): Path<SessionId>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let (Some(account), Some(_)) = (visitor.account, visitor.signed_in) else {
        return Ok(sign_in_first());
    };
    if !sessions::revoke(&app, session, account).await? {
        let none = Oops::from(Problem::new(Code::NotFound));
        return Err(none.then("/account", say("go.account")));
    }
    Ok(see_other("/account"))
}

/// Where only a form leads.
pub async fn back() -> Response {
    see_other("/account")
}
