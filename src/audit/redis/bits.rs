//! Bitmaps: what is taken, killed and allocated, and where stretches lie.

use super::view::MAX_NUMBER;
use super::{About, Compares, Comparison, Finding, Pair, When};
use crate::catalog::PUBLIC;
use crate::catalog::listing::{bit, set_bit};

/// Bytes that describe a stretch: first place and length.
const STRETCH_BYTES: usize = 8;
/// A hint of this says nothing: it is the longest run that one byte can name.
const ANY_RUN: usize = 255;

pub const CHECKS: &[Comparison] = &[
    Comparison {
        about: About {
            invariant: "16",
            name: "bits are records",
            proves: "a place's bit is set in Redis exactly while a live record lists it",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: |pair| {
            let differing = differences(&pair.view.taken, &pair.union);
            differing
                .map(|(place, taken)| {
                    let what = if taken {
                        "taken, and no record lists it"
                    } else {
                        "listed, and not taken"
                    };
                    Finding::new(&place, format!("place {place} is {what}"))
                })
                .collect()
        },
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "claimed is taken",
            proves: "every place that Postgres has claimed or sold is taken in Redis",
        },
        when: When::Always,
        compares: Compares::Both,
        find: |pair| {
            let claims = &pair.books.claims;
            let free = claims.iter().filter(|(place, _)| !bit(&pair.view.taken, *place));
            free.map(|(place, sold)| {
                let word = if *sold { "sold" } else { "claimed" };
                Finding::new(&place, format!("place {place} is {word}, and free in Redis"))
            })
            .collect()
        },
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "kills and allocations",
            proves: "what is not for sale in each channel is the same in Redis and in Postgres",
        },
        when: When::Always,
        compares: Compares::Both,
        find: kills_and_allocations,
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "stretches",
            proves: "Redis looks for places where Postgres has them",
        },
        when: When::Always,
        compares: Compares::Both,
        find: |pair| {
            let redis = stretches(&pair.view.stretches);
            let postgres = &pair.books.stretches;
            (0..redis.len().max(postgres.len()))
                .filter(|number| redis.get(*number) != postgres.get(*number))
                .map(|number| {
                    let (there, here) = (redis.get(number), postgres.get(number));
                    let what = format!("stretch {number}: Redis {there:?}, Postgres {here:?}");
                    Finding::new(&number, what)
                })
                .collect()
        },
    },
    Comparison {
        about: About {
            invariant: "16",
            name: "hints are bounds",
            proves: "no free run of places is longer than what best available believes",
        },
        when: When::Always,
        compares: Compares::Redis,
        find: hints,
    },
];

/// Places whose bits differ, and whether the left one is set. Missing bytes are zero.
fn differences<'a>(left: &'a [u8], right: &'a [u8]) -> impl Iterator<Item = (i32, bool)> + 'a {
    let byte = |bitmap: &[u8], at: usize| bitmap.get(at).copied().unwrap_or(0);
    (0..left.len().max(right.len()))
        .filter(move |at| byte(left, *at) != byte(right, *at))
        .flat_map(|at| (0..8).filter_map(move |shift| i32::try_from(at * 8 + shift).ok()))
        .filter(move |place| bit(left, *place) != bit(right, *place))
        .map(move |place| (place, bit(left, place)))
}

/// Reads the stretches as scripts do: first place, length; nonsense within bounds.
pub fn stretches(bytes: &[u8]) -> Vec<(i32, i32)> {
    let number = |bytes: &[u8]| {
        let number = bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
        i32::try_from(number).unwrap_or(MAX_NUMBER).min(MAX_NUMBER)
    };
    let entries = bytes.chunks_exact(STRETCH_BYTES);
    entries.map(|entry| (number(&entry[..4]), number(&entry[4..]))).collect()
}

fn kills_and_allocations(pair: &Pair) -> Vec<Finding> {
    let bitmap = |wanted: &dyn Fn(bool, i16) -> bool| {
        let mut bitmap = Vec::new();
        for (number, place) in &pair.books.places {
            if wanted(place.killed, place.channel) {
                set_bit(&mut bitmap, *number);
            }
        }
        bitmap
    };
    let mut found = Vec::new();
    let mut differ = |what: &str, redis: &[u8], postgres: &[u8]| {
        found.extend(differences(redis, postgres).map(|(place, in_redis)| {
            let (yes, no) = if in_redis { ("Redis", "Postgres") } else { ("Postgres", "Redis") };
            let words = format!("place {place} is {what} in {yes}, not in {no}");
            Finding::new(&format!("{what} {place}"), words)
        }));
    };
    differ("killed", &pair.view.kills, &bitmap(&|killed, _| killed));
    for (channel, blocked) in &pair.view.blocked {
        // Everyone may buy what is the public's; an allocation is its own channel's.
        let other = |of: i16| of != PUBLIC && of != *channel;
        let postgres = bitmap(&|killed, of| killed || other(of));
        differ(&format!("blocked for channel {channel}"), blocked, &postgres);
    }
    found
}

fn hints(pair: &Pair) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, (first, length)) in stretches(&pair.view.stretches).into_iter().enumerate() {
        let hint = pair.view.hints.get(number).map_or(0, |hint| usize::from(*hint));
        if hint >= ANY_RUN {
            continue;
        }
        for (channel, blocked) in &pair.view.blocked {
            let (mut run, mut longest) = (0, 0);
            for place in first..first.saturating_add(length) {
                let free = !bit(&pair.view.taken, place) && !bit(blocked, place);
                run = if free { run + 1 } else { 0 };
                longest = longest.max(run);
            }
            if longest > hint {
                let what = format!(
                    "stretch {number} has {longest} free neighbours for channel {channel}, its \
                     hint says {hint}"
                );
                found.push(Finding::new(&number, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_of_different_lengths_differ_only_in_set_bits() {
        let found: Vec<_> = differences(&[0b1000_0001, 0, 0], &[0b1000_0000]).collect();
        assert_eq!(found, [(7, true)]);
        let found: Vec<_> = differences(&[], &[0, 0b0100_0000]).collect();
        assert_eq!(found, [(9, false)]);
    }

    #[test]
    fn stretches_are_read_as_scripts_do() {
        assert_eq!(stretches(&[0, 0, 1, 0, 0, 0, 0, 9, 1]), [(256, 9)]);
    }
}
