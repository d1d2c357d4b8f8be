//! The shop inside other sites' pages: which sites may show it, and what is different there.
//!
//! A site loads `/embed.js`, which defines an element. Its frame begins at `/embed/{slug}` and says
//! which page it is in; the answer leaves that page's origin in a cookie of the frame. From then on
//! every page that is asked for with the cookie allows this one origin, if it is configured, to
//! frame it, and no other; without the cookie no page may be framed at all. So clicks can only be
//! stolen by a site that the operator trusts, and never on the payment page, which nobody frames:
//! it opens in a window of its own.
//!
//! Within another site's page browsers send no cookies of ours but those that are marked
//! `SameSite=None; Secure; Partitioned`: each site's frame has a jar of its own, whose session is
//! known neither in the shop's own windows nor on other sites. Forms of others are refused as
//! everywhere, see [`super::session::same_origin`]. A token in addresses or in scripts' storage
//! would need none of this, but could be read and passed on. A browser that keeps no such cookies
//! is sent to the shop's own page by the element.

use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::assets;
use super::event::find;
use super::page::{Link, Notice, Oops, see_other, show};
use super::stage::Stage;
use crate::app::App;
use crate::holds::http::cached;
use crate::http::extract::Path;
use crate::say;
use crate::words::Language;

/// Names the page that a frame is in.
const HOST: &str = "onsale_host";
/// Before its origin: the frame is in another site's page.
const FAR: &str = "far.";
/// Before its origin: it is in a page of the shop's own site, where its usual cookies come along.
const NEAR: &str = "near.";
/// What a request is for.
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Where it was started.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The address where frames begin, without the event.
const ENTRANCE: &str = "/embed/";
/// How long the element's script is used before it is asked for again, in seconds.
const SCRIPT_POLICY: &str = "public, max-age=300";
/// Languages' texts that the element needs.
const WORDS: &str = "embed.";

tokio::task_local! {
    /// The page around the one that is being rendered.
    static AROUND: Option<Host>;
}

/// A page of another origin that the shop is shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its origin, as browsers write it.
    pub origin: String,
    /// Whether it is another site's.
    far: bool,
}

impl Host {
    /// The host that a request names; whether it may be one is another question. Only frames
    /// and what their pages load have one, and a browser that doesn't say so gets no frame.
    #[must_use]
    pub fn claimed(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let destination = text(DESTINATION)?;
        if uri.path().starts_with(ENTRANCE) {
            let query = format!("http://entrance/?{}", uri.query().unwrap_or_default());
            let query = Url::parse(&query).ok()?;
            let (_, origin) = query.query_pairs().find(|(name, _)| name == "host")?;
            let far = text(SITE)? == "cross-site";
            return (destination == "iframe").then(|| Self { origin: origin.into_owned(), far });
        }
        if destination == "document" {
            return None;
        }
        let jar = CookieJar::from_headers(headers);
        let value = jar.get(HOST).map(Cookie::value)?;
        let known = |prefix, far| {
            let origin = value.strip_prefix(prefix)?.to_owned();
            Some(Self { origin, far })
        };
        known(FAR, true).or_else(|| known(NEAR, false))
    }

    /// The host of a request, if it is one of those that may show the shop.
    #[must_use]
    pub fn allowed(self, app: &App) -> Option<Self> {
        app.config.http.embed_origins.contains(&self.origin).then_some(self)
    }

    fn cookie(&self) -> Option<HeaderValue> {
        let prefix = if self.far { FAR } else { NEAR };
        let cookie = format!("{HOST}={prefix}{}; Path=/; HttpOnly; SameSite=Lax", self.origin);
        HeaderValue::try_from(cookie).ok()
    }
}

/// Whether this is an origin as browsers write it, and one that may be trusted with the shop.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    // A policy would read a star as any name.
    let plain = matches!(url.scheme(), "http" | "https") && !text.contains('*');
    plain && url.origin().ascii_serialization() == text
}

/// The page around the one that is being rendered.
#[must_use]
pub fn host() -> Option<Host> {
    AROUND.try_with(Clone::clone).unwrap_or_default()
}

/// Renders something for a frame.
pub fn within<R>(host: Option<Host>, render: impl FnOnce() -> R) -> R {
    AROUND.sync_scope(host, render)
}

/// Lets a request be answered for the page that it is framed by, if it is.
pub async fn frame(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let claimed = Host::claimed(request.uri(), request.headers());
    let Some(host) = claimed.and_then(|host| host.allowed(&app)) else {
        return AROUND.scope(None, next.run(request)).await;
    };
    let far = host.far;
    let mut response = AROUND.scope(Some(host), next.run(request)).await;
    if far {
        partition(response.headers_mut());
    }
    response
}

/// Makes all cookies of an answer such as browsers keep within other sites' pages.
fn partition(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        let text = cookie.to_str().unwrap_or_default().replace("; Secure", "");
        let text = text.replace("SameSite=Lax", "SameSite=None; Secure; Partitioned");
        headers.append(SET_COOKIE, HeaderValue::try_from(text).unwrap_or(cookie));
    }
}

/// Where a frame begins: it goes on to the event's tickets, if the page around it may show them.
pub async fn enter(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let event = format!("/events/{slug}");
    let Some(host) = host() else {
        // Nobody sees this in a frame, which is empty then; but who opens it by itself does.
        let (title, text) = (say("embed.refused").into(), say("embed.refused.text").into());
        let links = vec![Link::new(event, say("go.event"))];
        return Ok(show(StatusCode::FORBIDDEN, &Notice { title, text, links }));
    };
    let open = Stage::of(&sale.listing, false, app.now()).open || sale.listing.event.waiting_room;
    let mut response = see_other(&if open { format!("{event}/choose") } else { event });
    if let Some(cookie) = host.cookie() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The element's script, with what it has to know: who may frame the shop (which every page's
/// policy tells anyway), and its words.
pub async fn script(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    static WORDS_OF_ALL: LazyLock<serde_json::Value> = LazyLock::new(|| {
        let of = |language: Language| (language.tag().to_owned(), language.under(&[WORDS]).into());
        serde_json::Value::Object(Language::all().map(of).collect())
    });
    let Some(file) = assets::text("embed.js") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let settings = serde_json::json!({
        "shop": app.config.http.public_url,
        "hosts": app.config.http.embed_origins,
        "words": *WORDS_OF_ALL,
    });
    let body = format!("{}({settings});\n", file.trim_end());
    let etag = format!("\"{}\"", &hex::encode(Sha256::digest(&body))[..32]);
    let mut response = cached(&headers, &etag, assets::SCRIPT, SCRIPT_POLICY, || body.into());
    // Other sites' pages load it: that is what it is for.
    let any = HeaderValue::from_static("cross-origin");
    response.headers_mut().insert("cross-origin-resource-policy", any);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "https://festival.example";

    fn claimed(address: &str, pairs: &[(&'static str, &'static str)]) -> Option<Host> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        Host::claimed(&address.parse().unwrap(), &headers)
    }

    #[test]
    fn only_frames_have_a_host() {
        let entrance = "/embed/show?x=1&host=https%3A%2F%2Ffestival.example";
        let far = Host { origin: SHOP.into(), far: true };
        let near = Host { origin: SHOP.into(), far: false };
        let frame = ("sec-fetch-dest", "iframe");
        assert_eq!(
            claimed(entrance, &[frame, ("sec-fetch-site", "cross-site")]),
            Some(far.clone())
        );
        assert_eq!(claimed(entrance, &[frame, ("sec-fetch-site", "same-site")]), Some(near));
        let document = ("sec-fetch-dest", "document");
        assert_eq!(claimed(entrance, &[document, ("sec-fetch-site", "none")]), None);
        assert_eq!(claimed("/embed/show", &[frame, ("sec-fetch-site", "cross-site")]), None);
        let cookie = ("cookie", "onsale_host=far.https://festival.example");
        assert_eq!(claimed("/", &[frame, cookie]), Some(far.clone()));
        assert_eq!(claimed("/", &[("sec-fetch-dest", "empty"), cookie]), Some(far));
        assert_eq!(claimed("/", &[document, cookie]), None);
        assert_eq!(claimed("/", &[cookie]), None);
        assert_eq!(claimed("/", &[frame, ("cookie", "onsale_host=https://a.example")]), None);
    }

    #[test]
    fn an_origin_is_one_as_browsers_write_it() {
        for good in [SHOP, "http://127.0.0.2:8090", "https://a.example:444"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["*", "https://*.example", "https://a.example/", "https://a.example:443", "null"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
        for bad in ["", "a.example", "https://a.example; script-src *", "data:text/html,x"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn cookies_of_far_frames_are_kept_apart_and_say_all_else_they_said() {
        let mut headers = HeaderMap::new();
        for cookie in
            ["a=1; Path=/; Max-Age=5; HttpOnly; SameSite=Lax", "b=2; SameSite=Lax; Secure"]
        {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        partition(&mut headers);
        let all: Vec<_> = headers.get_all(SET_COOKIE).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(all[0], "a=1; Path=/; Max-Age=5; HttpOnly; SameSite=None; Secure; Partitioned");
        assert_eq!(all[1], "b=2; SameSite=None; Secure; Partitioned");
    }
}
