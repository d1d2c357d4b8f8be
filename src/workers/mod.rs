//! Background work. Each worker is a `run_once` that tests can drive, and one loop around it.
//!
//! Any number of processes may run them: rows are leased or skipped when locked, scripts are
//! harmless twice.

pub mod admit;
pub mod beacons;
pub mod compare;
pub mod due;
pub mod forget;
pub mod hang;
pub mod outbox;
pub mod pace;
pub mod reconcile;
pub mod refunds;
pub mod registrations;
pub mod rehearsals;
pub mod sign_ins;
pub mod sweep;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use self::due::{Bell, Bells};
use crate::app::App;
use crate::orders::{drive, mirror};

/// A run that takes longer is given up, and what it had leased goes to others: it may wait for a
/// server that has gone silent and would wait for ever.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(5);

/// How often a beacon that is due is asked for.
const BEACONS_EVERY: Duration = Duration::from_secs(1);

/// How often rehearsals are looked after.
const REHEARSALS_EVERY: Duration = Duration::from_millis(500);

/// How often what is over is forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// When a worker looks again that has found no more to do.
enum Pause {
    /// After about so long.
    Every(Duration),
    /// When it is called.
    UntilCalled(Bell),
}

/// Starts all workers of this process; they end when the process is told to stop.
pub fn start(app: &Arc<App>) {
    use Pause::{Every, UntilCalled};
    let workers = &app.config.workers;
    let sweep = Every(Duration::from_millis(workers.sweep_ms));
    let reconcile = Every(Duration::from_secs(workers.reconcile_s));
    let compare = Every(Duration::from_secs(workers.compare_s));
    let admit = Every(Duration::from_millis(app.config.waiting_room.admit_ms));
    spawn(app, "admit", admit, |app| async move { admit::run_once(&app).await });
    spawn(app, "beacons", Every(BEACONS_EVERY), |app| async move { beacons::run_once(&app).await });
    spawn(app, "sweep", sweep, |app| async move { sweep::run_once(&app).await });
    let rehearsals = Every(REHEARSALS_EVERY);
    spawn(app, "rehearsals", rehearsals, |app| async move { rehearsals::run_once(&app).await });
    spawn(app, "forget", Every(FORGET_EVERY), |app| async move { forget::run_once(&app).await });
    spawn(app, "reconcile", reconcile, |app| async move { reconcile::run_once(&app).await });
    spawn(app, "compare", compare, |app| async move { compare::run_once(&app).await });

    let bells = Bells::default();
    let called = |bell: &Bell| UntilCalled(bell.clone());
    spawn(
        app,
        "deadlines",
        called(&bells.deadlines),
        |app| async move { drive::run_once(&app).await },
    );
    spawn(app, "mirror", called(&bells.mirror), |app| async move { mirror::run_once(&app).await });
    spawn(app, "outbox", called(&bells.outbox), |app| async move { outbox::run_once(&app).await });
    spawn(
        app,
        "sign-ins",
        called(&bells.sign_ins),
        |app| async move { sign_ins::run_once(&app).await },
    );
    spawn(
        app,
        "refunds",
        called(&bells.refunds),
        |app| async move { refunds::run_once(&app).await },
    );
    spawn(app, "registrations", called(&bells.registrations), |app| async move {
        registrations::run_once(&app).await
    });
    let poll = Every(Duration::from_millis(workers.poll_ms));
    spawn(app, "due", poll, move |app| {
        let bells = bells.clone();
        async move { due::run_once(&app, &bells).await }
    });
}

/// Runs `once` until stopped: again at once while it says that there is more, else after its
/// pause. Pauses are jittered, so that processes started together don't stay together.
fn spawn<E, F>(
    app: &Arc<App>,
    name: &'static str,
    pause: Pause,
    once: impl Fn(Arc<App>) -> F + Send + 'static,
) where
    E: Display + Send,
    F: Future<Output = Result<bool, E>> + Send,
{
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        loop {
            let failed = |error: &dyn Display| {
                tracing::warn!(worker = name, %error, "a worker has to try again");
                metrics::counter!("onsale_worker_failures_total", "worker" => name).increment(1);
                false
            };
            let more = match tokio::time::timeout(GIVEN_UP_AFTER, once(app.clone())).await {
                Ok(Ok(more)) => more,
                Ok(Err(error)) => failed(&error),
                Err(late) => failed(&late),
            };
            let rest = async {
                match &pause {
                    _ if more => tokio::task::yield_now().await,
                    Pause::Every(pause) => tokio::time::sleep(jittered(*pause)).await,
                    Pause::UntilCalled(bell) => bell.wait().await,
                }
            };
            tokio::select! {
                () = app.stop.cancelled() => return,
                () = rest => {}
            }
        }
    });
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}
