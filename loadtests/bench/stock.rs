//! Events of many places to sell, and pairs of neighbours in them that strand nobody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onsale::catalog::manifest::Manifest;
use onsale::catalog::{self, Class, Listing, PUBLIC};
use onsale::demo::seed::{self, Seed};
use onsale::ids::{EventId, OrganizerId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sqlx::PgPool;
use tokio::time::sleep;

use crate::rig::Rig;
use crate::wire::{Ask, Origin};

/// How long it may take until an event can be bought.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Places that one buyer may buy. Each buys two; but the limit is checked, as at every real sale.
const NEVER_REACHED: i32 = 1_000;

/// An event.
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its name in URLs.
    pub slug: String,
}

/// Two neighbours and what sells them.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The event, by its position in the stock.
    pub event: usize,
    /// The places.
    pub places: [i32; 2],
    /// What sells them.
    pub offer: uuid::Uuid,
}

/// Events and their pairs, in an order that is the same in every run.
pub struct Stock {
    /// The events.
    pub events: Vec<Event>,
    /// Their pairs, shuffled.
    pub pairs: Vec<Pair>,
    /// Places of each event.
    pub places: usize,
}

impl Stock {
    /// Puts events on sale and waits until each can be bought.
    ///
    /// # Errors
    /// In words for people.
    pub async fn put_on_sale(
        rig: &Rig,
        organizer: OrganizerId,
        name: &str,
        (manifest, count): (&Manifest, usize),
    ) -> Result<Self> {
        let places = usize::try_from(manifest.capacity())?;
        let mut stock = Self { events: Vec::new(), pairs: Vec::new(), places };
        for at in 0..count {
            let slug = format!("{name}-{at}");
            stock.add(&rig.shop.pg, organizer, slug, manifest).await?;
        }
        stock.pairs.shuffle(&mut StdRng::seed_from_u64(7));
        for event in &stock.events {
            ready(rig, &event.slug).await?;
        }
        Ok(stock)
    }

    async fn add(
        &mut self,
        pg: &PgPool,
        organizer: OrganizerId,
        slug: String,
        manifest: &Manifest,
    ) -> Result<()> {
        let seed = Seed {
            hold_seconds: 3_600,
            account_limit: Some(NEVER_REACHED),
            ..Seed::new(&slug, manifest)
        };
        let id = seed::event(pg, organizer, &seed).await?;
        let loaded = catalog::store::load(pg, id).await?;
        let (listing, _) = loaded.context("the event that was just made")?;
        let event = self.events.len();
        self.pairs.extend(pairs(&listing, event));
        self.events.push(Event { id, slug });
        Ok(())
    }
}

/// Every second seat of a row with its right neighbour: bought in any order, no seat is left
/// alone between others. Where the seats are odd in number, the last three stay.
fn pairs(listing: &Listing, event: usize) -> Vec<Pair> {
    let mut offers = HashMap::new();
    for offer in &listing.offers {
        if offer.active && offer.channel == PUBLIC {
            offers.entry(offer.level).or_insert(offer.id.0);
        }
    }
    let seated = listing.stretches.iter().filter(|stretch| stretch.class == Class::Standard);
    let pairs = seated.flat_map(|stretch| {
        let used = stretch.length - if stretch.length % 2 == 1 { 3 } else { 0 };
        let starts = (stretch.first..stretch.first + used - 1).step_by(2);
        starts.map(move |first| (stretch.level, [first, first + 1]))
    });
    let for_sale = |number: &i32| {
        listing.place(*number).is_some_and(|place| !place.killed && place.channel == PUBLIC)
    };
    pairs
        .filter(|(_, places)| places.iter().all(for_sale))
        .filter_map(|(level, places)| Some(Pair { event, places, offer: *offers.get(&level)? }))
        .collect()
}

/// Waits until an event can be bought: the first look has it built in Redis.
///
/// # Errors
/// If that takes too long.
pub async fn ready(rig: &Rig, slug: &str) -> Result<()> {
    let origin = Origin::new(rig.shop.server_addresses[0], 1)?;
    let path = format!("/v1/events/{slug}/availability");
    let started = Instant::now();
    while !origin.ask(&path, Ask::default()).await.is_ok_and(|answer| answer.status.is_success()) {
        ensure!(started.elapsed() < READY_WITHIN, "{slug} can't be bought");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
