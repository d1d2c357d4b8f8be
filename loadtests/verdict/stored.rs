//! How counts are written and read again: distributions whole, so that several can be merged.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::seconds::Buckets;
use super::tally::Times;

/// The values that occurred, each with how often. They fall into the same buckets when read.
impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recorded = self.0.iter_recorded();
        serializer.collect_seq(
            recorded.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())),
        )
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut times = Self::default();
        for (micros, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            times.0.saturating_record_n(micros, count);
        }
        Ok(times)
    }
}

/// The buckets that hold anything, each with how much.
impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        serializer.collect_seq(filled)
    }
}

impl<'de> Deserialize<'de> for Buckets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut buckets = Self::default();
        for (at, count) in Vec::<(usize, u32)>::deserialize(deserializer)? {
            let bucket = buckets.0.get_mut(at);
            *bucket.ok_or_else(|| D::Error::custom("there is no such bucket"))? = count;
        }
        Ok(buckets)
    }
}

/// Counts by step and code: keys of JSON are texts, so these are rows.
pub mod counts {
    use std::collections::BTreeMap;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    use crate::verdict::steps::Step;

    type Counts = BTreeMap<(Step, String), u64>;

    pub fn serialize<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(counts.iter().map(|((step, code), count)| (step, code, count)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
        let rows = Vec::<(Step, String, u64)>::deserialize(deserializer)?;
        Ok(rows.into_iter().map(|(step, code, count)| ((step, code), count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_distribution_is_read_as_it_was_written() {
        let (mut times, mut buckets) = (Times::default(), Buckets::default());
        for at in 0..20_000_u64 {
            let took = Duration::from_micros(at * at % 700_000_001);
            times.record(took);
            buckets.record(took);
        }
        let read: Times = serde_json::from_str(&serde_json::to_string(&times).unwrap()).unwrap();
        assert_eq!((read.count(), read.max()), (times.count(), times.max()));
        for permille in 0..=1_000 {
            let share = f64::from(permille) / 1_000.0;
            assert_eq!(read.quantile(share), times.quantile(share));
        }
        let text = serde_json::to_string(&buckets).unwrap();
        let read: Buckets = serde_json::from_str(&text).unwrap();
        assert_eq!(read.0, buckets.0);
        assert!(serde_json::from_str::<Buckets>("[[128,1]]").is_err());
    }
}
