//! The sandbox's half that lives in the shop: a [`Provider`] over the acquirer's API.

use std::future::ready;

use axum::http::{HeaderMap, StatusCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use iso_currency::Currency;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, redirect};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::config::{ClientConfig, ConfigError, check_secrets, web_url};
use super::statement::{
    Keys, MAX_DESCRIPTION_CHARS, MAX_RETURN_URL_BYTES, Statement, attempt_of, reference_of,
};
use super::wire::{
    DisputeData, ErrorBody, EventBody, IntentBody, IntentData, ListBody, RefundBody, RefundData,
    RefundRequest, SIGNATURE_HEADER,
};
use crate::ids::AttemptId;
use crate::money::MAX_AMOUNT;
use crate::payments::call::{self, Answer};
use crate::payments::signature::Secrets;
use crate::payments::{
    CreatedIntent, Happening, Intent, IntentPage, IntentState, NewIntent, NewRefund, PayWith,
    Provider, ProviderError, RefundView, WebhookError, WebhookEvent,
};

/// The sandbox provider.
pub struct Sandbox {
    keys: Keys,
    secrets: Secrets,
    page_base: String,
    api_base: String,
    currency: Currency,
    http: Client,
}

impl Sandbox {
    /// The provider's name in URLs, tables and metrics.
    pub const NAME: &'static str = "sandbox";

    /// A client of the acquirer at the configured addresses.
    ///
    /// # Errors
    /// Secrets too short, addresses that aren't URLs, no TLS provider installed.
    pub fn new(config: &ClientConfig) -> Result<Self, ConfigError> {
        check_secrets(&config.secret, &config.webhook_secrets)?;
        let base = |what, text: &str| {
            web_url(what, text).map(|url| url.as_str().trim_end_matches('/').to_owned())
        };
        // The acquirer is a neighbour: no proxy from the environment stands in between.
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| ConfigError::Client(error.to_string()))?;
        Ok(Self {
            keys: Keys::new(&config.secret),
            secrets: Secrets::new(&config.webhook_secrets),
            page_base: base("the sandbox page", &config.page_base)?,
            api_base: base("the sandbox API", &config.api_base)?,
            currency: config.currency,
            http,
        })
    }

    fn create_now(&self, new: &NewIntent) -> Result<CreatedIntent, ProviderError> {
        let refused = |code: &str, message: &str| ProviderError::Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        if !(1..=MAX_AMOUNT).contains(&new.amount.amount) {
            return Err(refused("amount", "the amount must be positive and in bounds"));
        }
        let return_url = web_url("the return address", &new.return_url)
            .map(String::from)
            .ok()
            .filter(|url| url.len() <= MAX_RETURN_URL_BYTES)
            .ok_or_else(|| refused("return_url", "the return address is no usable web URL"))?;
        let statement = Statement {
            attempt: new.attempt,
            order: new.order,
            amount: new.amount,
            description: new.description.chars().take(MAX_DESCRIPTION_CHARS).collect(),
            return_url,
            created_at: Timestamp::now(),
        };
        let url = format!("{}/pay/{}", self.page_base, self.keys.sign(&statement));
        let intent = Intent {
            reference: reference_of(new.attempt),
            attempt: Some(new.attempt),
            order: Some(new.order),
            state: IntentState::Open,
            amount: new.amount,
            created_at: statement.created_at,
            fingerprint: None,
        };
        Ok(CreatedIntent { intent, pay_with: PayWith::Redirect { url } })
    }

    /// One call. A refusal is only what the acquirer says in its own words with a 4xx.
    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ProviderError> {
        let answer = call::send(request.bearer_auth(self.keys.bearer())).await?;
        match answer.status {
            StatusCode::OK => answer.read(),
            StatusCode::NOT_FOUND => Err(ProviderError::NotFound),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(unknown(&answer)),
            status if status.is_client_error() => {
                let body: ErrorBody = answer.read()?;
                Err(ProviderError::Refused { code: body.code, message: body.message })
            }
            _ => Err(unknown(&answer)),
        }
    }

    async fn intent(&self, request: RequestBuilder) -> Result<Intent, ProviderError> {
        let body: IntentBody = self.call(request).await?;
        body.into_intent(self.currency).ok_or_else(contradiction)
    }

    /// The address of an intent; a reference that isn't ours never reaches a URL.
    fn intent_url(&self, reference: &str) -> Result<String, ProviderError> {
        attempt_of(reference).ok_or(ProviderError::NotFound)?;
        Ok(format!("{}/v1/intents/{reference}", self.api_base))
    }

    fn happening(&self, kind: &str, body: &[u8]) -> Option<Happening> {
        Some(match kind {
            "intent.succeeded" | "intent.processing" | "intent.cancelled" => {
                let data: IntentData = data(body)?;
                Happening::Intent(data.intent.into_intent(self.currency)?)
            }
            "intent.declined" => {
                let data: IntentData = data(body)?;
                let intent = data.intent.into_intent(self.currency)?;
                Happening::Declined { intent, reason: data.reason? }
            }
            "refund.updated" => Happening::Refund(data::<RefundData>(body)?.refund.into()),
            "dispute.opened" | "dispute.won" | "dispute.lost" => {
                let dispute = data::<DisputeData>(body)?.dispute;
                Happening::Dispute {
                    intent: dispute.intent,
                    reference: dispute.reference,
                    state: dispute.status.into(),
                }
            }
            _ => Happening::Ignored,
        })
    }
}

fn data<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice::<EventBody<T>>(body).ok().map(|event| event.data)
}

fn unknown(answer: &Answer) -> ProviderError {
    ProviderError::Unknown(format!("the sandbox answered {}", answer.status))
}

fn contradiction() -> ProviderError {
    ProviderError::Unknown("the sandbox's answer contradicts itself".to_owned())
}

/// An event before its type is known.
#[derive(Deserialize)]
struct AnyEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "data")]
    _data: IgnoredAny,
}

impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn reference_of(&self, attempt: AttemptId) -> Option<String> {
        Some(reference_of(attempt))
    }

    fn create(&self, new: NewIntent) -> BoxFuture<'_, Result<CreatedIntent, ProviderError>> {
        ready(self.create_now(&new)).boxed()
    }

    fn fetch<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        async move { self.intent(self.http.get(self.intent_url(reference)?)).await }.boxed()
    }

    fn cancel<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>> {
        async move {
            let url = format!("{}/cancel", self.intent_url(reference)?);
            self.intent(self.http.post(url)).await
        }
        .boxed()
    }

    fn refund(&self, new: NewRefund) -> BoxFuture<'_, Result<RefundView, ProviderError>> {
        async move {
            let request = RefundRequest {
                refund: new.refund,
                intent: new.reference,
                amount: new.amount.amount,
                currency: new.amount.currency,
            };
            let url = format!("{}/v1/refunds", self.api_base);
            let body: RefundBody = self.call(self.http.post(url).json(&request)).await?;
            Ok(body.into())
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        since: Timestamp,
        page: Option<&'a str>,
    ) -> BoxFuture<'a, Result<IntentPage, ProviderError>> {
        async move {
            let mut query = vec![("since", since.to_string())];
            query.extend(page.map(|page| ("page", page.to_owned())));
            let url = format!("{}/v1/intents", self.api_base);
            let body: ListBody = self.call(self.http.get(url).query(&query)).await?;
            let intents: Option<Vec<Intent>> =
                body.intents.into_iter().map(|body| body.into_intent(self.currency)).collect();
            Ok(IntentPage { intents: intents.ok_or_else(contradiction)?, next: body.next })
        }
        .boxed()
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookEvent, WebhookError> {
        self.secrets.check(headers, SIGNATURE_HEADER, body, now)?;
        let event: AnyEvent = serde_json::from_slice(body).map_err(|_| WebhookError::BadBody)?;
        let what = self.happening(&event.kind, body).ok_or(WebhookError::BadBody)?;
        Ok(WebhookEvent { id: event.id, what })
    }
}
