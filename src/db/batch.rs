//! Group commit without a timer: whatever queued while the last batch committed is the next one.
//!
//! A commit costs almost the same whether it carries one order or thirty. With little to do a
//! batch is one order and nobody waits for company; under load batches grow by themselves, and as
//! there is a pause after each that had company, twice as long as it took, they grow to three times
//! as much.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// One member of a batch.
pub trait Job: Send + 'static {
    /// The row that it changes: two jobs on one row are never in the same batch.
    fn subject(&self) -> Uuid;
}

/// Commits batches.
pub trait Commit: Send + Sync + 'static {
    /// What goes in.
    type Job: Job;
    /// What comes out, for each job on its own.
    type Outcome: Send + 'static;

    /// Commits, and answers every job in order. It must not fail as a whole because of one job.
    fn commit(&self, jobs: Vec<Self::Job>) -> impl Future<Output = Vec<Self::Outcome>> + Send;
}

/// How long a commit may take, its connection included. After it the commit may still happen.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The pause after a batch that had company: so many times as long as it took, but no shorter and
/// no longer than this.
const PAUSES: u32 = 2;
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// A commit's answer, or an error once it has taken too long: behind a commit that waits for ever
/// all others of the process would wait too.
///
/// # Errors
/// The commit's own, or that no answer came.
pub async fn answered<T>(commit: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, commit).await;
    answer.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too many are waiting.
    Full,
    /// The process is shutting down.
    Closed,
}

type Waiting<C> = (<C as Commit>::Job, oneshot::Sender<<C as Commit>::Outcome>);

/// The entrance to a batch: cheap to clone.
pub struct Batcher<C: Commit> {
    queue: mpsc::Sender<Waiting<C>>,
}

impl<C: Commit> Clone for Batcher<C> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<C: Commit> Batcher<C> {
    /// Starts the collector; it ends when the last entrance is dropped and all is committed.
    ///
    /// Nothing cancels it: a client that goes away doesn't undo its commit, and at shutdown the
    /// tracked tasks that wait for its answers are waited for.
    pub fn start(name: &'static str, committer: Arc<C>, most: usize, waiting: usize) -> Self {
        let (queue, receiver) = mpsc::channel(waiting);
        tokio::spawn(collect(name, committer, most, receiver));
        Self { queue }
    }

    /// Queues a job and waits for its own outcome.
    ///
    /// # Errors
    /// See [`NotTaken`]: nothing was done.
    pub async fn submit(&self, job: C::Job) -> Result<C::Outcome, NotTaken> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send((job, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotTaken::Full,
            mpsc::error::TrySendError::Closed(_) => NotTaken::Closed,
        })?;
        outcome.await.map_err(|_| NotTaken::Closed)
    }
}

async fn collect<C: Commit>(
    name: &'static str,
    committer: Arc<C>,
    most: usize,
    mut queue: mpsc::Receiver<Waiting<C>>,
) {
    let mut later: VecDeque<Waiting<C>> = VecDeque::new();
    loop {
        let mut jobs = Vec::new();
        let mut answers = Vec::new();
        let mut subjects = HashSet::new();
        let mut postponed = VecDeque::new();
        loop {
            let (job, answer) = match later.pop_front() {
                Some(waiting) => waiting,
                None if jobs.is_empty() && postponed.is_empty() => match queue.recv().await {
                    Some(waiting) => waiting,
                    None => return,
                },
                None => match queue.try_recv() {
                    Ok(waiting) => waiting,
                    Err(_) => break,
                },
            };
            if subjects.insert(job.subject()) {
                jobs.push(job);
                answers.push(answer);
            } else {
                postponed.push_back((job, answer));
            }
            if jobs.len() >= most || postponed.len() >= most {
                break;
            }
        }
        postponed.append(&mut later);
        later = postponed;
        metrics::histogram!("onsale_batch_size", "batch" => name)
            .record(u32::try_from(jobs.len()).map_or(f64::MAX, f64::from));
        let started = std::time::Instant::now();
        let company = jobs.len() > 1;
        let outcomes = committer.commit(jobs).await;
        metrics::histogram!("onsale_commit_seconds", "batch" => name)
            .record(started.elapsed().as_secs_f64());
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever asked may be gone; the commit stands all the same.
            drop(answer.send(outcome));
        }
        if company && later.is_empty() && queue.len() < most {
            let pause = started.elapsed() * PAUSES;
            tokio::time::sleep(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::sync::Semaphore;

    struct Number(u128, u32);

    impl Job for Number {
        fn subject(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }
    }

    struct Doubler {
        gate: Semaphore,
        sizes: Mutex<Vec<usize>>,
    }

    impl Commit for Doubler {
        type Job = Number;
        type Outcome = u32;

        async fn commit(&self, jobs: Vec<Number>) -> Vec<u32> {
            self.gate.acquire().await.expect("open").forget();
            self.sizes.lock().unwrap().push(jobs.len());
            jobs.into_iter().map(|job| job.1 * 2).collect()
        }
    }

    #[tokio::test]
    async fn what_queues_during_a_commit_is_the_next_batch_and_no_row_is_in_it_twice() {
        let doubler = Arc::new(Doubler { gate: Semaphore::new(0), sizes: Mutex::default() });
        let batcher = Batcher::start("test", doubler.clone(), 3, 100);
        let submit = |id, value| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit(Number(id, value)).await })
        };
        let first = submit(1, 10);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let others: Vec<_> =
            [(2, 1), (2, 2), (3, 3), (4, 4), (5, 5)].map(|(id, value)| submit(id, value)).into();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        doubler.gate.add_permits(10);
        assert_eq!(first.await.unwrap(), Ok(20));
        let mut answers = Vec::new();
        for other in others {
            answers.push(other.await.unwrap().unwrap());
        }
        assert_eq!(answers, [2, 4, 6, 8, 10]);
        assert_eq!(*doubler.sizes.lock().unwrap(), [1, 3, 2]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let doubler = Arc::new(Doubler { gate: Semaphore::new(0), sizes: Mutex::default() });
        let batcher = Batcher::start("test", doubler, 1, 1);
        let spawn = |id| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit(Number(id, 0)).await })
        };
        let running = spawn(1);
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let waiting = spawn(2);
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.submit(Number(3, 0)).await, Err(NotTaken::Full));
        drop((running, waiting));
    }
}
