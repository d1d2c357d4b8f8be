//! Which form of a word a number demands: the plural categories of Unicode's CLDR, for whole
//! numbers. Browsers know the same rules (`Intl.PluralRules`).

/// The form of a key that every counted word has, for all numbers without one of their own.
pub const OTHER: &str = "other";

/// A language's rule: the category of a number.
type Rule = fn(usize) -> &'static str;

/// Rules and the categories that they have besides [`OTHER`], by the languages that have them.
const RULES: [(&[&str], Rule, &[&str]); 12] = [
    (
        &[
            "bg", "ca", "da", "de", "el", "en", "es", "et", "eu", "fi", "gl", "hu", "it", "nb",
            "nl", "nn", "no", "sq", "sv", "sw", "tr",
        ],
        |n| if n == 1 { "one" } else { OTHER },
        &["one"],
    ),
    (&["bn", "fa", "fr", "hi", "hy", "pt", "zu"], |n| if n <= 1 { "one" } else { OTHER }, &["one"]),
    (&["id", "ja", "ko", "ms", "th", "vi", "zh"], |_| OTHER, &[]),
    (&["pl"], polish, &["one", "few", "many"]),
    (&["be", "ru", "uk"], russian, &["one", "few", "many"]),
    (&["bs", "hr", "sr"], serbian, &["one", "few"]),
    (&["cs", "sk"], czech, &["one", "few"]),
    (&["ro"], romanian, &["one", "few"]),
    (&["lt"], lithuanian, &["one", "few"]),
    (&["sl"], slovene, &["one", "two", "few"]),
    (&["ar"], arabic, &["zero", "one", "two", "few", "many"]),
    (&["he"], hebrew, &["one", "two"]),
];

const fn few(n: usize) -> bool {
    matches!(n % 10, 2..=4) && !matches!(n % 100, 12..=14)
}

const fn polish(n: usize) -> &'static str {
    match n {
        1 => "one",
        n if few(n) => "few",
        _ => "many",
    }
}

const fn russian(n: usize) -> &'static str {
    match n {
        n if n % 10 == 1 && n % 100 != 11 => "one",
        n if few(n) => "few",
        _ => "many",
    }
}

const fn serbian(n: usize) -> &'static str {
    match n {
        n if n % 10 == 1 && n % 100 != 11 => "one",
        n if few(n) => "few",
        _ => OTHER,
    }
}

const fn czech(n: usize) -> &'static str {
    match n {
        1 => "one",
        2..=4 => "few",
        _ => OTHER,
    }
}

const fn romanian(n: usize) -> &'static str {
    match n {
        1 => "one",
        n if n == 0 || matches!(n % 100, 1..=19) => "few",
        _ => OTHER,
    }
}

const fn lithuanian(n: usize) -> &'static str {
    match (n % 10, n % 100) {
        (_, 11..=19) => OTHER,
        (1, _) => "one",
        (2..=9, _) => "few",
        _ => OTHER,
    }
}

const fn slovene(n: usize) -> &'static str {
    match n % 100 {
        1 => "one",
        2 => "two",
        3 | 4 => "few",
        _ => OTHER,
    }
}

const fn arabic(n: usize) -> &'static str {
    match (n, n % 100) {
        (0, _) => "zero",
        (1, _) => "one",
        (2, _) => "two",
        (_, 3..=10) => "few",
        (_, 11..=99) => "many",
        _ => OTHER,
    }
}

const fn hebrew(n: usize) -> &'static str {
    match n {
        1 => "one",
        2 => "two",
        _ => OTHER,
    }
}

fn rule(tag: &str) -> Option<&'static (&'static [&'static str], Rule, &'static [&'static str])> {
    let primary = tag.split('-').next().unwrap_or_default();
    RULES.iter().find(|(tags, ..)| tags.contains(&primary))
}

/// The category of a number in a language.
#[must_use]
pub fn category(tag: &str, number: usize) -> &'static str {
    rule(tag).map_or(OTHER, |(_, rule, _)| rule(number))
}

/// The categories that a language's counted words have besides [`OTHER`]; `None` for a language
/// whose rule isn't known here.
#[cfg(test)]
pub fn categories(tag: &str) -> Option<&'static [&'static str]> {
    rule(tag).map(|(.., categories)| *categories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tag: &str, numbers: &[usize]) -> Vec<&'static str> {
        numbers.iter().map(|number| category(tag, *number)).collect()
    }

    // As `new Intl.PluralRules(tag).select(number)` says.
    #[test]
    fn numbers_have_the_category_that_browsers_give_them() {
        assert_eq!(of("en", &[0, 1, 2, 21]), ["other", "one", "other", "other"]);
        assert_eq!(of("fr", &[0, 1, 2]), ["one", "one", "other"]);
        assert_eq!(of("ja", &[1, 2]), ["other", "other"]);
        let polish = of("pl", &[0, 1, 2, 4, 5, 12, 21, 22, 112, 122]);
        let expected = ["many", "one", "few", "few", "many", "many", "many", "few", "many", "few"];
        assert_eq!(polish, expected);
        assert_eq!(of("ru", &[1, 11, 21, 22, 25]), ["one", "many", "one", "few", "many"]);
        assert_eq!(of("hr", &[1, 3, 5, 11]), ["one", "few", "other", "other"]);
        assert_eq!(of("cs", &[1, 2, 4, 5, 22]), ["one", "few", "few", "other", "other"]);
        assert_eq!(of("ro", &[0, 1, 19, 20, 101]), ["few", "one", "few", "other", "few"]);
        assert_eq!(of("lt", &[1, 2, 11, 21, 30]), ["one", "few", "other", "one", "other"]);
        assert_eq!(of("sl", &[1, 2, 3, 5, 101]), ["one", "two", "few", "other", "one"]);
        let arabic = of("ar", &[0, 1, 2, 3, 10, 11, 99, 100, 102, 103]);
        let expected =
            ["zero", "one", "two", "few", "few", "many", "many", "other", "other", "few"];
        assert_eq!(arabic, expected);
        assert_eq!(of("he", &[1, 2, 3]), ["one", "two", "other"]);
        assert_eq!(of("xx", &[1, 2]), ["other", "other"]);
    }

    #[test]
    fn a_rule_gives_what_it_says_and_no_language_has_two() {
        let mut seen = std::collections::BTreeSet::new();
        for (tags, rule, categories) in RULES {
            assert!(tags.iter().all(|tag| seen.insert(*tag)), "{tags:?}");
            let given: std::collections::BTreeSet<_> = (0..200).map(rule).collect();
            assert!(categories.iter().all(|known| given.contains(known)), "{tags:?}");
            assert!(given.iter().all(|g| *g == OTHER || categories.contains(g)), "{tags:?}");
        }
    }
}
