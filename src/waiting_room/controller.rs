//! Whom to call, and why not more: pure decisions of the admission controller.
//!
//! People inside must not exceed the target, admissions must not exceed the rate, and nobody is
//! called who would find nothing. Not everybody who is called comes: the share that does is
//! learned, and more are called accordingly, while the rate itself is enforced where turns become
//! passes.

use serde::Serialize;

use super::board;

/// Of those who are called, how many come, until it is known better; and how many turns it takes
/// to be known.
const SHOW_RATE: f64 = 0.8;
const SHOW_WEIGHT: f64 = 50.0;
/// How many turns it takes until those that ended last are believed rather than all there ever
/// were: once people have read that nothing is left, few of those who are called are still there.
const LATELY_WEIGHT: f64 = 10.0;
/// It is not believed that fewer come than this.
const SHOW_LEAST: f64 = 0.2;
/// In passes that ended: the weight of what is assumed until it is known better, of how many of
/// those who come buy, and of how many places they buy.
const BUYERS_WEIGHT: f64 = 50.0;
/// Of the places that will come back, so many do while somebody who is called now comes and looks
/// around. Whoever is called for the others finds nothing and leaves, and if all of them counted,
/// somebody would be called in their place, again and again.
const COME_BACK_SOON: f64 = 0.05;
/// The last places are offered to so many at a time: not everybody comes who is called, and not
/// everybody wants as few as are left.
const LAST_FEW: f64 = 5.0;
/// Admissions are slowed down at most to this share of the rate.
const SLOWEST: f64 = 0.05;
/// Share of failed checkouts from which on admission is slowed down, and at which it is slowest.
const ERRORS_FROM: f64 = 0.02;
const ERRORS_AT: f64 = 0.2;
/// What sums of fractions may lack of a whole.
const EPSILON: f64 = 1e-9;
/// A controller that was away for longer doesn't make up for it, in seconds.
const MAX_STEP_S: f64 = 2.0;

/// What is known at a moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Since the last decision, in seconds.
    pub elapsed_s: f64,
    /// Shoppers who may be inside.
    pub target_inside: f64,
    /// Most admissions per second.
    pub per_s: f64,
    /// Passes that are good.
    pub inside: f64,
    /// Those of them whose owners got no places, and [don't ask any more](super::seekers).
    pub idle: f64,
    /// Called in turns that can still be taken, and those of them who have come.
    pub open_called: f64,
    /// See above.
    pub open_came: f64,
    /// Called in turns that are over, and those of them who had come.
    pub over_called: f64,
    /// See above.
    pub over_came: f64,
    /// Called in the turns that ended last, and those of them who had come.
    pub late_called: f64,
    /// See above.
    pub late_came: f64,
    /// The same with the turns that began a while ago: most who come have come.
    pub ripe_called: f64,
    /// See above.
    pub ripe_came: f64,
    /// Places that are free; none if that isn't known (Redis is away): nobody is called then.
    pub free: Option<f64>,
    /// Places that are held or being paid for.
    pub held: f64,
    /// Passes that ended with a purchase, and the places that were bought with them.
    pub bought: f64,
    /// See above.
    pub places_bought: f64,
    /// Passes that ended without one while there was [enough to choose from](Seen::tells).
    pub left: f64,
    /// What the slowest node takes for a checkout, against what is comfortable: 1 is comfortable.
    pub slowness: f64,
    /// Share of checkouts that failed on the worst node.
    pub errors: f64,
}

impl Seen {
    /// How many of those who come buy. Of those who hold places, most of the others let them go.
    fn buyers(&self) -> f64 {
        let assumed = (1.0 - board::COME_BACK) * BUYERS_WEIGHT;
        (self.bought + assumed) / (self.bought + self.left + BUYERS_WEIGHT)
    }

    /// Places that one buys who buys.
    fn places_each(&self) -> f64 {
        let assumed = board::PLACES_EACH * BUYERS_WEIGHT;
        ((self.places_bought + assumed) / (self.bought + BUYERS_WEIGHT)).max(1.0)
    }

    /// Inside, and without places.
    fn without(&self) -> f64 {
        (self.inside - self.held / self.places_each()).max(0.0)
    }

    /// Those of them who still look for places.
    fn looking(&self) -> f64 {
        (self.without() - self.idle).max(0.0)
    }

    /// Whether it tells something of people if they leave without a purchase now: there is a place
    /// for each who looks for one. Otherwise it tells that nothing was left; taken for a lack of
    /// interest, it would let more people in to find nothing.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.free.is_some_and(|free| free >= self.without().max(1.0))
    }
}

/// What bounds the admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The organizer's rate.
    Rate,
    /// As many shoppers as wished are inside.
    Inside,
    /// No more people would find something.
    Stock,
    /// Checkouts are slow or fail.
    Health,
    /// Redis is away, so nobody could shop.
    Blind,
}

/// How many people to call, and what keeps it from being more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// People, a fraction included: what is left over is called later.
    pub people: f64,
    /// What bounds it.
    pub bound: Bound,
    /// Share of the called who come.
    pub show_rate: f64,
    /// The rate after slowing down, per second.
    pub per_s: f64,
    /// For so many more people there is enough.
    pub enough_for: f64,
}

/// The share of the called who come: what was seen lately, with all that was seen as a
/// counterweight, and what was assumed as that's. Who may still come counts once it shows that more
/// come than was thought.
#[must_use]
pub fn show_rate(seen: &Seen) -> f64 {
    let all = (seen.over_came + SHOW_RATE * SHOW_WEIGHT) / (seen.over_called + SHOW_WEIGHT);
    let of = |came: f64, called: f64| (came + all * LATELY_WEIGHT) / (called + LATELY_WEIGHT);
    let late = of(seen.late_came, seen.late_called);
    let so_far = of(seen.ripe_came, seen.ripe_called);
    late.max(so_far).clamp(SHOW_LEAST, 1.0)
}

/// Decides.
#[must_use]
pub fn decide(seen: &Seen) -> Decision {
    let show_rate = show_rate(seen);
    let health = health(seen);
    let per_s = seen.per_s * health;
    // People on their way: called, their turn still open, not here yet.
    let coming = ((seen.open_called * show_rate) - seen.open_came).max(0.0);
    let enough_for = enough_for(seen);
    let by_rate = per_s * seen.elapsed_s.clamp(0.0, MAX_STEP_S);
    let by_room = seen.target_inside - seen.inside - coming;
    // Who holds places or pays for them has found something; the others inside still look for it.
    let searching = seen.looking() + coming;
    let last = if seen.free >= Some(1.0) { LAST_FEW - searching } else { 0.0 };
    let by_stock = enough_for.map(|enough| (enough - searching).max(last));
    let (people, bound) = match by_stock {
        None => (0.0, Bound::Blind),
        // There is room for whole people: a part of one doesn't add up from decision to decision.
        Some(by_stock) if by_stock < by_rate && by_stock <= by_room => {
            ((by_stock + EPSILON).floor(), Bound::Stock)
        }
        Some(_) if by_room < by_rate => ((by_room + EPSILON).floor(), Bound::Inside),
        Some(_) if health < 1.0 => (by_rate, Bound::Health),
        Some(_) => (by_rate, Bound::Rate),
    };
    let people = people.max(0.0) / show_rate;
    Decision { people, bound, show_rate, per_s, enough_for: enough_for.unwrap_or(0.0) }
}

/// For how many shoppers there is enough: places that are free and those that will come back
/// soon, over what one takes who takes any. Who then lets them go makes room for others, later.
fn enough_for(seen: &Seen) -> Option<f64> {
    let coming_back = seen.held * (1.0 - seen.buyers()) * COME_BACK_SOON;
    seen.free.map(|free| (free + coming_back) / seen.places_each())
}

/// From 1 (fine) to [`SLOWEST`].
fn health(seen: &Seen) -> f64 {
    let slow = if seen.slowness > 1.0 { 1.0 / seen.slowness } else { 1.0 };
    let failing = 1.0 - ((seen.errors - ERRORS_FROM) / (ERRORS_AT - ERRORS_FROM)).clamp(0.0, 1.0);
    (slow * failing).max(SLOWEST)
}

/// Shares people out among lanes in which somebody waits: by share, and what one lane can't use
/// goes to the others. Each lane is (share, people who wait).
#[must_use]
pub fn share_out(people: f64, lanes: &[(f64, f64)]) -> Vec<f64> {
    let mut given = vec![0.0; lanes.len()];
    let mut left = people;
    for _ in 0..lanes.len() {
        let hungry: Vec<usize> =
            (0..lanes.len()).filter(|i| lanes[*i].1 - given[*i] > EPSILON).collect();
        let shares: f64 = hungry.iter().map(|i| lanes[*i].0).sum();
        if left <= EPSILON || shares <= 0.0 {
            break;
        }
        let round = left;
        for i in hungry {
            let part = (round * lanes[i].0 / shares).min(lanes[i].1 - given[i]);
            given[i] += part;
            left -= part;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn seen() -> Seen {
        Seen {
            elapsed_s: 0.5,
            target_inside: 1_000.0,
            per_s: 100.0,
            over_called: 1e9,
            over_came: 1e9,
            free: Some(20_000.0),
            ..Seen::default()
        }
    }

    #[test]
    fn the_rate_the_target_and_the_stock_each_bound_it() {
        let rate = decide(&seen());
        assert_eq!((rate.bound, rate.people.round()), (Bound::Rate, 50.0));
        let full = decide(&Seen { inside: 980.0, ..seen() });
        assert_eq!((full.bound, full.people.round()), (Bound::Inside, 20.0));
        let over = decide(&Seen { inside: 1_100.0, ..seen() });
        assert_eq!((over.bound, over.people), (Bound::Inside, 0.0));
        let few = decide(&Seen { free: Some(22.0), ..seen() });
        assert_eq!((few.bound, few.people.round()), (Bound::Stock, 10.0));
        let none = decide(&Seen { free: Some(0.0), inside: 5.0, ..seen() });
        assert_eq!((none.bound, none.people), (Bound::Stock, 0.0));
        let blind = decide(&Seen { free: None, ..seen() });
        assert_eq!((blind.bound, blind.people), (Bound::Blind, 0.0));
    }

    #[test]
    fn who_holds_or_pays_for_places_needs_no_more_of_them() {
        let inside = Seen { free: Some(220.0), inside: 100.0, ..seen() };
        let looking = decide(&inside);
        assert!(looking.people < 1.0, "{looking:?}");
        let found = decide(&Seen { held: 220.0, ..inside });
        assert!(found.people > 49.0, "{found:?}");
    }

    #[test]
    fn who_asks_no_more_keeps_nothing_from_others() {
        // Singles are left, and whoever is inside wanted two together.
        let tail = Seen { free: Some(110.0), inside: 60.0, ..seen() };
        assert_eq!(decide(&tail).people, 0.0);
        let gone = Seen { idle: 40.0, ..tail };
        assert_eq!((decide(&gone).bound, decide(&gone).people.round()), (Bound::Stock, 30.0));
        // But that they left tells nothing: the places weren't what they wanted.
        assert!(!Seen { free: Some(50.0), ..gone.clone() }.tells());
        // They may all come back: no more than there is room for.
        let full = decide(&Seen { target_inside: 70.0, ..gone });
        assert_eq!((full.bound, full.people.round()), (Bound::Inside, 10.0));
    }

    #[test]
    fn places_that_come_back_let_people_in_again() {
        let out = Seen { free: Some(0.0), held: 0.0, ..seen() };
        assert_eq!(decide(&out).people, 0.0);
        assert_eq!(decide(&Seen { free: Some(22.0), ..out.clone() }).people.round(), 10.0);
        // For the last one, too, there is somebody, even if most don't come or want two.
        assert_eq!(decide(&Seen { free: Some(1.0), ..out.clone() }).people.round(), 5.0);
        assert_eq!(decide(&Seen { free: Some(1.0), inside: 3.0, ..out }).people.round(), 2.0);
    }

    #[test]
    fn who_finds_nothing_does_not_let_others_in_to_find_nothing() {
        // Everybody bought so far, and now nothing is left: the last ones leave without.
        let end = Seen { bought: 900.0, places_bought: 1_980.0, held: 20.0, ..seen() };
        let end = Seen { free: Some(0.0), inside: 60.0, ..end };
        assert!(!end.tells());
        assert_eq!(decide(&end).people, 0.0, "{:?}", decide(&end));
        // Nor does the little that may come back add up.
        assert_eq!(decide(&Seen { inside: 0.0, ..end.clone() }).people, 0.0);
        // With places for all of them, it would tell something.
        assert!(Seen { free: Some(100.0), ..end }.tells());
        assert!(!Seen { free: None, ..seen() }.tells());
    }

    #[test]
    fn a_whole_sale_calls_about_as_many_as_find_something() {
        for (leave_of_ten, each, places) in [(1, 2.0, 2_000.0), (4, 3.0, 6_000.0)] {
            let sale = Sale { leave_of_ten, each, seconds: 120, ..Sale::default() };
            let (came, bought, in_vain) = sale.run(places);
            assert_eq!(bought * each, places, "everything is sold");
            assert!(in_vain < 0.08 * came, "{in_vain} of {came} found nothing");
        }
    }

    /// How long somebody looks around who finds nothing, in seconds.
    const LOOKS_S: u32 = 12;

    /// People who come at once when they are called, look around until they find places, and pay
    /// for them or let them go later.
    #[derive(Default)]
    struct Sale {
        /// Of ten who hold places, so many let them go.
        leave_of_ten: u32,
        /// Places that each takes.
        each: f64,
        /// From the hold to the end.
        seconds: u32,
        /// What is known.
        seen: Seen,
        /// Who looks around, since when.
        looking: VecDeque<u32>,
        /// Who holds places, since when, and whether they will buy them.
        holders: VecDeque<(u32, bool)>,
    }

    impl Sale {
        /// Who came, bought, and found nothing.
        fn run(mut self, places: f64) -> (f64, f64, f64) {
            self.seen = Seen { free: Some(places), elapsed_s: 1.0, per_s: 20.0, ..seen() };
            let (mut called, mut held, mut in_vain) = (0.0, 0, 0.0);
            for second in 0..20_000 {
                let before = f64::floor(called);
                called += decide(&self.seen).people;
                let came = called.floor() - before;
                self.seen.inside += came;
                self.looking.extend((0..came as u32).map(|_| second));
                while self.seen.free >= Some(self.each) && self.looking.pop_front().is_some() {
                    held += 1;
                    self.holders.push_back((second, held % 10 >= self.leave_of_ten));
                    self.takes(self.each);
                }
                while self.looking.front().is_some_and(|since| since + LOOKS_S <= second) {
                    self.looking.pop_front();
                    in_vain += 1.0;
                    self.leaves(false);
                }
                while self.holders.front().is_some_and(|(since, _)| since + self.seconds <= second)
                {
                    let buys = self.holders.pop_front().is_some_and(|(_, buys)| buys);
                    self.leaves(buys);
                    self.seen.held -= self.each;
                    if !buys {
                        self.takes(-self.each);
                    }
                }
            }
            (called.floor(), self.seen.bought, in_vain)
        }

        fn takes(&mut self, places: f64) {
            self.seen.free = self.seen.free.map(|free| free - places);
            self.seen.held += places.max(0.0);
        }

        fn leaves(&mut self, buys: bool) {
            if buys {
                self.seen.bought += 1.0;
                self.seen.places_bought += self.each;
            } else if self.seen.tells() {
                self.seen.left += 1.0;
            }
            self.seen.inside -= 1.0;
        }
    }

    #[test]
    fn who_does_not_come_is_made_up_for() {
        let half = Seen { over_called: 1e6, over_came: 5e5, ..seen() };
        assert!((decide(&half).people - 100.0).abs() < 1.0);
        let nobody = Seen { over_called: 1e6, over_came: 0.0, ..seen() };
        assert_eq!(decide(&nobody).show_rate, SHOW_LEAST);
        // When most have read that nothing is left, those who come are few: what holds is what was
        // seen last.
        let end = Seen { over_called: 10_000.0, over_came: 9_200.0, ..seen() };
        let end = Seen { late_called: 80.0, late_came: 20.0, free: Some(22.0), ..end };
        let end = Seen { ripe_called: 84.0, ripe_came: 21.0, ..end };
        assert!(decide(&end).people > 25.0, "{:?}", decide(&end));
        // As soon as more come than is assumed, that is known.
        let start = Seen { over_called: 0.0, over_came: 0.0, ..seen() };
        let at_once = Seen { ripe_called: 1_000.0, ripe_came: 980.0, ..start.clone() };
        assert!(decide(&at_once).show_rate > 0.97);
        let on_their_way = Seen { ripe_called: 1_000.0, ripe_came: 100.0, ..start };
        assert_eq!(decide(&on_their_way).show_rate, SHOW_RATE);
        // Those on their way count as inside.
        let coming = Seen { open_called: 990.0, open_came: 0.0, ..seen() };
        assert_eq!(decide(&coming).people.round(), 10.0);
    }

    #[test]
    fn slow_or_failing_checkouts_slow_it_down() {
        let slow = decide(&Seen { slowness: 4.0, ..seen() });
        assert_eq!((slow.bound, slow.people.round()), (Bound::Health, 13.0));
        let failing = decide(&Seen { errors: 0.5, ..seen() });
        assert!(failing.people > 0.0 && failing.people < 5.0);
    }

    #[test]
    fn more_of_anything_good_never_lets_fewer_in() {
        let base = seen();
        for step in 0..50 {
            let x = f64::from(step);
            let pair = |a: Seen, b: Seen| assert!(decide(&a).people <= decide(&b).people + 1e-9);
            let free = |n: f64| Seen { free: Some(n * 10.0), ..base.clone() };
            pair(free(x), free(x + 1.0));
            let inside = |n: f64| Seen { inside: n * 25.0, ..base.clone() };
            pair(inside(x + 1.0), inside(x));
            let slow = |n: f64| Seen { slowness: n, ..base.clone() };
            pair(slow(x + 1.0), slow(x));
        }
    }

    #[test]
    fn what_one_lane_cannot_use_goes_to_the_others() {
        assert_eq!(share_out(10.0, &[(100.0, 50.0), (100.0, 50.0)]), [5.0, 5.0]);
        assert_eq!(share_out(10.0, &[(100.0, 2.0), (100.0, 50.0)]), [2.0, 8.0]);
        assert_eq!(share_out(10.0, &[(300.0, 50.0), (100.0, 50.0)]), [7.5, 2.5]);
        assert_eq!(share_out(10.0, &[(100.0, 1.0), (100.0, 1.0)]), [1.0, 1.0]);
        assert!(share_out(10.0, &[]).is_empty());
    }
}
