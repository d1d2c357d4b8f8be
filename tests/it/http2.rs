//! HTTP/2 by prior knowledge, as proxies in front speak it: a purchase, and what keeps clients from
//! making too much of it. Frames are of RFC 9113.

use onsale::config::Config;
use onsale::demo::seed::Seed;
use reqwest::{Client, Method, Version};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Env, PATIENCE, TestServer, hall};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags of frames.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The error of `GOAWAY` for who asks too much.
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = vec![0, length[0], length[1], kind, flags, 0, 0, 0, stream];
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block (RFC 7541): the method by its number in the static table, the path, a host.
fn block(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x41, 1, b'x']);
    block
}

fn get(stream: u8, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(0x82, path))
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u8,
    payload: Vec<u8>,
}

/// A connection on which frames are written by hand.
struct Wire(TcpStream);

impl Wire {
    async fn open(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.server.address).await.expect("a connection");
        let mut wire = Self(stream);
        wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        wire
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The server may close before it has read all of it.
        drop(self.0.write_all(bytes).await);
    }

    /// The next frame; none once the server has closed. Pings are answered.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            let read = timeout(PATIENCE, self.0.read_exact(&mut head)).await;
            read.expect("the server says something, or closes").ok()?;
            let [a, b, c, kind, flags, _, _, _, stream] = head;
            let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
            self.0.read_exact(&mut payload).await.ok()?;
            if kind == PING && flags & ACK == 0 {
                self.send(&frame(PING, ACK, 0, &payload)).await;
                continue;
            }
            return Some(Frame { kind, flags, stream, payload });
        }
    }

    /// The next frame of this kind.
    async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

/// The last byte of the error that a `GOAWAY` names.
fn error_of(goaway: &Frame) -> u8 {
    goaway.payload[7]
}

async fn serve(change: impl FnOnce(&mut Config)) -> (Env, TestServer) {
    let mut env = Env::start().await;
    change(&mut env.config);
    env.event(&Seed::new("show", &hall(4, 10, 20))).await;
    let server = env.server().await;
    (env, server)
}

#[tokio::test]
async fn tickets_are_bought_over_one_connection() {
    let (env, server) = serve(|_| {}).await;
    let mut buyer = server.buyer().await;
    buyer.http = Client::builder().http2_prior_knowledge().build().expect("a client");
    let event = buyer.http.get(format!("{}/v1/events/show", server.url)).send().await;
    assert_eq!(event.expect("an answer").version(), Version::HTTP_2);
    let offer = buyer.offer("show", "front").await;
    // Many at once, all on the one connection.
    let keys: Vec<String> = (0..6).map(|number| format!("k{number}")).collect();
    let holds = keys.iter().map(|key| buyer.hold_best("show", &offer, key, 2));
    for hold in futures::future::join_all(holds).await {
        let hold = hold.expect(201);
        let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
        buyer.pay(&order, "4242424242424242").await.expect(200);
        let paid = buyer.order(&order.id()).await;
        assert_eq!(
            (&paid.body["status"], paid.body["tickets"].as_array().map(Vec::len)),
            (&json!("paid"), Some(2))
        );
    }
    let refused = buyer.send(Method::POST, "/v1/events/show/holds", Some("k"), None).await;
    assert!(refused.status.is_client_error() && !refused.code().is_empty(), "{refused:?}");
    assert_eq!(buyer.drawer("show").await["postgres"]["sold"], 12);
    server.stop().await;
    env.audit_at_rest().await;
    env.end().await;
}

#[tokio::test]
async fn a_client_is_told_how_much_it_may_ask() {
    let (env, server) = serve(|_| {}).await;
    let mut wire = Wire::open(&server).await;
    let told = wire.next_of(SETTINGS).await.expect("settings").payload;
    let setting = |id: u8| {
        let one = told.chunks(6).find(|one| one[..2] == [0, id]);
        one.map(|one| u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
    assert_eq!((setting(3), setting(6)), (Some(200), Some(32 * 1024)), "{told:?}");
    // More headers than that are refused, and nothing else is.
    let client = Client::builder().http2_prior_knowledge().build().expect("a client");
    let url = format!("{}/v1/events", server.url);
    let huge = client.get(&url).header("x-huge", "h".repeat(40_000)).send().await;
    assert_eq!(huge.expect("an answer").status().as_u16(), 431);
    assert_eq!(client.get(&url).send().await.expect("an answer").status().as_u16(), 200);
    drop(wire);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn who_takes_requests_back_at_once_is_shown_out() {
    let (env, server) = serve(|_| {}).await;
    let mut wire = Wire::open(&server).await;
    let mut storm = Vec::new();
    for stream in (1..=201).step_by(2) {
        storm.extend(get(stream, "/v1/events"));
        // CANCEL.
        storm.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    wire.send(&storm).await;
    let goaway = wire.next_of(GOAWAY).await.expect("a last word");
    assert_eq!(error_of(&goaway), ENHANCE_YOUR_CALM, "{goaway:?}");
    assert!(wire.next_of(HEADERS).await.is_none());
    server.buyer().await.get("/v1/events").await.expect(200);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn who_asks_nothing_does_not_stay() {
    let (env, server) = serve(|config| config.http.header_timeout_s = 1).await;
    // Neither who says nothing at all, nor who stops within the first words.
    for words in [&b""[..], &PREFACE[..10], b"GET /"] {
        let mut silent = TcpStream::connect(server.server.address).await.expect("a connection");
        silent.write_all(words).await.expect("written");
        let mut end = Vec::new();
        let read = timeout(PATIENCE, silent.read_to_end(&mut end)).await;
        drop(read.expect("the server closes"));
    }
    // Nor who answers pings and nothing else, which is told before.
    let mut wire = Wire::open(&server).await;
    wire.send(&get(1, "/v1/events")).await;
    let answer = wire.next_of(HEADERS).await.expect("an answer");
    assert_eq!((answer.stream, answer.payload[0]), (1, 0x88), "200");
    let goaway = wire.next_of(GOAWAY).await.expect("a last word");
    assert_eq!(error_of(&goaway), 0, "{goaway:?}");
    while wire.next().await.is_some() {}
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn what_is_open_is_answered_when_a_node_stops() {
    let (env, server) = serve(|_| {}).await;
    let mut wire = Wire::open(&server).await;
    // A request whose body is still to come: content-type is number 31 of the static table.
    let mut headers = block(0x83, "/v1/tickets/verify");
    headers.extend_from_slice(&[0x0f, 0x10, 16]);
    headers.extend_from_slice(b"application/json");
    wire.send(&frame(HEADERS, END_HEADERS, 1, &headers)).await;
    // Answered: so the other one has come as well.
    wire.send(&get(3, "/v1/events")).await;
    assert_eq!(wire.next_of(HEADERS).await.expect("an answer").stream, 3);
    let stopping = tokio::spawn(server.stop());
    let goaway = wire.next_of(GOAWAY).await.expect("the server says that it stops");
    assert_eq!(error_of(&goaway), 0, "{goaway:?}");
    wire.send(&frame(DATA, END_STREAM, 1, br#"{"code":"none"}"#)).await;
    let answer = wire.next_of(HEADERS).await.expect("an answer");
    assert_eq!((answer.stream, answer.flags & END_HEADERS), (1, END_HEADERS), "{answer:?}");
    let body = wire.next_of(DATA).await.expect("its body");
    assert!(body.payload.starts_with(b"{"), "{body:?}");
    while wire.next().await.is_some() {}
    stopping.await.expect("an orderly end");
    env.end().await;
}
