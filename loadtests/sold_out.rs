//! `cargo surge` without more: a venue is sold out to eager buyers, as fast as it goes. A scenario
//! that is made of flags: for measuring what the servers can do.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use clap::Args;
use onsale::cli::SampleVenue;

use crate::Output;
use crate::rig::Terms;
use crate::scenario::{
    Arrivals, Connections, Curve, Payments, Scenario, Thinking, Thresholds, Venue,
};
use crate::visitors::persona::Persona;

/// Once everything is held, claimed or sold, so many fewer go on: few look in where it says "sold
/// out".
const SLOWER_WHEN_GONE: u32 = 20;

/// How it is sold out.
#[derive(Args)]
pub struct Options {
    /// What is sold out.
    #[arg(value_enum, default_value = "arena")]
    venue: SampleVenue,
    /// Buyers per second, at random moments; they don't wait for each other nor for answers.
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Buyers who come at most.
    #[arg(long, default_value_t = 1_000_000)]
    buyers: u64,
    /// Seconds for which buyers come at most.
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Server processes.
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Connections to each process at most; who finds none free waits, which counts.
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// Names the schedule and the buyers; by default another one each time.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    output: Output,
}

impl Options {
    /// The scenario that the flags are.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn scenario(self) -> Result<(Scenario, Output)> {
        ensure!((0.1..=1e6).contains(&self.rate), "--rate: 0.1 to 1000000 per second");
        ensure!(self.buyers > 0, "--buyers: at least 1");
        let all = self.rate * f64::from(self.seconds);
        let visitors = (all as u64).clamp(1, self.buyers);
        let until_s = visitors as f64 / self.rate;
        let scenario = Scenario {
            name: "sold-out".to_owned(),
            about: "Eager buyers take everything, as fast as it goes.".to_owned(),
            seed: self.seed.unwrap_or_else(rand::random),
            venue: Venue::from(self.venue),
            servers: self.servers,
            ends_s: f64::from(self.seconds),
            limits: false,
            terms: Terms::default(),
            waiting_room: None,
            arrivals: Arrivals {
                visitors,
                from_s: 0.0,
                until_s,
                curve: Curve::Steady,
                heed_sold_out: SLOWER_WHEN_GONE,
            },
            connections: Connections { shared: self.connections, ..Connections::default() },
            personas: BTreeMap::from([(Persona::Eager, 1.0)]),
            people: None,
            bots: None,
            thinking: Thinking::default(),
            payments: Payments { declined: 0.03, ..Payments::default() },
            chaos: Vec::new(),
            thresholds: Thresholds { sold_share: 1.0, ..Thresholds::default() },
            machine: None,
            text: format!("# made of flags: {visitors} eager buyers, {} per second", self.rate),
        };
        scenario.check()?;
        Ok((scenario, self.output))
    }
}
