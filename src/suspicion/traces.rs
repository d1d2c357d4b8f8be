//! What a request shows of who sends it, besides its session: the device and the address prefix.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Kind, Subject};
use crate::app::App;
use crate::http::limits::Client;
use crate::ids::AccountId;
use crate::keyring::Keyring;

/// Has the device's token, of programs.
pub const HEADER: &str = "onsale-device";
/// Has it of browsers.
pub const COOKIE: &str = "onsale_device";
/// The kind of its token.
const KIND: &str = "d1";
/// How long a browser keeps it, in seconds: a year.
const COOKIE_S: i64 = 365 * 24 * 3_600;

/// What is known of a request's origin. Kept with a hold, and with the order that it becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// The anonymous account that the device began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Uuid>,
    /// A keyed hash of the address prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Uuid>,
}

impl Traces {
    /// Nothing is known.
    pub const NONE: Self = Self { device: None, prefix: None };

    /// Of a request.
    #[must_use]
    pub fn of(app: &App, extensions: &Extensions, headers: &HeaderMap) -> Self {
        let client = Client::of(app, extensions, headers);
        Self {
            device: device(&app.keyring, headers),
            prefix: client.map(|client| prefix(&app.keyring, client.0)),
        }
    }

    /// Only the prefix, where nothing else is at hand.
    #[must_use]
    pub fn from_address(app: &App, client: IpAddr) -> Self {
        Self { device: None, prefix: Some(prefix(&app.keyring, client)) }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Of whom scores are kept.
    pub fn subjects(self) -> impl Iterator<Item = Subject> {
        let of = |kind, id: Option<Uuid>| id.map(|id| Subject { kind, id });
        [of(Kind::Device, self.device), of(Kind::Prefix, self.prefix)].into_iter().flatten()
    }
}

impl FromRequestParts<Arc<App>> for Traces {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(app, &parts.extensions, &parts.headers))
    }
}

/// The device's token: the account that came first, sealed.
#[must_use]
pub fn token(keyring: &Keyring, first: AccountId) -> String {
    keyring.seal(KIND, first.0.as_bytes())
}

/// The device that a header or cookie names, if we have sealed it.
#[must_use]
pub fn device(keyring: &Keyring, headers: &HeaderMap) -> Option<Uuid> {
    let open = |text: &str| keyring.open::<16>(KIND, text).map(Uuid::from_bytes);
    if let Some(value) = headers.get(HEADER) {
        return open(value.to_str().ok()?);
    }
    let cookies = CookieJar::from_headers(headers);
    open(cookies.get(COOKIE).map(Cookie::value)?)
}

/// A cookie for a browser that has none: whoever uses it stays the same device.
#[must_use]
pub fn cookie(app: &App, first: AccountId) -> Option<HeaderValue> {
    let secure = if app.config.http.public_url.starts_with("https:") { "; Secure" } else { "" };
    let token = token(&app.keyring, first);
    HeaderValue::try_from(format!(
        "{COOKIE}={token}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

/// A keyed hash: organizers see who is the same, not where they live.
fn prefix(keyring: &Keyring, address: IpAddr) -> Uuid {
    hashed(keyring, "prefix", address.to_string().as_bytes())
}

/// The subject of a card.
#[must_use]
pub fn card(keyring: &Keyring, fingerprint: &str) -> Uuid {
    hashed(keyring, "card", fingerprint.as_bytes())
}

fn hashed(keyring: &Keyring, what: &str, value: &[u8]) -> Uuid {
    let message = [b"suspicion ", what.as_bytes(), b" ", value].concat();
    let mac = keyring.mac(keyring.token_key(), &message).unwrap_or_default();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&mac[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn keyring(secret: &str) -> Keyring {
        let key = || vec![KeyConfig { id: 1, secret: secret.repeat(32) }];
        Keyring::new(&Keys { tokens: key(), tickets: key() }).unwrap()
    }

    #[test]
    fn a_device_is_believed_only_with_our_seal() {
        let (ours, other) = (keyring("ab"), keyring("cd"));
        let first = AccountId::fresh();
        let with = |name: &'static str, value: String| {
            HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
        };
        let sealed = token(&ours, first);
        assert_eq!(device(&ours, &with(HEADER, sealed.clone())), Some(first.0));
        assert_eq!(
            device(&ours, &with("cookie", format!("a=1; {COOKIE}={sealed}"))),
            Some(first.0)
        );
        assert_eq!(device(&other, &with(HEADER, sealed.clone())), None);
        assert_eq!(device(&ours, &with(HEADER, sealed.replace("d1.", "p1."))), None);
        assert_eq!(device(&ours, &with(HEADER, first.to_string())), None);
        assert_eq!(device(&ours, &HeaderMap::new()), None);
    }

    #[test]
    fn hashes_tell_kinds_and_keys_apart() {
        let ours = keyring("ab");
        assert_eq!(card(&ours, "x"), card(&ours, "x"));
        assert_ne!(card(&ours, "x"), card(&ours, "y"));
        assert_ne!(card(&ours, "x"), card(&keyring("cd"), "x"));
        assert_ne!(card(&ours, "192.0.2.1"), prefix(&ours, "192.0.2.1".parse().unwrap()));
    }
}
