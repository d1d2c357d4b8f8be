//! What a rehearsal is paid with: a provider that takes no money and asks nobody.
//!
//! All that it knows is a table, so any process answers for any payment. There are no webhooks:
//! whoever presents a test card has settled the order when the answer comes, and whatever dies in
//! between is asked for by the reconciler, as with every provider.

use axum::http::HeaderMap;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use jiff::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    CreatedIntent, Intent, IntentPage, IntentState, NewIntent, NewRefund, PayWith, Provider,
    ProviderError, RefundState, RefundView, WebhookError, WebhookEvent,
};
use crate::ids::{AttemptId, OrderId};
use crate::keyring::Keyring;
use crate::money::Money;

/// The kind of the token that names a payment in its page's address.
const KIND: &str = "rp1";
/// What references begin with.
const PREFIX: &str = "re_";

/// The provider of rehearsals.
pub struct Rehearsal {
    pg: PgPool,
    keyring: Keyring,
    page_base: String,
}

/// A payment as its table has it.
struct Row {
    order_id: Uuid,
    amount: i64,
    currency: String,
    state: Option<String>,
    charged: Option<i64>,
}

impl Rehearsal {
    /// The provider's name in tables and metrics.
    pub const NAME: &'static str = "rehearsal";

    /// A provider whose pages are at this address.
    #[must_use]
    pub fn new(pg: PgPool, keyring: Keyring, public_url: &str) -> Self {
        Self { pg, keyring, page_base: format!("{public_url}/rehearsals/pay") }
    }

    async fn intent(&self, reference: &str) -> Result<Intent, ProviderError> {
        let attempt = attempt_of(reference).ok_or(ProviderError::NotFound)?;
        let row = sqlx::query_as!(
            Row,
            r#"SELECT o.id AS order_id, a.amount, a.currency, p.state AS "state?", p.charged
               FROM attempts a JOIN orders o ON o.id = a.order_id
               LEFT JOIN rehearsal_payments p ON p.attempt = a.id
               WHERE a.provider = 'rehearsal' AND a.reference = $1"#,
            reference
        )
        .fetch_optional(&self.pg)
        .await
        .map_err(unknown)?
        .ok_or(ProviderError::NotFound)?;
        let currency = row.currency.parse().map_err(|_| nonsense())?;
        let state = match (row.state.as_deref(), row.charged) {
            (None, None) => IntentState::Open,
            (Some("cancelled"), None) => IntentState::Cancelled,
            (Some("succeeded"), Some(charged)) => IntentState::Succeeded { charged },
            _ => return Err(nonsense()),
        };
        Ok(Intent {
            reference: reference.to_owned(),
            attempt: Some(attempt),
            order: Some(OrderId(row.order_id)),
            state,
            amount: Money::new(row.amount, currency),
            created_at: Timestamp::now(),
            fingerprint: None,
        })
    }

    /// Ends the payment in this state, unless it has ended: whoever is first decides.
    async fn put(&self, reference: &str, state: &str) -> Result<Intent, ProviderError> {
        sqlx::query!(
            "INSERT INTO rehearsal_payments (attempt, event_id, order_id, state, charged)
             SELECT a.id, o.event_id, o.id, $2, CASE WHEN $2 = 'succeeded' THEN a.amount END
             FROM attempts a JOIN orders o ON o.id = a.order_id
             JOIN rehearsals r ON r.event_id = o.event_id
             WHERE a.provider = 'rehearsal' AND a.reference = $1
             ON CONFLICT (attempt) DO NOTHING",
            reference,
            state
        )
        .execute(&self.pg)
        .await
        .map_err(unknown)?;
        self.intent(reference).await
    }

    /// Takes what the order costs, unless the payment was cancelled: the state afterwards.
    ///
    /// # Errors
    /// `NotFound` once the rehearsal is over; `Unknown` if Postgres fails.
    pub async fn pay(&self, attempt: AttemptId) -> Result<Intent, ProviderError> {
        self.put(&reference_of(attempt), "succeeded").await
    }

    /// Where a payment stands.
    ///
    /// # Errors
    /// See [`Rehearsal::pay`].
    pub async fn state(&self, attempt: AttemptId) -> Result<Intent, ProviderError> {
        self.intent(&reference_of(attempt)).await
    }

    fn token(&self, attempt: AttemptId) -> String {
        self.keyring.seal(KIND, attempt.0.as_bytes())
    }
}

/// Which payment the address of a page names.
#[must_use]
pub fn open_token(keyring: &Keyring, token: &str) -> Option<AttemptId> {
    keyring.open::<16>(KIND, token).map(|bytes| AttemptId(Uuid::from_bytes(bytes)))
}

fn reference_of(attempt: AttemptId) -> String {
    format!("{PREFIX}{}", attempt.0.simple())
}

fn attempt_of(reference: &str) -> Option<AttemptId> {
    reference.strip_prefix(PREFIX)?.parse().ok().map(AttemptId)
}

fn unknown(error: sqlx::Error) -> ProviderError {
    ProviderError::Unknown(error.to_string())
}

fn nonsense() -> ProviderError {
    ProviderError::Unknown("a rehearsal's payment contradicts itself".to_owned())
}

impl Provider for Rehearsal {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn reference_of(&self, attempt: AttemptId) -> Option<String> {
        Some(reference_of(attempt))
    }

    fn create(&self, new: NewIntent) -> BoxFuture<'_, Result<CreatedIntent, ProviderError>> {
        let intent = Intent {
            reference: reference_of(new.attempt),
            attempt: Some(new.attempt),
            order: Some(new.order),
            state: IntentState::Open,
            amount: new.amount,
            created_at: Timestamp::now(),
            fingerprint: None,
        };
        let url = format!("{}/{}", self.page_base, self.token(new.attempt));
        ready(Ok(CreatedIntent { intent, pay_with: PayWith::Redirect { url } })).boxed()
    }

    fn fetch<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        self.intent(reference).boxed()
    }

    fn cancel<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        self.put(reference, "cancelled").boxed()
    }

    /// Nothing was taken, so everything is given back at once.
    fn refund(&self, new: NewRefund) -> BoxFuture<'_, Result<RefundView, ProviderError>> {
        async move {
            let intent = self.intent(&new.reference).await?;
            if !matches!(intent.state, IntentState::Succeeded { .. }) {
                return Err(ProviderError::NotFound);
            }
            Ok(RefundView {
                reference: format!("rr_{}", new.refund.0.simple()),
                intent: new.reference,
                refund: Some(new.refund),
                amount: new.amount,
                state: RefundState::Succeeded,
            })
        }
        .boxed()
    }

    /// What was paid is in the same database as what was sold: there is nothing to compare.
    fn list<'a>(
        &'a self,
        _since: Timestamp,
        _page: Option<&'a str>,
    ) -> BoxFuture<'a, Result<IntentPage, ProviderError>> {
        ready(Ok(IntentPage { intents: Vec::new(), next: None })).boxed()
    }

    /// Nobody speaks for it.
    fn verify(
        &self,
        _headers: &HeaderMap,
        _body: &[u8],
        _now: Timestamp,
    ) -> Result<WebhookEvent, WebhookError> {
        Err(WebhookError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_attempt_and_nothing_else_is_one() {
        let attempt = AttemptId::fresh();
        assert_eq!(attempt_of(&reference_of(attempt)), Some(attempt));
        for text in ["", "re_", "re_x", "pi_00000000000000000000000000000000"] {
            assert_eq!(attempt_of(text), None, "{text}");
        }
    }
}
