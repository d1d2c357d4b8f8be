//! Access codes on pages: a code that was typed is redeemed, and what it opens is kept for the
//! session, so that nobody types it twice on the way from the waiting room to a hold.

use super::page::Fields;
use super::session::Visitor;
use crate::access::grant::Grant;
use crate::access::http::access;
use crate::app::App;
use crate::catalog::Listing;
use crate::holds::plan::Wish;
use crate::http::limits::Client;
use crate::http::problem::Problem;
use crate::ids::EventId;

/// Grants of one event that a browser keeps; the oldest goes.
const MAX_KEPT: usize = 4;
/// Between grants in a cookie, where commas aren't allowed.
const BETWEEN: char = '~';

/// What the visitor has redeemed for this event before, with the account that they have now.
#[must_use]
pub fn kept(app: &App, visitor: &Visitor, event: EventId) -> Vec<Grant> {
    let (Some(account), Some(text)) = (visitor.account, visitor.grants(event)) else {
        return Vec::new();
    };
    Grant::read(&app.keyring, event, account, &text.replace(BETWEEN, ","))
}

/// Redeems a code, and keeps what it opens; all that is open to the visitor now.
///
/// # Errors
/// The refusal.
pub async fn redeem(
    app: &App,
    visitor: &mut Visitor,
    event: EventId,
    client: Client,
    typed: &str,
) -> Result<Vec<Grant>, Problem> {
    let account = visitor.need(app);
    let view = access(app, &event.to_string(), account, client, typed).await?;
    let mut grants = kept(app, visitor, event);
    for grant in Grant::read(&app.keyring, event, account, &view.grant) {
        grants.retain(|known| *known != grant);
        grants.push(grant);
    }
    grants.drain(..grants.len().saturating_sub(MAX_KEPT));
    let texts: Vec<String> = grants.iter().map(|grant| grant.seal(&app.keyring)).collect();
    visitor.keep_grants(app, event, &texts.join(&BETWEEN.to_string()));
    Ok(grants)
}

/// The code that a form has, if redeeming it could open an offer that is wished for.
#[must_use]
pub fn worth_redeeming<'a>(listing: &Listing, wish: &Wish, fields: &'a Fields) -> Option<&'a str> {
    let offers = wish.lines.iter().filter_map(|line| listing.offer(line.offer));
    let typed = fields.text("access")?;
    offers.into_iter().any(|offer| offer.code_set.is_some()).then_some(typed)
}
