//! A connection whose writes wait for company.
//!
//! The task that writes to Redis is woken by the first request that wants something, and would
//! send it at once, alone: one packet, one wake-up of Redis and one answer for each. It lets
//! whoever waits for this thread run instead, once, and then sends what all of them want. On an
//! idle process that takes hardly any time; on a busy one a request waits for no more than the
//! others do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that lets others run before each write.
#[derive(Debug)]
pub struct Gather<S> {
    inner: S,
    /// Whether the others have had their turn since the last write.
    waited: bool,
}

impl<S> Gather<S> {
    /// Of a connected stream.
    pub const fn new(inner: S) -> Self {
        Self { inner, waited: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waited = !self.waited;
        if self.waited {
            // A task that wakes itself goes to the end of the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use redis::aio::MultiplexedConnection;
    use redis::{AsyncConnectionConfig, RedisConnectionInfo};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// As in the servers: a woken task takes the next turn of its thread, before those that wait.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_asked_at_once_goes_in_one_packet() {
        let (gathered, plain) = (packets(Gather::new).await, packets(|stream| stream).await);
        assert!(gathered <= 2, "{gathered} packets");
        assert!(plain > 2, "{plain} packets without waiting");
    }

    /// Packets that 20 commands go in, asked for at once over a stream of this kind.
    async fn packets<S>(kind: impl FnOnce(DuplexStream) -> S) -> usize
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        const PINGS: usize = 20;
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move {
            let (mut packets, mut asked) = (0, 0);
            let mut buffer = vec![0; 1 << 16];
            while asked < PINGS {
                let read = theirs.read(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let commands = text.matches("*1\r\n$4\r\nPING").count();
                // Before them comes what a client says of itself.
                packets += usize::from(commands > 0);
                asked += commands;
                let answers = text.matches('*').count();
                theirs.write_all("+OK\r\n".repeat(answers).as_bytes()).await.unwrap();
            }
            packets
        });
        let (connection, driver) = MultiplexedConnection::new_with_config(
            &RedisConnectionInfo::default(),
            kind(ours),
            AsyncConnectionConfig::new().set_response_timeout(None),
        )
        .await
        .unwrap();
        let asking = tokio::spawn(async move {
            tokio::spawn(driver);
            let ping = |_| {
                let mut connection = connection.clone();
                tokio::spawn(async move {
                    redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap()
                })
            };
            let asked: Vec<_> = (0..PINGS).map(ping).collect();
            for answer in asked {
                assert_eq!(answer.await.unwrap(), "OK");
            }
        });
        asking.await.unwrap();
        server.await.unwrap()
    }
}
