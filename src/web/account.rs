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
        agent: device(&living.user_agent),
        since: When::new(living.created_at, "UTC").since(),
    };
    Ok(living.into_iter().map(item).collect())
}

/// A browser as its owner calls it, as far as what it says of itself tells; the first that fits,
/// since most claim to be others as well.
fn device(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ];
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => {
            say("account.device").put("browser", browser).put("system", system).into()
        }
        _ => agent.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_as_their_owners_call_them() {
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                     (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(device(phone), "Safari on iPhone");
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                    Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0";
        assert_eq!(device(edge), "Edge on Windows");
        assert_eq!(device("curl/8.5"), "curl/8.5");
        assert_eq!(device(""), "");
    }
}
