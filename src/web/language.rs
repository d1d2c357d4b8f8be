//! Which language a page is in: the one asked for in its address, or else the one that was chosen
//! before, or else the first of the browser's that there is a list for.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE, VARY,
};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, CookieJar};

use super::embed::Host;
use crate::app::App;
use crate::words::{Language, speaking, spoken};

/// The parameter of addresses.
const ASKED: &str = "lang";
/// Remembers the choice; nothing secret.
const CHOSEN: &str = "onsale_language";
/// How long, in seconds: a year.
const CHOSEN_S: u32 = 365 * 24 * 3_600;
/// Pages depend on these.
const DEPENDS: &str = "accept-language, cookie";

tokio::task_local! {
    /// The query of the page that is being rendered, without the language.
    static QUERY: String;
}

/// The reader of a page.
#[derive(Clone, Debug)]
pub struct Reader {
    language: Language,
    /// Whether the address asks for it.
    asked: bool,
    query: String,
    /// The page around theirs, as they say.
    claimed: Option<Host>,
}

impl Reader {
    /// Of a request.
    #[must_use]
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let pairs = || uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let wanted = |pair: &&str| pair.split('=').next() == Some(ASKED);
        let asked = pairs().find(wanted).and_then(|pair| pair.split_once('='));
        let asked = asked.and_then(|(_, tag)| Language::tagged(tag));
        let rest: Vec<&str> = pairs().filter(|pair| !wanted(pair)).collect();
        let language = asked.or_else(|| {
            let jar = CookieJar::from_headers(headers);
            jar.get(CHOSEN).map(Cookie::value).and_then(Language::tagged)
        });
        let language = language.or_else(|| {
            let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            accepted.and_then(Language::accepted)
        });
        Self {
            language: language.unwrap_or(Language::ENGLISH),
            asked: asked.is_some(),
            query: rest.join("&"),
            claimed: Host::claimed(uri, headers),
        }
    }

    /// The page around theirs, if it may show the shop.
    #[must_use]
    pub fn host(&self, app: &App) -> Option<Host> {
        self.claimed.clone()?.allowed(app)
    }

    /// Renders something for the reader.
    pub fn told<R>(&self, render: impl FnOnce() -> R) -> R {
        let render = || QUERY.sync_scope(self.query.clone(), render);
        spoken(self.language, render)
    }

    /// Says in an answer's headers which language it is in, and remembers what was asked for.
    pub fn sign(&self, response: &mut Response) {
        let headers = response.headers_mut();
        let kind = headers.get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
            // A page that is in one language for everybody has said so itself.
            let tag = HeaderValue::from_static(self.language.tag());
            headers.entry(CONTENT_LANGUAGE).or_insert(tag);
            headers.append(VARY, HeaderValue::from_static(DEPENDS));
        }
        if self.asked {
            let tag = self.language.tag();
            let cookie = format!("{CHOSEN}={tag}; Path=/; Max-Age={CHOSEN_S}; SameSite=Lax");
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                headers.append(SET_COOKIE, cookie);
            }
        }
    }
}

/// An address with this query instead of its own.
fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let sign = if query.is_empty() { "" } else { "?" };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}{sign}{query}", uri.path()).parse().ok();
    Uri::from_parts(parts).ok()
}

/// Lets a request be answered in its reader's language, of which handlers see nothing.
pub async fn choose(mut request: Request, next: Next) -> Response {
    let reader = Reader::of(request.uri(), request.headers());
    if let Some(uri) = with_query(request.uri(), &reader.query) {
        *request.uri_mut() = uri;
    }
    let answer = QUERY.scope(reader.query.clone(), next.run(request));
    let mut response = speaking(reader.language, answer).await;
    reader.sign(&mut response);
    response
}

/// The page that is being rendered, in another language.
#[must_use]
pub fn link(language: &Language) -> String {
    let query = QUERY.try_with(String::clone).unwrap_or_default();
    let sign = if query.is_empty() { "" } else { "&" };
    format!("?{query}{sign}{ASKED}={}", language.tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(address: &str, pairs: &[(&'static str, &'static str)]) -> Reader {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        Reader::of(&address.parse().unwrap(), &headers)
    }

    #[test]
    fn the_address_goes_before_the_choice_and_the_choice_before_the_browser() {
        let tag = |address: &str, pairs: &[(&'static str, &'static str)]| {
            reader(address, pairs).language.tag()
        };
        let cookie = ("cookie", "x=1; onsale_language=en");
        assert_eq!(tag("/", &[]), "en");
        assert_eq!(tag("/", &[("accept-language", "de-CH, en")]), "de");
        assert_eq!(tag("/", &[("accept-language", "de"), cookie]), "en");
        assert_eq!(tag("/?lang=de", &[cookie]), "de");
        assert_eq!(tag("/?lang=xx", &[("accept-language", "de")]), "de");
    }

    #[test]
    fn links_keep_what_else_is_in_the_address() {
        let reader = reader("/orders/1?key=a%26b&lang=de", &[]);
        let links: Vec<String> = reader.told(|| Language::all().map(|l| link(&l)).collect());
        assert_eq!(links[0], "?key=a%26b&lang=en");
        assert_eq!(link(&Language::ENGLISH), "?lang=en");
    }

    #[test]
    fn handlers_see_the_address_without_the_language() {
        let seen = |address: &str| {
            let uri: Uri = address.parse().unwrap();
            with_query(&uri, &reader(address, &[]).query).unwrap().to_string()
        };
        assert_eq!(seen("/account?lang=de"), "/account");
        assert_eq!(seen("/account?cursor=1&lang=de&x"), "/account?cursor=1&x");
        assert_eq!(seen("/a%20b?language=de"), "/a%20b?language=de");
    }

    #[test]
    fn only_a_choice_is_remembered() {
        let answer = |address: &str| {
            let mut response = axum::response::Html("x").into_response();
            reader(address, &[]).sign(&mut response);
            response
        };
        use axum::response::IntoResponse;
        let chosen = answer("/?lang=de");
        assert_eq!(chosen.headers()[CONTENT_LANGUAGE], "de");
        assert!(chosen.headers()[SET_COOKIE].to_str().unwrap().starts_with("onsale_language=de;"));
        assert!(!answer("/").headers().contains_key(SET_COOKIE));
    }
}
