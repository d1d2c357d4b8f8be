//! Every language says everything, with the same names; and everything that is asked for is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Keys that are put together where they are used.
const PUT_TOGETHER: [&str; 21] = [
    "problem.",
    "reason.",
    "told.",
    "scene.",
    "stage.",
    "standing.",
    "date.",
    "format.",
    "time.",
    "script.",
    "count.",
    "mail.",
    "language.",
    "refund.",
    "decline.",
    "hold.taken.",
    "ticket.",
    "tickets.",
    "draw.",
    "embed.",
    "view.",
];

fn german() -> Language {
    Language::tagged("de").unwrap()
}

/// Tags and attributes of a text, in order.
fn tags(text: &str) -> Vec<&str> {
    text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag).collect()
}

/// English's keys, with the forms of counted words that another language has.
fn expected_keys(english: &List, tag: &str) -> BTreeSet<String> {
    let forms = plural::categories(tag).unwrap_or_else(|| panic!("no plural rule for {tag}"));
    let counted = |key: &str| {
        let (base, form) = key.rsplit_once('.')?;
        let all = ["one", plural::OTHER].map(|form| format!("{base}.{form}"));
        let known = all.iter().all(|key| english.texts.contains_key(key));
        (known && all.iter().any(|known| known == key)).then_some((base.to_owned(), form == "one"))
    };
    let of_key = |key: &String| match counted(key) {
        None => vec![key.clone()],
        Some((_, true)) => Vec::new(),
        Some((base, false)) => {
            let forms = forms.iter().chain(&[plural::OTHER]);
            forms.map(|form| format!("{base}.{form}")).collect()
        }
    };
    english.texts.keys().flat_map(of_key).collect()
}

#[test]
fn a_language_has_the_forms_of_counted_words_that_it_needs() {
    let polish = expected_keys(&LISTS[0], "pl");
    for form in ["one", "few", "many", "other"] {
        assert!(polish.contains(&format!("count.tickets.{form}")), "{form}");
    }
    assert!(polish.contains("decline.other") && !polish.contains("decline.few"));
    assert!(!expected_keys(&LISTS[0], "ja").contains("count.tickets.one"));
}

#[test]
fn every_language_has_every_key_with_the_same_names() {
    let english = &LISTS[0];
    assert_eq!(english.tag, "en");
    for list in LISTS.iter() {
        let expected = expected_keys(english, &list.tag);
        let keys: BTreeSet<_> = list.texts.keys().cloned().collect();
        let difference: Vec<_> = expected.symmetric_difference(&keys).cloned().collect();
        assert!(difference.is_empty(), "{}: {difference:?}", list.tag);
        for (key, text) in &list.texts {
            let first = english.texts.get(key).unwrap_or_else(|| {
                let (counted, _) = key.rsplit_once('.').unwrap();
                &english.texts[&format!("{counted}.{}", plural::OTHER)]
            });
            assert!(!text.trim().is_empty(), "{}: {key} is empty", list.tag);
            assert_eq!(said::names(text), said::names(first), "{}: {key}", list.tag);
            let (mut own, mut theirs) = (tags(text), tags(first));
            own.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(own, theirs, "{}: {key}", list.tag);
            assert!(own.is_empty() || key.ends_with("_html"), "{}: {key}", list.tag);
            assert!(!text.contains("  "), "{}: {key}", list.tag);
        }
        for (key, many) in [("days", 7), ("days_short", 7), ("months", 12), ("months_short", 12)] {
            let text = &list.texts[&format!("date.{key}")];
            assert_eq!(text.split(' ').count(), many, "{}: {key}", list.tag);
        }
    }
}

#[test]
fn no_key_is_twice_in_a_file() {
    for language in Language::all() {
        let path = format!("web/words/{}.txt", language.tag());
        let file = std::fs::read_to_string(path).unwrap();
        let mut seen = BTreeSet::new();
        for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, _) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            assert!(seen.insert(key), "{}: {key}", language.tag());
        }
    }
}

/// Texts of all files below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs" || ext == "html" || ext == "js") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn what_is_asked_for_is_there_and_what_is_there_is_asked_for() {
    let mut text = String::new();
    for folder in ["src", "web/templates", "web/static"] {
        sources(Path::new(folder), &mut text);
    }
    for call in ["say(\"", "counted(\""] {
        for after in text.split(call).skip(1) {
            let key = after.split('"').next().unwrap();
            let forms = [key.to_owned(), format!("{key}.one"), format!("script.{key}")];
            let known = forms.iter().any(|key| LISTS[0].texts.contains_key(key));
            // Keys in this module's own words, and those put together, have other characters.
            let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            assert!(known || !plain || !key.contains('.'), "{key} is in no list");
        }
    }
    for key in LISTS[0].texts.keys() {
        let together = PUT_TOGETHER.iter().any(|prefix| key.starts_with(prefix));
        assert!(together || text.contains(&format!("\"{key}\"")), "{key} is never said");
    }
}

#[test]
fn names_are_filled_in_and_nothing_filled_in_is_a_tag() {
    let said = Said::new("<b>{a}</b> of {b}, {a}{none}".to_owned());
    let said = said.put("a", "<1>").within("b", "span data-b", "{a} & 2");
    assert_eq!(said.to_string(), "<b><1></b> of {a} & 2, <1>");
    let html = "<b>&lt;1&gt;</b> of <span data-b>{a} &amp; 2</span>, &lt;1&gt;";
    assert_eq!(said.html(), html);
}

#[test]
fn what_the_program_tells_in_english_is_retold() {
    let told = |text: &str| german().retold("reason.", text).map(String::from);
    assert_eq!(
        told("Stalls: 2 to 8 places per order").as_deref(),
        Some("Stalls: 2 bis 8 Plätze pro Bestellung")
    );
    assert_eq!(told("a code has 6 digits").as_deref(), Some("Ein Code hat 6 Ziffern"));
    assert_eq!(told("something else"), None);
    assert_eq!(spoken(german(), || retold("reason.", "something else")), "something else");
}

#[test]
fn the_best_language_that_is_accepted_is_spoken() {
    let of = |header: &str| Language::accepted(header).map(Language::tag);
    assert_eq!(of("de-AT,de;q=0.9,en;q=0.8"), Some("de"));
    assert_eq!(of("fr, en;q=0.5, de;q=0.7"), Some("de"));
    assert_eq!(of("en, de"), Some("en"));
    assert_eq!(of("fr;q=1, de;q=0"), None);
    assert_eq!(of("de;q=x"), None);
    assert_eq!(of(""), None);
    assert_eq!(Language::of(Some("de_CH")), german());
    assert_eq!(Language::of(Some("xx")), Language::ENGLISH);
}

#[test]
fn a_page_is_in_its_readers_language() {
    assert_eq!(say("frame.sign_in").to_string(), "Sign in");
    assert_eq!(spoken(german(), || say("frame.sign_in").to_string()), "Anmelden");
    let places = |n| spoken(german(), || counted("count.places", n).to_string());
    assert_eq!((places(1).as_str(), places(2).as_str()), ("1\u{a0}Platz", "2\u{a0}Plätze"));
}
