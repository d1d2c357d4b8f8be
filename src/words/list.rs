//! The lists as they are read from their files.

use std::collections::BTreeMap;

use rust_embed::RustEmbed;

/// The tag of the list that has every key.
const FIRST: &str = "en";

#[derive(RustEmbed)]
#[folder = "web/words"]
struct Files;

/// What one language says.
pub struct List {
    /// Its BCP 47 tag: the file's name.
    pub tag: String,
    /// Texts by key.
    pub texts: BTreeMap<String, String>,
}

/// Every list, the first of them English.
pub fn all() -> Vec<List> {
    let mut lists: Vec<List> = Files::iter()
        .filter_map(|name| {
            let tag = name.strip_suffix(".txt")?.to_owned();
            let file = Files::get(&name)?;
            Some(List { tag, texts: read(&String::from_utf8_lossy(&file.data)) })
        })
        .collect();
    lists.sort_by(|a, b| (a.tag != FIRST, &a.tag).cmp(&(b.tag != FIRST, &b.tag)));
    lists
}

/// A hash over all files: addresses of what is made from them change with it.
pub fn version(hash: &mut sha2::Sha256) {
    use sha2::Digest;
    for name in Files::iter() {
        if let Some(file) = Files::get(&name) {
            hash.update(name.as_bytes());
            hash.update(file.metadata.sha256_hash());
        }
    }
}

/// The entries of a file: `key = text`, one per line; lines that begin with `#` are comments.
pub fn read(file: &str) -> BTreeMap<String, String> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let entries = lines.filter_map(|line| line.split_once(" = "));
    entries.map(|(key, text)| (key.trim().to_owned(), text.replace('~', "\u{a0}"))).collect()
}
