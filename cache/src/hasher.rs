//! Canonical hashing: every part carries its length, so that no two sequences of parts collide.

use serde_json::Value;

use crate::Digest;

/// Hashes a sequence of typed parts under a domain.
///
/// Texts and byte strings are preceded by their length as a little-endian `u64`, numbers are little-endian `u64`,
/// digests are their 32 bytes. The domain comes first, so that equal parts of different meaning differ.
#[derive(Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a hash of the given domain, such as `"artefact"`.
    pub fn new(domain: &str) -> Hasher {
        let mut hasher = Hasher(blake3::Hasher::new());
        hasher.str(domain);
        hasher
    }

    /// Appends a text with its length.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a byte string with its length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    /// Appends a number.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Appends a digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.update(&digest.0);
        self
    }

    /// Appends a JSON value in canonical form: keys sorted at every level, no white space.
    pub fn json(&mut self, value: &Value) -> &mut Self {
        let mut text = String::new();
        canonical_json(value, &mut text);
        self.str(&text)
    }

    /// Appends bytes without a length; for callers whose parts delimit themselves.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Returns the digest of the parts so far.
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// Writes JSON with sorted keys, whatever map type serde_json was built with.
fn canonical_json(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical_json(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical_json(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let ab_c = Hasher::new("t").str("ab").str("c").finish();
        let a_bc = Hasher::new("t").str("a").str("bc").finish();
        assert_ne!(ab_c, a_bc);
        assert_ne!(Hasher::new("t").str("x").finish(), Hasher::new("u").str("x").finish());
    }

    #[test]
    fn layout_is_lengths_and_bytes() {
        // The definition, written out by hand.
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, b't', 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i'];
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([9; 32]);
        let got = Hasher::new("t").str("hi").u64(7).digest(&Digest([9; 32])).finish();
        assert_eq!(got, Digest::of(&bytes));
    }

    #[test]
    fn json_keys_are_sorted_at_every_level() {
        let value: Value = serde_json::from_str(r#"{"b":{"d":1,"c":[true,null]},"a":"x\"y"}"#).unwrap();
        let mut text = String::new();
        canonical_json(&value, &mut text);
        assert_eq!(text, r#"{"a":"x\"y","b":{"c":[true,null],"d":1}}"#);
    }
}
