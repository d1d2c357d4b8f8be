//! Somebody who joins, waits, holds and pays: a person or a bot, by the API alone.

use anyhow::{Context, Result, bail, ensure};
use onsale::waiting_room::proof::{self, Challenge};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// A hold that a bot asks for, when nothing limits it: as large as holds may be.
const GREEDY: u32 = 10;
/// Refusals of a rate limit that are waited for.
const MOST_WAITS: u32 = 30;

/// What all players play at.
pub struct Shop {
    /// Its address.
    pub url: String,
    /// The event.
    pub slug: String,
    /// The offer that everybody wants.
    pub offer: String,
    /// Whether joining takes a proof of work.
    pub proof: bool,
    /// Most places per account, where there is such a limit.
    pub limit: Option<u32>,
    /// Connections to it.
    pub http: Client,
}

/// What somebody is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wants so many places, once.
    Person(u32),
    /// Takes what there is, again and again, and pays.
    Scalper,
    /// Takes what there is and never pays.
    Blocker,
}

/// Somebody.
pub struct Player {
    /// What they are like.
    pub kind: Kind,
    /// Their session.
    pub session: String,
    /// The address that the proxy says they have.
    pub address: String,
    /// When they come, and how long after being called they act, in seconds.
    pub delay_s: f64,
    /// Their place in line, once they have joined.
    pub token: String,
    /// Where that is, once the draw is made.
    pub place: Option<i64>,
    /// Whether they have had their turn.
    pub served: bool,
    /// Tickets they have paid for.
    pub tickets: u64,
    /// Holds that are neither paid nor given back.
    pub idle: Vec<String>,
}

/// An answer.
struct Reply {
    status: StatusCode,
    body: Value,
}

impl Reply {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn text(&self, name: &str) -> Result<String> {
        let text = self.body[name].as_str().map(str::to_owned);
        text.with_context(|| format!("no {name}: {} {}", self.status, self.body))
    }
}

impl Player {
    /// Whether it is no person.
    pub fn is_bot(&self) -> bool {
        !matches!(self.kind, Kind::Person(_))
    }

    async fn send(
        &self,
        shop: &Shop,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<Value>,
    ) -> Result<Reply> {
        let url =
            if path.starts_with("http") { path.into() } else { format!("{}{path}", shop.url) };
        for _ in 0..MOST_WAITS {
            let mut request = shop.http.request(method.clone(), &url).bearer_auth(&self.session);
            request = request.header("x-forwarded-for", &self.address);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let response = request.send().await?;
            let status = response.status();
            let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
            let busy = [429, 503].contains(&status.as_u16());
            if !busy {
                return Ok(Reply { status, body });
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        bail!("{path}: refused for too long")
    }

    fn room(shop: &Shop, rest: &str) -> String {
        format!("/v1/events/{}/waiting-room/{rest}", shop.slug)
    }

    /// Joins the line; whoever is a bot tries it twice, which is no use.
    pub async fn join(&mut self, shop: &Shop) -> Result<()> {
        let mut body = json!({});
        if shop.proof {
            let path = Self::room(shop, "challenge");
            let challenge = self.send(shop, Method::GET, &path, &[], None).await?;
            let challenge: Challenge = serde_json::from_value(challenge.body)?;
            body = json!({"proof": proof::solve(&challenge).context("no solution")?});
        }
        let path = Self::room(shop, "join");
        let joined = self.send(shop, Method::POST, &path, &[], Some(body)).await?;
        ensure!(joined.status == 200, "joining: {} {}", joined.status, joined.body);
        self.token = joined.text("token")?;
        if self.is_bot() {
            let body = json!({"token": self.token});
            let again = self.send(shop, Method::POST, &path, &[], Some(body)).await?;
            ensure!(again.text("token")? == self.token, "joining twice gave two places");
        }
        Ok(())
    }

    /// Learns the place in line.
    pub async fn look(&mut self, shop: &Shop) -> Result<()> {
        let token = [("onsale-queue", self.token.as_str())];
        let path = Self::room(shop, "place");
        let told = self.send(shop, Method::GET, &path, &token, None).await?;
        self.place = Some(told.text("place")?.parse()?);
        Ok(())
    }

    /// Takes the turn, and buys.
    pub async fn shop(&mut self, shop: &Shop) -> Result<()> {
        self.served = true;
        let body = json!({"token": self.token});
        let path = Self::room(shop, "pass");
        let pass = self.send(shop, Method::POST, &path, &[], Some(body)).await?;
        ensure!(pass.status == 201, "taking a turn: {} {}", pass.status, pass.body);
        let pass = pass.text("pass")?;
        let mut wants = match self.kind {
            Kind::Person(places) => places.min(shop.limit.unwrap_or(places)),
            _ => shop.limit.unwrap_or(GREEDY).min(GREEDY),
        };
        // Bots first take what they can, then pay: a purchase ends the pass.
        let mut holds = Vec::new();
        for attempt in 0.. {
            let Some(hold) = self.hold(shop, &pass, attempt, &mut wants).await? else { break };
            holds.push(hold);
            if matches!(self.kind, Kind::Person(_)) {
                break;
            }
        }
        match self.kind {
            Kind::Blocker => self.idle = holds,
            _ => {
                for hold in holds {
                    self.buy(shop, &hold).await?;
                }
            }
        }
        let headers = [("onsale-pass", pass.as_str())];
        self.send(shop, Method::DELETE, &path, &headers, None).await?;
        Ok(())
    }

    /// Holds the best places, fewer if there are not so many; none if there is nothing.
    async fn hold(
        &self,
        shop: &Shop,
        pass: &str,
        attempt: u32,
        wants: &mut u32,
    ) -> Result<Option<String>> {
        while *wants > 0 {
            let key = format!("try-{attempt}-{wants}");
            let wish = json!({"lines": [{"offer": shop.offer, "best": *wants}]});
            let headers = [("onsale-pass", pass), ("idempotency-key", key.as_str())];
            let path = format!("/v1/events/{}/holds", shop.slug);
            let held = self.send(shop, Method::POST, &path, &headers, Some(wish)).await?;
            match (held.status.as_u16(), held.code()) {
                (200 | 201, _) => return Ok(Some(held.text("id")?)),
                (409, "none_left" | "account_limit" | "orphan_seat") => *wants -= 1,
                (403, "pass_invalid") => return Ok(None),
                _ => bail!("holding: {} {}", held.status, held.body),
            }
        }
        Ok(None)
    }

    async fn buy(&mut self, shop: &Shop, hold: &str) -> Result<()> {
        let path = format!("/v1/events/{}/holds/{hold}/checkout", shop.slug);
        let key = [("idempotency-key", "checkout")];
        let body = json!({"email": "buyer@example.org"});
        let order = self.send(shop, Method::POST, &path, &key, Some(body)).await?;
        if order.code() == "account_limit" {
            return Ok(());
        }
        ensure!(order.status == 201, "checkout: {} {}", order.status, order.body);
        let page = order.body["payment"]["url"].as_str().context("no page to pay at")?;
        let page = format!("{page}?wait=webhook");
        let card = json!({"card": "4242424242424242"});
        let paid = self.send(shop, Method::POST, &page, &[], Some(card)).await?;
        ensure!(paid.status == 200, "paying: {} {}", paid.status, paid.body);
        let lines = order.body["lines"].as_array().context("no lines")?;
        self.tickets += lines.iter().filter_map(|line| line["quantity"].as_u64()).sum::<u64>();
        Ok(())
    }

    /// Lets idle holds go, as their time would.
    pub async fn let_go(&mut self, shop: &Shop) -> Result<()> {
        for hold in std::mem::take(&mut self.idle) {
            let path = format!("/v1/events/{}/holds/{hold}", shop.slug);
            self.send(shop, Method::DELETE, &path, &[], None).await?;
        }
        Ok(())
    }
}
