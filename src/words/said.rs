//! A text with names in braces, and what stands for them.

use std::fmt::{self, Display};

/// What is said: a text whose names are filled in where it is shown.
#[derive(Clone, Debug)]
pub struct Said {
    text: String,
    with: Vec<(String, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    /// Text within an element that scripts find.
    Within(&'static str, String),
}

/// A part of a text: as it is, or a name.
enum Part<'a> {
    Plain(&'a str),
    Name(&'a str),
}

/// The parts of a text, in order.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let named = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((name, after)) = named {
            rest = after;
            return Some(Part::Name(name));
        }
        // A brace that closes nowhere is a character like others.
        let mut later = rest.char_indices().skip(1);
        let end = later.find(|(_, letter)| *letter == '{').map_or(rest.len(), |(at, _)| at);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Part::Plain(plain))
    })
}

/// The names in a text, sorted.
#[cfg(test)]
pub fn names(text: &str) -> Vec<&str> {
    let name = |part| match part {
        Part::Name(name) => Some(name),
        Part::Plain(_) => None,
    };
    let mut names: Vec<&str> = parts(text).filter_map(name).collect();
    names.sort_unstable();
    names
}

/// What stands for the names of `pattern` in `text`, if that is how it was made.
pub fn filled<'a>(pattern: &str, text: &'a str) -> Option<Vec<(String, &'a str)>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut open: Option<&str> = None;
    for part in parts(pattern) {
        match (part, open.take()) {
            (Part::Plain(plain), None) => rest = rest.strip_prefix(plain)?,
            (Part::Plain(plain), Some(name)) => {
                let (value, after) = rest.split_once(plain)?;
                found.push((name.to_owned(), value));
                rest = after;
            }
            (Part::Name(name), None) => open = Some(name),
            // Two names side by side can't be told apart.
            (Part::Name(_), Some(_)) => return None,
        }
    }
    match open {
        Some(name) => found.push((name.to_owned(), rest)),
        None if !rest.is_empty() => return None,
        None => {}
    }
    Some(found)
}

impl Said {
    /// A text with names that nothing stands for yet.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, with: Vec::new() }
    }

    /// Fills in what stands for a name.
    #[must_use]
    pub fn put(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.with.push((name.into(), Value::Text(value.to_string())));
        self
    }

    /// Fills in what stands for a name, in an element of its own: `span data-count`. Only for
    /// [`Said::html`].
    #[must_use]
    pub fn within(mut self, name: &str, element: &'static str, value: impl Display) -> Self {
        self.with.push((name.to_owned(), Value::Within(element, value.to_string())));
        self
    }

    /// With the tags that the text has; nothing that was filled in can be a tag.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = String::with_capacity(self.text.len() * 2);
        for part in parts(&self.text) {
            match part {
                Part::Plain(plain) => html.push_str(plain),
                Part::Name(name) => match self.value(name) {
                    Some(Value::Text(text)) => html.push_str(&escaped(text)),
                    Some(Value::Within(element, text)) => {
                        let tag = element.split(' ').next().unwrap_or_default();
                        html.push_str(&format!("<{element}>{}</{tag}>", escaped(text)));
                    }
                    None => {}
                },
            }
        }
        html
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.with.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in parts(&self.text) {
            match part {
                Part::Plain(plain) => f.write_str(plain)?,
                Part::Name(name) => {
                    if let Some(Value::Text(text) | Value::Within(_, text)) = self.value(name) {
                        f.write_str(text)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl From<Said> for String {
    fn from(said: Said) -> Self {
        said.to_string()
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}
