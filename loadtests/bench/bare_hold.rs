//! The limit of holds: an axum handler that does one EVALSHA of the hold script on a multiplexed
//! connection, with the keys and arguments that onsale gives it, and writes the reply as JSON. On
//! the same runtime and allocator as onsale, and served by the same code.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use onsale::catalog::cache::{Catalog, Sale};
use onsale::holds::near::Near;
use onsale::holds::plan::{Plan, Wish, WishLine};
use onsale::holds::record::HeldPlace;
use onsale::holds::redis::{Asker, hold_call};
use onsale::ids::{AccountId, EventId, HoldId, OfferId};
use onsale::redis::scripts::HOLD;
use onsale::redis::{Line, Patience};
use redis::aio::ConnectionLike;
use redis::{Cmd, IntoConnectionInfo, Value};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::waiting::bare;

/// Where it is asked.
pub const PATH: &str = "/holds";
// Arguments of the script that differ from hold to hold, by position.
const ID: usize = 1;
const ACCOUNT: usize = 2;
const END: usize = 4;
const WISH: usize = 5;
const FROM: usize = 8;
const CHOSEN: usize = 9;
const AROUND: usize = 10;
const CLOSER: usize = 11;

/// Where it listens, and what it holds.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    database: String,
    #[arg(long)]
    redis: String,
    /// Ids of the events, in order.
    #[arg(long, value_delimiter = ',')]
    events: Vec<Uuid>,
}

/// A pair to be held.
#[derive(Deserialize)]
pub struct Ask {
    /// The event, by its position.
    pub event: usize,
    /// What sells it.
    pub offer: Uuid,
    /// Which places.
    pub places: [i32; 2],
    /// The hold's id.
    pub id: Uuid,
    /// Whose it is.
    pub account: Uuid,
}

/// The reply, as it came.
#[derive(Serialize)]
struct Answer {
    reply: Vec<String>,
}

/// Keys and arguments of one offer of an event.
struct Template {
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
    offer: i16,
    /// Before and after the places.
    end: (String, String),
    wish: (String, String),
}

/// What onsale gives the script, for each event and offer.
pub struct Templates {
    sales: Vec<Arc<Sale>>,
    templates: HashMap<(usize, Uuid), Template>,
}

impl Templates {
    /// Reads the events.
    ///
    /// # Errors
    /// If one of them isn't there.
    pub async fn load(pg: &PgPool, events: impl IntoIterator<Item = Uuid>) -> Result<Self> {
        let catalog = Catalog::new(pg.clone(), crate::rig::PREFIX.to_owned());
        let (mut sales, mut templates) = (Vec::new(), HashMap::new());
        for (at, id) in events.into_iter().enumerate() {
            let sale = catalog.sale(EventId(id)).await?.context("no such event")?;
            for offer in &sale.listing.offers {
                if let Some(template) = template(&sale, offer.id) {
                    templates.insert((at, offer.id.0), template);
                }
            }
            sales.push(sale);
        }
        Ok(Self { sales, templates })
    }

    /// The call that holds a pair. `None` if there is no such event or offer.
    pub fn command(&self, ask: &Ask) -> Option<Cmd> {
        let template = self.templates.get(&(ask.event, ask.offer))?;
        let listing = &self.sales.get(ask.event)?.listing;
        let [left, right] = ask.places;
        let number = listing.place(left)?.stretch;
        let stretch = listing.stretch(number)?;
        let Template { offer, end, wish, .. } = template;
        let what = format!("{number}:{}:{}:1:{left}.{right};", stretch.first, stretch.length);
        let held = |place| HeldPlace { place, stretch: number, offer: *offer, tier: 0 };
        let near = Near::of(stretch, ask.places.map(held).into(), listing.event.orphan_rule)?;
        let (id, account) = (ask.id.to_string(), format!("a:{}", ask.account));
        let end = [&*end.0, &near.text(), &end.1].concat();
        let wish = [&*wish.0, &what, &wish.1].concat();
        let mut command = redis::cmd("EVALSHA");
        command.arg(HOLD.sha()).arg(template.keys.len()).arg(&template.keys);
        for (at, arg) in template.args.iter().enumerate() {
            match at {
                ID => command.arg(&id),
                ACCOUNT => command.arg(&account),
                END => command.arg(&end),
                WISH => command.arg(&wish),
                FROM => command.arg(near.from),
                CHOSEN => command.arg(near.chosen),
                AROUND => command.arg(near.around),
                CLOSER => command.arg(if near.closer { "1" } else { "" }),
                _ => command.arg(arg),
            };
        }
        Some(command)
    }
}

/// What the handler knows.
struct Known {
    /// Of the kind that onsale makes.
    line: Line,
    templates: Templates,
}

/// Serves until it is told to stop.
///
/// # Errors
/// If the address is taken, or what is to be held can't be read.
pub async fn run(options: Options) -> Result<bool> {
    let pg = PgPoolOptions::new().max_connections(1).connect(&options.database).await?;
    let templates = Templates::load(&pg, options.events).await?;
    let line = Line::open(&options.redis.into_connection_info()?, Patience::default()).await?;
    let known = Arc::new(Known { line, templates });
    let router = Router::new().route(PATH, post(hold)).with_state(known);
    bare::serve(options.listen, router).await
}

/// What onsale gives the script for a pair of this offer. `None` if it sells no seats.
fn template(sale: &Sale, offer: OfferId) -> Option<Template> {
    let listing = &sale.listing;
    let level = listing.offers.iter().find(|known| known.id == offer)?.level;
    let stretch = listing.stretches.iter().find(|known| {
        known.level == level && known.length > 1 && known.class == onsale::catalog::Class::Standard
    })?;
    let line =
        WishLine { places: Some(vec![stretch.first, stretch.first + 1]), ..WishLine::of(offer) };
    let wish = Wish {
        lines: vec![line],
        accept_equivalent: false,
        promo_code: None,
        access_code: None,
        grants: Vec::new(),
    };
    let plan = Plan::new(listing, &wish, Timestamp::now()).ok()?;
    let asker = Asker {
        id: HoldId(Uuid::nil()),
        digest: "0".repeat(32),
        account: AccountId(Uuid::nil()),
        retake: false,
    };
    let call = hold_call(sale, &asker, &plan);
    let cut = |at: usize, middle: &str| {
        let (before, after) = std::str::from_utf8(call.args.get(at)?).ok()?.split_once(middle)?;
        Some((before.to_owned(), after.to_owned()))
    };
    let (near, line) = (plan.near.as_ref()?, plan.lines.first()?);
    let (end, wish) = (cut(END, &near.text())?, cut(WISH, &line.what)?);
    Some(Template { offer: line.offer, end, wish, keys: call.keys, args: call.args })
}

async fn hold(
    State(known): State<Arc<Known>>,
    Json(ask): Json<Ask>,
) -> Result<(StatusCode, Json<Answer>), StatusCode> {
    let command = known.templates.command(&ask).ok_or(StatusCode::NOT_FOUND)?;
    let mut connection = known.line.connection.clone();
    let answer = connection.req_packed_command(&command).await;
    let Ok(Value::Array(values)) = answer else { return Err(StatusCode::BAD_GATEWAY) };
    let reply: Vec<String> = values.into_iter().map(text).collect();
    if reply.first().map(String::as_str) == Some("held") {
        Ok((StatusCode::CREATED, Json(Answer { reply })))
    } else {
        Err(StatusCode::CONFLICT)
    }
}

fn text(value: Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text,
        _ => String::new(),
    }
}
