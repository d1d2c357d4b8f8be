//! One HTTP call to a provider, with every bound in place.

use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::ProviderError;

/// The largest answer that is read, in bytes: a page of 100 intents takes about a tenth of it.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A provider's answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// `Unknown`: the call was answered, but not in words that say what happened.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ProviderError::Unknown(format!("answer {} is unreadable: {error}", self.status))
        })
    }
}

/// Sends `request` and reads the whole answer.
///
/// # Errors
/// `Unknown` for whatever isn't a whole answer: a refused or lost connection, a timeout, an
/// answer that is too long. The URL is left out of the message, so that no log shows it.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer, ProviderError> {
    let unknown = |error: reqwest::Error| ProviderError::Unknown(describe(error));
    let mut response = request.send().await.map_err(unknown)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unknown)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ProviderError::Unknown("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// The error with its causes, and without its URL.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
