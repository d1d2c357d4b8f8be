//! One event and everybody who wants it, from joining to the last ticket.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use onsale::app::App;
use onsale::catalog::manifest;
use onsale::demo::seed::{self, Seed};
use onsale::holds::rebuild;
use onsale::ids::{AccountId, EventId, OrganizerId};
use onsale::waiting_room::draw::{Draw, fraction};
use onsale::waiting_room::{Lane, Room, standard, store};
use onsale::workers::admit;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Client;
use uuid::Uuid;

use super::player::{Kind, Player, Shop};

/// Seats in a row.
const ROW: usize = 20;
/// Who acts at the same moment.
const AT_ONCE: usize = 16;
/// Decisions of the controller until there must be an end.
const MOST_ROUNDS: usize = 2_000;
/// One bot of so many never pays.
const BLOCKERS: usize = 10;

/// Who comes, for what, and what they are up against.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Names everybody's choices.
    pub seed: u64,
    /// Seats.
    pub places: usize,
    /// People, each with an address, a session and a delay of their own.
    pub people: usize,
    /// Bots, each with a session of its own.
    pub bots: usize,
    /// Networks of /24 that the bots come from.
    pub networks: u32,
    /// A draw among all who join before it; else first come, first served.
    pub draw: bool,
    /// Proof of work.
    pub proof: bool,
    /// Most places per account.
    pub limit: Option<u32>,
}

/// Who got what.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Outcome {
    /// People and bots who came.
    pub people: usize,
    /// See above.
    pub bots: usize,
    /// Tickets of people.
    pub people_tickets: u64,
    /// Tickets of bots.
    pub bot_tickets: u64,
    /// Turns that people had.
    pub people_turns: usize,
    /// Turns that bots had.
    pub bot_turns: usize,
    /// How far the bots' mean rank is from what chance gives, in standard deviations; below 0 is
    /// better for bots. None without a draw.
    pub bot_rank_z: Option<f64>,
}

impl Outcome {
    /// Bots' share of the tickets.
    pub fn bot_share(&self) -> f64 {
        self.bot_tickets as f64 / (self.bot_tickets + self.people_tickets).max(1) as f64
    }

    /// Bots' share of the identities.
    pub fn identity_share(&self) -> f64 {
        self.bots as f64 / (self.bots + self.people).max(1) as f64
    }
}

impl Scene {
    /// Plays it. The app's controller must not run by itself.
    ///
    /// # Errors
    /// If anything is answered that nobody expects.
    pub async fn play(&self, app: &App, url: &str, organizer: OrganizerId) -> Result<Outcome> {
        let (event, shop) = self.open(app, url, organizer).await?;
        let mut players = self.players(app);
        players.sort_by(|a, b| a.delay_s.total_cmp(&b.delay_s));
        for chunk in players.chunks_mut(AT_ONCE) {
            try_join_all(chunk.iter_mut().map(|player| player.join(&shop))).await?;
        }
        if self.draw {
            let mut connection = app.pg.acquire().await?;
            store::open_now(&mut connection, event).await?;
            ensure!(store::put_beacon(&app.pg, event, 0, "heads").await?, "no draw was made");
        }
        app.rooms.refresh(&[event]).await?;
        for chunk in players.chunks_mut(AT_ONCE) {
            try_join_all(chunk.iter_mut().map(|player| player.look(&shop))).await?;
        }
        self.sell(app, event, &shop, &mut players).await?;
        Ok(self.outcome(&players))
    }

    async fn open(&self, app: &App, url: &str, organizer: OrganizerId) -> Result<(EventId, Shop)> {
        let manifest = seats(self.places)?;
        let slug = format!("scene-{}", Uuid::now_v7().simple());
        let account_limit = self.limit.and_then(|limit| i32::try_from(limit).ok());
        let seed = Seed { account_limit, ..Seed::new(&slug, &manifest) };
        let event = seed::event(&app.pg, organizer, &seed).await?;
        let now = Timestamp::now();
        let early = now - SignedDuration::from_mins(10);
        let draw_at = if self.draw { now + SignedDuration::from_hours(1) } else { early };
        let draw = Draw::new(event, 0, [0; 32], "the coin that the referee tosses", None, None);
        let lane = Lane { draw, ..Lane::general(event, early, draw_at, draw_at) };
        let room = Room {
            proof: self.proof,
            target_inside: 60,
            per_minute: 60_000,
            lanes: vec![lane],
            ..standard(event)
        };
        let mut tx = app.pg.begin().await?;
        store::put_room(&mut tx, &room).await?;
        let random: [u8; 32] = StdRng::seed_from_u64(self.seed).random();
        store::put_lane(&mut tx, event, &room.lanes[0], &random).await?;
        tx.commit().await?;
        if !self.draw {
            ensure!(store::put_beacon(&app.pg, event, 0, "none").await?, "the room is not open");
        }
        rebuild::ensure(app, event).await.context("the event is built")?;
        app.rooms.refresh(&[event]).await?;
        let http = Client::builder().no_proxy().pool_max_idle_per_host(AT_ONCE).build()?;
        let sale = app.catalog.sale(event).await?.context("the event")?;
        let offer = sale.listing.offers.iter().find(|offer| !offer.name.contains("child"));
        let offer = offer.context("an offer")?.id.to_string();
        let (url, proof, limit) = (url.to_owned(), self.proof, self.limit);
        Ok((event, Shop { url, slug, offer, proof, limit, http }))
    }

    /// Everybody, with sessions of their own: as if each had asked for one.
    fn players(&self, app: &App) -> Vec<Player> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut player = |kind, address, delay_s| Player {
            kind,
            session: {
                let account = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
                app.keyring.session(AccountId(account), app.now())
            },
            address,
            delay_s,
            token: String::new(),
            place: None,
            served: false,
            tickets: 0,
            idle: Vec::new(),
        };
        let mut choices = StdRng::seed_from_u64(self.seed ^ 1);
        let mut players = Vec::with_capacity(self.people + self.bots);
        for number in 0..self.bots {
            let kind = if number % BLOCKERS == 0 { Kind::Blocker } else { Kind::Scalper };
            let networks = self.networks.max(1) as usize;
            let (network, host) = (number % networks, number / networks % 250);
            let address = format!("45.{}.{}.{}", network / 250, network % 250, host + 1);
            players.push(player(kind, address, 0.0));
        }
        for number in 0..self.people {
            let address =
                format!("81.{}.{}.{}", number / 62_500, number / 250 % 250, number % 250 + 1);
            let wants = Kind::Person(choices.random_range(1..=4));
            players.push(player(wants, address, choices.random_range(0.5..3.0)));
        }
        players
    }

    /// Calls, and lets those who were called shop, until nothing is left or nobody waits.
    async fn sell(
        &self,
        app: &App,
        event: EventId,
        shop: &Shop,
        players: &mut [Player],
    ) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            // As if half a second had passed.
            sqlx::query(
                "UPDATE waiting_rooms SET decided_at = clock_timestamp() - interval '500 ms'
                 WHERE event_id = $1",
            )
            .bind(event.0)
            .execute(&app.pg)
            .await?;
            admit::run_once(app).await?;
            app.rooms.refresh(&[event]).await?;
            let room = app.rooms.known(event).context("the room")?;
            let serving = room.lanes[0].serving;
            let called = |player: &&mut Player| {
                !player.served && player.place.is_some_and(|place| place < serving)
            };
            // Whoever is called comes after their delay: bots first.
            let mut called: Vec<&mut Player> = players.iter_mut().filter(called).collect();
            let nobody = called.is_empty();
            for chunk in called.chunks_mut(AT_ONCE) {
                try_join_all(chunk.iter_mut().map(|player| player.shop(shop))).await?;
            }
            for player in players.iter_mut().filter(|player| !player.idle.is_empty()) {
                player.let_go(shop).await?;
            }
            let sold: u64 = players.iter().map(|player| player.tickets).sum();
            let all = players.iter().all(|player| player.served);
            if sold >= self.places as u64 || (all && nobody) {
                return Ok(());
            }
        }
        anyhow::bail!("there is no end to the sale")
    }

    fn outcome(&self, players: &[Player]) -> Outcome {
        let mut outcome = Outcome { people: self.people, bots: self.bots, ..Outcome::default() };
        let mut ranks = 0.0;
        for player in players {
            let turn = usize::from(player.served);
            if player.is_bot() {
                outcome.bot_tickets += player.tickets;
                outcome.bot_turns += turn;
                ranks += player.place.map_or(0.0, fraction);
            } else {
                outcome.people_tickets += player.tickets;
                outcome.people_turns += turn;
            }
        }
        if self.draw && self.bots > 0 {
            let bots = self.bots as f64;
            // Ranks are uniform from 0 to 1: mean 1/2, variance 1/12.
            outcome.bot_rank_z = Some((ranks / bots - 0.5) / (1.0 / (12.0 * bots)).sqrt());
        }
        outcome
    }
}

fn seats(places: usize) -> Result<manifest::Manifest> {
    let mut csv = String::from("section,row,seat,x,y,level,attributes,capacity\n");
    for at in 0..places {
        let (row, seat) = (at / ROW + 1, at % ROW + 1);
        csv.push_str(&format!("S,{row},{seat},{},{row},hall,,\n", seat as f64 * 0.55));
    }
    manifest::csv::parse(csv.as_bytes()).map_err(|error| anyhow::anyhow!("{error:?}"))
}
