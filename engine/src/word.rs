//! Texts that very many have in common, such as the names of columns.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text of which equal ones share their memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(Arc<str>);

/// So many are known at most: names that are all different are not worth knowing.
const MOST: usize = 10_000;

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        thread_local! {
            static KNOWN: RefCell<BTreeSet<Arc<str>>> = const { RefCell::new(BTreeSet::new()) };
        }
        KNOWN.with_borrow_mut(|known| match known.get(text) {
            Some(word) => Self(Arc::clone(word)),
            None => {
                let word: Arc<str> = text.into();
                if known.len() < MOST {
                    known.insert(Arc::clone(&word));
                }
                Self(word)
            }
        })
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_share_their_memory() {
        let (one, other) = (Word::from("clip_id"), Word::from("label"));
        let read: Vec<Word> = serde_json::from_str(r#"["clip_id", "label", "clip\u005fid"]"#).unwrap();
        assert_eq!(read, [one.clone(), other, one.clone()]);
        assert!(Arc::ptr_eq(&read[0].0, &one.0) && Arc::ptr_eq(&read[2].0, &one.0));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["clip_id","label","clip_id"]"#);
        let all: Vec<Word> = (0..2 * MOST).map(|n| Word::from(n.to_string().as_str())).collect();
        assert_eq!(&*all[2 * MOST - 1], (2 * MOST - 1).to_string());
    }
}
