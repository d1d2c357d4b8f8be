//! API keys: shown once, kept as hashes, with scopes and an end.

use std::fmt;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use rand::Rng;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;

use crate::ids::OrganizerId;

/// What every key begins with, so that scanners of leaked secrets know one when they see it.
const MARK: &str = "ok_";
/// Random bytes of the part that names a key.
const PREFIX_BYTES: usize = 6;
/// Random bytes of the part that is secret.
const SECRET_BYTES: usize = 32;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// Venues, events, manifests, offers, channels, promo codes.
    Catalog,
    /// Opening and closing sales, freezing claims, kills, allocations, capacities.
    Sales,
    /// Seeing orders and what was sold.
    Orders,
    /// Giving money back.
    Refunds,
    /// Giving places away.
    Comps,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Catalog, Self::Sales, Self::Orders, Self::Refunds, Self::Comps];

    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Sales => "sales",
            Self::Orders => "orders",
            Self::Refunds => "refunds",
            Self::Comps => "comps",
        }
    }

    /// Reads the word. `None` if it means nothing here.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// Whose a valid key is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organizer {
    /// The organizer.
    pub id: OrganizerId,
    /// What the key may do.
    pub scopes: Vec<Scope>,
}

/// A key as it is written: its name and its secret, still unverified.
#[derive(PartialEq, Eq)]
struct ApiKey {
    prefix: String,
    secret: String,
}

impl ApiKey {
    fn fresh() -> Self {
        let (mut prefix, mut secret) = ([0; PREFIX_BYTES], [0; SECRET_BYTES]);
        rand::rng().fill(&mut prefix);
        rand::rng().fill(&mut secret);
        Self { prefix: hex::encode(prefix), secret: hex::encode(secret) }
    }

    fn parse(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix(MARK)?.split_once('_')?;
        let digits = |text: &str, bytes: usize| {
            let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            text.len() == 2 * bytes && text.bytes().all(lower_hex)
        };
        (digits(prefix, PREFIX_BYTES) && digits(secret, SECRET_BYTES))
            .then(|| Self { prefix: prefix.to_owned(), secret: secret.to_owned() })
    }

    /// The secret is 256 random bits: guessing is hopeless without a slow hash, too.
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}_{}", self.prefix, self.secret)
    }
}

/// The organizer with this slug, who is made if there is none.
///
/// # Errors
/// If Postgres fails.
pub async fn ensure_organizer(pg: &PgPool, slug: &str, name: &str) -> sqlx::Result<OrganizerId> {
    sqlx::query!(
        "INSERT INTO organizers (id, slug, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        OrganizerId::fresh().0,
        slug,
        name
    )
    .execute(pg)
    .await?;
    let id = sqlx::query_scalar!("SELECT id FROM organizers WHERE slug = $1", slug);
    id.fetch_one(pg).await.map(OrganizerId)
}

/// Makes a key. Its text is the only copy of its secret: show it once and forget it.
///
/// # Errors
/// If Postgres fails, or there is no such organizer.
pub async fn create(
    pg: &PgPool,
    organizer: OrganizerId,
    label: &str,
    scopes: &[Scope],
    expires_at: Option<Timestamp>,
) -> sqlx::Result<String> {
    let key = ApiKey::fresh();
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.word().to_owned()).collect();
    sqlx::query!(
        "INSERT INTO api_keys (prefix, organizer_id, hash, scopes, label, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        key.prefix,
        organizer.0,
        &key.hash()[..],
        &scopes,
        label,
        expires_at.map(ToSqlx::to_sqlx) as Option<SqlTimestamp>
    )
    .execute(pg)
    .await?;
    Ok(key.to_string())
}

/// Ends a key, named by its text or by the part of it before the secret. False: no such key, or
/// ended before.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke(pg: &PgPool, key: &str) -> sqlx::Result<bool> {
    let name = key.strip_prefix(MARK).unwrap_or(key);
    let prefix = name.split('_').next().unwrap_or(name);
    let ended = sqlx::query!(
        "UPDATE api_keys SET revoked_at = now() WHERE prefix = $1 AND revoked_at IS NULL",
        prefix
    );
    Ok(ended.execute(pg).await?.rows_affected() == 1)
}

/// Whose key this is. `None` for every key that doesn't count, whatever the reason.
///
/// # Errors
/// If Postgres fails.
pub async fn authenticate(pg: &PgPool, text: &str) -> sqlx::Result<Option<Organizer>> {
    let Some(key) = ApiKey::parse(text) else { return Ok(None) };
    let row = sqlx::query!(
        "SELECT organizer_id, hash, scopes FROM api_keys
         WHERE prefix = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        key.prefix
    )
    .fetch_optional(pg)
    .await?;
    Ok(row.filter(|row| bool::from(row.hash.as_slice().ct_eq(&key.hash()))).map(|row| Organizer {
        id: OrganizerId(row.organizer_id),
        // A scope of a newer version of this program allows nothing here.
        scopes: row.scopes.iter().filter_map(|word| Scope::from_word(word)).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_was_written() {
        let key = ApiKey::fresh();
        let read = ApiKey::parse(&key.to_string()).unwrap();
        assert_eq!((&read.prefix, &read.secret), (&key.prefix, &key.secret));
        assert_eq!(read.hash(), key.hash());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = ApiKey::fresh().to_string();
        let upper = key.to_uppercase();
        let longer = format!("{key}0");
        for text in ["", "ok_", "ok__", "ok_ab_cd", &key[1..], &key[..79], &upper, &longer] {
            assert!(ApiKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn scopes_read_back_as_they_were_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.word()), Some(scope));
        }
        assert_eq!(Scope::from_word("everything"), None);
    }
}
