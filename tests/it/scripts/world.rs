//! An event in Redis without a database: filled by hand, asked through the scripts, and dumped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use onsale::catalog::cache::Sale;
use onsale::catalog::listing::{self, Parts};
use onsale::catalog::{Class, Event, EventStatus, Listing, Stretch, Venue};
use onsale::devstack::{Options, Stack};
use onsale::holds::rebuild::stretch_bytes;
use onsale::holds::redis::Reply;
use onsale::ids::{EventId, OrganizerId};
use onsale::redis::Redis;
use onsale::redis::keys::Keys;
use onsale::redis::scripts::Script;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::{PATIENT, patient_redis};

/// The epoch that scripts are told, unless a test lies.
pub const EPOCH: i32 = 3;
/// The public and one channel with an allocation.
pub const CHANNELS: [i16; 2] = [0, 1];

/// The server that all worlds share.
pub struct Server {
    pub redis: Arc<Redis>,
    pub connection: MultiplexedConnection,
    // Keeps the servers.
    _stack: Stack,
}

impl Server {
    pub async fn start() -> Self {
        let stack = Stack::start(Options::for_tests()).await.expect("the test servers start");
        let prefix = format!("s{}", uuid::Uuid::now_v7().simple());
        let redis = Redis::connect(&stack.redis_url, prefix, 2, PATIENT).await.expect("Redis");
        let connection = patient_redis(&stack.redis_url).await;
        Self { redis, connection, _stack: stack }
    }

    /// The names of all keys under this server's prefix.
    pub async fn all_keys(&self) -> BTreeSet<String> {
        let mut connection = self.connection.clone();
        let pattern = format!("{}:*", self.redis.prefix);
        let mut found = BTreeSet::new();
        let mut keys = connection.scan_match::<_, String>(pattern).await.expect("keys");
        while let Some(key) = keys.next_item().await {
            found.insert(key.expect("a key"));
        }
        found
    }

    /// An event with these stretches, on sale, with nothing taken.
    pub async fn world(&self, shape: &[(i32, i16, Class)]) -> World {
        let stretches = lay_out(shape);
        let keys = Keys::new(&self.redis.prefix, EventId::fresh(), EPOCH);
        let run_id = self.redis.link().expect("a link").run_id.clone();
        let listing = Arc::new(listing_of(&stretches));
        let sale = Sale { listing, epoch: EPOCH, run_id, keys };
        let (redis, connection) = (self.redis.clone(), self.connection.clone());
        let world = World { redis, connection, sale, stretches };
        world.fill(&[], &[]).await;
        world
    }
}

/// Stretches one after the other, each on a byte boundary.
fn lay_out(shape: &[(i32, i16, Class)]) -> Vec<Stretch> {
    let mut next = 0;
    let mut stretches = Vec::with_capacity(shape.len());
    for (length, level, class) in shape {
        next = (next + 7) / 8 * 8;
        let (first, length, level, class) = (next, *length, *level, *class);
        stretches.push(Stretch { first, length, level, class, section: 0 });
        next += length;
    }
    stretches
}

fn listing_of(stretches: &[Stretch]) -> Listing {
    let venue = Venue { name: String::new(), address: String::new(), time_zone: "UTC".into() };
    let event = Event {
        id: EventId::fresh(),
        organizer: OrganizerId::fresh(),
        slug: "props".into(),
        name: "Props".into(),
        description: String::new(),
        venue,
        starts_at: Timestamp::now(),
        currency: iso_currency::Currency::EUR,
        status: EventStatus::OnSale,
        account_limit: None,
        hold_seconds: 480,
        hold_max_seconds: 960,
        pay_seconds: 900,
        return_seconds: 10,
        orphan_rule: true,
        waiting_room: false,
        needs_account: false,
        attendee_names: false,
        terms: None,
        rehearsal: false,
        focus: (0.0, 0.0),
        version: 1,
    };
    Listing::from(Parts {
        event,
        levels: vec![],
        sections: vec![],
        stretches: stretches.to_vec(),
        places: vec![],
        channels: vec![],
        price_types: vec![],
        offers: vec![],
        promos: vec![],
        code_sets: vec![],
        registrations: vec![],
    })
}

/// One event.
pub struct World {
    pub redis: Arc<Redis>,
    pub connection: MultiplexedConnection,
    pub sale: Sale,
    pub stretches: Vec<Stretch>,
}

/// Everything that Redis has of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    pub head: BTreeMap<String, String>,
    pub taken: Vec<u8>,
    pub kills: Vec<u8>,
    pub blocked: Vec<Vec<u8>>,
    pub holds: BTreeMap<String, String>,
    pub deadlines: BTreeMap<String, i64>,
    pub claiming: BTreeMap<String, i64>,
    pub returning: BTreeMap<String, i64>,
    pub tombs: BTreeMap<String, i64>,
    pub counts: BTreeMap<String, i64>,
    pub stretches: Vec<u8>,
    pub hints: Vec<u8>,
    pub asks: BTreeMap<String, i64>,
    pub asked: BTreeMap<String, String>,
}

type Texts = BTreeMap<String, String>;
type Numbers = BTreeMap<String, i64>;
type Scores = Vec<(String, i64)>;
type Bytes = Vec<u8>;
type Bits = (Bytes, Bytes, Bytes, Bytes);
type Sets = (Scores, Scores, Scores, Scores);

impl World {
    /// Writes the event as a rebuild does, with these bits taken and allocated to channel 1.
    pub async fn fill(&self, taken: &[i32], allocated: &[i32]) {
        let last = self.stretches.last().expect("a stretch");
        let size = usize::try_from(last.first + last.length).expect("places").div_ceil(8);
        let bitmap = |places: &[i32]| {
            let mut bits = vec![0; size];
            for place in places {
                listing::set_bit(&mut bits, *place);
            }
            bits
        };
        let keys = &self.sale.keys;
        let hints: Vec<u8> = self
            .stretches
            .iter()
            .map(|stretch| u8::try_from(stretch.length.min(255)).expect("a byte"))
            .collect();
        let mut pipe = redis::pipe();
        pipe.atomic()
            .set(&keys.taken, bitmap(taken))
            .set(&keys.kills, bitmap(&[]))
            .set(keys.blocked(0), bitmap(allocated))
            .set(keys.blocked(1), bitmap(&[]))
            .set(&keys.stretches, stretch_bytes(&self.stretches))
            .set(&keys.hints, hints)
            .cmd("HSET")
            .arg(&keys.head)
            .arg(&["state", "on_sale", "seq", "1", "epoch", &EPOCH.to_string()])
            .arg(&["blocked", if allocated.is_empty() { "0" } else { "1" }]);
        pipe.exec_async(&mut self.connection.clone()).await.expect("filled");
    }

    /// Runs a script; every answer but an error is a reply.
    pub async fn ask(&self, script: &'static Script, keys: &[&str], args: &[String]) -> Reply {
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let reply = self.redis.eval(&self.sale.run_id, script, keys, &args).await;
        Reply(reply.expect("the script answers"))
    }

    pub async fn dump(&self) -> Dump {
        let keys = &self.sale.keys;
        let mut connection = self.connection.clone();
        let (taken, kills, public, channel): Bits = redis::pipe()
            .get(&keys.taken)
            .get(&keys.kills)
            .get(keys.blocked(0))
            .get(keys.blocked(1))
            .query_async(&mut connection)
            .await
            .expect("bitmaps");
        let (deadlines, claiming, returning, tombs): Sets = redis::pipe()
            .zrange_withscores(&keys.deadlines, 0, -1)
            .zrange_withscores(&keys.claiming, 0, -1)
            .zrange_withscores(&keys.returning, 0, -1)
            .zrange_withscores(&keys.tombs, 0, -1)
            .query_async(&mut connection)
            .await
            .expect("sets");
        let (head, holds, asked, counts): (Texts, Texts, Texts, Numbers) = redis::pipe()
            .hgetall(&keys.head)
            .hgetall(&keys.holds)
            .hgetall(&keys.asked)
            .hgetall(&keys.counts)
            .query_async(&mut connection)
            .await
            .expect("hashes");
        let (stretches, hints, asks): (Bytes, Bytes, Scores) = redis::pipe()
            .get(&keys.stretches)
            .get(&keys.hints)
            .zrange_withscores(&keys.asks, 0, -1)
            .query_async(&mut connection)
            .await
            .expect("the rest");
        Dump {
            head,
            taken,
            kills,
            blocked: vec![public, channel],
            holds,
            deadlines: deadlines.into_iter().collect(),
            claiming: claiming.into_iter().collect(),
            returning: returning.into_iter().collect(),
            tombs: tombs.into_iter().collect(),
            counts,
            stretches,
            hints,
            asks: asks.into_iter().collect(),
            asked,
        }
    }

    /// Deletes the event.
    pub async fn end(self) {
        let keys = &self.sale.keys;
        let mut all = keys.of_epoch(CHANNELS);
        all.push(keys.head.clone());
        let gone: redis::RedisResult<()> = self.connection.clone().unlink(all).await;
        gone.expect("deleted");
    }

    pub fn stretch_of(&self, place: i32) -> i32 {
        let at = self.stretches.partition_point(|stretch| stretch.first <= place);
        i32::try_from(at).expect("few stretches") - 1
    }
}
