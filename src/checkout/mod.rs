//! Checkout: the only step that turns a hold into an order.
//!
//! 1. `begin`: the hold is marked claiming, so no clock ends it ([`crate::holds::redis::begin`]).
//! 2. The claim: order, lines, a claim per place and the payment attempt in one commit, together
//!    with whatever else queues at that moment ([`store::Claimer`]). Primary keys decide.
//! 3. Only then the payment provider is asked.
//!
//! Whoever loses step 2 has not paid; the answer is a refusal, with an equivalent where the buyer
//! allows it.

pub mod details;
pub mod http;
pub mod pulse;
pub mod store;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::details::Attendee;
use self::store::{ClaimJob, Claimed};
use crate::accounts::email::Email;
use crate::accounts::http::address;
use crate::accounts::{self, Session};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::faults;
use crate::holds::plan::Plan;
use crate::holds::record::{self, Line, PriceSnapshot, Record};
use crate::holds::redis::{self as grips, Asker, Begun, Held, Letting};
use crate::http::limits::{self, SharedLimit};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, AttemptId, HoldId};
use crate::orders::{self, Order, OrderStatus};
use crate::payments::{NewIntent, PayWith, ProviderError};

/// Longest name.
const MAX_NAME_CHARS: usize = 120;
/// Longest locale tag.
const MAX_LOCALE_CHARS: usize = 35;

/// What a buyer says at checkout.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutRequest {
    /// Where the tickets go; the account's own address if someone who has signed in leaves it
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ada@example.org")]
    pub email: Option<String>,
    /// The buyer's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The buyer's language (BCP 47).
    #[serde(default)]
    pub locale: Option<String>,
    /// If the places are lost, equally good ones will do.
    #[serde(default)]
    pub accept_equivalent: bool,
    /// Who comes: one for each place of the hold, where the event asks for it (`attendee_names`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub attendees: Vec<Attendee>,
    /// That the event's `terms` are accepted, if it has any: their `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_accepted: Option<String>,
}

/// An order, and how to pay it if there is something to pay.
pub struct CheckedOut {
    /// The order.
    pub order: Order,
    /// How to pay; none once it is paid, or when the provider gave no answer yet.
    pub pay_with: Option<PayWith>,
}

struct Wanted {
    email: Email,
    request: CheckoutRequest,
    digest: [u8; 16],
}

fn parse(request: CheckoutRequest) -> Result<Wanted, Problem> {
    let email = address(request.email.as_deref().unwrap_or_default())?;
    let plain = |text: &str, most: usize| {
        text.chars().count() <= most && !text.chars().any(char::is_control)
    };
    if !request.name.as_deref().is_none_or(|name| plain(name, MAX_NAME_CHARS)) {
        return Err(Problem::field("/name", format!("at most {MAX_NAME_CHARS} characters")));
    }
    if !request.locale.as_deref().is_none_or(|tag| plain(tag, MAX_LOCALE_CHARS)) {
        return Err(Problem::field("/locale", "not a language tag"));
    }
    let digest = crate::holds::digest(&request);
    Ok(Wanted { email, request, digest })
}

/// Checks that this session may buy for this event, and fills in the address that an account has.
///
/// # Errors
/// `sign_in_needed`, or Postgres fails.
pub async fn by(
    app: &App,
    sale: &Sale,
    session: &Session,
    mut request: CheckoutRequest,
) -> Result<CheckoutRequest, Problem> {
    accounts::admit(&sale.listing.event, session)?;
    if request.email.is_none() && session.signed_in.is_some() {
        request.email = Some(accounts::store::email(&app.pg, session.account).await?);
    }
    Ok(request)
}

/// Turns a hold into an order.
///
/// Must run in a tracked task: a client that goes away doesn't cancel it half-way.
///
/// # Errors
/// A refusal or a failure, as a problem. After `unknown_outcome` the same request finds out.
pub async fn checkout(
    app: Arc<App>,
    sale: Arc<Sale>,
    hold: HoldId,
    account: AccountId,
    request: CheckoutRequest,
) -> Result<CheckedOut, Problem> {
    let wanted = parse(request)?;
    limits::shared(&app, SharedLimit::PaymentAttempts, &account.to_string()).await?;
    let record = match begin(&app, &sale, hold, account).await? {
        Begun::Claiming(record) => record,
        Begun::Claimed(_) | Begun::Expired | Begun::Gone => {
            // A repeat is answered from Postgres: an order outlives its hold's record, and a
            // record that was rebuilt from it no longer has the prices.
            return match orders::store::find(&app.pg, hold.order()).await? {
                Some(order) if order.account == account => repeated(&app, order, &wanted).await,
                _ => Err(Problem::new(Code::HoldGone)),
            };
        }
        Begun::Foreign => return Err(Problem::new(Code::NotFound)),
        Begun::Stale => return Err(Problem::new(Code::Rebuilding)),
    };
    faults::point("begun");
    let job = claim_job(&app, &sale, hold, account, &wanted, &record)?;
    let (attempt, claimed) = (job.attempt, job.clone());
    let outcome = app.claims.submit(job).await.map_err(|_| Problem::new(Code::Unavailable))?;
    faults::point("claimed");
    match outcome {
        Claimed::Claimed(then) => finish(&app, claimed.order(then), attempt).await,
        Claimed::Exists => {
            let order = orders::reading::get(&app, hold.order()).await?.order;
            repeated(&app, order, &wanted).await
        }
        Claimed::Unknown => Err(Problem::new(Code::Unknown)),
        refused => Err(refuse(&app, &sale, hold, &wanted, &record, refused).await),
    }
}

async fn begin(app: &App, sale: &Sale, hold: HoldId, account: AccountId) -> Result<Begun, Problem> {
    Ok(grips::begin(&app.redis, sale, hold, account).await?)
}

fn claim_job(
    app: &App,
    sale: &Sale,
    hold: HoldId,
    account: AccountId,
    wanted: &Wanted,
    record: &Record,
) -> Result<ClaimJob, Problem> {
    let prices: PriceSnapshot = serde_json::from_str(&record.opaque).map_err(Problem::internal)?;
    let mut lines = record::lines(&record.places, &prices)
        .ok_or_else(|| Problem::internal(format!("hold {hold} has places without a price")))?;
    let (event, request) = (&sale.listing.event, &wanted.request);
    details::write_names(event, request, &mut lines);
    let mut said = serde_json::json!({
        "name": request.name,
        "locale": request.locale,
        "pass": prices.pass,
        "traces": prices.traces,
    });
    if let Some(accepted) = details::accepted(event, request, app.now()) {
        said["terms"] = accepted;
    }
    // The first attempt of an order has the order's id: nothing more to remember or to derive.
    let attempt = AttemptId(hold.0);
    let gateway = app.gateways.of(&sale.listing.event);
    Ok(ClaimJob {
        id: hold,
        event: sale.listing.event.id,
        epoch: sale.epoch,
        account,
        email: wanted.email.clone(),
        channel: prices.channel,
        promo: record.promo,
        currency: sale.listing.event.currency,
        total: record::total(&lines),
        lines,
        places: record.places.clone(),
        digest: wanted.digest,
        accept_equivalent: wanted.request.accept_equivalent,
        pay_seconds: sale.listing.event.pay_seconds,
        details: said,
        traces: prices.traces,
        attempt,
        provider: gateway.name(),
        reference: gateway.reference_of(attempt),
    })
}

/// The same checkout again: the order it made before, if it was the same.
async fn repeated(app: &App, order: Order, wanted: &Wanted) -> Result<CheckedOut, Problem> {
    if matches!(order.status, OrderStatus::Abandoned | OrderStatus::Retake) {
        return Err(Problem::new(Code::HoldGone));
    }
    if order.digest != wanted.digest {
        return Err(Problem::new(Code::CheckoutMismatch)
            .detail("one hold becomes one order; read it, or cancel it and choose again"));
    }
    if order.status != OrderStatus::Open || order.total == 0 {
        let attempt = AttemptId(order.id.0);
        return finish(app, order, attempt).await;
    }
    // The first payment may have ended without money: then it is another one that is open.
    let gateway = app.gateway_of(order.event).await?;
    let (provider, reference_of) = (gateway.name(), |id| gateway.reference_of(id));
    match orders::store::open_attempt(&app.pg, order.id, provider, reference_of).await? {
        Some(attempt) => finish(app, order, attempt).await,
        None => Ok(CheckedOut { order, pay_with: None }),
    }
}

/// A claimed order: free ones settle at once, others get a payment.
async fn finish(app: &App, order: Order, attempt: AttemptId) -> Result<CheckedOut, Problem> {
    if order.status != OrderStatus::Open {
        return Ok(CheckedOut { order, pay_with: None });
    }
    if order.total == 0 {
        crate::payments::settle::settle_free(app, order.id).await?;
        let order = orders::store::get(&app.pg, order.id).await?;
        return Ok(CheckedOut { order, pay_with: None });
    }
    // The claim stands whatever the provider answers; the buyer can ask for the payment again.
    let pay_with = match pay(app, &order, attempt).await {
        Ok(pay_with) => Some(pay_with),
        Err(error) => {
            tracing::warn!(order = %order.id, %error, "no payment could be created yet");
            None
        }
    };
    Ok(CheckedOut { order, pay_with })
}

/// Creates the attempt's intent at the provider, or finds it.
///
/// # Errors
/// The provider's, after which the attempt stays open and its places claimed.
pub async fn pay(app: &App, order: &Order, attempt: AttemptId) -> Result<PayWith, ProviderError> {
    let unread = |problem: Problem| ProviderError::Unknown(problem.code.title().to_owned());
    let gateway = app.gateway_of(order.event).await.map_err(unread)?;
    let created = gateway
        .create(NewIntent {
            attempt,
            order: order.id,
            amount: order.money(),
            description: format!("Order {}", order.code()),
            return_url: app.order_url(order.id),
            email: order.email.clone().unwrap_or_default(),
        })
        .await?;
    faults::point("intent created");
    if gateway.reference_of(attempt).is_none() {
        let noted =
            orders::store::note_reference(&app.pg, order.id, attempt, &created.intent.reference);
        if let Err(error) = noted.await {
            // Asking with the same key finds the same intent, and so does the reconciler.
            return Err(ProviderError::Unknown(error.to_string()));
        }
    }
    Ok(created.pay_with)
}

/// A lost claim: frees the hold, and looks for an equivalent if the buyer allows it.
async fn refuse(
    app: &App,
    sale: &Arc<Sale>,
    hold: HoldId,
    wanted: &Wanted,
    record: &Record,
    refused: Claimed,
) -> Problem {
    let problem = match &refused {
        Claimed::Stale => return Problem::new(Code::Rebuilding),
        Claimed::Frozen => return Problem::new(Code::Frozen),
        Claimed::Limit => Problem::new(Code::AccountLimit),
        Claimed::Quota => Problem::new(Code::QuotaReached),
        Claimed::Promo => Problem::new(Code::PromoCode),
        Claimed::Taken(places) => Problem::new(Code::ClaimLost).with("places", places),
        Claimed::Claimed(_) | Claimed::Exists | Claimed::Unknown => Problem::new(Code::Unknown),
    };
    if let Err(trouble) = grips::release(&app.redis, sale, hold, Letting::System).await {
        tracing::warn!(%hold, %trouble, "a refused claim's hold is left to the resolver");
        return problem;
    }
    let Claimed::Taken(places) = refused else { return problem };
    // Redis did not know that these were claimed: teach it before asking for others.
    if let Err(error) = orders::mirror::places(app, sale, &places).await {
        tracing::warn!(%hold, %error, "the claims that won could not be mirrored");
    }
    if !wanted.request.accept_equivalent {
        return problem;
    }
    match equivalent(app, sale, hold, record).await {
        Some(equivalent) => problem.with("equivalent", equivalent),
        None => problem,
    }
}

/// Holds places as good as the record's for the same buyer at the same prices.
async fn equivalent(
    app: &App,
    sale: &Arc<Sale>,
    hold: HoldId,
    record: &Record,
) -> Option<crate::holds::http::HoldView> {
    let prices: PriceSnapshot = serde_json::from_str(&record.opaque).ok()?;
    let plan = Plan::equivalent(&sale.listing, &record.places, prices, record.promo)?;
    let asker = Asker {
        id: crate::holds::retake_id(hold.0, sale.epoch, 0),
        digest: record.digest.clone(),
        account: record.account,
        retake: false,
    };
    match grips::hold(&app.redis, sale, &asker, &plan).await {
        Ok(Held::Held { deadline_ms, now_ms, places, .. }) => crate::holds::http::HoldView::new(
            &sale.listing,
            asker.id,
            &places,
            &plan.prices,
            deadline_ms,
            now_ms,
        ),
        _ => None,
    }
}

/// The lines of an order after its places changed for equivalents: same prices, new places.
#[must_use]
pub fn lines_of(places: &[record::HeldPlace], old: &[Line]) -> Option<Vec<Line>> {
    let mut left: Vec<(i16, i32)> = places.iter().map(|held| (held.offer, held.place)).collect();
    let mut lines = Vec::with_capacity(old.len());
    for line in old {
        let mut renewed = line.clone();
        for place in &mut renewed.places {
            let at = left.iter().position(|(offer, _)| *offer == line.offer)?;
            *place = left.remove(at).1;
        }
        lines.push(renewed);
    }
    left.is_empty().then_some(lines)
}
