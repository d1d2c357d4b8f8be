//! Records of holds: readable, disjoint, in time, and as far as their orders.

use std::collections::HashMap;

use super::books::Order;
use super::{About, Compares, Comparison, Finding, Pair, When};
use crate::holds::record::{Record, Step};

pub const CHECKS: &[Comparison] = &[
    Comparison {
        about: About {
            invariant: "16",
            name: "records are readable",
            proves: "every record in Redis is one, and so can be released",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: |pair| {
            let ids = pair.view.unreadable.iter();
            ids.map(|id| Finding::new(&id, format!("hold {id} can't be read"))).collect()
        },
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "one record per place",
            proves: "no two live records in Redis list the same place",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: |pair| {
            let mut owners: HashMap<i32, &str> = HashMap::new();
            let mut found = Vec::new();
            for (id, record) in pair.view.live() {
                for held in &record.places {
                    if let Some(other) = owners.insert(held.place, id) {
                        let place = held.place;
                        let what = format!("place {place} is listed by hold {id} and {other}");
                        found.push(Finding::new(&place, what));
                    }
                }
            }
            found
        },
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "records follow orders",
            proves: "claimed and sold records in Redis are the orders with claims in Postgres",
        },
        when: When::Always,
        compares: Compares::Both,
        find: records_and_orders,
    },
    Comparison {
        about: About {
            invariant: "17",
            name: "every record has its clock",
            proves: "held and returning records have a deadline, claiming ones are watched, \
                     tombstones end",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: clocks,
    },
    Comparison {
        about: About {
            invariant: "17",
            name: "records in time",
            proves: "no held record outlives its deadline, no claiming one the resolver's bound, no \
                     place the delay of its return",
        },
        when: When::AtRest,
        compares: Compares::Redis,
        find: |pair| {
            let late = |since: i64| since.saturating_add(pair.grace_ms()) < pair.view.now_ms;
            let held = pair
                .view
                .live()
                .filter(|(_, record)| record.step == Step::Held && late(record.deadline_ms));
            let held = held.map(|(id, record)| {
                Finding::new(&id, format!("hold {id} was to end at {} ms", record.deadline_ms))
            });
            let claiming = pair.view.claiming.iter().filter(|(_, since)| late(**since));
            let claiming = claiming.map(|(id, since)| {
                Finding::new(&id, format!("hold {id} is claiming since {since} ms"))
            });
            let returning = pair.view.returning.iter().filter(|(_, due)| late(**due));
            let returning = returning.map(|(id, due)| {
                Finding::new(&id, format!("the places of hold {id} were to be free at {due} ms"))
            });
            held.chain(claiming).chain(returning).collect()
        },
    },
];

fn records_and_orders(pair: &Pair) -> Vec<Finding> {
    let mut found = Vec::new();
    for (id, order) in &pair.books.orders {
        // Its last commit is still to be mirrored: that is bounded by another check.
        if pair.books.pending.contains(id) {
            continue;
        }
        let Some(what) = difference(order, pair.view.records.get(id)) else { continue };
        found.push(Finding::new(&id, format!("order {}: its record {id} {what}", order.id)));
    }
    for (id, record) in pair.view.live() {
        let claims = matches!(record.step, Step::Claimed | Step::Sold);
        if claims && !pair.books.orders.contains_key(id) && !pair.books.pending.contains(id) {
            let what = format!("record {id} is {:?}, and no such order has claims", record.step);
            found.push(Finding::new(&id, what));
        }
    }
    found
}

/// In what a record is not as its order wants it.
fn difference(order: &Order, record: Option<&Record>) -> Option<String> {
    let Some(record) = record else { return Some("is missing".into()) };
    if record.step != order.step {
        return Some(format!("is {:?} instead of {:?}", record.step, order.step));
    }
    if (record.account.0, record.promo) != (order.account, order.promo) {
        return Some("has another account or promo code".into());
    }
    let mut places = record.places.clone();
    places.sort_unstable_by_key(|held| held.place);
    (places != order.places).then(|| "lists other places, offers or tiers".into())
}

fn clocks(pair: &Pair) -> Vec<Finding> {
    let view = &pair.view;
    let mut found = Vec::new();
    for (id, record) in &view.records {
        let (clock, watched) = match record.step {
            Step::Held => ("deadline", view.deadlines.get(id) == Some(&record.deadline_ms)),
            Step::Claiming => ("watch on its claim", view.claiming.contains_key(id)),
            Step::Returning => ("end of its delay", view.returning.contains_key(id)),
            Step::Released => ("end as a tombstone", view.tombs.contains_key(id)),
            Step::Claimed | Step::Sold => continue,
        };
        if !watched {
            found
                .push(Finding::new(&id, format!("hold {id} is {:?} without {clock}", record.step)));
        }
    }
    let watches = [
        (&view.deadlines, Step::Held, "deadlines"),
        (&view.claiming, Step::Claiming, "claims under way"),
        (&view.returning, Step::Returning, "places that come back"),
        (&view.tombs, Step::Released, "tombstones"),
    ];
    for (ids, step, name) in watches {
        let step_of = |id: &String| view.records.get(id).map(|record| record.step);
        for id in ids.keys().filter(|id| step_of(id) != Some(step)) {
            let what = format!("hold {id} is among the {name}, and is {:?}", step_of(id));
            found.push(Finding::new(&format!("{name} {id}"), what));
        }
    }
    found
}
