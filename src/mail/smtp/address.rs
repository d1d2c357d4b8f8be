//! `mail.smtp_url`: where the relay is and how far it is trusted.

use std::net::IpAddr;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use thiserror::Error;

/// Where TLS comes first (RFC 8314).
const PORT_TLS: u16 = 465;
/// Where mail is submitted (RFC 6409).
const PORT_SUBMISSION: u16 = 587;

/// When a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// From its first byte.
    Tls,
    /// After STARTTLS, without which nothing is sent.
    StartTls,
    /// Never.
    Plain,
}

/// A relay.
#[derive(Clone, Debug)]
pub struct Address {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is talked to.
    pub security: Security,
    /// Who we are to it.
    pub credentials: Option<Credentials>,
    /// How we are called.
    pub hello: ClientId,
}

/// What is wrong with the URL. None of it shows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// Not a URL.
    #[error("mail.smtp_url is not a URL such as smtps://user:password@mail.example.org")]
    Malformed,
    /// Another scheme.
    #[error("mail.smtp_url: smtp://… or smtps://…")]
    Scheme,
    /// Another way of encryption.
    #[error("mail.smtp_url: tls is required or none")]
    Tls,
    /// Credentials would be readable on the way.
    #[error("mail.smtp_url: a password is not sent without TLS, except to this machine")]
    Readable,
}

impl Address {
    /// Reads `smtps://[user:password@]host[:port][/our-name]`, where TLS comes first, or
    /// `smtp://…`, where STARTTLS is required, except on this machine. `?tls=none` and
    /// `?tls=required` overrule that. User and password are percent-encoded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let url = Url::parse(text).map_err(|_| BadUrl::Malformed)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadUrl::Malformed)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value);
        let security = match (url.scheme(), tls.as_deref()) {
            ("smtps", None | Some("required")) => Security::Tls,
            ("smtp", Some("none")) => Security::Plain,
            ("smtp", None) if here => Security::Plain,
            ("smtp", None | Some("required")) => Security::StartTls,
            ("smtp" | "smtps", Some(_)) => return Err(BadUrl::Tls),
            _ => return Err(BadUrl::Scheme),
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(
                decode(user).ok_or(BadUrl::Malformed)?,
                decode(password.unwrap_or_default()).ok_or(BadUrl::Malformed)?,
            )),
        };
        if credentials.is_some() && security == Security::Plain && !here {
            return Err(BadUrl::Readable);
        }
        let standard = if security == Security::Tls { PORT_TLS } else { PORT_SUBMISSION };
        let name = url.path().trim_matches('/');
        let hello = match name {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let port = url.port().unwrap_or(standard);
        Ok(Self { host, port, security, credentials, hello })
    }
}

/// Undoes percent-encoding. `None` if what comes out is no text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let encoded = digits.and_then(|digits| hex::decode(digits).ok());
        match encoded {
            Some(byte) => {
                bytes.extend(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (String, u16, Security) {
        let address = Address::parse(url).unwrap();
        (address.host, address.port, address.security)
    }

    #[test]
    fn nothing_leaves_the_machine_in_the_clear_unless_asked_for() {
        let relay = || "mail.example.org".to_owned();
        assert_eq!(read("smtps://mail.example.org"), (relay(), 465, Security::Tls));
        assert_eq!(read("smtp://mail.example.org"), (relay(), 587, Security::StartTls));
        assert_eq!(read("smtp://mail.example.org:25?tls=none"), (relay(), 25, Security::Plain));
        assert_eq!(read("smtp://127.0.0.1:2525"), ("127.0.0.1".into(), 2525, Security::Plain));
        assert_eq!(read("smtp://[::1]:2525"), ("::1".into(), 2525, Security::Plain));
        let bad = |url| Address::parse(url).unwrap_err();
        assert_eq!(bad("smtp://me:hush@mail.example.org?tls=none"), BadUrl::Readable);
        assert_eq!(bad("smtp://mail.example.org?tls=maybe"), BadUrl::Tls);
        assert_eq!(bad("http://mail.example.org"), BadUrl::Scheme);
        assert_eq!(bad("mail.example.org"), BadUrl::Malformed);
    }

    #[test]
    fn credentials_are_percent_encoded_and_the_path_is_our_name() {
        let address = Address::parse("smtps://me%40here:p%2F%C3%A9%25+@x.example/shop").unwrap();
        let expected = Credentials::new("me@here".into(), "p/é%+".into());
        assert_eq!(address.credentials, Some(expected));
        assert_eq!(address.hello, ClientId::Domain("shop".into()));
        assert!(Address::parse("smtps://me:%FF@x.example").is_err());
    }
}
