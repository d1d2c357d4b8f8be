//! Both servers together: start, join, stop, and what tests do to them.

use std::fs::File;

use tokio::sync::Mutex;

use super::databases::plain_name;
use super::error::{DevstackError, Result};
use super::home::Home;
use super::postgres::PostgresServer;
use super::redis::RedisServer;
use super::sharing::{self, SharedState, Whereabouts};
use super::watchdog::{Watchdog, watch_users};
use super::{Options, Sharing};

/// Both servers, ready for use.
///
/// Dropping it stops those that are this process's own as well, but without waiting for their
/// end; see [`Stack::stop`].
pub struct Stack {
    /// Where Postgres is; the role of a private one may create databases.
    pub database_url: String,
    /// Where Redis is.
    pub redis_url: String,
    options: Options,
    /// None when both servers were given by their URLs.
    home: Option<Home>,
    servers: Servers,
    /// Held open: its lock says that the stack is in use.
    _users: Option<File>,
}

/// What is behind the URLs.
enum Servers {
    /// Given by their URLs.
    Elsewhere,
    /// Started by any of the processes that share them.
    Shared(SharedState),
    /// Started by this process.
    Own(Box<Own>),
}

/// The watchdog is locked for moments only, the servers for as long as one of them is stopped or
/// started.
struct Own {
    servers: Mutex<OwnServers>,
    watchdog: Mutex<Watchdog>,
}

/// The servers that were not given by their URLs.
struct OwnServers {
    postgres: Option<PostgresServer>,
    redis: Option<RedisServer>,
}

impl Stack {
    /// Starts what isn't given by its URL, or joins a shared stack that runs already.
    ///
    /// # Errors
    /// [`DevstackError::Missing`] when a server can't be had, [`DevstackError::InUse`] when the
    /// data directory has another owner, [`DevstackError::NotStarted`] with a server's last words.
    pub async fn start(options: Options) -> Result<Self> {
        if let (Some(database_url), Some(redis_url)) = (&options.database_url, &options.redis_url) {
            return Ok(Self {
                database_url: database_url.clone(),
                redis_url: redis_url.clone(),
                options,
                home: None,
                servers: Servers::Elsewhere,
                _users: None,
            });
        }
        let home = Home::prepare(&options.data_dir).await?;
        let users = sharing::enter(&home, &options).await?;
        match options.share {
            Sharing::Owned => Self::start_owned(options, home, users).await,
            Sharing::Shared => Self::start_or_join(options, home, users).await,
        }
    }

    async fn start_owned(options: Options, home: Home, users: File) -> Result<Self> {
        let _starting = sharing::lock_starting(&home).await?;
        let watchdog = Mutex::new(Watchdog::start(&home)?);
        let own = OwnServers::start(&options, &home, &watchdog).await?;
        let state = own.whereabouts();
        let own = Box::new(Own { servers: Mutex::new(own), watchdog });
        Self::assemble(options, home, users, &state, Servers::Own(own))
    }

    async fn start_or_join(options: Options, home: Home, users: File) -> Result<Self> {
        if let Some(state) = SharedState::find(&home, &options) {
            return Self::assemble(options, home, users, &state.clone(), Servers::Shared(state));
        }
        let _starting = sharing::lock_starting(&home).await?;
        // Another process may have started them while this one waited for its turn.
        let state = match SharedState::find(&home, &options) {
            Some(state) => state,
            None => start_for_all(&options, &home).await?,
        };
        Self::assemble(options, home, users, &state.clone(), Servers::Shared(state))
    }

    fn assemble(
        options: Options,
        home: Home,
        users: File,
        state: &SharedState,
        servers: Servers,
    ) -> Result<Self> {
        let url = |given: &Option<String>, at: &Option<Whereabouts>| {
            given.clone().or_else(|| at.as_ref().map(|at| at.url.clone()))
        };
        let database_url = url(&options.database_url, &state.postgres);
        let redis_url = url(&options.redis_url, &state.redis);
        Ok(Self {
            database_url: database_url.ok_or(DevstackError::NotOwned("Postgres"))?,
            redis_url: redis_url.ok_or(DevstackError::NotOwned("Redis"))?,
            options,
            home: Some(home),
            servers,
            _users: Some(users),
        })
    }

    /// Stops the servers that are this process's own, Redis first, and waits for their end.
    ///
    /// # Errors
    /// When a server survives even SIGKILL.
    pub async fn stop(self) -> Result<()> {
        let Servers::Own(own) = self.servers else {
            return Ok(());
        };
        let Own { servers, watchdog } = *own;
        let mut own = servers.into_inner();
        if let Some(redis) = &mut own.redis {
            redis.stop().await?;
        }
        if let Some(postgres) = &mut own.postgres {
            postgres.stop().await?;
        }
        watchdog.into_inner().disarm().await
    }

    /// A further Redis, empty and this process's own, beside the same Postgres: for tests that
    /// kill it. `name` is a plain name that nobody else uses at the same time.
    ///
    /// # Errors
    /// As [`Stack::start`]; [`DevstackError::BadName`].
    pub async fn with_own_redis(&self, name: &str) -> Result<Self> {
        let name = plain_name(name)?;
        let mut options = self.options.clone();
        let beside = self.home.as_ref().map(|home| home.path("beside"));
        options.data_dir = beside.unwrap_or_else(|| options.data_dir.join("beside")).join(name);
        options.programs_dir =
            options.programs_dir.or_else(|| self.home.as_ref().map(Home::programs));
        options.share = Sharing::Owned;
        options.database_url = Some(self.database_url.clone());
        options.redis_url = None;
        Self::start(options).await
    }

    /// The process id of a private Postgres.
    pub async fn postgres_pid(&self) -> Option<u32> {
        self.whereabouts().await.postgres.map(|at| at.pid)
    }

    /// The process id of a private Redis; after a kill, the one it had.
    pub async fn redis_pid(&self) -> Option<u32> {
        self.whereabouts().await.redis.map(|at| at.pid)
    }

    async fn whereabouts(&self) -> SharedState {
        match &self.servers {
            Servers::Elsewhere => SharedState { postgres: None, redis: None },
            Servers::Shared(state) => state.clone(),
            Servers::Own(own) => own.servers.lock().await.whereabouts(),
        }
    }

    /// Kills Redis (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// [`DevstackError::NotOwned`] unless this process runs its own Redis.
    pub async fn kill_redis(&self) -> Result<()> {
        let mut servers = self.own()?.servers.lock().await;
        servers.redis.as_mut().ok_or(DevstackError::NotOwned("Redis"))?.kill().await
    }

    /// Starts a killed Redis again, empty, at the same URL, and returns when it answers.
    ///
    /// # Errors
    /// As [`Stack::kill_redis`]; [`DevstackError::NotStarted`].
    pub async fn start_redis(&self) -> Result<()> {
        let own = self.own()?;
        let mut servers = own.servers.lock().await;
        let redis = servers.redis.as_mut().ok_or(DevstackError::NotOwned("Redis"))?;
        redis.start_again(&own.watchdog).await
    }

    /// Kills Redis and starts it again, empty, at the same URL.
    ///
    /// # Errors
    /// As [`Stack::kill_redis`] and [`Stack::start_redis`].
    pub async fn restart_redis(&self) -> Result<()> {
        self.kill_redis().await?;
        self.start_redis().await
    }

    /// Kills Postgres (SIGKILL) and starts it again on its port: it recovers from its log.
    ///
    /// # Errors
    /// [`DevstackError::NotOwned`] unless this process runs its own Postgres;
    /// [`DevstackError::NotStarted`].
    pub async fn restart_postgres(&self) -> Result<()> {
        let own = self.own()?;
        let mut servers = own.servers.lock().await;
        let postgres = servers.postgres.as_mut().ok_or(DevstackError::NotOwned("Postgres"))?;
        postgres.kill().await?;
        postgres.start_again(&own.watchdog).await
    }

    fn own(&self) -> Result<&Own> {
        match &self.servers {
            Servers::Own(own) => Ok(own),
            Servers::Elsewhere | Servers::Shared(_) => Err(DevstackError::NotOwned("Redis")),
        }
    }
}

impl OwnServers {
    /// Starts both at once: at the first start, one is fetched while the other is created. If one
    /// fails, the end of the watchdog's input stops the other.
    async fn start(options: &Options, home: &Home, watchdog: &Mutex<Watchdog>) -> Result<Self> {
        let postgres = async {
            match options.database_url {
                Some(_) => Ok(None),
                None => PostgresServer::start(options, home, watchdog).await.map(Some),
            }
        };
        let redis = async {
            match options.redis_url {
                Some(_) => Ok(None),
                None => RedisServer::start(options, home, watchdog).await.map(Some),
            }
        };
        let (postgres, redis) = tokio::try_join!(postgres, redis)?;
        Ok(Self { postgres, redis })
    }

    fn whereabouts(&self) -> SharedState {
        SharedState {
            postgres: self.postgres.as_ref().map(|server| Whereabouts {
                pid: server.running.pid,
                port: server.port,
                url: server.url.clone(),
            }),
            redis: self.redis.as_ref().map(|server| Whereabouts {
                pid: server.running.pid,
                port: server.port,
                url: server.url.clone(),
            }),
        }
    }
}

/// Starts servers that outlive this process, and records where they are.
async fn start_for_all(options: &Options, home: &Home) -> Result<SharedState> {
    // Until the servers are recorded, they depend on this process alone.
    let watchdog = Mutex::new(Watchdog::start(home)?);
    let own = OwnServers::start(options, home, &watchdog).await?;
    let state = own.whereabouts();
    let pid = |at: &Option<Whereabouts>| at.as_ref().map_or(0, |at| at.pid);
    if !watch_users(home, pid(&state.postgres), pid(&state.redis)).await? {
        (options.progress)("no flock program: the servers stay when the last user has gone");
    }
    state.write(home)?;
    watchdog.into_inner().disarm().await?;
    Ok(state)
}
