//! Configuration: one typed value, read once from file, environment and flags, checked before
//! anything is bound. Every bound has its name here, beside its default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::http::limits::Limits;
use crate::http::limits::network::Network;
use crate::payments::{sandbox, stripe};
use crate::redis::Patience;
use crate::suspicion::config::SuspicionConfig;
use crate::waiting_room::config::WaitingRoom;

/// Prefix of environment variables: `ONSALE_REDIS__PREFIX` sets `redis.prefix`.
pub const ENV_PREFIX: &str = "ONSALE";
/// Variables with that prefix that are no settings.
const NO_SETTINGS: [&str; 3] = ["ONSALE_CONFIG", "ONSALE_DEVSTACK_IGNORE_SYSTEM", "ONSALE_DIE_AT"];

/// Longest line of asks that can be configured.
const MAX_ASKS: usize = 10_000;

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this process does.
    pub roles: Vec<Role>,
    /// Seconds that a process waits at its start for Postgres and Redis, each: they are often
    /// started together. Then it gives up.
    pub start_within_s: u64,
    /// HTTP.
    pub http: Http,
    /// Limits of requests.
    pub limits: Limits,
    /// Postgres.
    pub database: Database,
    /// Redis.
    pub redis: RedisConfig,
    /// Keys that sign tokens and tickets.
    pub keys: Keys,
    /// Payments.
    pub payments: Payments,
    /// Mail.
    pub mail: Mail,
    /// Waiting rooms.
    pub waiting_room: WaitingRoom,
    /// Asks for places that come back.
    pub asks: Asks,
    /// Suspects of holding without buying.
    pub suspicion: SuspicionConfig,
    /// Background work.
    pub workers: Workers,
    /// How it logs.
    pub log: Log,
}

/// What a process does. All of them by default; any number of processes may do each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves HTTP.
    Http,
    /// Runs the workers.
    Workers,
}

/// HTTP.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How the world reaches us; in links and payment returns. Without a slash at the end.
    pub public_url: String,
    /// Origins whose pages may call the API; `*` is not accepted.
    pub cors_origins: Vec<String>,
    /// Origins whose pages may show the shop in a frame, such as `https://festival.example`; on
    /// others the element of `/embed.js` leads to the shop. Needs https (or this machine), since
    /// frames keep their session in cookies that browsers take over nothing less.
    pub embed_origins: Vec<String>,
    /// Most connections at once; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// Largest request body in bytes (manifest imports have their own bound).
    pub max_body_bytes: usize,
    /// Largest manifest in bytes.
    pub max_manifest_bytes: usize,
    /// Seconds until a request's headers must have come; also how long an idle connection stays.
    pub header_timeout_s: u64,
    /// Seconds until a request's body must have come; less than the next, which would end it too.
    pub body_timeout_s: u64,
    /// Seconds until a request must be answered (streams excepted).
    pub request_timeout_s: u64,
    /// Addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed, from its last
    /// entry on. Without them everybody behind a proxy is one client.
    pub trusted_proxies: Vec<Network>,
    /// Milliseconds for which a node that stops says that it is not ready while it still accepts
    /// connections: longer than load balancers take to notice.
    pub unready_ms: u64,
    /// Seconds that open requests get to finish at shutdown.
    pub drain_s: u64,
    /// Availability streams per process.
    pub max_streams: usize,
}

/// Postgres.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://…`; also `DATABASE_URL`.
    pub url: String,
    /// Most connections for everything but the group commits.
    pub connections: u32,
    /// Seconds to wait for a connection.
    pub acquire_timeout_s: u64,
    /// Most orders in one commit.
    pub batch: usize,
    /// Orders that may wait for a commit; more are refused with 503.
    pub batch_queue: usize,
    /// Milliseconds a group commit waits for a lock before its members run one by one.
    pub lock_timeout_ms: u64,
}

/// Redis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// `redis://…`; also `REDIS_URL`.
    pub url: String,
    /// Put before every key.
    pub prefix: String,
    /// Multiplexed connections of the hot path.
    pub connections: usize,
    /// How long a reply may take, in milliseconds. After it a buyer is told to ask again.
    pub answer_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_ms: u64,
}

impl RedisConfig {
    /// How long it may take.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience {
            answer: Duration::from_millis(self.answer_ms),
            connect: Duration::from_millis(self.connect_ms),
        }
    }
}

/// Keys by id: the first signs, all verify. To rotate, put a new one first; drop the old one
/// when nothing that it signed is alive any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// HMAC keys of session tokens and secret links.
    pub tokens: Vec<KeyConfig>,
    /// Ed25519 seeds of tickets.
    pub tickets: Vec<KeyConfig>,
}

/// One key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its id, 1 to 255: part of everything that it signs.
    pub id: u8,
    /// 32 random bytes as 64 hexadecimal digits.
    pub secret: String,
}

/// Payments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// Which provider takes new payments.
    pub provider: ProviderName,
    /// The sandbox.
    pub sandbox: SandboxSettings,
    /// Stripe, with test keys only.
    pub stripe: StripeSettings,
}

/// The providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// Built in.
    Sandbox,
    /// Stripe.
    Stripe,
}

/// The built-in provider for development, tests and rehearsals.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// Where its pages and API are; empty: inside this process, under `/sandbox`.
    pub url: String,
    /// Signs payment tokens and API calls.
    pub secret: String,
    /// Sign webhooks; the first signs, all verify.
    pub webhook_secrets: Vec<String>,
    /// Where a sandbox inside this process keeps its journal; empty: nowhere.
    pub journal: PathBuf,
}

/// Stripe.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StripeSettings {
    /// `sk_test_…`.
    pub secret_key: String,
    /// `pk_test_…`.
    pub publishable_key: String,
    /// `whsec_…`; several while they rotate.
    pub webhook_secrets: Vec<String>,
    /// Another address, for tests.
    pub api_base: String,
}

/// Mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// `smtp://…` or `smtps://…`; empty: mails are kept in the mailbox.
    pub smtp_url: String,
    /// A PEM file with certificates of authorities that the relay's certificate may come from,
    /// beside the public ones; empty: only those.
    pub smtp_authorities: String,
    /// Sender.
    pub from: String,
    /// Shows mails at `/mailbox`: for the demo and tests, never in production.
    pub mailbox: bool,
    /// Mails on orders that a process sends in a second, on average; the others wait. Relays take
    /// no more from one sender, and while a sale is at its peak buyers come first: their tickets
    /// are on the page.
    pub per_second: u32,
}

/// Asks for places that come back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asks {
    /// Seconds that an ask stays in line.
    pub seconds: u64,
    /// Most asks in line per event; more are refused.
    pub per_event: usize,
}

/// Background work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Milliseconds between sweeps of expired holds.
    pub sweep_ms: u64,
    /// Most records a sweep ends in one call.
    pub sweep_batch: usize,
    /// Milliseconds after which a claiming record counts as left behind.
    pub hanging_ms: u64,
    /// Milliseconds between looks at what is due: deadlines, outbox, mirror, refunds and the like.
    pub poll_ms: u64,
    /// Seconds between reconciliations with the payment provider.
    pub reconcile_s: u64,
    /// Seconds between comparisons of Redis with Postgres.
    pub compare_s: u64,
}

/// How it logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// As `RUST_LOG`.
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: vec![Role::Http, Role::Workers],
            start_within_s: 30,
            http: Http::default(),
            limits: Limits::default(),
            database: Database::default(),
            redis: RedisConfig::default(),
            keys: Keys::default(),
            payments: Payments::default(),
            mail: Mail::default(),
            waiting_room: WaitingRoom::default(),
            asks: Asks::default(),
            suspicion: SuspicionConfig::default(),
            workers: Workers::default(),
            log: Log::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            public_url: "http://127.0.0.1:8080".into(),
            cors_origins: Vec::new(),
            embed_origins: Vec::new(),
            max_connections: 18_000,
            max_body_bytes: 64 * 1024,
            max_manifest_bytes: 64 * 1024 * 1024,
            header_timeout_s: 30,
            body_timeout_s: 10,
            request_timeout_s: 15,
            trusted_proxies: Vec::new(),
            unready_ms: 2_000,
            drain_s: 15,
            max_streams: 5_000,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections: 16,
            acquire_timeout_s: 5,
            batch: 100,
            batch_queue: 10_000,
            lock_timeout_ms: 250,
        }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            prefix: "onsale".into(),
            connections: 2,
            answer_ms: 500,
            connect_ms: 1_000,
        }
    }
}

impl Default for Payments {
    fn default() -> Self {
        Self {
            provider: ProviderName::Sandbox,
            sandbox: SandboxSettings::default(),
            stripe: StripeSettings::default(),
        }
    }
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: String::new(),
            webhook_secrets: Vec::new(),
            journal: PathBuf::new(),
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            smtp_url: String::new(),
            smtp_authorities: String::new(),
            from: "Tickets <tickets@localhost>".into(),
            mailbox: false,
            per_second: 200,
        }
    }
}

impl Default for Asks {
    fn default() -> Self {
        Self { seconds: 600, per_event: 1_000 }
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            sweep_ms: 500,
            sweep_batch: 200,
            hanging_ms: 10_000,
            poll_ms: 200,
            reconcile_s: 20,
            compare_s: 60,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,sqlx=warn,hyper=warn".into(), json: false }
    }
}

/// Misspelt settings are refused, so what is none must not be read as one.
fn settings_in_environment() -> std::collections::HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !NO_SETTINGS.contains(&name.as_str()))
        .collect()
}

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("the configuration can't be read: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// Values that make no sense.
    #[error("the configuration is not usable:\n  {}", .0.join("\n  "))]
    Invalid(Vec<String>),
}

impl Config {
    /// Reads file (if given) and environment over the defaults. Flags come on top of it.
    ///
    /// # Errors
    /// If the file or a variable can't be read.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(path) = file {
            builder = builder.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        let lists = ["roles", "http.cors_origins", "http.embed_origins", "http.trusted_proxies"];
        let mut environment = config::Environment::with_prefix(ENV_PREFIX)
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .source(Some(settings_in_environment()));
        for list in lists {
            environment = environment.with_list_parse_key(list);
        }
        let mut read: Self = builder.add_source(environment).build()?.try_deserialize()?;
        for (name, into) in
            [("DATABASE_URL", &mut read.database.url), ("REDIS_URL", &mut read.redis.url)]
        {
            if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) {
                *into = value;
            }
        }
        Ok(read)
    }

    /// Checks everything that can be checked before anything is bound.
    ///
    /// # Errors
    /// All that is wrong, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut check = |fine: bool, what: &str| {
            if !fine {
                wrong.push(what.to_owned());
            }
        };
        check(!self.roles.is_empty(), "roles: at least one of http, workers");
        check(self.start_within_s <= 3_600, "start_within_s: at most 3600");
        check(!self.database.url.is_empty(), "database.url (or DATABASE_URL) is missing");
        check(!self.redis.url.is_empty(), "redis.url (or REDIS_URL) is missing");
        check(
            !self.redis.prefix.is_empty()
                && self.redis.prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "redis.prefix: letters, digits and - only",
        );
        check((1..=64).contains(&self.redis.connections), "redis.connections: 1 to 64");
        check((1..=60_000).contains(&self.redis.answer_ms), "redis.answer_ms: 1 to 60000");
        check((1..=60_000).contains(&self.redis.connect_ms), "redis.connect_ms: 1 to 60000");
        check((2..=500).contains(&self.database.connections), "database.connections: 2 to 500");
        check((1..=1_000).contains(&self.database.batch), "database.batch: 1 to 1000");
        check(self.database.batch_queue >= self.database.batch, "database.batch_queue >= batch");
        check(self.http.max_connections > 0, "http.max_connections: at least 1");
        check(self.http.max_body_bytes >= 1_024, "http.max_body_bytes: at least 1024");
        check(
            self.http.public_url.starts_with("http") && !self.http.public_url.ends_with('/'),
            "http.public_url: an http(s) URL without a slash at the end",
        );
        check(
            self.http.cors_origins.iter().all(|origin| origin.starts_with("http")),
            "http.cors_origins: full origins, such as https://shop.example",
        );
        check(
            self.http.embed_origins.iter().all(|origin| crate::web::embed::is_origin(origin)),
            "http.embed_origins: full origins without a path, such as https://festival.example",
        );
        check(self.http.body_timeout_s > 0, "http.body_timeout_s: at least 1");
        self.limits.mistakes().iter().for_each(|mistake| check(false, mistake));
        check_keys("keys.tokens", &self.keys.tokens, &mut check);
        check_keys("keys.tickets", &self.keys.tickets, &mut check);
        match self.payments.provider {
            ProviderName::Sandbox => {
                let sandbox = &self.payments.sandbox;
                check(sandbox.secret.len() >= 32, "payments.sandbox.secret: 32 characters or more");
                check(
                    !sandbox.webhook_secrets.is_empty()
                        && sandbox.webhook_secrets.iter().all(|s| s.len() >= 32),
                    "payments.sandbox.webhook_secrets: one or more of 32 characters or more",
                );
            }
            ProviderName::Stripe => {
                let stripe = &self.payments.stripe;
                check(
                    stripe.secret_key.starts_with("sk_test_")
                        || stripe.secret_key.starts_with("rk_test_"),
                    "payments.stripe.secret_key: only test keys (sk_test_…) are accepted",
                );
                check(!stripe.webhook_secrets.is_empty(), "payments.stripe.webhook_secrets");
            }
        }
        let mail = crate::mail::check(&self.mail).err().map(|error| format!("mail: {error:#}"));
        check(mail.is_none(), &mail.unwrap_or_default());
        check(self.mail.per_second >= 1, "mail.per_second: at least 1");
        self.waiting_room.check(&mut check);
        self.waiting_room.proof.validate(&mut check);
        self.suspicion.check(&mut check);
        check(self.workers.sweep_ms >= 50, "workers.sweep_ms: at least 50");
        check(self.workers.sweep_batch >= 1, "workers.sweep_batch: at least 1");
        check(self.asks.seconds >= 1, "asks.seconds: at least 1");
        check(
            (1..=MAX_ASKS).contains(&self.asks.per_event),
            "asks.per_event: from 1 to 10,000; the line is read as a whole",
        );
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(wrong)) }
    }

    /// How this process talks to the sandbox.
    #[must_use]
    pub fn sandbox_client(&self) -> sandbox::ClientConfig {
        let settings = &self.payments.sandbox;
        let base = if settings.url.is_empty() {
            format!("{}/sandbox", self.http.public_url)
        } else {
            settings.url.clone()
        };
        let first = settings.webhook_secrets.first().cloned().unwrap_or_default();
        let mut client = sandbox::ClientConfig::new(&base, &settings.secret, &first);
        client.webhook_secrets.clone_from(&settings.webhook_secrets);
        client
    }

    /// How this process talks to Stripe.
    #[must_use]
    pub fn stripe_client(&self) -> stripe::StripeConfig {
        let settings = &self.payments.stripe;
        let first = settings.webhook_secrets.first().cloned().unwrap_or_default();
        let mut client =
            stripe::StripeConfig::new(&settings.secret_key, &settings.publishable_key, &first);
        client.webhook_secrets.clone_from(&settings.webhook_secrets);
        if !settings.api_base.is_empty() {
            client.api_base.clone_from(&settings.api_base);
        }
        client
    }

    /// The configuration with its secrets masked, to be shown.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut shown = self.clone();
        let mask = |secret: &mut String| {
            if !secret.is_empty() {
                *secret = "********".into();
            }
        };
        shown.keys.tokens.iter_mut().for_each(|key| mask(&mut key.secret));
        shown.keys.tickets.iter_mut().for_each(|key| mask(&mut key.secret));
        mask(&mut shown.payments.sandbox.secret);
        shown.payments.sandbox.webhook_secrets.iter_mut().for_each(mask);
        mask(&mut shown.payments.stripe.secret_key);
        shown.payments.stripe.webhook_secrets.iter_mut().for_each(mask);
        for url in [&mut shown.database.url, &mut shown.redis.url, &mut shown.mail.smtp_url] {
            *url = mask_password(url);
        }
        shown
    }
}

fn check_keys(name: &str, keys: &[KeyConfig], check: &mut impl FnMut(bool, &str)) {
    check(!keys.is_empty(), &format!("{name}: at least one key (id and secret)"));
    for key in keys {
        let good = hex::decode(&key.secret).is_ok_and(|bytes| bytes.len() == 32);
        check(good && key.id > 0, &format!("{name}: id 1 to 255, secret of 64 hex digits"));
        let same = keys.iter().filter(|other| other.id == key.id).count();
        check(same == 1, &format!("{name}: id {} is used twice", key.id));
    }
}

/// Hides the password in `scheme://user:password@host`.
fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:********@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable() -> Config {
        let key = || vec![KeyConfig { id: 1, secret: "ab".repeat(32) }];
        let mut config = Config::default();
        config.database.url = "postgres://me:hush@localhost/onsale".into();
        config.redis.url = "redis://:hush@localhost".into();
        config.keys = Keys { tokens: key(), tickets: key() };
        config.payments.sandbox.secret = "s".repeat(32);
        config.payments.sandbox.webhook_secrets = vec!["w".repeat(32)];
        config
    }

    #[test]
    fn every_mistake_is_named() {
        assert!(usable().validate().is_ok());
        let mut config = usable();
        config.redis.prefix = "{oops}".into();
        config.keys.tokens[0].secret = "short".into();
        config.http.public_url = "http://x/".into();
        config.http.embed_origins = vec!["*".into()];
        let Err(ConfigError::Invalid(wrong)) = config.validate() else { panic!("accepted") };
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }

    #[test]
    fn a_live_stripe_key_is_refused() {
        let mut config = usable();
        config.payments.provider = ProviderName::Stripe;
        config.payments.stripe.secret_key = "sk_live_1".into();
        config.payments.stripe.webhook_secrets = vec!["whsec".into()];
        assert!(config.validate().is_err());
        config.payments.stripe.secret_key = "sk_test_1".into();
        assert!(config.validate().is_ok());
    }

    #[test]
    fn secrets_are_masked() {
        let shown = format!("{:?}", usable().masked());
        assert!(!shown.contains("hush") && !shown.contains("abab") && !shown.contains("ssss"));
        assert!(shown.contains("postgres://me:********@localhost/onsale"));
    }
}
