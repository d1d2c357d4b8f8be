//! What the program has learnt: ids and tokens by the names that parameters and members have.

use std::collections::HashMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;

/// Values kept per name; older ones are forgotten by chance.
const KEPT: usize = 30;
/// So many of them are new.
const NEWEST: usize = 4;
/// Longest value that is kept.
const LONGEST: usize = 400;

/// What is known.
#[derive(Default)]
pub struct Known {
    /// The event that organizers may spoil.
    pub spoilt: String,
    values: HashMap<String, Vec<String>>,
    /// An anonymous session.
    pub session: String,
    /// An account's session.
    pub account: String,
    /// An organizer's key.
    pub organizer: String,
}

impl Known {
    /// Remembers a value.
    pub fn add(&mut self, name: &str, value: &str) {
        let values = self.values.entry(name.to_owned()).or_default();
        if value.len() > LONGEST || values.iter().any(|known| known == value) {
            return;
        }
        if values.len() >= KEPT {
            values.remove(values.len() / 2);
        }
        values.push(value.to_owned());
    }

    /// Remembers what an answer says, member by member.
    pub fn learn(&mut self, answer: &Value) {
        match answer {
            Value::Object(members) => {
                for (name, value) in members {
                    if let Some(text) = value.as_str() {
                        self.add(name, text);
                    }
                    self.learn(value);
                }
            }
            Value::Array(items) => items.iter().take(3).for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    /// Remembers the id of what an operation has made, under the name that paths call it by.
    pub fn made(&mut self, path: &str, answer: &Value) {
        let Some(id) = answer["id"].as_str() else { return };
        let noun = path.split('/').rev().find(|part| !part.is_empty() && !part.starts_with('{'));
        let noun = match noun {
            Some("checkout") => "order",
            Some(noun) => noun.trim_end_matches('s'),
            None => return,
        };
        self.add(noun, id);
    }

    /// One of the values with this name, as often as not one of the newest: the session's own.
    pub fn any(&self, name: &str, rng: &mut StdRng) -> Option<String> {
        let values = self.values.get(name)?;
        let newest = &values[values.len().saturating_sub(NEWEST)..];
        if rng.random_bool(0.5) { newest.choose(rng).cloned() } else { values.choose(rng).cloned() }
    }

    /// One of all values.
    pub fn whatever(&self, rng: &mut StdRng) -> Option<String> {
        let mut names: Vec<&String> = self.values.keys().collect();
        names.sort_unstable();
        let name = names.get(rng.random_range(0..names.len().max(1)))?;
        self.any(name, rng)
    }
}
