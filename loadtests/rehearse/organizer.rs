//! The organizer's part: begins the rehearsal over the API, has it audited, ends it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

/// The path that a deployment's document has if it knows rehearsals.
const PATH: &str = "/v1/organizer/events/{event}/rehearsals";
/// How long the API may take for one answer: a stadium's shadow has 80,000 places.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// How long everything of a rehearsal may take to be gone.
const GONE_WITHIN: Duration = Duration::from_mins(2);
/// How often the API is asked for something again.
const EVERY: Duration = Duration::from_secs(1);
/// The audit is asked for again for so long while it can't be made, or finds anything.
const AUDIT_WITHIN: Duration = Duration::from_mins(2);

/// An organizer at a deployment.
pub struct Organizer {
    http: Client,
    base: Url,
    key: String,
    event: String,
    /// How far the deployment's clock is ahead of this one's.
    ahead: SignedDuration,
}

/// What a rehearsal needs to know of its event.
#[derive(Deserialize)]
pub struct Event {
    /// What is played.
    pub name: String,
    /// How long a hold lasts, in seconds.
    pub hold_seconds: i32,
    /// How long an order waits for its payment, in seconds.
    pub pay_seconds: i32,
    /// Most places per buyer.
    pub account_limit: Option<i32>,
}

/// A rehearsal.
#[derive(Deserialize)]
pub struct Rehearsal {
    /// The shadow's id.
    pub id: String,
    /// Its name in URLs.
    pub slug: String,
    /// Its secret.
    pub tag: String,
    /// When it ends by itself.
    pub ends_at: Timestamp,
    /// Mails that were not sent.
    pub mails_unsent: u64,
    /// Orders that are paid.
    pub orders_paid: u64,
}

/// What the auditor found.
#[derive(Deserialize)]
pub struct Audit {
    clean: bool,
    checks: usize,
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    check: String,
    proves: String,
    count: u64,
    examples: Vec<String>,
}

impl Audit {
    /// Whether nothing was found, and all of it in words.
    pub fn told(self) -> (bool, String) {
        let mut text =
            format!("{} checks of the shadow, by the deployment's auditor\n", self.checks);
        for Violation { check, proves, count, examples } in self.violations {
            text.push_str(&format!("{check}: {count} violations of: {proves}\n"));
            for example in examples {
                text.push_str(&format!("  {example}\n"));
            }
        }
        (self.clean, text)
    }
}

impl Organizer {
    /// Looks whether the deployment knows rehearsals, and what time it is there.
    ///
    /// # Errors
    /// If it doesn't answer, or is no deployment that does.
    pub async fn at(base: Url, key: String, event: String) -> Result<Self> {
        let redirects = reqwest::redirect::Policy::none();
        let http = Client::builder().redirect(redirects).timeout(ANSWER_WITHIN).build()?;
        let asked = http.get(base.join("/openapi.json")?).send().await;
        let answer = asked.map_err(reqwest::Error::without_url).context("no answer")?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let ahead = date.and_then(|date| ahead(date, Timestamp::now())).unwrap_or_default();
        let document: Value = answer.json().await.unwrap_or_default();
        ensure!(
            document["paths"][PATH].is_object(),
            "there is no onsale at {base} that knows rehearsals: nothing was begun"
        );
        Ok(Self { http, base, key, event, ahead })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Option<T>> {
        let url = self.base.join(&format!("/v1/organizer/events/{}{path}", self.event))?;
        let mut request = self.http.request(method.clone(), url).bearer_auth(&self.key);
        if let Some(body) = body {
            let key = uuid::Uuid::new_v4().to_string();
            request = request.header("idempotency-key", key).json(&body);
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let (status, text) = (answer.status(), answer.text().await?);
        if status == StatusCode::NOT_FOUND || status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(None);
        }
        if !status.is_success() {
            let problem: Value = serde_json::from_str(&text).unwrap_or_default();
            let why = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or_default();
            bail!("{method} {path}: {status} {} {why}", problem["code"].as_str().unwrap_or("?"));
        }
        serde_json::from_str(&text).map(Some).with_context(|| format!("{method} {path}"))
    }

    /// The event that is to be rehearsed.
    ///
    /// # Errors
    /// If the key's organizer has no such event.
    pub async fn event(&self) -> Result<Event> {
        let event = self.ask(Method::GET, "", None).await?;
        event.with_context(|| format!("there is no event {} of this key's organizer", self.event))
    }

    /// Begins the rehearsal: it opens after so long, and ends by itself so long after that.
    ///
    /// # Errors
    /// If the deployment refuses.
    pub async fn begin(&self, opens: Duration, lasts: Duration) -> Result<Rehearsal> {
        let opens_at = Timestamp::now() + self.ahead + SignedDuration::try_from(opens)?;
        let ends_at = opens_at + SignedDuration::try_from(lasts)?;
        let body = json!({ "opens_at": opens_at, "ends_at": ends_at });
        let made = self.ask(Method::POST, "/rehearsals", Some(body)).await?;
        made.context("the deployment can't begin a rehearsal now")
    }

    /// The rehearsal as it is now; nothing once it is gone.
    ///
    /// # Errors
    /// If the deployment doesn't answer.
    pub async fn look(&self, id: &str) -> Result<Option<Rehearsal>> {
        self.ask(Method::GET, &format!("/rehearsals/{id}"), None).await
    }

    /// Has the shadow audited, again and again for a while as long as anything is found.
    ///
    /// # Errors
    /// If the deployment refuses.
    pub async fn audit(&self, id: &str) -> Result<(bool, String)> {
        let (path, started) = (format!("/rehearsals/{id}/audit?at_rest=true"), Instant::now());
        loop {
            let audit: Option<Audit> = self.ask(Method::GET, &path, None).await?;
            let is_late = started.elapsed() > AUDIT_WITHIN;
            match audit.map(Audit::told) {
                Some(told) if told.0 || is_late => return Ok(told),
                None if is_late => bail!("the deployment can't audit the rehearsal"),
                _ => sleep(EVERY * 5).await,
            }
        }
    }

    /// Ends the rehearsal, and returns once nothing of it is left.
    ///
    /// # Errors
    /// If that isn't so in time.
    pub async fn end(&self, id: &str) -> Result<()> {
        let (path, started) = (format!("/rehearsals/{id}"), Instant::now());
        loop {
            let ended = self.ask::<Value>(Method::DELETE, &path, None).await;
            match (ended, self.look(id).await) {
                (Ok(_), Ok(None)) => return Ok(()),
                (Err(error), _) | (_, Err(error)) if started.elapsed() > GONE_WITHIN => {
                    return Err(error);
                }
                _ => {}
            }
            ensure!(started.elapsed() <= GONE_WITHIN, "it is still there");
            sleep(EVERY).await;
        }
    }
}

/// How far a clock is ahead that told this date at that moment; less than two seconds are none,
/// because a date has no fractions.
fn ahead(date: &str, now: Timestamp) -> Option<SignedDuration> {
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let ahead = there.duration_since(now);
    Some(if ahead.abs() < SignedDuration::from_secs(2) { SignedDuration::ZERO } else { ahead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_by_the_second() {
        let now: Timestamp = "2026-11-22T06:30:00.5Z".parse().unwrap();
        let ahead = |date: &str| ahead(date, now).map(|ahead| ahead.as_secs());
        assert_eq!(ahead("Sun, 22 Nov 2026 06:30:00 GMT"), Some(0));
        assert_eq!(ahead("Sun, 22 Nov 2026 06:31:00 GMT"), Some(59));
        assert_eq!(ahead("yesterday"), None);
    }

    #[test]
    fn what_the_auditor_found_is_told_in_full() {
        let text = r#"{"clean": false, "at_rest": true, "checks": 40, "violations":
            [{"check": "tickets", "proves": "all is well", "count": 2, "examples": ["place 3"]}]}"#;
        let (clean, told) = serde_json::from_str::<Audit>(text).unwrap().told();
        assert!(!clean && told.contains("tickets: 2") && told.contains("place 3"), "{told}");
    }
}
