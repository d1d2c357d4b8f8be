//! Load shedding: how many requests of each class a process works on at once.
//!
//! Whatever is over its bound is refused; nothing queues here. The refusal is decided at once and
//! given after a pause: whoever asks again on the same connection as soon as there is an answer
//! would otherwise take the time of those who are served. A class has its own bound,
//! so that a step that hangs fills only its own, and a ceiling on all requests together that is
//! lower for lower classes, so that the higher ones find room when everything is slow:
//!
//! | class | may begin while all requests together are below |
//! |---|---|
//! | settlement | (always) |
//! | checkout | `total` |
//! | holds | 3/4 of it |
//! | all others | 1/2 of it |

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::class::Class;
use super::config::InFlightLimits;
use crate::http::problem::{Code, Problem};

/// Seconds after which whoever was shed may ask again.
const RETRY_S: u32 = 2;
/// How long a refusal waits, and most that do: beyond them it is given at once.
const PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSING: usize = 10_000;

/// Requests under way.
pub struct InFlight {
    classes: [Bounded; Class::ALL.len()],
    all: AtomicUsize,
    pausing: Semaphore,
}

struct Bounded {
    now: AtomicUsize,
    most: usize,
    most_of_all: usize,
}

/// A request under way, until it is dropped.
pub struct Underway<'a> {
    class: &'a AtomicUsize,
    all: &'a AtomicUsize,
}

impl InFlight {
    /// As configured.
    #[must_use]
    pub fn new(config: &InFlightLimits) -> Self {
        let total = config.total;
        let bounded = |class: Class| {
            let (most, most_of_all) = match class {
                Class::Operate | Class::Settle => (usize::MAX, usize::MAX),
                Class::Checkout => (config.checkout, total),
                Class::Hold => (config.hold, total - total / 4),
                Class::Organize => (config.organize, total.div_ceil(2)),
                Class::SignIn => (config.sign_in, total.div_ceil(2)),
                Class::Wait => (config.waiting, total.div_ceil(2)),
                Class::Browse => (config.browse, total.div_ceil(2)),
            };
            Bounded { now: AtomicUsize::new(0), most, most_of_all }
        };
        Self {
            classes: Class::ALL.map(bounded),
            all: AtomicUsize::new(0),
            pausing: Semaphore::new(MOST_PAUSING),
        }
    }

    /// Begins a request, until what is returned is dropped.
    ///
    /// # Errors
    /// `overloaded` if there is no room for its class.
    pub fn begin(&self, class: Class) -> Result<Underway<'_>, Problem> {
        let bounded = &self.classes[class as usize];
        // Counted first, so that a crowd can't get past between a look and a step; what is
        // refused is taken back by the drop.
        let underway = Underway { class: &bounded.now, all: &self.all };
        let of_class = bounded.now.fetch_add(1, Ordering::Relaxed);
        let of_all = self.all.fetch_add(1, Ordering::Relaxed);
        if of_class < bounded.most && of_all < bounded.most_of_all {
            return Ok(underway);
        }
        drop(underway);
        metrics::counter!("onsale_shed_total", "class" => class.name()).increment(1);
        Err(Problem::new(Code::Overloaded).retry_after(RETRY_S))
    }

    /// Waits before a refusal. What the request brought should be dropped by then.
    pub async fn pause(&self) {
        if let Ok(_pausing) = self.pausing.try_acquire() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many requests of a class are under way.
    #[must_use]
    pub fn now(&self, class: Class) -> usize {
        self.classes[class as usize].now.load(Ordering::Relaxed)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.class.fetch_sub(1, Ordering::Relaxed);
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(in_flight: &InFlight, class: Class) -> usize {
        let mut underway = Vec::new();
        while underway.len() < 100 {
            match in_flight.begin(class) {
                Ok(one) => underway.push(one),
                Err(problem) => {
                    assert_eq!(problem.code, Code::Overloaded);
                    break;
                }
            }
        }
        underway.len()
    }

    #[test]
    fn each_class_has_its_bound_and_the_lowest_yields_first() {
        let config = InFlightLimits {
            total: 16,
            checkout: 12,
            hold: 8,
            browse: 6,
            ..InFlightLimits::default()
        };
        let in_flight = InFlight::new(&config);
        assert_eq!(room(&in_flight, Class::Browse), 6);
        assert_eq!(room(&in_flight, Class::Hold), 8);
        assert_eq!(room(&in_flight, Class::Checkout), 12);
        assert_eq!(room(&in_flight, Class::Settle), 100);
        // Holds that hang leave browsing nothing, and checkout what is reserved for it.
        let holds: Vec<_> = (0..8).map(|_| in_flight.begin(Class::Hold).unwrap()).collect();
        assert!(in_flight.begin(Class::Hold).is_err());
        assert_eq!(room(&in_flight, Class::Browse), 0);
        assert_eq!(room(&in_flight, Class::Checkout), 8);
        let checkouts: Vec<_> = (0..8).map(|_| in_flight.begin(Class::Checkout).unwrap()).collect();
        assert_eq!(room(&in_flight, Class::Checkout), 0);
        assert_eq!(room(&in_flight, Class::Settle), 100);
        assert_eq!(room(&in_flight, Class::Operate), 100);
        drop((holds, checkouts));
        assert_eq!(Class::ALL.map(|class| in_flight.now(class)), [0; 8]);
        assert_eq!(room(&in_flight, Class::Browse), 6);
    }
}
