//! A relay on the wire (RFC 5321) that takes mails, or misbehaves as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The relay's certificate, which is for the name `localhost` alone, and its key.
const CERTIFICATE: &[u8] = include_bytes!("../data/tls/relay.pem");
const KEY: &[u8] = include_bytes!("../data/tls/relay.key");
/// Whom the certificate comes from: a file for `mail.smtp_authorities`.
pub const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/authority.pem");

/// A connection, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
type Wire = BufReader<Box<dyn Stream>>;

/// What a relay offers, and whom it wants to know.
#[derive(Clone, Copy, Default)]
pub struct Guard {
    /// Offers STARTTLS.
    pub starttls: bool,
    /// Takes mails only from who gives this name and password, which it would take in the clear.
    pub credentials: Option<(&'static str, &'static str)>,
}

/// What a connection does instead of working. Each fault is used once, by the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 421 instead of a greeting.
    Busy,
    /// Accepts, and never says a word.
    Silent,
    /// 451 to the recipient.
    Greylists,
    /// 550 to the recipient.
    RefusesRecipient,
    /// Takes the mail, and never says so.
    TakesSilently,
    /// Takes the mail, and hangs up without saying so.
    TakesAndHangsUp,
    /// Takes the mail, and hangs up afterwards.
    HangsUpAfterwards,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// From the envelope.
    pub from: String,
    /// From the envelope.
    pub to: String,
    /// The message, as it came.
    pub data: String,
    /// Whether nobody on the way could read it.
    pub encrypted: bool,
}

impl Taken {
    /// The value of a header that stands on one line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default();
        let line = |line: &'_ str| line.split_once(": ").map(|(n, _)| n.eq_ignore_ascii_case(name));
        let found = head.lines().find(|text| line(text) == Some(true))?;
        found.split_once(": ").map(|(_, value)| value)
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    faults: VecDeque<Fault>,
    connections: usize,
    in_clear: Vec<String>,
}

/// The relay. It ends with the runtime.
#[derive(Clone)]
pub struct SmtpFake {
    /// Where it listens.
    pub address: SocketAddr,
    guard: Guard,
    state: Arc<Mutex<State>>,
}

impl SmtpFake {
    /// Starts one on a free port of the loopback, which takes mails from everybody.
    pub async fn start() -> Self {
        Self::guarded(Guard::default()).await
    }

    /// Starts one that guards itself.
    pub async fn guarded(guard: Guard) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let fake = Self { address, guard, state: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.converse(Box::new(stream)).await });
            }
        });
        fake
    }

    /// `mail.smtp_url`.
    pub fn url(&self) -> String {
        format!("smtp://{}/shop.example", self.address)
    }

    /// What the next connections do, one each.
    pub fn misbehave(&self, faults: &[Fault]) {
        self.state.lock().expect("not poisoned").faults.extend(faults);
    }

    /// All mails taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.state.lock().expect("not poisoned").taken.clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.state.lock().expect("not poisoned").connections
    }

    /// All lines heard while anybody on the way could have read them.
    pub fn in_clear(&self) -> Vec<String> {
        self.state.lock().expect("not poisoned").in_clear.clone()
    }

    async fn converse(&self, stream: Box<dyn Stream>) -> Option<()> {
        let fault = {
            let mut state = self.state.lock().expect("not poisoned");
            state.connections += 1;
            state.faults.pop_front()
        };
        let mut wire = BufReader::new(stream);
        match fault {
            Some(Fault::Busy) => return say(&mut wire, "421 come back later").await,
            Some(Fault::Silent) => return std::future::pending().await,
            _ => say(&mut wire, "220 relay.example ESMTP").await?,
        }
        let (mut from, mut to) = (String::new(), String::new());
        let (mut encrypted, mut known) = (false, self.guard.credentials.is_none());
        loop {
            let line = hear(&mut wire).await?;
            if !encrypted {
                self.state.lock().expect("not poisoned").in_clear.push(line.clone());
            }
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => say(&mut wire, &self.offer(encrypted)).await?,
                "STARTTLS" if self.guard.starttls && !encrypted => {
                    say(&mut wire, "220 go on").await?;
                    let stream = tls().accept(wire.into_inner()).await.ok()?;
                    wire = BufReader::new(Box::new(stream));
                    encrypted = true;
                }
                "AUTH" => {
                    known = self.knows(rest);
                    let answer = if known { "235 welcome" } else { "535 5.7.8 who are you?" };
                    say(&mut wire, answer).await?;
                }
                "MAIL" if !known => say(&mut wire, "530 5.7.0 who are you?").await?,
                "HELO" | "NOOP" | "RSET" => say(&mut wire, "250 fine").await?,
                "MAIL" => {
                    rest.clone_into(&mut from);
                    say(&mut wire, "250 fine").await?;
                }
                "RCPT" => {
                    rest.clone_into(&mut to);
                    let answer = match fault {
                        Some(Fault::Greylists) => "451 4.7.1 try again",
                        Some(Fault::RefusesRecipient) => "550 5.1.1 nobody of that name",
                        _ => "250 fine",
                    };
                    say(&mut wire, answer).await?;
                }
                "DATA" => {
                    say(&mut wire, "354 go on").await?;
                    let data = read_message(&mut wire).await?;
                    let (from, to) = (from.clone(), to.clone());
                    let taken = Taken { from, to, data, encrypted };
                    self.state.lock().expect("not poisoned").taken.push(taken);
                    match fault {
                        Some(Fault::TakesSilently) => return std::future::pending().await,
                        Some(Fault::TakesAndHangsUp) => return None,
                        _ => say(&mut wire, "250 taken").await?,
                    }
                    if fault == Some(Fault::HangsUpAfterwards) {
                        return None;
                    }
                }
                "QUIT" => return say(&mut wire, "221 bye").await,
                _ => say(&mut wire, "500 what?").await?,
            }
        }
    }

    /// The answer to EHLO.
    fn offer(&self, encrypted: bool) -> String {
        let mut lines = vec!["relay.example", "8BITMIME"];
        if self.guard.starttls && !encrypted {
            lines.push("STARTTLS");
        }
        if self.guard.credentials.is_some() {
            lines.push("AUTH PLAIN");
        }
        let last = lines.pop().unwrap_or_default();
        let others: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        format!("{others}250 {last}")
    }

    /// Whether this is the right name and password (RFC 4616).
    fn knows(&self, argument: &str) -> bool {
        let given = argument.strip_prefix("PLAIN ").and_then(|given| STANDARD.decode(given).ok());
        let Some((name, password)) = self.guard.credentials else { return true };
        given.is_some_and(|given| given == format!("\0{name}\0{password}").into_bytes())
    }
}

fn tls() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.expect("a certificate with its key")))
}

/// A message up to its final dot, without the dots that were put in.
async fn read_message(wire: &mut Wire) -> Option<String> {
    let mut data = String::new();
    loop {
        let line = hear(wire).await?;
        if line == "." {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
}

async fn say(wire: &mut Wire, words: &str) -> Option<()> {
    wire.get_mut().write_all(format!("{words}\r\n").as_bytes()).await.ok()?;
    wire.get_mut().flush().await.ok()
}

async fn hear(wire: &mut Wire) -> Option<String> {
    let mut line = String::new();
    let read = wire.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
