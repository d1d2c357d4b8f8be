//! The leanest HTTP client there is: one kept connection, one request at a time, written as it
//! is and read up to its length. What it costs is taken from what is measured, so it does no more.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Bytes read at a time, at first: more than an answer has.
const BUFFER_BYTES: usize = 16 * 1024;
/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, as long as no other is asked for.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

impl Client {
    /// Connects from a loopback address.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(from: Ipv4Addr, to: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await.with_context(|| format!("no connection to {to}"))?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a whole request and reads the whole answer.
    ///
    /// # Errors
    /// If the connection breaks or the answer has no length.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        let mut read = 0;
        loop {
            if read == self.buffer.len() {
                anyhow::ensure!(read < MAX_ANSWER_BYTES, "an answer is too long");
                self.buffer.resize(read * 2, 0);
            }
            let more = self.stream.read(&mut self.buffer[read..]).await?;
            anyhow::ensure!(more > 0, "the connection was closed");
            read += more;
            if let Some((status, from, to)) = parse(&self.buffer[..read])?
                && to <= read
            {
                return Ok(Reply { status, body: &self.buffer[from..to] });
            }
        }
    }
}

/// The status of an answer whose headers are complete, and where its body begins and ends.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head.get(9..12).and_then(|text| text.parse().ok()).context("no status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let from = end + 4;
    match length {
        Some(length) => Ok(Some((status, from, from + length?))),
        None if status == 204 => Ok(Some((status, from, from))),
        None => bail!("an answer without a length: {head}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        let (status, from, to) = parse(text).unwrap().unwrap();
        assert_eq!((status, &text[from..to]), (200, b"hello".as_slice()));
        assert!(parse(&text[..30]).unwrap().is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
