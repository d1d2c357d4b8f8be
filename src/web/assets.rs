//! Style sheets, scripts and pictures: inside the binary, under addresses that change with them.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::holds::http::cached;
use crate::http::extract::Path;
use crate::words::Language;

/// Digits of the hash in addresses: enough that two versions never share one.
const VERSION_DIGITS: usize = 12;
/// What was asked for under its own version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Under another version (while an upgrade runs), or while it is being developed.
const ASK_AGAIN: &str = "public, no-cache";

/// What scripts are.
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";

#[derive(RustEmbed)]
#[folder = "web/static"]
struct Files;

/// One hash over all files: scripts import each other by relative addresses, so they must all
/// be of one version.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for name in Files::iter() {
        if let Some(file) = Files::get(&name) {
            hash.update(name.as_bytes());
            hash.update(file.metadata.sha256_hash());
        }
    }
    crate::words::version(&mut hash);
    hex::encode(hash.finalize())[..VERSION_DIGITS].to_owned()
});

/// The address of a file, for templates.
#[must_use]
pub fn url(name: &str) -> String {
    format!("/static/{}/{name}", *VERSION)
}

/// The address of what scripts say to the reader of a page.
#[must_use]
pub fn words_url() -> String {
    url(&words_file(Language::current()))
}

fn words_file(language: Language) -> String {
    format!("words-{}.js", language.tag())
}

/// What scripts say in a language, as a script.
fn words(name: &str) -> Option<String> {
    let language = Language::all().find(|language| words_file(*language) == name)?;
    let texts = serde_json::Value::Object(language.for_scripts());
    Some(format!("export const texts = {texts};\n"))
}

/// A file as text, if there is one of this name.
pub(super) fn text(name: &str) -> Option<String> {
    Files::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned())
}

/// The files' routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/static/{version}/{name}", get(file))
        // Browsers ask here unbidden, where a page names no icon (such as a picture's own tab).
        .route(
            "/favicon.ico",
            get(|headers: HeaderMap| async move { send("icon.svg", "", &headers) }),
        )
}

async fn file(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    send(&name, &version, &headers)
}

fn send(name: &str, version: &str, headers: &HeaderMap) -> Response {
    let current = version == *VERSION && !cfg!(debug_assertions);
    let policy = if current { FOR_EVER } else { ASK_AGAIN };
    if let Some(words) = words(name) {
        let etag = format!("\"{}\"", &hex::encode(Sha256::digest(&words))[..32]);
        return cached(headers, &etag, SCRIPT, policy, || words.into());
    }
    let Some(file) = Files::get(name) else { return StatusCode::NOT_FOUND.into_response() };
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => SCRIPT,
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    };
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    cached(headers, &etag, kind, policy, || match file.data {
        std::borrow::Cow::Borrowed(bytes) => bytes.into(),
        std::borrow::Cow::Owned(bytes) => bytes.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, header};

    fn status(name: &str, version: &str, etag: Option<&HeaderValue>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        send(name, version, &headers)
    }

    #[test]
    fn files_are_found_typed_and_not_sent_twice() {
        let first = status("style.css", &VERSION, None);
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        let again = status("style.css", &VERSION, first.headers().get(header::ETAG));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(status("nothing.css", &VERSION, None).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn scripts_have_the_words_of_every_language() {
        for language in Language::all() {
            let answer = status(&words_file(language), &VERSION, None);
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], SCRIPT);
        }
        assert!(words("words-de.js").unwrap().contains("\"script.row\":\"Reihe {row}\""));
        assert_eq!(status("words-xx.js", &VERSION, None).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_manifests_icons_are_there_and_as_large_as_it_says() {
        let manifest = Files::get("app.webmanifest").unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest.data).unwrap();
        let icons = manifest["icons"].as_array().unwrap();
        for icon in icons {
            let name = icon["src"].as_str().unwrap();
            let kind = icon["type"].as_str().unwrap();
            assert_eq!(status(name, &VERSION, None).headers()[header::CONTENT_TYPE], kind);
            if kind == "image/png" {
                // The header of a PNG (its first chunk) has width and height.
                let file = Files::get(name).unwrap().data;
                let side = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
                assert_eq!(icon["sizes"], format!("{}x{}", side(16), side(20)), "{name}");
            }
        }
        assert!(icons.iter().any(|icon| icon["purpose"] == "maskable"));
    }

    #[test]
    fn another_version_is_answered_but_not_kept() {
        let other = status("style.css", "000000000000", None);
        assert_eq!(other.headers()[header::CACHE_CONTROL], ASK_AGAIN);
        assert!(url("style.css").ends_with("/style.css"));
    }
}
