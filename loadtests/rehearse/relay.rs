//! The way to the deployment: visitors speak to an address of this machine, and what they say goes
//! on as it is, through TLS where the deployment has it. One connection there for each one here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a connection to the deployment may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A deployment as visitors reach it.
#[derive(Clone)]
struct There {
    addresses: Arc<Vec<SocketAddr>>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// The way there. It ends with this.
pub struct Relay {
    /// Where visitors connect to.
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// Opens the way to a deployment.
    ///
    /// # Errors
    /// If there is no such host, or nothing answers there.
    pub async fn open(base: &Url) -> Result<Self> {
        let host = base.host_str().context("a host")?;
        let port = base.port_or_known_default().context("a port")?;
        let bare = host.trim_matches(['[', ']']);
        let found =
            lookup_host((bare, port)).await.with_context(|| format!("{host} is unknown"))?;
        let tls = (base.scheme() == "https").then(|| connector(bare)).transpose()?;
        let there = There { addresses: Arc::new(found.collect()), tls };
        drop(there.connect().await.with_context(|| format!("{host} does not answer"))?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((here, _)) = listener.accept().await {
                // What breaks is seen by the visitor, whose connection ends.
                tokio::spawn(there.clone().carry(here));
            }
        });
        Ok(Self { address, accepting })
    }
}

impl There {
    async fn connect(&self) -> std::io::Result<TcpStream> {
        let connecting = TcpStream::connect(self.addresses.as_slice());
        let stream = timeout(CONNECT_WITHIN, connecting).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn carry(self, mut here: TcpStream) -> std::io::Result<()> {
        here.set_nodelay(true)?;
        let mut there = self.connect().await?;
        if let Some((connector, name)) = self.tls {
            let shaking = connector.connect(name, there);
            let mut there = timeout(CONNECT_WITHIN, shaking).await??;
            copy_bidirectional(&mut here, &mut there).await?;
        } else {
            copy_bidirectional(&mut here, &mut there).await?;
        }
        Ok(())
    }
}

fn connector(host: &str) -> Result<(TlsConnector, ServerName<'static>)> {
    let name = ServerName::try_from(host.to_owned()).context("no name for a certificate")?;
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}
