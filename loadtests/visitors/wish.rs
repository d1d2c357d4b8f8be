//! What visitors want.
//!
//! Most take the best two or a few neighbours of a price level, some choose seats on the chart
//! (and everybody looks at the good ones first), some stand on the floor. Towards the end people
//! take one place, whatever it is.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::persona::Persona;
use crate::shop::{Offer, Run, Shop, Snapshot};

/// From this share of free places on, people take whatever there is.
const LAST_PLACES_PERCENT: u32 = 5;
/// Below this share of free places nobody leaves a hold behind: there is no second chance.
const LEAVERS_ABOVE_PERCENT: u32 = 20;
/// After so many refusals one place will do, wherever it is.
const HUMBLE_AFTER: u32 = 3;
/// Bots take as many at once as offers allow, and so many at most.
const GREEDY: u32 = 8;
/// Runs that somebody looks at on the chart before leaving the choice to the server.
const RUNS_LOOKED_AT: u32 = 24;

/// How somebody likes to be seated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taste {
    /// The best neighbours of a level.
    Best,
    /// Seats chosen on the chart.
    Chart,
    /// Standing.
    Floor,
}

/// How somebody leaves a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Gives it back.
    GivesBack,
    /// Closes the window: the hold has to expire.
    Vanishes,
}

/// What somebody wants.
pub struct Wishes {
    /// Takes equally good seats if the chosen ones are taken.
    pub accept_equivalent: bool,
    persona: Persona,
    taste: Taste,
    leaves: Option<Leaving>,
    places: u32,
    level: usize,
    rng: SmallRng,
}

/// What somebody asks to hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// The request's body.
    pub body: String,
    /// How many places that would be.
    pub places: u32,
}

impl Wishes {
    /// As the kind of visitor has it, who may have `most` places.
    pub fn new(rng: &mut SmallRng, persona: Persona, shop: &Shop, most: u32) -> Self {
        let mut rng = SmallRng::from_rng(rng);
        let taste = match (persona, rng.random_range(0..100)) {
            (Persona::Hoarder | Persona::Scalper, _) => Taste::Best,
            (Persona::Picky, _) | (_, 0..30) => Taste::Chart,
            (_, 30..50) if !shop.areas.is_empty() => Taste::Floor,
            _ => Taste::Best,
        };
        // Half of all groups are couples.
        let sizes: &[u32] = match persona {
            Persona::Eager => &[1, 2, 2, 2, 2, 2, 3, 4, 4, 6],
            Persona::Hoarder | Persona::Scalper => &[GREEDY],
            _ => &[2, 2, 2, 2, 3, 3, 4, 4],
        };
        let places = *sizes.choose(&mut rng).unwrap_or(&2);
        let leaves = match (persona, rng.random_range(0..100)) {
            (Persona::Eager, 0..2) | (Persona::Wanderer, 0..40) => Some(Leaving::GivesBack),
            (Persona::Eager, 2..4) | (Persona::Wanderer, _) => Some(Leaving::Vanishes),
            _ => None,
        };
        let accept_equivalent = match persona {
            Persona::Eager => rng.random_bool(0.6),
            Persona::Picky => false,
            _ => true,
        };
        Self {
            accept_equivalent,
            persona,
            taste,
            leaves,
            places: if taste == Taste::Floor { places.min(4) } else { places }.min(most),
            level: rng.random_range(0..shop.levels.len().max(1)),
            rng,
        }
    }

    /// Whether, and how, somebody leaves the hold just made. Wanderers do so at any time.
    pub fn leaves(&self, shop: &Shop, snapshot: &Snapshot) -> Option<Leaving> {
        if self.persona == Persona::Wanderer {
            return self.leaves;
        }
        let plenty = percent(snapshot.free, shop.capacity) >= LEAVERS_ABOVE_PERCENT;
        self.leaves.filter(|_| plenty)
    }

    /// What to ask for, after so many refusals; nothing if nothing is free.
    pub fn wish(&mut self, shop: &Shop, snapshot: &Snapshot, refused: u32) -> Option<Wish> {
        if snapshot.free == 0 {
            return None;
        }
        if self.persona == Persona::Picky {
            return self.on_the_chart(shop, snapshot);
        }
        let last = percent(snapshot.free, shop.capacity) < LAST_PLACES_PERCENT;
        if last || refused >= HUMBLE_AFTER {
            return self.anything(shop, snapshot);
        }
        let wish = match self.taste {
            Taste::Best => self.best(shop, snapshot, self.places),
            Taste::Chart => {
                self.on_the_chart(shop, snapshot).or_else(|| self.best(shop, snapshot, self.places))
            }
            Taste::Floor => self.floor(shop, snapshot, self.places),
        };
        wish.or_else(|| self.anything(shop, snapshot))
    }

    /// The level wanted, or another one that has as many seats: the chart shows the counts.
    fn level_with(&mut self, shop: &Shop, snapshot: &Snapshot, places: u32) -> Option<usize> {
        let has = |level: &usize| {
            snapshot.levels[*level] >= places && !shop.levels[*level].seats.is_empty()
        };
        if !has(&self.level) {
            // Who is picky goes to no other level.
            if self.persona == Persona::Picky {
                return None;
            }
            let others: Vec<usize> = (0..shop.levels.len()).filter(has).collect();
            self.level = *others.choose(&mut self.rng)?;
        }
        Some(self.level)
    }

    fn best(&mut self, shop: &Shop, snapshot: &Snapshot, places: u32) -> Option<Wish> {
        let level = self.level_with(shop, snapshot, places)?;
        let offer = self.offer(&shop.levels[level].seats, places)?;
        Some(self.ask(&offer, places, &format!("\"best\":{places}")))
    }

    fn on_the_chart(&mut self, shop: &Shop, snapshot: &Snapshot) -> Option<Wish> {
        let places = self.places;
        let level = self.level_with(shop, snapshot, places)?;
        let runs = &shop.levels[level].runs;
        let offer = self.offer(&shop.levels[level].seats, places)?;
        for _ in 0..RUNS_LOOKED_AT {
            // Squared: good seats are looked at first and most, which is what makes them go.
            let wanted: f64 = self.rng.random::<f64>().powi(2);
            let at = (wanted * runs.len() as f64) as usize;
            let run = shop.runs[*runs.get(at)?];
            let from = self.rng.random_range(0..run.length);
            if let Some(seats) = neighbours(run, from, places, snapshot) {
                return Some(self.seats(&offer, &seats));
            }
        }
        None
    }

    fn floor(&mut self, shop: &Shop, snapshot: &Snapshot, places: u32) -> Option<Wish> {
        let has = |at: &usize| snapshot.areas[*at] >= places;
        let areas: Vec<usize> = (0..shop.areas.len()).filter(has).collect();
        let area = &shop.areas[*areas.choose(&mut self.rng)?];
        let offer = self.offer(&area.offers, places)?;
        let what = format!("\"area\":\"{}\",\"quantity\":{places}", area.code);
        Some(self.ask(&offer, places, &what))
    }

    /// One place: any seat that is seen to be free, accessible ones included, or the floor.
    fn anything(&mut self, shop: &Shop, snapshot: &Snapshot) -> Option<Wish> {
        let standing: u32 = snapshot.areas.iter().sum();
        if self.rng.random_range(0..snapshot.free) < standing {
            return self.floor(shop, snapshot, 1);
        }
        match snapshot.last.choose(&mut self.rng) {
            Some((place, level)) => {
                let offer = self.offer(&shop.levels[*level].seats, 1)?;
                Some(self.seats(&offer, &[*place]))
            }
            None => self.best(shop, snapshot, 1),
        }
    }

    fn offer(&mut self, offers: &[Offer], places: u32) -> Option<Offer> {
        let fits = |offer: &&Offer| (offer.min..=offer.max).contains(&places);
        let fitting: Vec<&Offer> = offers.iter().filter(fits).collect();
        fitting.choose(&mut self.rng).map(|offer| (*offer).clone())
    }

    fn seats(&self, offer: &Offer, seats: &[i32]) -> Wish {
        let list: Vec<String> = seats.iter().map(i32::to_string).collect();
        let places = u32::try_from(seats.len()).unwrap_or(0);
        self.ask(offer, places, &format!("\"places\":[{}]", list.join(",")))
    }

    fn ask(&self, offer: &Offer, places: u32, what: &str) -> Wish {
        let (id, equivalent) = (&offer.id, self.accept_equivalent);
        let line = format!("{{\"offer\":\"{id}\",{what}}}");
        let body = format!("{{\"lines\":[{line}],\"accept_equivalent\":{equivalent}}}");
        Wish { body, places }
    }
}

/// So many free neighbours of a run, from a seat on or before it.
fn neighbours(run: Run, from: i32, places: u32, snapshot: &Snapshot) -> Option<Vec<i32>> {
    let places = i32::try_from(places).ok()?;
    let last_start = run.length - places;
    let start = (0..=last_start).rev().skip_while(|start| *start > from).find(|start| {
        let first = run.first + start;
        (first..first + places).all(|place| snapshot.is_free(place))
    })?;
    Some((run.first + start..run.first + start + places).collect())
}

fn percent(free: u32, capacity: u32) -> u32 {
    free.saturating_mul(100) / capacity.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::tests::{free, small};

    fn wishes(seed: u64) -> Wishes {
        Wishes::new(&mut SmallRng::seed_from_u64(seed), Persona::Eager, &small(), 10)
    }

    fn buyer(taste: Taste, places: u32) -> Wishes {
        Wishes { taste, places, level: 0, accept_equivalent: false, ..wishes(1) }
    }

    fn body(wish: Option<Wish>) -> String {
        wish.map(|wish| wish.body).unwrap_or_default()
    }

    #[test]
    fn a_seed_is_a_wish() {
        let shop = small();
        let snapshot = free(&shop, 1, &[0, 1, 2, 3, 4, 5, 16, 17, 18, 19], 5);
        let wish = |seed| body(wishes(seed).wish(&shop, &snapshot, 0));
        let many = || (0..50).map(wish).collect::<Vec<String>>();
        assert_eq!(many(), many());
        let mut all = many();
        all.sort();
        all.dedup();
        assert!(all.len() > 10, "buyers differ: {all:?}");
    }

    #[test]
    fn who_wants_the_best_asks_for_it() {
        let shop = small();
        let snapshot = free(&shop, 1, &[0, 1, 2, 3, 16, 17], 5);
        let wish = buyer(Taste::Best, 2).wish(&shop, &snapshot, 0).unwrap();
        let line = "{\"offer\":\"best\",\"best\":2}";
        assert_eq!(wish.body, format!("{{\"lines\":[{line}],\"accept_equivalent\":false}}"));
        assert_eq!(wish.places, 2);
        // Gone there: another level.
        let snapshot = free(&shop, 2, &[0, 16, 17], 5);
        assert!(body(buyer(Taste::Best, 2).wish(&shop, &snapshot, 0)).contains("lower"));
    }

    #[test]
    fn who_chooses_on_the_chart_names_free_neighbours() {
        let shop = small();
        let snapshot = free(&shop, 1, &[1, 2, 4, 5, 16], 5);
        for number in 0..20 {
            let chooser = wishes(number);
            let mut chooser = Wishes { taste: Taste::Chart, places: 2, level: 0, ..chooser };
            let body = body(chooser.wish(&shop, &snapshot, 0));
            assert!(body.contains("\"places\":[1,2]") || body.contains("\"places\":[4,5]"));
        }
        let snapshot = free(&shop, 2, &[0, 2, 4, 16], 5);
        let body = body(buyer(Taste::Chart, 2).wish(&shop, &snapshot, 0));
        assert!(body.contains("\"best\":2"), "no neighbours are left: {body}");
    }

    #[test]
    fn who_is_picky_goes_to_no_other_level() {
        let shop = small();
        let picky = || Wishes { persona: Persona::Picky, ..buyer(Taste::Chart, 2) };
        let good = free(&shop, 1, &[1, 2, 16, 17], 5);
        assert!(body(picky().wish(&shop, &good, 0)).contains("\"places\":[1,2]"));
        let other = free(&shop, 2, &[0, 16, 17], 5);
        assert_eq!(picky().wish(&shop, &other, HUMBLE_AFTER), None);
        assert!(buyer(Taste::Chart, 2).wish(&shop, &other, 0).is_some());
    }

    #[test]
    fn towards_the_end_any_place_will_do() {
        let shop = small();
        let mut buyer_of_last = buyer(Taste::Floor, 4);
        let accessible = free(&shop, 1, &[9], 0);
        assert!(body(buyer_of_last.wish(&shop, &accessible, 0)).contains("\"places\":[9]"));
        let standing = free(&shop, 2, &[], 1);
        let body = body(buyer_of_last.wish(&shop, &standing, HUMBLE_AFTER));
        assert!(body.contains("\"area\":\"FLOOR\",\"quantity\":1"));
        assert_eq!(buyer_of_last.wish(&shop, &free(&shop, 3, &[], 0), 0), None);
    }

    #[test]
    fn nobody_leaves_a_hold_behind_towards_the_end() {
        let shop = small();
        let leaver = Wishes { leaves: Some(Leaving::Vanishes), ..buyer(Taste::Best, 2) };
        let plenty = free(&shop, 1, &[0, 1, 2, 3], 0);
        assert_eq!(leaver.leaves(&shop, &plenty), Some(Leaving::Vanishes));
        assert_eq!(leaver.leaves(&shop, &free(&shop, 2, &[0, 1, 2], 0)), None);
    }
}
