//! The servers that scenes are played at: one without any defence, one as it is configured by
//! default, one whose networks aren't counted.

use anyhow::Result;
use onsale::config::{Config, Role};
use onsale::demo::{Secrets, seed};
use onsale::devstack::Stack;
use onsale::http::limits::Limits;
use onsale::http::limits::table::Rate;
use onsale::ids::OrganizerId;
use onsale::serve::{self, Server};
use tokio::net::TcpListener;

use crate::bots::budget::easier;
use crate::bots::scene::Stage;

/// The database.
const DATABASE: &str = "surge_bots";
/// Before every key in Redis.
const PREFIX: &str = "surge-bots";

/// All of them, on the same Postgres and Redis.
pub struct Stages {
    /// No limits, no suspicion, no cards counted.
    pub bare: Stage,
    /// The defaults.
    pub armed: Stage,
    /// The defaults, but anybody may join from any network as often as proofs allow.
    pub uncounted: Stage,
    servers: Vec<Server>,
}

impl Stages {
    /// Starts them on an empty database.
    ///
    /// # Errors
    /// If the servers can't be started.
    pub async fn open(stack: &Stack) -> Result<Self> {
        stack.drop_database(DATABASE).await?;
        let mut config = Config::default();
        "warn".clone_into(&mut config.log.filter);
        serve::prepare(&config.log);
        config.database.url = stack.fresh_database(DATABASE, None).await?;
        config.redis.url.clone_from(&stack.redis_url);
        PREFIX.clone_into(&mut config.redis.prefix);
        // The scenes drive the workers themselves.
        config.roles = vec![Role::Http];
        let secrets = Secrets::random();
        config.keys = secrets.keys;
        config.payments.sandbox.secret = secrets.sandbox;
        config.payments.sandbox.webhook_secrets = vec![secrets.webhook];
        config.http.trusted_proxies = "127.0.0.0/8".parse().into_iter().collect();
        config.waiting_room.proof = easier(config.waiting_room.proof);
        let pg = onsale::app::connect_postgres(&config).await?;
        onsale::db::migrate(&pg).await?;
        let organizer = seed::organizer(&pg, "surge", "Surge").await?;
        pg.close().await;

        let mut bare = config.clone();
        bare.limits = Limits::none();
        (bare.suspicion.enabled, bare.suspicion.accounts_per_card) = (false, 0);
        let mut uncounted = config.clone();
        uncounted.limits.shared.anonymous_joins = Rate::NONE;
        let (bare, first) = open("bare", bare, organizer).await?;
        let (armed, second) = open("armed", config, organizer).await?;
        let (uncounted, third) = open("uncounted", uncounted, organizer).await?;
        Ok(Self { bare, armed, uncounted, servers: vec![first, second, third] })
    }

    /// Stops them.
    ///
    /// # Errors
    /// If one had failed.
    pub async fn close(self) -> Result<()> {
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn open(
    name: &'static str,
    mut config: Config,
    organizer: OrganizerId,
) -> Result<(Stage, Server)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    config.http.public_url.clone_from(&url);
    let accounts_per_card = config.suspicion.accounts_per_card as usize;
    let server = Server::start(config, Some(listener)).await?;
    Ok((Stage { name, app: server.app.clone(), url, organizer, accounts_per_card }, server))
}
