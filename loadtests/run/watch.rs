//! Looks once a second at who is where and what the processes use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep_until;

use crate::rig::cpu::{self, Process};
use crate::verdict::summary::Sample;
use crate::visitors::{Crowd, Spot};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Default)]
pub struct Watch {
    /// Who is counted; replaced when a process was started again.
    pub processes: Mutex<Vec<Process>>,
    seen: Mutex<Seen>,
}

/// Until now.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Names of the processes.
    pub names: Vec<String>,
    /// One per second.
    pub samples: Vec<Sample>,
    /// Processor time by process.
    pub used: Vec<Duration>,
    /// Of the whole machine.
    pub machine: Duration,
}

impl Watch {
    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last sample, and the processes' names.
    pub fn last(&self) -> (Option<Sample>, Vec<String>) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.samples.last().cloned(), seen.names.clone())
    }

    /// Replaces the processes, some of which were started again.
    pub fn replace(&self, processes: Vec<Process>) {
        *self.processes.lock().unwrap_or_else(PoisonError::into_inner) = processes;
    }

    /// Looks until the program stops asking.
    pub async fn look(self: Arc<Self>, crowd: Arc<Crowd>) {
        let current = || self.processes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut known = current();
        let mut before = cpu::read(&known);
        let started = Instant::now();
        let mut last = started;
        for second in 1_u32.. {
            if crowd.begun + EVERY * second < started {
                // Another generator began the run before this one heard of it.
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.samples.push(Sample { free: crowd.shop.capacity, ..Sample::default() });
                continue;
            }
            sleep_until((crowd.begun + EVERY * second).into()).await;
            let processes = current();
            let now = cpu::read(&processes);
            let same = |(new, old): (&Process, &Process)| new.pid == old.pid;
            let mut since = now.since(&before);
            for (at, pair) in processes.iter().zip(&known).enumerate() {
                // A process that was started again began with nothing.
                if !same(pair) {
                    since.used[at] = now.used[at];
                }
            }
            // Looks that come late follow each other at once: a moment says nothing of a second.
            let took = last.elapsed().max(EVERY / 2).as_secs_f64();
            last = Instant::now();
            let sample = Sample {
                in_line: crowd.count(Spot::InLine),
                inside: crowd.count(Spot::Inside),
                holding: crowd.count(Spot::Holding),
                paying: crowd.count(Spot::Paying),
                here: crowd.here(),
                free: crowd.shop.seen().map_or(crowd.shop.capacity, |seen| seen.free),
                connections: crowd.open.now(),
                cores: since.used.iter().map(|used| used.as_secs_f64() / took).collect(),
            };
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.names = processes.iter().map(|process| process.name.clone()).collect();
            seen.used.resize(processes.len(), Duration::ZERO);
            seen.used.iter_mut().zip(&since.used).for_each(|(sum, used)| *sum += *used);
            seen.machine += since.machine;
            seen.samples.push(sample);
            drop(seen);
            (before, known) = (now, processes);
        }
    }
}
