//! One event and everybody who wants it, from joining to the last ticket.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use onsale::app::App;
use onsale::catalog::edit::events::set_status;
use onsale::catalog::{EventStatus, manifest};
use onsale::demo::seed::{self, Seed};
use onsale::holds::rebuild;
use onsale::ids::{AccountId, EventId, OrganizerId, SessionId};
use onsale::suspicion::{self, traces};
use onsale::waiting_room::draw::{Draw, fraction};
use onsale::waiting_room::{Lane, Room, standard, store};
use onsale::workers::{admit, refunds, sweep};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use reqwest::Client;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::budget::Budget;
use super::crowd::{self, Kind, LIMIT, Someone};
use super::outcome::{Outcome, Side};
use super::player::{Gang, Player, Shop};
use super::timeline::{Step, Timeline};

/// Seats in a row.
const ROW: usize = 20;
/// Who acts at the same moment.
const AT_ONCE: usize = 32;
/// Who joins at the same moment.
const JOIN_AT_ONCE: usize = 96;
/// The controller decides once in so many simulated seconds. It thinks that half a second has
/// passed, so its rate per minute is so much higher in turn.
const DECIDES_EVERY_S: u64 = 10;
const FASTER: i32 = 20;
/// What a decision sees of the stock is no older than this; so it isn't made sooner either.
const SEES_EVERY: Duration = Duration::from_millis(100);
/// So many decisions without anybody to call, or to wait for, are the end.
const IDLE_DECISIONS: u32 = 5;
/// Decisions until there must be an end.
const MOST_DECISIONS: u32 = 5_000;

/// A server, and how it may be used here.
#[derive(Clone)]
pub struct Stage {
    /// How it is called; scenes at different stages are drawn differently.
    pub name: &'static str,
    /// Its parts. Its controller must not run by itself.
    pub app: Arc<App>,
    /// Its address.
    pub url: String,
    /// Whose events are played.
    pub organizer: OrganizerId,
    /// Accounts that a card may pay for here.
    pub accounts_per_card: usize,
}

/// What is in the attackers' way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Defences {
    /// A waiting room that draws among all who join; else first come, first served.
    pub draw: bool,
    /// Who joins and buys has signed in.
    pub account: bool,
    /// Who has not proves work.
    pub proof: bool,
    /// An account may have [`LIMIT`] places.
    pub limit: bool,
}

impl Defences {
    /// None at all.
    pub const NONE: Self = Self { draw: false, account: false, proof: false, limit: false };
    /// All of an event that asks for accounts.
    pub const ACCOUNTS: Self = Self { draw: true, account: true, proof: true, limit: true };
    /// All of an event that lets anybody in.
    pub const ANYBODY: Self = Self { account: false, ..Self::ACCOUNTS };
}

/// Who comes, for what, and what they are up against.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Names everybody's choices and the draw.
    pub seed: u64,
    /// Seats.
    pub places: usize,
    /// People.
    pub people: usize,
    /// What the attackers have.
    pub budget: Budget,
    /// Identities that they try to get, beyond their accounts, where anybody is let in.
    pub anonymous: usize,
    /// Hashes per second of one of their cores.
    pub per_core: f64,
    /// What is in their way.
    pub defences: Defences,
}

impl Scene {
    /// Plays it.
    ///
    /// # Errors
    /// If anything is answered that nobody expects.
    pub async fn play(&self, stage: &Stage) -> Result<Outcome> {
        let started = Instant::now();
        let (event, shop) = self.open(stage).await?;
        let mut players = self.players(stage).await?;
        let mut timeline = Timeline::default();
        let (mut waiting, mut joined_s) = (Vec::new(), 0.0);
        if self.defences.draw {
            join_all(&shop, &mut players, self.seed).await?;
            waiting = self.draw(stage, event, &players).await?;
            joined_s = started.elapsed().as_secs_f64();
        } else {
            for (number, player) in players.iter().enumerate() {
                timeline.add(player.who.pace.notice_s, (number, Step::Grab));
            }
        }
        let ranks = bot_ranks(&players, &waiting);
        let in_line = waiting.len();
        let decided = Instant::now();
        let mut sale = Sale { stage, event, shop: &shop, timeline, waiting, called: 0, decided };
        sale.run(&mut players).await?;
        let called = sale.called;
        close(stage, event).await?;
        let mut outcome = self.outcome(stage, event, &players, &shop).await?;
        outcome.called = called.min(in_line);
        (outcome.bot_rank_z, outcome.joined_s) = (ranks, joined_s);
        outcome.took_s = started.elapsed().as_secs_f64();
        Ok(outcome)
    }

    async fn open(&self, stage: &Stage) -> Result<(EventId, Shop)> {
        let Stage { app, url, organizer, accounts_per_card, .. } = stage;
        let manifest = seats(self.places)?;
        let slug = format!("scene-{}", Uuid::now_v7().simple());
        let limit = self.defences.limit.then_some(LIMIT);
        let account_limit = limit.and_then(|limit| i32::try_from(limit).ok());
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0xe7e7);
        let seed =
            Seed { id: Some(self.event(stage)), account_limit, ..Seed::new(&slug, &manifest) };
        let event = seed::event(&app.pg, *organizer, &seed).await?;
        sqlx::query("UPDATE events SET needs_account = $2, version = version + 1 WHERE id = $1")
            .bind(event.0)
            .bind(self.defences.account)
            .execute(&app.pg)
            .await?;
        if self.defences.draw {
            self.put_room(app, event, &rng.random()).await?;
        }
        rebuild::ensure(app, event).await.context("the event is built")?;
        let http = Client::builder().no_proxy().pool_max_idle_per_host(JOIN_AT_ONCE).build()?;
        let sale = app.catalog.sale(event).await?.context("the event")?;
        let offer = sale.listing.offers.iter().find(|offer| !offer.name.contains("child"));
        let offer = offer.context("an offer")?.id.to_string();
        let gang = Gang {
            cards: self.budget.cards,
            accounts_per_card: *accounts_per_card,
            paid: AtomicUsize::new(0),
            hashes: self.budget.hashes(self.per_core),
            hashed: AtomicU64::new(0),
            burnt: Mutex::default(),
        };
        let (url, proof) = (url.clone(), self.defences.proof);
        let refusals = [Mutex::default(), Mutex::default()];
        Ok((event, Shop { url, slug, offer, proof, limit, http, refusals, gang }))
    }

    /// The event's id, on which the draw depends: a scene is always drawn in the same way.
    fn event(&self, stage: &Stage) -> EventId {
        let digest = Sha256::digest(format!("{} {self:?}", stage.name));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        EventId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    async fn put_room(&self, app: &App, event: EventId, random: &[u8; 32]) -> Result<()> {
        let now = Timestamp::now();
        let (early, draw_at) =
            (now - SignedDuration::from_mins(10), now + SignedDuration::from_hours(1));
        let draw = Draw::new(event, 0, [0; 32], "the coin that the referee tosses", None, None);
        let lane = Lane { draw, ..Lane::general(event, early, draw_at, draw_at) };
        let standard = standard(event);
        let per_minute = standard.per_minute * FASTER;
        let room = Room { proof: self.defences.proof, per_minute, lanes: vec![lane], ..standard };
        let mut tx = app.pg.begin().await?;
        store::put_room(&mut tx, &room).await?;
        store::put_lane(&mut tx, event, &room.lanes[0], random).await?;
        tx.commit().await?;
        app.rooms.refresh(&[event]).await?;
        Ok(())
    }

    /// Everybody, with a session and, where they have one, an account: as if they had signed in
    /// some time before.
    async fn players(&self, stage: &Stage) -> Result<Vec<Player>> {
        let Defences { account, draw, .. } = self.defences;
        let anonymous = if account || !draw { 0 } else { self.anonymous };
        let bots = self.budget.accounts + anonymous;
        let mut all = crowd::bots(bots, &self.budget, self.seed);
        all.extend(crowd::people(self.people, self.seed));
        let accounts = || all.iter().filter(|one| one.has_account);
        sign_in(&stage.app, accounts()).await?;
        let (keyring, now) = (&stage.app.keyring, stage.app.now());
        let player = |who: Someone| {
            let id = AccountId(who.subject);
            let sessions =
                [keyring.session(id, now), keyring.signed_in(SessionId(who.subject), id, 1, now)];
            // Bots that have accounts use them: they cost no proof.
            let signed_in = account || draw && who.kind == Kind::Bot && who.has_account;
            Player::new(who, sessions, traces::token(keyring, id), signed_in)
        };
        Ok(all.into_iter().map(player).collect())
    }

    /// Ends the joining and draws: who waits, by place, the first first.
    async fn draw(
        &self,
        stage: &Stage,
        event: EventId,
        players: &[Player],
    ) -> Result<Vec<(i64, usize)>> {
        let app = &stage.app;
        let mut connection = app.pg.acquire().await?;
        store::open_now(&mut connection, event).await?;
        drop(connection);
        ensure!(store::put_beacon(&app.pg, event, 0, "heads").await?, "no draw was made");
        app.rooms.refresh(&[event]).await?;
        let room = app.rooms.known(event).context("the room")?;
        let mut waiting = Vec::new();
        for (number, player) in players.iter().enumerate().filter(|(_, one)| one.token.is_some()) {
            // Anybody can compute it; the server is asked once they are called.
            let place = room.lanes[0].draw.place(player.who.subject).context("a draw")?;
            waiting.push((place, number));
        }
        waiting.sort_unstable();
        Ok(waiting)
    }

    async fn outcome(
        &self,
        stage: &Stage,
        event: EventId,
        players: &[Player],
        shop: &Shop,
    ) -> Result<Outcome> {
        let count = async |of: &str| -> Result<HashMap<Uuid, i64>> {
            let rows: Vec<(Uuid, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(of))
                .bind(event.0)
                .fetch_all(&stage.app.pg)
                .await?;
            Ok(rows.into_iter().collect())
        };
        let tickets = count(
            "SELECT o.account, count(*) FROM tickets t JOIN orders o ON o.id = t.order_id
             WHERE t.event_id = $1 AND t.status <> 'void' AND o.status = 'paid' GROUP BY 1",
        )
        .await?;
        let refunded = count(
            "SELECT account, count(*) FROM orders
             WHERE event_id = $1 AND status IN ('refund_pending', 'refunded') GROUP BY 1",
        )
        .await?;
        let of = |map: &HashMap<Uuid, i64>, one: &Player| {
            map.get(&one.who.subject).map_or(0, |count| count.unsigned_abs())
        };
        let side = |players: &mut dyn Iterator<Item = &Player>| {
            players.fold(Side::default(), |mut side, one| {
                let joined = !self.defences.draw || one.token.is_some();
                side.came += 1;
                side.joined += usize::from(joined);
                side.accounts += usize::from(joined && one.signed_in);
                side.turns += usize::from(one.had_turn);
                side.tickets += of(&tickets, one);
                side.refunded += of(&refunded, one);
                side
            })
        };
        let person = |one: &&Player| one.who.kind == Kind::Person;
        let mut people = side(&mut players.iter().filter(person));
        let keen = |one: &&Player| one.who.wants == LIMIT && one.who.shows && one.who.pays;
        let keen = side(&mut players.iter().filter(person).filter(keen));
        let mut bots = side(&mut players.iter().filter(|one| !person(one)));
        for (side, refusals) in [&mut people, &mut bots].into_iter().zip(&shop.refusals) {
            side.refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
        let hashes = shop.gang.hashed.load(Ordering::Relaxed) as f64;
        let places = self.places;
        Ok(Outcome { places, people, keen, bots, hashes, ..Outcome::default() })
    }
}

/// The sale of one event.
struct Sale<'a> {
    stage: &'a Stage,
    event: EventId,
    shop: &'a Shop,
    timeline: Timeline,
    /// Who waits, by place.
    waiting: Vec<(i64, usize)>,
    /// So many of them were called.
    called: usize,
    /// When the last decision was made.
    decided: Instant,
}

impl Sale<'_> {
    async fn run(&mut self, players: &mut [Player]) -> Result<()> {
        if self.waiting.is_empty() {
            return self.until(u64::MAX, players).await;
        }
        let mut idle = 0;
        for decision in 1..=MOST_DECISIONS {
            let before = self.called;
            tokio::time::sleep(SEES_EVERY).await;
            self.decide(players).await?;
            idle = if self.called > before || !self.timeline.is_empty() { 0 } else { idle + 1 };
            if idle >= IDLE_DECISIONS {
                return Ok(());
            }
            self.until(u64::from(decision) * DECIDES_EVERY_S * 1_000, players).await?;
        }
        anyhow::bail!("there is no end to the sale")
    }

    /// Everything that happens until then.
    async fn until(&mut self, until_ms: u64, players: &mut [Player]) -> Result<()> {
        loop {
            let next = self.timeline.next(until_ms, AT_ONCE);
            if next.is_empty() {
                return Ok(());
            }
            let numbers: HashSet<usize> = next.iter().map(|(number, _)| *number).collect();
            ensure!(numbers.len() == next.len(), "somebody does two things at once");
            let steps: HashMap<usize, Step> = next.into_iter().collect();
            let acting = players.iter_mut().enumerate().filter_map(|(number, player)| {
                let step = *steps.get(&number)?;
                let shop = self.shop;
                Some(async move { anyhow::Ok((number, player.act(shop, step).await?)) })
            });
            for (number, then) in try_join_all(acting).await? {
                if let Some((in_s, step)) = then {
                    self.timeline.add(in_s, (number, step));
                }
            }
        }
    }

    /// The workers' part: whom to call, what comes back, what counts against whom.
    async fn decide(&mut self, players: &[Player]) -> Result<()> {
        let app = &self.stage.app;
        suspicion::run_once(app).await?;
        while refunds::run_once(app).await? {}
        sweep::run_once(app).await?;
        self.time_passes().await?;
        admit::run_once(app).await?;
        app.rooms.refresh(&[self.event]).await?;
        let room = app.rooms.known(self.event).context("the room")?;
        let serving = room.lanes[0].serving;
        while let Some((_, number)) =
            self.waiting.get(self.called).filter(|(place, _)| *place < serving)
        {
            self.called += 1;
            let who = &players[*number].who;
            if who.shows {
                self.timeline.add(who.pace.notice_s, (*number, Step::Turn));
            }
        }
        Ok(())
    }
}

impl Sale<'_> {
    /// What was called or issued is as old as it would be: turns that nobody takes run out, and the
    /// controller learns from that how many come.
    async fn time_passes(&mut self) -> Result<()> {
        let pg = &self.stage.app.pg;
        let real_s = self.decided.elapsed().as_secs_f64();
        self.decided = Instant::now();
        let ahead_s = (DECIDES_EVERY_S as f64 - real_s).max(0.0);
        for statement in [
            "UPDATE waiting_calls SET at = at - make_interval(secs => $2) WHERE event_id = $1",
            "UPDATE passes SET issued_at = issued_at - make_interval(secs => $2),
                               expires_at = expires_at - make_interval(secs => $2),
                               ended_at = ended_at - make_interval(secs => $2)
             WHERE event_id = $1",
        ] {
            sqlx::query(statement).bind(self.event.0).bind(ahead_s).execute(pg).await?;
        }
        sqlx::query(
            "UPDATE waiting_rooms SET decided_at = clock_timestamp() - interval '500 ms'
             WHERE event_id = $1",
        )
        .bind(self.event.0)
        .execute(pg)
        .await?;
        Ok(())
    }
}

/// Everybody joins, in any order, for it doesn't matter.
async fn join_all(shop: &Shop, players: &mut [Player], seed: u64) -> Result<()> {
    let mut order: Vec<&mut Player> = players.iter_mut().collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed ^ 0x0d0e));
    for chunk in order.chunks_mut(JOIN_AT_ONCE) {
        try_join_all(chunk.iter_mut().map(|player| player.join(shop))).await?;
    }
    Ok(())
}

/// Accounts and sessions of all of them, in one statement each.
async fn sign_in(app: &App, all: impl Iterator<Item = &Someone>) -> Result<()> {
    let ids: Vec<Uuid> = all.map(|one| one.subject).collect();
    for statement in [
        "INSERT INTO accounts (id, email, email_key)
         SELECT id, id || '@example.org', id || '@example.org' FROM unnest($1::uuid[]) AS id
         ON CONFLICT DO NOTHING",
        "INSERT INTO account_sessions (id, account, expires_at)
         SELECT id, id, now() + interval '1 day' FROM unnest($1::uuid[]) AS id
         ON CONFLICT DO NOTHING",
    ] {
        sqlx::query(statement).bind(&ids).execute(&app.pg).await?;
    }
    Ok(())
}

/// How far the bots' mean rank is from chance.
fn bot_ranks(players: &[Player], waiting: &[(i64, usize)]) -> Option<f64> {
    let ranks: Vec<f64> = waiting
        .iter()
        .filter(|(_, number)| players[*number].who.kind == Kind::Bot)
        .map(|(place, _)| fraction(*place))
        .collect();
    let bots = ranks.len() as f64;
    // Ranks are uniform from 0 to 1: mean 1/2, variance 1/12.
    (bots > 0.0).then(|| (ranks.iter().sum::<f64>() / bots - 0.5) / (1.0 / (12.0 * bots)).sqrt())
}

/// The controller and the sweep leave the event alone from now on.
async fn close(stage: &Stage, event: EventId) -> Result<()> {
    sqlx::query("UPDATE waiting_rooms SET state = 'closed' WHERE event_id = $1")
        .bind(event.0)
        .execute(&stage.app.pg)
        .await?;
    let closed = set_status(&stage.app, event, EventStatus::Closed).await;
    closed.map_err(|problem| anyhow::anyhow!("the event can't be closed: {problem:?}"))
}

fn seats(places: usize) -> Result<manifest::Manifest> {
    let mut csv = String::from("section,row,seat,x,y,level,attributes,capacity\n");
    for at in 0..places {
        let (row, seat) = (at / ROW + 1, at % ROW + 1);
        csv.push_str(&format!("S,{row},{seat},{},{row},hall,,\n", seat as f64 * 0.55));
    }
    manifest::csv::parse(csv.as_bytes()).map_err(|error| anyhow::anyhow!("{error:?}"))
}
