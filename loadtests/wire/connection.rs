//! One kept HTTP/1.1 connection, driven by whoever uses it.
//!
//! The connection has no task of its own: a request is written and its answer read by the task
//! that asked, which spares the generator two wake-ups per request.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::WireError;

/// Largest answer that is read, in bytes: a stadium's manifest has a few millions.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Unused for so long, a connection may be about to be closed by the server, which gives idle
/// clients 10 s by default. It is then replaced.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// A request's body: there at once, or nothing.
pub struct Whole(Option<Bytes>);

impl From<String> for Whole {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.0.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

type Driver = Pin<Box<http1::Connection<TokioIo<TcpStream>, Whole>>>;

/// A connection that isn't in use, or is in use by one request.
pub struct Connection {
    sender: SendRequest<Whole>,
    /// None once the connection has ended.
    driver: Option<Driver>,
    used: Instant,
}

/// What became of a request.
pub enum Sent {
    /// It was answered.
    Answered(Response<()>, Vec<u8>),
    /// The connection was closed before it was sent: it may go through another one.
    NotSent(Box<Request<Whole>>),
}

impl Connection {
    /// Connects from the given loopback address.
    pub async fn open(from: Ipv4Addr, to: SocketAddr) -> Result<Self, WireError> {
        let connected = async {
            let socket = TcpSocket::new_v4()?;
            socket.set_nodelay(true)?;
            socket.bind((from, 0).into())?;
            socket.connect(to).await
        };
        let stream: io::Result<TcpStream> = connected.await;
        let stream = stream.map_err(|error| WireError::Connect(error.to_string()))?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), used: Instant::now() })
    }

    /// Whether it can be expected to be still open.
    pub fn is_fresh(&self) -> bool {
        !self.sender.is_closed() && self.used.elapsed() < MAX_IDLE
    }

    /// Sends a request and reads the whole answer.
    pub async fn exchange(&mut self, request: Request<Whole>) -> Result<Sent, WireError> {
        if self.drive(SendRequest::ready).await?.is_err() {
            return Ok(Sent::NotSent(Box::new(request)));
        }
        let response = match self.drive(|sender| sender.try_send_request(request)).await? {
            Ok(response) => response,
            Err(mut error) => {
                return match error.take_message() {
                    Some(request) => Ok(Sent::NotSent(Box::new(request))),
                    None => Err(error.into_error().into()),
                };
            }
        };
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::with_capacity(expected(&body));
        while let Some(frame) = self.frame(&mut body).await? {
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > MAX_ANSWER_BYTES {
                    return Err(WireError::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
        }
        self.used = Instant::now();
        Ok(Sent::Answered(Response::from_parts(parts, ()), bytes))
    }

    /// Drives the connection until a step of the sender is done.
    async fn drive<'a, F: Future>(
        &'a mut self,
        step: impl FnOnce(&'a mut SendRequest<Whole>) -> F,
    ) -> Result<F::Output, WireError> {
        let Self { sender, driver, .. } = self;
        let mut step = pin!(step(sender));
        poll_fn(move |context| {
            if let Poll::Ready(done) = step.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            let ended = driver.as_mut().map(|driver| driver.as_mut().poll(context));
            if !matches!(ended, Some(Poll::Pending)) {
                // What was not sent yet comes back when the driver is dropped.
                *driver = None;
            }
            // What the connection read just now may be what the step waits for.
            match (step.as_mut().poll(context), ended) {
                (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
                (Poll::Pending, Some(Poll::Pending)) => Poll::Pending,
                (Poll::Pending, Some(Poll::Ready(Err(error)))) => Poll::Ready(Err(error.into())),
                (Poll::Pending, _) => Poll::Ready(Err(WireError::Closed)),
            }
        })
        .await
    }

    async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, WireError> {
        let next = self.drive(|_| poll_fn(|context| Pin::new(&mut *body).poll_frame(context)));
        Ok(next.await?.transpose()?)
    }
}

fn expected(body: &Incoming) -> usize {
    let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    bytes.unwrap_or(0).min(MAX_ANSWER_BYTES)
}
