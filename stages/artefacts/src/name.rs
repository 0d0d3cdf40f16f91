//! Names that look the same.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A name in normal form C, in which names that look the same are the same.
#[must_use]
pub fn composed(name: &str) -> String {
    if is_nfc(name) { name.to_owned() } else { name.nfc().collect() }
}
