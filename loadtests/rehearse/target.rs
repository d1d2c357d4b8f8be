//! Which deployment may be rehearsed at, and whose event.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use reqwest::Url;

/// Has the organizer's key, if no file does.
const KEY_VARIABLE: &str = "SURGE_KEY";

/// Where, what and by whose leave.
#[derive(Args)]
pub struct Target {
    /// The deployment's address, as its visitors know it: `https://shop.example`.
    #[arg(long)]
    pub at: String,
    /// The host that may be rehearsed at, typed once more. There is no default and no wildcard:
    /// a crowd must not come to a place by a slip.
    #[arg(long)]
    pub allow: String,
    /// The event to rehearse: its id or its name in URLs.
    #[arg(long)]
    pub event: String,
    /// A file with the organizer's API key (scopes `catalog` and `sales`); else it is read from
    /// the variable `SURGE_KEY`. Never from the command line, where everybody sees it.
    #[arg(long)]
    pub key_file: Option<PathBuf>,
}

impl Target {
    /// The address, if that is what was allowed.
    ///
    /// # Errors
    /// If it is no address of a deployment, or not the allowed one.
    pub fn base(&self) -> Result<Url> {
        let url = Url::parse(&self.at).with_context(|| format!("--at {}", self.at))?;
        ensure!(["http", "https"].contains(&url.scheme()), "--at: http:// or https://");
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        ensure!(plain && url.username().is_empty(), "--at: nothing after the host and its port");
        let host = url.host_str().context("--at: which host?")?;
        ensure!(!self.allow.contains('*'), "--allow: one host, not a pattern");
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        if self.allow != host && Some(&self.allow) != with_port.as_ref() {
            bail!("--at {host} is not what --allow allows ({}): nothing was sent", self.allow);
        }
        Ok(url)
    }

    /// The organizer's key.
    ///
    /// # Errors
    /// If there is none.
    pub fn key(&self) -> Result<String> {
        let text = match &self.key_file {
            Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string()),
            None => std::env::var(KEY_VARIABLE).with_context(|| {
                format!("whose event is it? Say --key-file, or set {KEY_VARIABLE}")
            }),
        }?;
        let key = text.trim().to_owned();
        ensure!(!key.is_empty(), "the key is empty");
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(at: &str, allow: &str) -> Target {
        let [at, allow] = [at, allow].map(str::to_owned);
        Target { at, allow, event: "show".to_owned(), key_file: None }
    }

    #[test]
    fn only_the_host_that_was_typed_twice_is_rehearsed_at() {
        for (at, allow) in [
            ("https://shop.example", "shop.example"),
            ("https://shop.example:8443/", "shop.example:8443"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
        ] {
            assert!(target(at, allow).base().is_ok(), "{at} {allow}");
        }
        for (at, allow) in [
            ("https://shop.example", "example"),
            ("https://shop.example", "*"),
            ("https://shop.example", "*.example"),
            ("https://shop.example", ""),
            ("https://shop.example:8443", "shop.example:443"),
            ("https://evil.example/shop.example", "shop.example"),
            ("https://shop.example@evil.example", "shop.example"),
            ("https://shop.example/x", "shop.example"),
            ("ftp://shop.example", "shop.example"),
            ("shop.example", "shop.example"),
        ] {
            assert!(target(at, allow).base().is_err(), "{at} {allow}");
        }
    }
}
