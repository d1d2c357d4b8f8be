//! What is special about a seat, as a small set.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A set of seat attributes. On the wire a list of words (`["aisle", "accessible"]`), in the
/// database its [`bits`](Attributes::bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(u16);

/// Every attribute with its word, lowest bit first. Bits are stored: never renumber them.
const WORDS: [(Attributes, &str); 4] = [
    (Attributes::ACCESSIBLE, "accessible"),
    (Attributes::COMPANION, "companion"),
    (Attributes::RESTRICTED_VIEW, "restricted_view"),
    (Attributes::AISLE, "aisle"),
];

impl Attributes {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// Suits a wheelchair user.
    pub const ACCESSIBLE: Self = Self(1);
    /// Belongs to an accessible seat beside it, for whoever comes along.
    pub const COMPANION: Self = Self(1 << 1);
    /// Part of what happens can't be seen from here.
    pub const RESTRICTED_VIEW: Self = Self(1 << 2);
    /// Stands at an aisle. Two consecutive aisle seats have the aisle between them.
    pub const AISLE: Self = Self(1 << 3);

    /// The set as bits, for storage.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits, or none if a bit means nothing.
    #[must_use]
    pub fn from_bits(bits: u16) -> Option<Self> {
        let known = WORDS.iter().fold(0, |all, (attribute, _)| all | attribute.0);
        (bits & !known == 0).then_some(Self(bits))
    }

    /// The attribute with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(attribute, _)| *attribute)
    }

    /// Whether every attribute of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The words of the set, always in the same order.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.iter().filter(move |(one, _)| self.contains(*one)).map(|(_, word)| *word)
    }

    /// Every word there is, for messages.
    pub(super) fn known_words() -> String {
        WORDS.map(|(_, word)| word).join(", ")
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of attributes ({})", Attributes::known_words())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Attributes, A::Error> {
                let mut set = Attributes::NONE;
                while let Some(word) = list.next_element::<Word>()? {
                    set = set.with(word.0);
                }
                Ok(set)
            }
        }

        deserializer.deserialize_seq(Words)
    }
}

/// One word of the list. A type of its own, because it must read strings that are borrowed
/// from the input as well as strings that are not.
struct Word(Attributes);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneWord;

        impl Visitor<'_> for OneWord {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", Attributes::known_words())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Word, E> {
                Attributes::from_word(word)
                    .map(Word)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
            }
        }

        deserializer.deserialize_str(OneWord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_words_name_the_same_set() {
        for bits in 0..16 {
            let set = Attributes::from_bits(bits).expect("four attributes have these bits");
            let from_words = set
                .words()
                .map(|word| Attributes::from_word(word).expect("it names its own words"))
                .fold(Attributes::NONE, Attributes::with);
            assert_eq!(from_words, set);
            assert_eq!(set.bits(), bits);
        }
        assert_eq!(Attributes::from_bits(16), None);
        assert_eq!(Attributes::from_bits(u16::MAX), None);
        assert_eq!(Attributes::from_word("Aisle"), None);
    }

    #[test]
    fn the_wire_form_is_a_list_of_words() {
        let set = Attributes::ACCESSIBLE.with(Attributes::AISLE);
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["accessible","aisle"]"#);
        let back: Attributes = serde_json::from_str(r#"["aisle","accessible","aisle"]"#).unwrap();
        assert_eq!(back, set);
        let error = serde_json::from_str::<Attributes>(r#"["window"]"#).unwrap_err().to_string();
        assert!(error.contains("restricted_view"), "{error}");
        assert!(serde_json::from_str::<Attributes>("8").is_err());
    }
}
