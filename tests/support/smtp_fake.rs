//! A relay on the wire (RFC 5321) that takes mails, or misbehaves as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

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
}

/// The relay. It ends with the runtime.
#[derive(Clone)]
pub struct SmtpFake {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl SmtpFake {
    /// Starts one on a free port of the loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let fake = Self { address, state: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.converse(stream).await });
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

    async fn converse(&self, stream: TcpStream) -> Option<()> {
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
        loop {
            let line = hear(&mut wire).await?;
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => say(&mut wire, "250-relay.example\r\n250 8BITMIME").await?,
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
                    self.take(&mut wire, &from, &to).await?;
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

    async fn take(&self, wire: &mut BufReader<TcpStream>, from: &str, to: &str) -> Option<()> {
        let mut data = String::new();
        loop {
            let line = hear(wire).await?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let taken = Taken { from: from.to_owned(), to: to.to_owned(), data };
        self.state.lock().expect("not poisoned").taken.push(taken);
        Some(())
    }
}

async fn say(wire: &mut BufReader<TcpStream>, words: &str) -> Option<()> {
    wire.get_mut().write_all(format!("{words}\r\n").as_bytes()).await.ok()
}

async fn hear(wire: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = wire.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
