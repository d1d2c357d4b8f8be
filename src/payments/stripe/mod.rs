//! Stripe, as a thin client: payment intents, refunds, webhooks. No card data passes here: the
//! buyer's browser gives it to Stripe's own fields, mounted with the intent's client secret.
//!
//! Only test keys are accepted. What each call promises:
//!
//! - Creating carries the attempt's id as idempotency key, refunding the refund's id. Stripe
//!   remembers such keys for at least 24 hours and answers a repetition with the first answer;
//!   the same key with another body is an error. Our attempts end long before that.
//! - A lost answer, a timeout, a conflict (409), a rate limit (429) and every 5xx are `Unknown`:
//!   the call may have had its effect, and is repeated with the same key.
//! - The order's and the attempt's id travel as metadata, so that every payment maps back.
//!
//! Wire shapes as published in Stripe's API reference, version [`API_VERSION`].

mod config;
mod currency;
#[cfg(test)]
mod tests;
mod webhook;
mod wire;

pub use config::{API_BASE, API_VERSION, StripeConfig, StripeConfigError};

use axum::http::{HeaderMap, StatusCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, redirect};
use serde::de::DeserializeOwned;

use self::wire::{ErrorBody, List, PaymentIntent, Refund};
use super::call;
use super::signature::Secrets;
use super::{
    CreatedIntent, Intent, IntentPage, IntentState, NewIntent, NewRefund, PayWith, Provider,
    ProviderError, RefundView, WebhookError, WebhookEvent,
};
use crate::ids::AttemptId;

/// Makes a repeated call find the first one's effect.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Selects the API's version.
const VERSION_HEADER: &str = "stripe-version";

/// Intents per page of the list: the most that Stripe gives.
const PAGE_SIZE: &str = "100";

/// The longest description that Stripe keeps, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_000;

/// Stripe's ids are short words; anything else never reaches a URL.
const MAX_REFERENCE_BYTES: usize = 255;

/// The Stripe provider.
pub struct Stripe {
    config: StripeConfig,
    api_base: String,
    secrets: Secrets,
    http: Client,
}

impl Stripe {
    /// The provider's name in URLs, tables and metrics.
    pub const NAME: &'static str = "stripe";

    /// A client with these keys.
    ///
    /// # Errors
    /// Keys that aren't test keys, no webhook secret, an address that would send the secret key
    /// in the clear, or no TLS provider installed.
    pub fn new(config: StripeConfig) -> Result<Self, StripeConfigError> {
        let (api_base, loopback) = config.check()?;
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .tcp_nodelay(true);
        if loopback {
            client = client.no_proxy();
        }
        let http = client.build().map_err(|error| StripeConfigError::Client(error.to_string()))?;
        let secrets = Secrets::new(&config.webhook_secrets);
        Ok(Self { config, api_base, secrets, http })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.api_base)
    }

    fn intent_url(&self, reference: &str, verb: &str) -> Result<String, ProviderError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let sound = reference.len() <= MAX_REFERENCE_BYTES && reference.bytes().all(plain);
        if !sound || !reference.starts_with("pi_") {
            return Err(ProviderError::NotFound);
        }
        Ok(self.url(&format!("payment_intents/{reference}{verb}")))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ProviderError> {
        let request = request
            .bearer_auth(&self.config.secret_key)
            .header(VERSION_HEADER, &self.config.api_version);
        let answer = call::send(request).await?;
        let status = answer.status;
        let unknown = || ProviderError::Unknown(format!("Stripe answered {status}"));
        match status {
            StatusCode::OK => answer.read(),
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(unknown())
            }
            status if status.is_client_error() => {
                // Only Stripe's own words are a refusal; a proxy's page says nothing.
                let body: ErrorBody = answer.read()?;
                Err(body.error.into_refusal(status))
            }
            _ => Err(unknown()),
        }
    }

    async fn create_intent(&self, new: NewIntent) -> Result<CreatedIntent, ProviderError> {
        currency::check(new.amount)?;
        let mut form = vec![
            ("amount", new.amount.amount.to_string()),
            ("currency", new.amount.currency.code().to_ascii_lowercase()),
            ("automatic_payment_methods[enabled]", "true".to_owned()),
            ("description", new.description.chars().take(MAX_DESCRIPTION_CHARS).collect()),
            ("metadata[order]", new.order.to_string()),
            ("metadata[attempt]", new.attempt.to_string()),
        ];
        if !new.email.is_empty() {
            form.push(("receipt_email", new.email));
        }
        let request = self.http.post(self.url("payment_intents")).form(&form);
        let request = request.header(IDEMPOTENCY_KEY, new.attempt.to_string());
        let mut made: PaymentIntent = self.call(request).await?;
        let client_secret = made.client_secret.take().ok_or_else(wire::unreadable)?;
        let publishable_key = self.config.publishable_key.clone();
        let intent = made.into_intent().ok_or_else(wire::unreadable)?;
        Ok(CreatedIntent { intent, pay_with: PayWith::Elements { client_secret, publishable_key } })
    }

    async fn fetch_intent(&self, reference: &str) -> Result<Intent, ProviderError> {
        let intent: PaymentIntent =
            self.call(self.http.get(self.intent_url(reference, "")?)).await?;
        intent.into_intent().ok_or_else(wire::unreadable)
    }

    async fn cancel_intent(&self, reference: &str) -> Result<Intent, ProviderError> {
        let url = self.intent_url(reference, "/cancel")?;
        // A form, even an empty one: some proxies refuse a POST without a body.
        let form = [("cancellation_reason", "abandoned")];
        match self.call::<PaymentIntent>(self.http.post(url).form(&form)).await {
            Ok(intent) => intent.into_intent().ok_or_else(wire::unreadable),
            Err(ProviderError::Refused { code, .. }) if code == wire::UNEXPECTED_STATE => {
                // Paid, processing or cancelled before. If it is open now, it has changed in
                // between: nothing is certain, and the caller asks again.
                let intent = self.fetch_intent(reference).await?;
                if intent.state == IntentState::Open {
                    return Err(ProviderError::Unknown("not cancelled, yet open".to_owned()));
                }
                Ok(intent)
            }
            Err(error) => Err(error),
        }
    }

    async fn make_refund(&self, new: NewRefund) -> Result<RefundView, ProviderError> {
        currency::check(new.amount)?;
        let form = [
            ("payment_intent", new.reference),
            ("amount", new.amount.amount.to_string()),
            ("metadata[refund]", new.refund.to_string()),
        ];
        let request = self.http.post(self.url("refunds")).form(&form);
        let request = request.header(IDEMPOTENCY_KEY, new.refund.to_string());
        let made: Refund = self.call(request).await?;
        made.into_view().ok_or_else(wire::unreadable)
    }

    async fn list_intents(
        &self,
        since: Timestamp,
        page: Option<&str>,
    ) -> Result<IntentPage, ProviderError> {
        let mut query = vec![("limit", PAGE_SIZE.to_owned())];
        query.push(("created[gte]", since.as_second().to_string()));
        query.extend(page.map(|last| ("starting_after", last.to_owned())));
        let list: List<PaymentIntent> =
            self.call(self.http.get(self.url("payment_intents")).query(&query)).await?;
        let next = list.data.last().filter(|_| list.has_more).map(|last| last.id.clone());
        let mut intents = Vec::with_capacity(list.data.len());
        for intent in list.data {
            let id = intent.id.clone();
            let Some(intent) = intent.into_intent() else {
                // Not made by us: we make none in such a currency.
                tracing::warn!(intent = id, "a payment at Stripe can't be read");
                continue;
            };
            intents.push(intent);
        }
        Ok(IntentPage { intents, next })
    }
}

impl Provider for Stripe {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn reference_of(&self, _: AttemptId) -> Option<String> {
        None
    }

    fn create(&self, new: NewIntent) -> BoxFuture<'_, Result<CreatedIntent, ProviderError>> {
        self.create_intent(new).boxed()
    }

    fn fetch<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        self.fetch_intent(reference).boxed()
    }

    fn cancel<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        self.cancel_intent(reference).boxed()
    }

    fn refund(&self, new: NewRefund) -> BoxFuture<'_, Result<RefundView, ProviderError>> {
        self.make_refund(new).boxed()
    }

    fn list<'a>(
        &'a self,
        since: Timestamp,
        page: Option<&'a str>,
    ) -> BoxFuture<'a, Result<IntentPage, ProviderError>> {
        self.list_intents(since, page).boxed()
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookEvent, WebhookError> {
        self.secrets.check(headers, webhook::SIGNATURE_HEADER, body, now)?;
        webhook::read(body)
    }
}
