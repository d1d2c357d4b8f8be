//! One kept HTTP/1.1 connection: a request is written, its answer read up to its length. An idle
//! one is a socket and nothing else, so that a hundred thousand visitors fit into one process.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Ask, WireError};

/// Largest answer that is read, in bytes: a stadium's manifest has a few millions.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Read at first, in bytes: most answers fit.
const FIRST_BYTES: usize = 2 * 1024;

/// Connections that are open now, and the most that were at once.
#[derive(Default)]
pub struct Open {
    now: AtomicU32,
    most: AtomicU32,
}

impl Open {
    /// Now.
    pub fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// At most until now.
    pub fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }
}

/// An open connection, counted until dropped.
pub struct Counted(Arc<Open>);

impl Counted {
    /// Counts one more.
    pub fn new(open: &Arc<Open>) -> Self {
        let now = open.now.fetch_add(1, Ordering::Relaxed) + 1;
        open.most.fetch_max(now, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects from the given loopback address; to elsewhere from this machine's own.
///
/// # Errors
/// If nobody takes it.
pub async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, WireError> {
    let connected = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        if to.ip().is_loopback() {
            socket.bind((from, 0).into())?;
        }
        socket.connect(to).await
    };
    let stream: io::Result<TcpStream> = connected.await;
    stream.map_err(|error| WireError::Connect(error.to_string()))
}

/// A connection that isn't in use, or is in use by one request.
pub struct Connection {
    /// The server at its other end.
    pub to: SocketAddr,
    stream: TcpStream,
    used: Instant,
    is_over: bool,
    _counted: Counted,
}

/// An answer as it was read.
pub struct Received {
    /// Its status.
    pub status: StatusCode,
    /// Its `ETag`.
    pub etag: Option<HeaderValue>,
    /// Its `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects; see [`connect`].
    pub async fn open(from: Ipv4Addr, to: SocketAddr, open: &Arc<Open>) -> Result<Self, WireError> {
        let stream = connect(from, to).await?;
        Ok(Self { to, stream, used: Instant::now(), is_over: false, _counted: Counted::new(open) })
    }

    /// Whether it can be expected to be still open on the other side.
    pub fn is_fresh(&self, max_idle: Duration) -> bool {
        if self.is_over || self.used.elapsed() >= max_idle {
            return false;
        }
        // Nothing may come unasked: bytes would be of no request, an end is one.
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error)
            if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request, and no more.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), WireError> {
        self.is_over = true;
        Ok(self.stream.write_all(request).await?)
    }

    /// Sends a request and reads the whole answer. Whatever fails, the connection is over.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Received, WireError> {
        self.is_over = true;
        self.stream.write_all(request).await?;
        let (mut bytes, mut head) = (Vec::with_capacity(FIRST_BYTES), None);
        loop {
            if self.stream.read_buf(&mut bytes).await? == 0 {
                return Err(if bytes.is_empty() { WireError::Closed } else { WireError::Cut });
            }
            if head.is_none() {
                head = Head::parse(&bytes)?;
            }
            if let Some(found) = &head
                && found.end + found.length <= bytes.len()
            {
                break;
            }
            if let Some(found) = &head {
                bytes.reserve(found.end + found.length - bytes.len());
            }
        }
        let head = head.ok_or(WireError::Cut)?;
        self.is_over = head.closes || head.end + head.length != bytes.len();
        self.used = Instant::now();
        bytes.drain(..head.end);
        let Head { status, etag, retry_after_s, .. } = head;
        Ok(Received { status, etag, retry_after_s, body: bytes })
    }
}

struct Head {
    status: StatusCode,
    end: usize,
    length: usize,
    etag: Option<HeaderValue>,
    retry_after_s: Option<u32>,
    closes: bool,
}

impl Head {
    /// None while it isn't complete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() > MAX_HEAD_BYTES {
                Err(WireError::Unreadable)
            } else {
                Ok(None)
            };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| WireError::Unreadable)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3));
        let status = status.and_then(|digits| digits.parse().ok()).ok_or(WireError::Unreadable)?;
        let mut head = Self {
            status,
            end: end + 4,
            length: 0,
            etag: None,
            retry_after_s: None,
            closes: false,
        };
        let mut length = None;
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(WireError::Unreadable)?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok(),
                "etag" => head.etag = HeaderValue::try_from(value).ok(),
                "retry-after" => head.retry_after_s = value.parse().ok(),
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let empty = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        head.length = match length {
            _ if empty => 0,
            Some(length) if length <= MAX_ANSWER_BYTES => length,
            Some(_) => return Err(WireError::TooLarge),
            // Chunks aren't read: no answer of the API needs them.
            None => return Err(WireError::Unreadable),
        };
        Ok(Some(head))
    }
}

/// A request as it goes over the wire.
pub fn write(host: &HeaderValue, path: &str, ask: &Ask<'_>) -> Result<Vec<u8>, WireError> {
    let fits = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let mut texts = ask.texts().into_iter().filter_map(|(_, text)| text);
    if path.contains(' ') || !fits(path) || !texts.all(fits) {
        return Err(WireError::Unsendable);
    }
    let method = ask.method();
    let mut request = Vec::with_capacity(512);
    // Memory takes everything.
    let _ = write!(request, "{method} {path} HTTP/1.1\r\n");
    let mut header = |name: &str, value: &[u8]| {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    };
    header("host", host.as_bytes());
    for (name, value) in [("authorization", ask.session), ("if-none-match", ask.known)] {
        if let Some(value) = value {
            header(name, value.as_bytes());
        }
    }
    for (name, value) in ask.texts() {
        if let Some(value) = value {
            header(name, value.as_bytes());
        }
    }
    if let Some(body) = &ask.body {
        header("content-type", b"application/json");
        header("content-length", body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.as_bytes());
    } else {
        if method == "POST" {
            header("content-length", b"0");
        }
        request.extend_from_slice(b"\r\n");
    }
    Ok(request)
}
