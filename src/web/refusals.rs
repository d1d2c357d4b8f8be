//! Refusals in words that help a buyer on. Programs read the codes; people read this.

use serde_json::Value;

use super::words;
use crate::catalog::Listing;
use crate::http::problem::{Code, Problem};
use crate::words::{Language, retold};
use crate::{counted, say};

/// What to tell a buyer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What happened, in a few words.
    pub title: String,
    /// What to do now.
    pub text: String,
    /// The places that it is about, as they are called.
    pub places: Vec<String>,
}

/// What to tell a buyer about a refusal, without knowing the event.
#[must_use]
pub fn advice(problem: &Problem) -> Advice {
    let key = key_of(problem.code);
    let told = |more: &str| String::from(say(&format!("{key}{more}")));
    let mut advice = Advice { title: told(""), text: told(".text"), places: Vec::new() };
    let number = |name| problem.member(name).and_then(Value::as_u64);
    match problem.code {
        Code::Invalid => {
            if let Some(why) = problem.reason() {
                // Pointers into a JSON body mean nothing to people.
                let why = why.split_once(": ").filter(|(at, _)| at.starts_with('/'));
                if let Some((_, why)) = why.filter(|(_, why)| !why.is_empty()) {
                    advice.text = sentence(&retold("reason.", why));
                }
            }
        }
        Code::AccountLimit => match number("left") {
            Some(0) => advice.text = told(".none"),
            Some(left) => {
                let tickets = counted("count.tickets", usize::try_from(left).unwrap_or(0));
                advice.text = say(&format!("{key}.left")).put("tickets", tickets).into();
            }
            None => {}
        },
        Code::QuotaReached => match number("left") {
            Some(left) if left > 0 => {
                advice.title = told(".left");
                advice.text = say(&format!("{key}.left_text")).put("n", left).into();
            }
            _ => {}
        },
        Code::NoneLeft => match number("longest") {
            Some(longest) if longest > 1 => {
                advice.text = say(&format!("{key}.longest")).put("n", longest).into();
            }
            Some(1) => advice.text = told(".single"),
            _ => {}
        },
        Code::NotOnSale if problem.member("state").and_then(Value::as_str) == Some("paused") => {
            advice.title = told(".paused");
            advice.text = told(".paused_text");
        }
        _ => {}
    }
    advice
}

/// Where the words of a code are in the lists: under the code itself, and where nothing is said
/// of a code, because buyers don't meet it, under one for all of these.
fn key_of(code: Code) -> String {
    let key = format!("problem.{}", code.code());
    match Language::ENGLISH.text(&key) {
        Some(_) => key,
        None => "problem.other".to_owned(),
    }
}

/// The same with the names of the places that it is about.
#[must_use]
pub fn advice_on(problem: &Problem, listing: &Listing) -> Advice {
    let places = numbers(problem, "places").into_iter().filter_map(|number| {
        let place = listing.place(number)?;
        Some(words::place_of(listing, place))
    });
    Advice { places: places.collect(), ..advice(problem) }
}

/// A member that is a list of place numbers.
#[must_use]
pub fn numbers(problem: &Problem, name: &str) -> Vec<i32> {
    let list = problem.member(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_i64).filter_map(|number| i32::try_from(number).ok()).collect()
}

/// A text as a sentence of its own.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_for_people() {
        for language in Language::all() {
            for code in Code::ALL {
                let advice = crate::words::spoken(language, || advice(&Problem::new(*code)));
                assert!(!advice.title.starts_with("problem."), "{code:?}");
                assert!(!advice.title.is_empty() && advice.text.ends_with('.'), "{code:?}");
                assert!(!advice.text.contains("Idempotency"), "{code:?}");
            }
        }
    }

    #[test]
    fn numbers_and_pointers_become_sentences() {
        let left = advice(&Problem::new(Code::AccountLimit).with("left", 1));
        assert!(left.text.contains("1\u{a0}ticket more"), "{}", left.text);
        let field = advice(&Problem::field("/lines", "Stalls: 2 to 8 places per order"));
        assert_eq!(field.text, "Stalls: 2 to 8 places per order.");
        let german = Language::of(Some("de"));
        let field = Problem::field("/lines", "Stalls: 2 to 8 places per order");
        let field = crate::words::spoken(german, || advice(&field));
        assert_eq!(field.text, "Stalls: 2 bis 8 Plätze pro Bestellung.");
        let longest = advice(&Problem::new(Code::NoneLeft).with("longest", 3));
        assert!(longest.text.contains("together are 3"));
    }
}
