//! What both halves are told, and what is refused before anything starts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use iso_currency::Currency;
use reqwest::Url;
use thiserror::Error;

use super::plan::Behaviour;
use crate::payments::signature::MAX_SECRETS;

/// The shortest secret that is accepted, in bytes.
pub const MIN_SECRET_BYTES: usize = 16;

/// How long the client waits for a connection, unless told otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the client waits for a whole answer, unless told otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many URLs webhooks may rotate among.
pub const MAX_WEBHOOK_URLS: usize = 64;

/// Intents the acquirer remembers, unless told otherwise: about 400 bytes each.
pub const MAX_INTENTS: usize = 1_000_000;

/// Why a configuration can't work.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A secret is missing or too short to be one.
    #[error("{0} needs a secret of at least {MIN_SECRET_BYTES} bytes")]
    Secret(&'static str),
    /// Too many of something.
    #[error("{0}: at most {1}")]
    TooMany(&'static str, usize),
    /// Not an absolute http or https URL.
    #[error("{0} must be an absolute http or https URL, not {1:?}")]
    Url(&'static str, String),
    /// A share outside 0 to 1.
    #[error("{0} must be between 0 and 1")]
    Share(&'static str),
    /// The HTTP client couldn't be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
    /// The journal can't be read or written.
    #[error("the sandbox journal {0}: {1}")]
    Journal(PathBuf, std::io::Error),
}

/// The client's configuration.
#[derive(Clone)]
pub struct ClientConfig {
    /// Where buyers reach the acquirer's pages, such as `https://tickets.example/sandbox`.
    pub page_base: String,
    /// Where this server reaches the acquirer's API; often the same.
    pub api_base: String,
    /// Shared with the acquirer: signs statements and opens the API.
    pub secret: String,
    /// Secrets that webhooks may be signed with, newest first.
    pub webhook_secrets: Vec<String>,
    /// What an untouched intent's absent amount is reported in.
    pub currency: Currency,
    /// Bound on connecting.
    pub connect_timeout: Duration,
    /// Bound on a whole call.
    pub timeout: Duration,
}

impl ClientConfig {
    /// Both bases under `base`, one webhook secret, the usual bounds, EUR.
    #[must_use]
    pub fn new(base: &str, secret: &str, webhook_secret: &str) -> Self {
        Self {
            page_base: base.to_owned(),
            api_base: base.to_owned(),
            secret: secret.to_owned(),
            webhook_secrets: vec![webhook_secret.to_owned()],
            currency: Currency::EUR,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: CALL_TIMEOUT,
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("page_base", &self.page_base)
            .field("api_base", &self.api_base)
            .finish_non_exhaustive()
    }
}

/// The acquirer's configuration.
#[derive(Clone)]
pub struct AcquirerConfig {
    /// Shared with the client.
    pub secret: String,
    /// Where events are sent, in rotation; none sends nothing.
    pub webhook_urls: Vec<String>,
    /// Every event is signed with each of these.
    pub webhook_secrets: Vec<String>,
    /// Remembers across restarts, if given.
    pub journal: Option<PathBuf>,
    /// How long the slow card takes to answer.
    pub slow: Duration,
    /// How long the late card is processing, and a late refund pending.
    pub late: Duration,
    /// How long the page waits for the shop to acknowledge a payment before it sends the buyer
    /// back, so that they usually return to an order that is paid. Zero doesn't wait.
    pub redirect_wait: Duration,
    /// How many intents are remembered; see [`MAX_INTENTS`].
    pub max_intents: usize,
    /// What happens to approved cards, for load tests; absent: they are approved at once.
    pub behaviour: Option<Behaviour>,
}

impl AcquirerConfig {
    /// One webhook URL and secret, the usual delays, nothing kept on disk.
    #[must_use]
    pub fn new(secret: &str, webhook_url: &str, webhook_secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            webhook_urls: vec![webhook_url.to_owned()],
            webhook_secrets: vec![webhook_secret.to_owned()],
            journal: None,
            slow: Duration::from_secs(5),
            late: Duration::from_mins(1),
            redirect_wait: Duration::from_secs(1),
            max_intents: MAX_INTENTS,
            behaviour: None,
        }
    }
}

impl fmt::Debug for AcquirerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirerConfig")
            .field("webhook_urls", &self.webhook_urls)
            .field("journal", &self.journal)
            .field("behaviour", &self.behaviour)
            .finish_non_exhaustive()
    }
}

/// Checks the secrets of either half.
pub fn check_secrets(secret: &str, webhook_secrets: &[String]) -> Result<(), ConfigError> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(ConfigError::Secret("the sandbox"));
    }
    if webhook_secrets.len() > MAX_SECRETS {
        return Err(ConfigError::TooMany("webhook secrets", MAX_SECRETS));
    }
    let long = |secret: &String| secret.len() >= MIN_SECRET_BYTES;
    if webhook_secrets.is_empty() || !webhook_secrets.iter().all(long) {
        return Err(ConfigError::Secret("every sandbox webhook"));
    }
    Ok(())
}

/// An absolute http or https URL.
pub fn web_url(what: &'static str, text: &str) -> Result<Url, ConfigError> {
    let wrong = || ConfigError::Url(what, text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if web { Ok(url) } else { Err(wrong()) }
}
