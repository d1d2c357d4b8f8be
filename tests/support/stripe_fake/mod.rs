//! A stateful stand-in for Stripe, on the wire: it keeps intents and refunds, honours
//! idempotency keys, signs webhooks as Stripe does, and fails when told to.
//!
//! It shares no code with the client, so that a mistake in one isn't repeated in the other.

mod routes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

/// The key that the fake accepts.
pub const SECRET_KEY: &str = "sk_test_fake";

/// A form, as Stripe's API is spoken to.
type Fields = BTreeMap<String, String>;

/// What goes wrong with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has its effect, and no answer comes.
    SilentAfterEffect,
    /// The call has no effect, and no answer comes.
    SilentBefore,
    /// The call is answered with this status and has no effect.
    Status(u16),
    /// A proxy answers with this status and a page of its own.
    Proxy(u16),
}

/// How a buyer fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Approved,
    Declined,
    AsksFirst,
    Processing,
}

#[derive(Default)]
struct Books {
    intents: Vec<Value>,
    refunds: Vec<Value>,
    /// By key: what was asked, and the answer.
    answered: HashMap<String, (String, Fields, u16, Value)>,
    faults: VecDeque<Fault>,
    counter: u64,
    calls: u64,
    last_version: Option<String>,
}

/// The fake. Clones are the same.
#[derive(Clone, Default)]
pub struct StripeFake {
    books: Arc<Mutex<Books>>,
}

impl StripeFake {
    /// Starts on a free loopback port; the fake and its base address. Ends with the runtime.
    pub async fn start() -> (Self, String) {
        let fake = Self::default();
        let router = routes::router(&fake);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        (fake, format!("http://{address}"))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call without a fault gets this one.
    pub fn fail_next(&self, fault: Fault) {
        self.books().faults.push_back(fault);
    }

    /// How many intents exist.
    pub fn intents(&self) -> usize {
        self.books().intents.len()
    }

    /// How many refunds exist.
    pub fn refunds(&self) -> usize {
        self.books().refunds.len()
    }

    /// How many calls came, faults included.
    pub fn calls(&self) -> u64 {
        self.books().calls
    }

    /// The API version that the last call asked for.
    pub fn last_version(&self) -> Option<String> {
        self.books().last_version.clone()
    }

    /// The buyer gives a card to Stripe's own fields; the intent afterwards.
    pub fn present_card(&self, id: &str, fate: Fate) -> Value {
        self.edit(id, |intent| match fate {
            Fate::Approved => {
                intent["status"] = json!("succeeded");
                intent["amount_received"] = intent["amount"].clone();
            }
            Fate::Declined => {
                intent["status"] = json!("requires_payment_method");
                intent["last_payment_error"] = json!({
                    "type": "card_error", "code": "card_declined",
                    "decline_code": "insufficient_funds",
                });
            }
            Fate::AsksFirst => intent["status"] = json!("requires_action"),
            Fate::Processing => intent["status"] = json!("processing"),
        })
    }

    /// Changes an intent behind the API's back.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut books = self.books();
        let intent = books.intents.iter_mut().find(|intent| intent["id"] == id).expect("there");
        change(intent);
        intent.clone()
    }

    /// An event's body, as Stripe sends it.
    pub fn event(&self, kind: &str, object: &Value) -> String {
        let id = self.books().fresh_id("evt");
        let event = json!({
            "id": id, "object": "event", "api_version": "2024-10-28.acacia", "livemode": false,
            "created": now(), "type": kind, "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "data": { "object": object },
        });
        serde_json::to_string_pretty(&event).expect("JSON")
    }
}

/// The `Stripe-Signature` of `body`, one signature per secret.
pub fn sign(secrets: &[&str], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(format!("{at}.{body}").as_bytes());
        header.push_str(",v1=");
        header.push_str(&hex::encode(mac.finalize().into_bytes()));
    }
    header.push_str(",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39");
    header
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
