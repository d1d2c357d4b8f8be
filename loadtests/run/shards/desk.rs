//! The first generator's desk: the others come here to learn what is played, and leave here what
//! they have seen.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::extract::{DefaultBodyLimit, Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{COME_WITHIN, Clock, Invitation, LOOK_EVERY, SILENT_AFTER, State, at_file};
use crate::rig::Programs;
use crate::run::{Playing, postman};
use crate::scenario::{Scenario, Shard};
use crate::verdict::report::Facts;
use crate::verdict::shards::{Shards, merge};
use crate::visitors::letters::Waiting;

/// Largest part that is taken, in bytes: two million visitors have some 30 MB.
const MAX_PART_BYTES: usize = 256 << 20;
/// The file says where the desk is, and nobody else is to come to it.
const PRIVATE: u32 = 0o600;

/// The desk.
pub struct Desk {
    run: Uuid,
    shard: Shard,
    invitation: String,
    seen: Mutex<Seen>,
    at_file: PathBuf,
    pg: PgPool,
}

#[derive(Default)]
struct Seen {
    /// When the run began, and when the sale opens.
    clock: Option<(Instant, Instant)>,
    over: bool,
    guests: BTreeMap<u32, Guest>,
}

struct Guest {
    heard: Instant,
    part: Option<String>,
}

/// A desk that others can come to; closed when dropped.
pub struct Open {
    /// The desk.
    pub desk: Arc<Desk>,
    _serving: AbortOnDropHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Another run's would have been written over it.
        let _ = std::fs::remove_file(&self.desk.at_file);
    }
}

impl Desk {
    /// Opens it, if there are others.
    ///
    /// # Errors
    /// If there is no free port, or the file can't be written.
    pub async fn open(
        scenario: &Scenario,
        playing: &Playing,
        shop: &Programs,
    ) -> Result<Option<Open>> {
        let options = &playing.shards;
        if options.shard.is_alone() {
            return Ok(None);
        }
        let invitation = Invitation {
            run: Uuid::now_v7(),
            scenario: scenario.clone(),
            servers: shop.server_addresses.clone(),
            sandbox: shop.sandbox_address,
        };
        let desk = Arc::new(Self {
            run: invitation.run,
            shard: options.shard,
            invitation: serde_json::to_string(&invitation)?,
            seen: Mutex::default(),
            at_file: at_file(&playing.directory),
            pg: shop.pg.clone(),
        });
        let listener = TcpListener::bind((options.host, 0)).await?;
        // Who was told nothing finds nothing.
        let key = hex::encode(rand::random::<[u8; 16]>());
        let at = format!("http://{}/{key}", listener.local_addr()?);
        let router = Router::new()
            .route(&format!("/{key}/{{shard}}/join"), post(join))
            .route(&format!("/{key}/{{shard}}/state"), post(state))
            .route(&format!("/{key}/{{shard}}/part"), post(part))
            .route(&format!("/{key}/{{shard}}/mail"), post(mail))
            .layer(DefaultBodyLimit::max(MAX_PART_BYTES))
            .with_state(desk.clone());
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            // It ends with this task.
            let _ = axum::serve(listener, router).await;
        }));
        let open = Open { desk, _serving: serving };
        let mut file = OpenOptions::new();
        let file =
            file.create(true).truncate(true).write(true).mode(PRIVATE).open(&open.desk.at_file);
        let written = file.and_then(|mut file| file.write_all(at.as_bytes()));
        written.with_context(|| open.desk.at_file.display().to_string())?;
        (playing.say)(&format!(
            "waiting for the other generators: surge run --shard I/{} --at {at}",
            options.shard.of
        ));
        Ok(Some(open))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all others are there.
    ///
    /// # Errors
    /// If they don't come, or go again.
    pub async fn wait_for_all(&self) -> Result<()> {
        let (started, of) = (Instant::now(), self.shard.of);
        loop {
            {
                let seen = self.seen();
                for (number, guest) in &seen.guests {
                    let is_silent = guest.heard.elapsed() > SILENT_AFTER;
                    ensure!(!is_silent, "generator {number} came and has gone");
                }
                if seen.guests.len() + 1 == of as usize {
                    return Ok(());
                }
                let late = started.elapsed() > COME_WITHIN;
                ensure!(!late, "only {} of {of} generators are there", seen.guests.len() + 1);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Tells the others when the sale opens.
    pub fn start(&self, begun: Instant, opens: Instant) {
        self.seen().clock = Some((begun, opens));
    }

    /// Tells the others to send their visitors home.
    pub fn send_home(&self) {
        self.seen().over = true;
    }

    /// Waits for what the others have seen; who has gone silent delivers nothing.
    pub async fn parts(&self) -> Vec<String> {
        loop {
            {
                let mut seen = self.seen();
                let is_done =
                    |guest: &Guest| guest.part.is_some() || guest.heard.elapsed() > SILENT_AFTER;
                if seen.guests.values().all(is_done) {
                    return seen
                        .guests
                        .values_mut()
                        .filter_map(|guest| guest.part.take())
                        .collect();
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Puts what all have seen together.
    ///
    /// # Errors
    /// If a part can't be read or is of another run.
    pub fn whole(&self, mut mine: Facts, others: &[String]) -> Result<Facts> {
        mine.shards = Some(Shards::one(self.run, self.shard, &mine));
        let others: Result<Vec<Facts>> = others.iter().map(|part| Facts::unpack(part)).collect();
        let mut parts = others?;
        parts.push(mine);
        merge(parts)
    }
}

async fn join(Shared(desk): Shared<Arc<Desk>>, Path(number): Path<u32>, of: String) -> Response {
    let refused = |what: String| (StatusCode::CONFLICT, what).into_response();
    if of.parse() != Ok(desk.shard.of) {
        return refused(format!("this run has {} generators", desk.shard.of));
    }
    if number < 2 || number > desk.shard.of {
        return refused(format!("there is no generator {number} to come"));
    }
    let mut seen = desk.seen();
    if seen.guests.contains_key(&number) {
        return refused(format!("generator {number} is there already"));
    }
    seen.guests.insert(number, Guest { heard: Instant::now(), part: None });
    desk.invitation.clone().into_response()
}

async fn state(Shared(desk): Shared<Arc<Desk>>, Path(number): Path<u32>) -> Response {
    let now = Instant::now();
    let mut seen = desk.seen();
    let Some(guest) = seen.guests.get_mut(&number) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    guest.heard = now;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let clock = seen.clock.map(|(begun, opens)| {
        let ahead = i64::try_from(millis(opens.saturating_duration_since(now))).unwrap_or(0);
        let behind = i64::try_from(millis(now.saturating_duration_since(opens))).unwrap_or(0);
        Clock { begun_ms_ago: millis(now - begun), opens_in_ms: ahead - behind }
    });
    Json(State { clock, over: seen.over }).into_response()
}

async fn part(
    Shared(desk): Shared<Arc<Desk>>,
    Path(number): Path<u32>,
    part: String,
) -> StatusCode {
    match desk.seen().guests.get_mut(&number) {
        Some(guest) => {
            guest.part = Some(part);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

/// The mails that visitors of another generator wait for; it asks for them without a content type.
async fn mail(Shared(desk): Shared<Arc<Desk>>, waiting: String) -> Response {
    let Ok(waiting) = serde_json::from_str::<Vec<Waiting>>(&waiting) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match postman::newest(&desk.pg, &waiting).await {
        Ok(letters) => Json(letters).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
