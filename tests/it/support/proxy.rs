//! A wire that can be cut before or after a message, or freeze.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the connection over which a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is cut, and the message never arrives.
    CutBefore,
    /// The message arrives, its answer doesn't: the connection is cut instead.
    CutAfter,
    /// The message arrives, its answer doesn't, and nobody is told.
    SilentAfter,
    /// Everything freezes before the message arrives.
    Freeze,
}

/// A proxy between a server and its database.
pub struct Proxy {
    pub address: SocketAddr,
    wires: Wires,
}

#[derive(Clone)]
struct Wires {
    /// Connections that were made before this generation are silent for ever.
    silent_before: watch::Sender<usize>,
    frozen: watch::Sender<bool>,
    opening: watch::Sender<Duration>,
    trap: Arc<Mutex<Option<(Vec<u8>, Fate)>>>,
    sprung: Arc<AtomicUsize>,
}

impl Proxy {
    /// Stands before `target` (`host:port`).
    pub async fn before(target: String) -> Self {
        Self::at("127.0.0.1:0", target).await
    }

    /// Stands there before `target`.
    pub async fn at(place: &str, target: String) -> Self {
        let listener = TcpListener::bind(place).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let wires = Wires {
            silent_before: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
            opening: watch::Sender::default(),
            trap: Arc::default(),
            sprung: Arc::default(),
        };
        let all = wires.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (wires, target) = (all.clone(), target.clone());
                tokio::spawn(async move { connect(wires, client, target).await });
            }
        });
        Self { address, wires }
    }

    /// Nothing goes through in either direction, and nobody is told.
    pub fn freeze(&self) {
        self.wires.frozen.send_replace(true);
    }

    /// All that was frozen goes on.
    pub fn thaw(&self) {
        self.wires.frozen.send_replace(false);
    }

    /// What was frozen stays silent for ever, as behind a firewall that has forgotten it; new
    /// connections work.
    pub fn forget(&self) {
        self.wires.silent_before.send_modify(|generation| *generation += 1);
        self.thaw();
    }

    /// New connections take so long until anything goes through them.
    pub fn takes_to_open(&self, long: Duration) {
        self.wires.opening.send_replace(long);
    }

    /// This happens to the next message that holds `needle`.
    pub fn trap(&self, needle: &str, fate: Fate) {
        *self.wires.lock() = Some((needle.as_bytes().to_vec(), fate));
    }

    /// How often a trap was sprung.
    pub fn sprung(&self) -> usize {
        self.wires.sprung.load(Ordering::SeqCst)
    }
}

/// Host and port in the URL of a database.
pub fn target(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').expect("a user");
    rest.split_once('/').expect("a database").0
}

async fn connect(wires: Wires, client: TcpStream, target: String) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let doomed = watch::Sender::new(None);
    let (born, opening) = (*wires.silent_before.borrow(), *wires.opening.borrow());
    tokio::time::sleep(opening).await;
    tokio::select! {
        () = wires.there(from_client, to_server, &doomed, born) => {}
        () = wires.back(from_server, to_client, &doomed, born) => {}
    }
}

impl Wires {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Vec<u8>, Fate)>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while frozen; for ever if born too early.
    async fn pass(&self, born: usize) {
        let mut frozen = self.frozen.subscribe();
        frozen.wait_for(|frozen| !frozen).await.expect("the proxy stands");
        if *self.silent_before.borrow() != born {
            std::future::pending::<()>().await;
        }
    }

    fn sprung_by(&self, bytes: &[u8]) -> Option<Fate> {
        let mut trap = self.lock();
        let (needle, fate) = trap.as_ref()?;
        let fate = *fate;
        if !bytes.windows(needle.len()).any(|window| window == needle) {
            return None;
        }
        *trap = None;
        self.sprung.fetch_add(1, Ordering::SeqCst);
        Some(fate)
    }

    async fn there(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        doomed: &watch::Sender<Option<Fate>>,
        born: usize,
    ) {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.pass(born).await;
            match self.sprung_by(&buffer[..read]) {
                Some(Fate::CutBefore) => return,
                Some(Fate::Freeze) => {
                    self.frozen.send_replace(true);
                    self.pass(born).await;
                }
                Some(fate) => {
                    doomed.send_replace(Some(fate));
                }
                None => {}
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }

    async fn back(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        doomed: &watch::Sender<Option<Fate>>,
        born: usize,
    ) {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.pass(born).await;
            let fate = *doomed.borrow();
            match fate {
                Some(Fate::SilentAfter) => std::future::pending::<()>().await,
                Some(_) => return,
                None => {}
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}
