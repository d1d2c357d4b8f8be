//! Somebody who joins, waits, holds and pays: a person or a bot, by the API alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use onsale::waiting_room::proof::{self, Challenge};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::budget::EASIER;
use super::crowd::{Kind, LIMIT, Someone, bot_card, network_of};
use super::timeline::Step;

/// How often a bot that found nothing tries again, and after how many seconds.
const RETRIES: u32 = 2;
const RETRY_S: f64 = 2.0;
/// Refusals of a rate limit that are waited for, and for how long each at most.
const MOST_WAITS: u32 = 8;
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// What all players play at.
pub struct Shop {
    /// Its address.
    pub url: String,
    /// The event.
    pub slug: String,
    /// The offer that everybody wants.
    pub offer: String,
    /// Whether anonymous visitors prove work when they join.
    pub proof: bool,
    /// Most places per account, where there is such a limit.
    pub limit: Option<u32>,
    /// Connections to it.
    pub http: Client,
    /// What was refused, by kind and code.
    pub refusals: [Mutex<BTreeMap<String, u64>>; 2],
    /// What the bots have in common.
    pub gang: Gang,
}

/// What the bots have in common.
pub struct Gang {
    /// Cards, and how many accounts each may pay for.
    pub cards: usize,
    /// See above.
    pub accounts_per_card: usize,
    /// Orders that were paid.
    pub paid: AtomicUsize,
    /// Hashes that they can do, and have done.
    pub hashes: f64,
    /// See above.
    pub hashed: AtomicU64,
    /// Networks from which nobody gets in any more.
    pub burnt: Mutex<HashSet<String>>,
}

impl Gang {
    /// The card for the next order: each as often as it may be used, then the next one.
    fn card(&self) -> String {
        let order = self.paid.fetch_add(1, Ordering::Relaxed);
        bot_card(order / self.accounts_per_card.max(1) % self.cards.max(1))
    }

    /// Whether the cores could do no more.
    fn is_exhausted(&self) -> bool {
        self.hashed.load(Ordering::Relaxed) as f64 >= self.hashes
    }
}

impl Shop {
    fn refused(&self, kind: Kind, code: &str) {
        let mut refusals = self.refusals[usize::from(kind == Kind::Bot)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(code.to_owned()).or_default() += 1;
    }
}

/// Somebody.
pub struct Player {
    /// Who they are.
    pub who: Someone,
    /// The session that they act with.
    pub session: String,
    /// That of their account.
    pub account_session: String,
    /// The device's token.
    pub device: String,
    /// Whether the session is that of the account.
    pub signed_in: bool,
    /// Their place in line, once they have joined.
    pub token: Option<String>,
    /// Whether they have had a turn.
    pub had_turn: bool,
    /// The right to hold places, where that takes one.
    pass: Option<String>,
    /// What they hold.
    holds: Vec<String>,
    /// Places of these.
    held: u32,
    /// Wishes so far: each has a key of its own.
    wishes: u32,
    /// Tries that were in vain.
    vain: u32,
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
    /// Somebody who has done nothing yet.
    pub fn new(who: Someone, sessions: [String; 2], device: String, signed_in: bool) -> Self {
        let [anonymous, account_session] = sessions;
        let session = if signed_in { account_session.clone() } else { anonymous };
        Self {
            who,
            session,
            account_session,
            device,
            signed_in,
            token: None,
            had_turn: false,
            pass: None,
            holds: Vec::new(),
            held: 0,
            wishes: 0,
            vain: 0,
        }
    }

    fn is_bot(&self) -> bool {
        self.who.kind == Kind::Bot
    }

    /// Asks; who is told to wait does so, and asks again.
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
            request = request.header("x-forwarded-for", &self.who.address);
            request = request.header("onsale-device", &self.device);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let response = request.send().await?;
            let status = response.status();
            let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
            let after = after.and_then(|text| text.parse().ok()).unwrap_or(1);
            let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
            let reply = Reply { status, body };
            let limited = reply.code() == "too_many_requests";
            if !limited && status != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(reply);
            }
            let limit = reply.body["limit"].as_str().unwrap_or("overloaded");
            shop.refused(self.who.kind, &format!("limit {limit}"));
            tokio::time::sleep(Duration::from_secs(after).min(LONGEST_WAIT)).await;
        }
        Ok(Reply { status: StatusCode::TOO_MANY_REQUESTS, body: json!({"code": "gave_up"}) })
    }

    fn room(shop: &Shop, rest: &str) -> String {
        format!("/v1/events/{}/waiting-room/{rest}", shop.slug)
    }

    /// Joins the line, if the door lets them.
    ///
    /// # Errors
    /// If anything is answered that nobody expects.
    pub async fn join(&mut self, shop: &Shop) -> Result<()> {
        let burnt = |shop: &Shop, burn: bool| {
            let mut burnt = shop.gang.burnt.lock().unwrap_or_else(PoisonError::into_inner);
            let network = network_of(&self.who.address);
            if burn { burnt.insert(network.to_owned()) } else { burnt.contains(network) }
        };
        if self.is_bot() && !self.signed_in && burnt(shop, false) {
            return Ok(());
        }
        let Some(body) = self.proven(shop).await? else { return Ok(()) };
        let path = Self::room(shop, "join");
        let joined = self.send(shop, Method::POST, &path, &[], Some(body)).await?;
        match (joined.status.as_u16(), joined.code()) {
            (200, _) => {}
            (403, "sign_in_needed") => {
                shop.refused(self.who.kind, "sign_in_needed");
                if self.is_bot() {
                    burnt(shop, true);
                    return Ok(());
                }
                // A code by mail takes the place of the proof.
                (self.signed_in, self.session) = (true, self.account_session.clone());
                return Box::pin(self.join(shop)).await;
            }
            _ => bail!("joining: {} {}", joined.status, joined.body),
        }
        self.token = Some(joined.text("token")?);
        Ok(())
    }

    /// What joining takes; none if the bots' cores can do no more.
    async fn proven(&self, shop: &Shop) -> Result<Option<Value>> {
        if !shop.proof || self.signed_in {
            return Ok(Some(json!({})));
        }
        if self.is_bot() && shop.gang.is_exhausted() {
            return Ok(None);
        }
        let path = Self::room(shop, "challenge");
        let challenge = self.send(shop, Method::GET, &path, &[], None).await?;
        let challenge: Challenge = serde_json::from_value(challenge.body)?;
        if self.is_bot() {
            // Half of the numbers on average.
            let hashes = u64::from(challenge.maxnumber) / 2 * u64::from(EASIER);
            shop.gang.hashed.fetch_add(hashes, Ordering::Relaxed);
        }
        Ok(Some(json!({"proof": proof::solve(&challenge).context("no solution")?})))
    }

    /// Does the next thing, and says what comes after it and in how many seconds.
    ///
    /// # Errors
    /// If anything is answered that nobody expects.
    pub async fn act(&mut self, shop: &Shop, step: Step) -> Result<Option<(f64, Step)>> {
        match step {
            Step::Turn => self.take_turn(shop).await,
            Step::Grab => self.grab(shop).await,
            Step::Pay => self.pay_all(shop).await.map(|()| None),
        }
    }

    async fn take_turn(&mut self, shop: &Shop) -> Result<Option<(f64, Step)>> {
        let body = json!({"token": self.token});
        let path = Self::room(shop, "pass");
        let pass = self.send(shop, Method::POST, &path, &[], Some(body)).await?;
        if pass.status != 201 {
            shop.refused(self.who.kind, pass.code());
            return Ok(None);
        }
        self.pass = Some(pass.text("pass")?);
        self.had_turn = true;
        Ok(Some((self.who.pace.choose_s, Step::Grab)))
    }

    /// Holds the best neighbouring places, half as many if there are not so many.
    async fn grab(&mut self, shop: &Shop) -> Result<Option<(f64, Step)>> {
        let may = shop.limit.map(|limit| limit.saturating_sub(self.held));
        let mut wants =
            if self.is_bot() { may.map_or(LIMIT, |may| may.min(LIMIT)) } else { self.who.wants };
        while wants > 0 {
            self.wishes += 1;
            let held = self.hold(shop, wants).await?;
            match (held.status.as_u16(), held.code()) {
                (200 | 201, _) => {
                    self.holds.push(held.text("id")?);
                    self.held += wants;
                    // Bots first take what they can, then pay: a purchase ends the pass.
                    let more = self.is_bot() && may.is_none_or(|may| may > wants);
                    let (pace, more_in_s) = (self.who.pace, self.who.pace.choose_s);
                    return Ok(Some(if more {
                        (more_in_s, Step::Grab)
                    } else {
                        (pace.pay_s, Step::Pay)
                    }));
                }
                (409, "none_left" | "orphan_seat") => {
                    shop.refused(self.who.kind, held.code());
                    wants /= 2;
                }
                (_, code) => {
                    shop.refused(self.who.kind, code);
                    wants = 0;
                }
            }
        }
        if !self.holds.is_empty() {
            return Ok(Some((self.who.pace.pay_s, Step::Pay)));
        }
        self.vain += 1;
        if self.is_bot() && self.vain <= RETRIES {
            return Ok(Some((RETRY_S, Step::Grab)));
        }
        self.leave(shop).await.map(|()| None)
    }

    async fn hold(&self, shop: &Shop, wants: u32) -> Result<Reply> {
        let key = format!("wish-{}", self.wishes);
        let wish = json!({"lines": [{"offer": shop.offer, "best": wants}]});
        let mut headers = vec![("idempotency-key", key.as_str())];
        headers.extend(self.pass.as_deref().map(|pass| ("onsale-pass", pass)));
        let path = format!("/v1/events/{}/holds", shop.slug);
        self.send(shop, Method::POST, &path, &headers, Some(wish)).await
    }

    /// Pays for all holds, or lets them go, and leaves.
    async fn pay_all(&mut self, shop: &Shop) -> Result<()> {
        for hold in std::mem::take(&mut self.holds) {
            let path = format!("/v1/events/{}/holds/{hold}", shop.slug);
            if self.who.pays {
                self.buy(shop, &path).await?;
            } else {
                self.send(shop, Method::DELETE, &path, &[], None).await?;
            }
        }
        self.leave(shop).await
    }

    async fn buy(&self, shop: &Shop, hold: &str) -> Result<()> {
        let key = [("idempotency-key", "checkout")];
        let body = json!({"email": format!("{}@example.org", self.who.subject.simple())});
        let path = format!("{hold}/checkout");
        let order = self.send(shop, Method::POST, &path, &key, Some(body)).await?;
        if order.status != 201 {
            shop.refused(self.who.kind, order.code());
            return Ok(());
        }
        let page = order.body["payment"]["url"].as_str().context("no page to pay at")?;
        let page = format!("{page}?wait=webhook");
        let card = if self.is_bot() { shop.gang.card() } else { self.who.card.clone() };
        let paid = self.send(shop, Method::POST, &page, &[], Some(json!({"card": card}))).await?;
        ensure!(paid.status == 200, "paying: {} {}", paid.status, paid.body);
        Ok(())
    }

    /// Gives the pass up, where there is one.
    async fn leave(&mut self, shop: &Shop) -> Result<()> {
        let Some(pass) = self.pass.take() else { return Ok(()) };
        let headers = [("onsale-pass", pass.as_str())];
        self.send(shop, Method::DELETE, &Self::room(shop, "pass"), &headers, None).await?;
        Ok(())
    }
}
