//! What people are told, in their language: on pages, by scripts and in mails.
//!
//! Each language is one plain file, `web/words/TAG.txt`, inside the binary: another language is
//! another file. English is the first, has every key, and is what is said where another list
//! lacks one. Which language a page is in is known to all that is rendered for a request
//! ([`speaking`]); mails and everything else without a reader say it themselves
//! ([`Language::say`]).

mod list;
mod plural;
mod said;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use self::list::List;
pub use self::list::version;
pub use self::said::Said;

tokio::task_local! {
    static SPOKEN: Language;
}

/// All lists, English first.
static LISTS: LazyLock<Vec<List>> = LazyLock::new(list::all);

/// A language that there is a list for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.tag())
    }
}

impl Language {
    /// Everyone's who asked for none of the others.
    pub const ENGLISH: Self = Self(0);

    /// Every language, English first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LISTS.len()).map(Self)
    }

    /// The language of whoever the page that is being rendered is for.
    #[must_use]
    pub fn current() -> Self {
        SPOKEN.try_with(|language| *language).unwrap_or(Self::ENGLISH)
    }

    /// The language of a BCP 47 tag, `de` as well as `de-AT`, if there is a list for it.
    #[must_use]
    pub fn tagged(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::all().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The language of a locale that somebody chose, or English.
    #[must_use]
    pub fn of(locale: Option<&str>) -> Self {
        locale.and_then(Self::tagged).unwrap_or(Self::ENGLISH)
    }

    /// The best of an `Accept-Language` header (RFC 9110, 12.5.4); among equals the first.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let weighed = header.split(',').filter_map(|range| {
            let mut parts = range.split(';');
            let language = Self::tagged(parts.next()?)?;
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight = weight.map_or(Some(1.0), |text| text.parse::<f32>().ok())?;
            (weight > 0.0).then_some((language, weight))
        });
        let best = |best: Option<(Self, f32)>, next: (Self, f32)| match best {
            Some(known) if known.1 >= next.1 => Some(known),
            _ => Some(next),
        };
        weighed.fold(None, best).map(|(language, _)| language)
    }

    /// Its BCP 47 tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        &LISTS[self.0].tag
    }

    /// What it calls itself.
    #[must_use]
    pub fn own_name(self) -> &'static str {
        self.text("language.name").unwrap_or(self.tag())
    }

    /// What stands under a key, in this language or else in English.
    #[must_use]
    pub fn text(self, key: &str) -> Option<&'static str> {
        let own = LISTS[self.0].texts.get(key);
        own.or_else(|| LISTS[0].texts.get(key)).map(String::as_str)
    }

    /// Says it. A key that nobody has is said itself, which a test would notice.
    #[must_use]
    pub fn say(self, key: &str) -> Said {
        Said::new(self.text(key).map_or_else(|| key.to_owned(), str::to_owned))
    }

    /// Says how many, as the number demands: `key.one`, `key.other`, or what other forms the
    /// language has.
    #[must_use]
    pub fn counted(self, key: &str, number: usize) -> Said {
        let form = format!("{key}.{}", plural::category(self.tag(), number));
        let known = self.text(&form).is_some();
        let key = if known { form } else { format!("{key}.{}", plural::OTHER) };
        self.say(&key).put("n", number)
    }

    /// An English sentence of the program in this language, if a key that begins with `prefix`
    /// has it in English. What varies in the sentence is where the key's text has names.
    #[must_use]
    pub fn retold(self, prefix: &str, english: &str) -> Option<Said> {
        let known = LISTS[0].texts.range(prefix.to_owned()..);
        let mut known = known.take_while(|(key, _)| key.starts_with(prefix));
        known.find_map(|(key, text)| {
            let found = said::filled(text, english)?;
            Some(found.into_iter().fold(self.say(key), |said, (name, value)| said.put(name, value)))
        })
    }

    /// The entries that scripts need, by key.
    #[must_use]
    pub fn for_scripts(self) -> serde_json::Map<String, serde_json::Value> {
        const PREFIXES: [&str; 6] =
            ["script.", "format.", "time.", "count.", "frame.seconds_left", "frame.days_left"];
        self.under(&PREFIXES)
    }

    /// The entries whose keys begin with one of these, by key.
    #[must_use]
    pub fn under(self, prefixes: &[&str]) -> serde_json::Map<String, serde_json::Value> {
        let wanted = |key: &&String| prefixes.iter().any(|prefix| key.starts_with(prefix));
        // Its own forms of counted words, too, which English may lack.
        let keys = LISTS[0].texts.keys().chain(LISTS[self.0].texts.keys()).filter(wanted);
        keys.filter_map(|key| Some((key.clone(), self.text(key)?.into()))).collect()
    }
}

/// Says it in the reader's language.
#[must_use]
pub fn say(key: &str) -> Said {
    Language::current().say(key)
}

/// Says how many in the reader's language.
#[must_use]
pub fn counted(key: &str, number: usize) -> Said {
    Language::current().counted(key, number)
}

/// An English sentence of the program in the reader's language, or as it is.
#[must_use]
pub fn retold(prefix: &str, english: &str) -> String {
    let language = Language::current();
    let said = (language != Language::ENGLISH).then(|| language.retold(prefix, english)).flatten();
    said.map_or_else(|| english.to_owned(), String::from)
}

/// Runs a request whose reader speaks this language.
pub async fn speaking<F: Future>(language: Language, request: F) -> F::Output {
    SPOKEN.scope(language, request).await
}

/// The same for what doesn't wait.
pub fn spoken<R>(language: Language, say: impl FnOnce() -> R) -> R {
    SPOKEN.sync_scope(language, say)
}
