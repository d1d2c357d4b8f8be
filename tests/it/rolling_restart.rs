//! Two processes behind a load balancer are replaced one after the other while people buy: no
//! request fails.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onsale::demo::seed::Seed;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::support::process::free_address;
use crate::support::stage::{at_rest, brisk, built};
use crate::support::{Buyer, Env, hall, until};

/// How often the balancer asks whether a server is ready.
const PROBE: Duration = Duration::from_millis(50);
/// How long servers say that they aren't before they close.
const UNREADY_MS: u64 = 3_000;
/// People who look, and people who buy, at any moment.
const LOOKERS: usize = 4;
const BUYERS: usize = 4;

/// Chooses among the servers that said that they are ready, and keeps connections to them, as a
/// load balancer does.
struct Balancer {
    servers: Vec<(String, AtomicBool)>,
    turn: AtomicUsize,
    http: Client,
    failures: Mutex<Vec<String>>,
    answered: AtomicUsize,
    over: AtomicBool,
}

impl Balancer {
    fn new(addresses: &[SocketAddr]) -> Arc<Self> {
        let server = |address: &SocketAddr| (format!("http://{address}"), AtomicBool::new(true));
        Arc::new(Self {
            servers: addresses.iter().map(server).collect(),
            turn: AtomicUsize::new(0),
            http: Client::builder().no_proxy().build().expect("a client"),
            failures: Mutex::default(),
            answered: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    async fn probe(self: Arc<Self>) {
        while !self.over.load(Ordering::SeqCst) {
            for (url, ready) in &self.servers {
                let asked = self.http.get(format!("{url}/health/ready")).send().await;
                let is = asked.is_ok_and(|answer| answer.status().is_success());
                ready.store(is, Ordering::SeqCst);
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    /// Sends a request to a ready server; what fails is noted.
    async fn send(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Value {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let count = self.servers.len();
        let ready = (0..count).map(|step| &self.servers[(turn + step) % count]);
        let mut ready = ready.filter(|(_, ready)| ready.load(Ordering::SeqCst));
        let Some((url, _)) = ready.next() else {
            self.failures.lock().expect("no panic").push("no server is ready".into());
            return Value::Null;
        };
        let mut request = self.http.request(method.clone(), format!("{url}{path}"));
        request = request.bearer_auth(token).header("idempotency-key", "k");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = async {
            let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
            if status.is_success() { Ok(text) } else { Err(format!("{status} {text}")) }
        };
        match answer.await {
            Ok(text) => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                serde_json::from_str(&text).unwrap_or_default()
            }
            Err(failure) => {
                let failure = format!("{method} {url}{path}: {failure}");
                self.failures.lock().expect("no panic").push(failure);
                Value::Null
            }
        }
    }

    async fn look(self: Arc<Self>) {
        while !self.over.load(Ordering::SeqCst) {
            for path in ["/v1/events/show", "/v1/events/show/availability", "/"] {
                self.send(Method::GET, path, "", None).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Holds, checks out, looks at the order and gives it up, again and again.
    async fn buy(self: Arc<Self>, offer: String) {
        while !self.over.load(Ordering::SeqCst) {
            let session = self.send(Method::POST, "/v1/sessions", "", None).await;
            let Some(token) = session["token"].as_str() else { continue };
            let wish = json!({"lines": [{"offer": offer, "best": 1}]});
            let hold = self.send(Method::POST, "/v1/events/show/holds", token, Some(wish)).await;
            let Some(id) = hold["id"].as_str() else { continue };
            let path = format!("/v1/events/show/holds/{id}/checkout");
            let who = json!({"email": "a@example.org"});
            self.send(Method::POST, &path, token, Some(who)).await;
            self.send(Method::GET, &format!("/v1/orders/{id}"), token, None).await;
            self.send(Method::POST, &format!("/v1/orders/{id}/cancel"), token, None).await;
        }
    }

    /// Waits until so many more requests were answered.
    async fn more(&self, count: usize) {
        let before = self.answered.load(Ordering::SeqCst);
        until("requests are answered", || async {
            self.answered.load(Ordering::SeqCst) >= before + count
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_request() {
    let env = Env::start().await;
    let event = env.event(&Seed::new("show", &hall(20, 20, 0))).await;
    let addresses = [free_address(), free_address()];
    let sandbox = free_address();
    let acquirer = env.spawn_sandbox(sandbox, &addresses).await;
    let start = |address| {
        env.spawn_server(address, &[], move |config| {
            brisk(config);
            // A checkout that takes its time while another process starts isn't left behind.
            config.workers.hanging_ms = 600_000;
            config.payments.sandbox.url = format!("http://{sandbox}");
            config.http.unready_ms = UNREADY_MS;
        })
    };
    let mut servers = vec![start(addresses[0]).await, start(addresses[1]).await];
    built(&servers[1].url).await;
    let scout = Buyer::new(&servers[0].url).await;
    let offer = scout.offer("show", "back").await;

    let balancer = Balancer::new(&addresses);
    let people = TaskTracker::new();
    let probe = tokio::spawn(balancer.clone().probe());
    (0..LOOKERS).for_each(|_| drop(people.spawn(balancer.clone().look())));
    (0..BUYERS).for_each(|_| drop(people.spawn(balancer.clone().buy(offer.clone()))));
    balancer.more(400).await;
    for round in 0..4 {
        let old = servers.remove(0);
        old.terminate().await;
        let address = addresses[round % 2];
        servers.push(start(address).await);
        until("the balancer knows", || async {
            balancer.servers.iter().all(|(_, ready)| ready.load(Ordering::SeqCst))
        })
        .await;
        balancer.more(200).await;
    }
    balancer.over.store(true, Ordering::SeqCst);
    people.close();
    people.wait().await;
    probe.await.expect("the probe ends");
    let failures = balancer.failures.lock().expect("no panic").clone();
    let answered = balancer.answered.load(Ordering::SeqCst);
    assert!(failures.is_empty(), "{} of {answered}: {failures:#?}", failures.len());
    assert!(answered > 1_000, "{answered}");

    at_rest(&env, event, &servers[0].url).await;
    for server in servers {
        server.terminate().await;
    }
    acquirer.kill().await;
    env.end().await;
}
