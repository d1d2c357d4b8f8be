//! Stripe's keys and bounds, checked before anything is sent.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use thiserror::Error;

use crate::payments::signature::MAX_SECRETS;

/// Where Stripe's API is.
pub const API_BASE: &str = "https://api.stripe.com";

/// The version whose shapes are read here: the first that tells of every refund by events of
/// its own.
pub const API_VERSION: &str = "2024-10-28.acacia";

/// How long connecting may take, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a whole call may take, unless told otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest webhook secret that is accepted, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// Stripe's keys and bounds.
#[derive(Clone)]
pub struct StripeConfig {
    /// `sk_test_…`, or a restricted `rk_test_…`.
    pub secret_key: String,
    /// `pk_test_…`: given to browsers.
    pub publishable_key: String,
    /// `whsec_…`, newest first; more than one while rotating.
    pub webhook_secrets: Vec<String>,
    /// See [`API_BASE`].
    pub api_base: String,
    /// See [`API_VERSION`].
    pub api_version: String,
    /// Bound on connecting.
    pub connect_timeout: Duration,
    /// Bound on a whole call.
    pub timeout: Duration,
}

/// Why a configuration can't work.
#[derive(Debug, Error)]
pub enum StripeConfigError {
    /// Only test keys are ever used.
    #[error("{0} must be a test key: it has to start with {1}")]
    NotATestKey(&'static str, &'static str),
    /// Webhooks could not be believed.
    #[error("Stripe needs 1 to {MAX_SECRETS} webhook secrets of at least {MIN_SECRET_BYTES} bytes")]
    WebhookSecrets,
    /// The secret key would travel in the clear, or nowhere.
    #[error("Stripe's API base must be an https URL (or http on loopback), not {0:?}")]
    ApiBase(String),
    /// The HTTP client couldn't be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
}

impl StripeConfig {
    /// These keys with the usual address, version and bounds.
    #[must_use]
    pub fn new(secret_key: &str, publishable_key: &str, webhook_secret: &str) -> Self {
        Self {
            secret_key: secret_key.to_owned(),
            publishable_key: publishable_key.to_owned(),
            webhook_secrets: vec![webhook_secret.to_owned()],
            api_base: API_BASE.to_owned(),
            api_version: API_VERSION.to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            timeout: CALL_TIMEOUT,
        }
    }

    /// The API's base without a final slash, and whether it is on this machine.
    pub(super) fn check(&self) -> Result<(String, bool), StripeConfigError> {
        let starts = |key: &str, prefixes: &[&str]| {
            prefixes.iter().any(|prefix| {
                key.strip_prefix(prefix).is_some_and(|rest| {
                    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
                })
            })
        };
        if !starts(&self.secret_key, &["sk_test_", "rk_test_"]) {
            let wanted = "sk_test_ or rk_test_";
            return Err(StripeConfigError::NotATestKey("Stripe's secret key", wanted));
        }
        if !starts(&self.publishable_key, &["pk_test_"]) {
            return Err(StripeConfigError::NotATestKey("Stripe's publishable key", "pk_test_"));
        }
        let sound = (1..=MAX_SECRETS).contains(&self.webhook_secrets.len())
            && self.webhook_secrets.iter().all(|secret| secret.len() >= MIN_SECRET_BYTES);
        if !sound {
            return Err(StripeConfigError::WebhookSecrets);
        }
        let wrong = || StripeConfigError::ApiBase(self.api_base.clone());
        let url = Url::parse(&self.api_base).map_err(|_| wrong())?;
        let host = url.host_str().unwrap_or_default();
        let loopback = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(wrong()),
        }
        Ok((url.as_str().trim_end_matches('/').to_owned(), loopback))
    }
}

impl fmt::Debug for StripeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeConfig")
            .field("publishable_key", &self.publishable_key)
            .field("api_base", &self.api_base)
            .field("api_version", &self.api_version)
            .finish_non_exhaustive()
    }
}
