//! Mail over SMTP (RFC 5321) to a relay that takes it from there.
//!
//! Connections are kept and used again, because a relay greets slower than it takes a mail. One
//! on which anything went wrong, or that was given up half-way, is dropped, never used again:
//! in the middle of a mail, the next command would become part of it.

pub mod address;
#[cfg(test)]
mod tests;
pub mod trust;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use thiserror::Error as ThisError;
use tokio::time::timeout;

use self::address::{Address, BadUrl, Security};
use self::trust::BadAuthorities;
use super::{Mail, Mailer, NotSent};

/// Connections that are kept while nobody uses them.
const MAX_IDLE: usize = 8;
/// How long one is kept; relays close theirs after minutes.
const IDLE: Duration = Duration::from_secs(30);
/// One that was used so lately isn't asked whether it still is there.
const SURELY_ALIVE: Duration = Duration::from_secs(1);
/// Mails over one connection: many relays hang up on more.
const MAX_MAILS: u32 = 50;

/// How long the relay is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it has greeted us and knows who we are.
    pub connect: Duration,
    /// Until it has taken a mail.
    pub send: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), send: Duration::from_mins(1) }
    }
}

/// Why a relay can't be used as configured.
#[derive(Debug, ThisError)]
pub enum Unusable {
    /// Its URL is wrong.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// Who may vouch for it isn't to be read.
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
}

/// A relay.
pub struct Smtp {
    address: Address,
    tls: TlsParameters,
    patience: Patience,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    wire: AsyncSmtpConnection,
    mails: u32,
    used_at: Instant,
}

impl Smtp {
    /// The relay at this URL; see [`Address::parse`] and [`trust::parameters`]. Connects when
    /// there is something to send.
    ///
    /// # Errors
    /// What is wrong with the URL, or with the file of authorities.
    pub fn new(url: &str, authorities: &str) -> Result<Self, Unusable> {
        let address = Address::parse(url)?;
        let tls = trust::parameters(&address.host, authorities)?;
        Ok(Self { address, tls, patience: Patience::default(), idle: Mutex::default() })
    }

    /// The same with other bounds.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    async fn deliver(&self, mail: &Mail) -> Result<(), NotSent> {
        let bytes = mail.message.formatted();
        let mut connection = self.connection().await?;
        let sent = connection.wire.send(mail.message.envelope(), &bytes);
        match timeout(self.patience.send, sent).await {
            Ok(Ok(_)) => {
                connection.mails += 1;
                connection.used_at = Instant::now();
                self.keep(connection);
                Ok(())
            }
            // `client`: the relay can't do what this mail needs, such as a non-ASCII address.
            Ok(Err(error)) if error.is_permanent() || error.is_client() => {
                Err(NotSent::Refused(error.to_string()))
            }
            Ok(Err(error)) => Err(NotSent::Later(error.to_string())),
            Err(_) => Err(NotSent::Later("the relay did not answer in time".to_owned())),
        }
    }

    /// A connection that works: a kept one, or a new one.
    async fn connection(&self) -> Result<Connection, NotSent> {
        let found = timeout(self.patience.connect, async {
            while let Some(mut kept) = self.kept() {
                let idle = kept.used_at.elapsed();
                if idle < SURELY_ALIVE || idle < IDLE && kept.wire.test_connected().await {
                    return Ok(kept);
                }
            }
            let wire = self.connect().await?;
            Ok(Connection { wire, mails: 0, used_at: Instant::now() })
        });
        // Whatever a relay refuses before it has seen a mail is not that mail's fault.
        let out_of_reach =
            |error: Error| NotSent::Later(format!("the relay is out of reach: {error}"));
        match found.await {
            Ok(found) => found.map_err(out_of_reach),
            Err(_) => Err(NotSent::Later("the relay did not greet in time".to_owned())),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let Address { host, port, security, credentials, hello } = &self.address;
        let first = (*security == Security::Tls).then(|| self.tls.clone());
        let at = (host.as_str(), *port);
        let mut wire = AsyncSmtpConnection::connect_tokio1(at, None, hello, first, None).await?;
        if *security == Security::StartTls {
            wire.starttls(self.tls.clone(), hello).await?;
        }
        if let Some(credentials) = credentials {
            wire.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(wire)
    }

    fn kept(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.mails < MAX_MAILS && idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}

impl Mailer for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), NotSent>> {
        Box::pin(self.deliver(mail))
    }
}
