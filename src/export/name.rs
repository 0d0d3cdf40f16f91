//! Names of exported files: readable, and different for what is different on every file system.

use std::collections::BTreeMap;

use sndpipe_cache::Digest;
use unicode_normalization::UnicodeNormalization as _;

/// The most bytes of a name before its hash and extension. File systems take 255, and while a file is written it has a longer name.
const LONGEST: usize = 180;
/// The hexadecimal digits of a hash in a name.
const HASH: usize = 12;

/// The file names of things with names of their own, such as `model[fold=1,loss=lq]` or clip ids, without extensions.
///
/// Letters, digits and `.-_=` stay. What cannot stay, or cannot be told from another name on a file system that ignores case or the form
/// of letters with accents, has a hash of the whole name behind it.
pub struct Names(BTreeMap<String, usize>);

impl Names {
    /// Names for all of these, whichever of them are written.
    pub fn new(names: impl Iterator<Item = impl AsRef<str>>) -> Self {
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for name in names {
            *alike.entry(folded(&slug(name.as_ref()).0)).or_default() += 1;
        }
        Self(alike)
    }

    /// The file name of one of them.
    pub fn of(&self, name: &str) -> String {
        self.of_short(name, name)
    }

    /// The same, where these are shortened forms of names, of which several may have one.
    pub fn of_short(&self, short: &str, name: &str) -> String {
        let (slug, faithful) = slug(short);
        if faithful && self.0.get(&folded(&slug)).is_none_or(|&alike| alike == 1) {
            return slug;
        }
        format!("{slug}-{}", &Digest::of(name.as_bytes()).to_string()[..HASH])
    }
}

/// What can be kept of a name, and whether that tells all of it: `model[fold=1,loss=lq]` becomes `model_fold=1_loss=lq`.
fn slug(name: &str) -> (String, bool) {
    let mut faithful = true;
    let mut slug = String::with_capacity(name.len());
    let (mut inside, mut closed) = (false, false);
    for character in name.chars() {
        match character {
            '[' if !inside && !closed => {
                inside = true;
                slug.push('_');
            }
            ',' if inside => slug.push('_'),
            ']' if inside => (inside, closed) = (false, true),
            _ if character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | '=') => {
                slug.push(character)
            }
            _ => {
                faithful = false;
                if !slug.ends_with('_') {
                    slug.push('_');
                }
            }
        }
    }
    let kept = slug.trim_matches('.');
    faithful &= kept.len() == slug.len() && !kept.is_empty() && kept.len() <= LONGEST && !is_taken(kept);
    let end = (0..=LONGEST.min(kept.len())).rev().find(|&end| kept.is_char_boundary(end)).unwrap_or(0);
    let kept = if kept.is_empty() { "unnamed" } else { &kept[..end] };
    (kept.to_owned(), faithful)
}

/// Whether a name means a device to Windows, or looks like one with a hash.
fn is_taken(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let device = matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || numbered.is_some_and(|digit| digit.chars().count() == 1);
    let hash = name.rsplit_once('-').map_or("", |(_, hash)| hash);
    device || hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The same text for names that some file system takes for one.
fn folded(slug: &str) -> String {
    let upper: String = slug.nfkd().flat_map(char::to_uppercase).collect();
    upper.nfkd().flat_map(char::to_lowercase).nfkd().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[track_caller]
    fn all(names: &[&str]) -> Vec<String> {
        let made = Names::new(names.iter());
        let files: Vec<String> = names.iter().map(|name| made.of(name)).collect();
        let different: BTreeSet<String> = files.iter().map(|file| folded(file)).collect();
        assert_eq!(different.len(), names.len(), "{files:?}");
        for file in &files {
            assert!(
                file.len() <= LONGEST + 1 + HASH && !file.starts_with('.') && !file.ends_with('.'),
                "{file}"
            );
            assert!(
                !file.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|', ' ', '\0', '\n']),
                "{file}"
            );
        }
        files
    }

    #[test]
    fn plain_names_stay_readable() {
        let plain = [
            "model[fold=1,loss=lq].history",
            "model[fold=2,loss=lq]",
            "c",
            "1-100032-A-0.ogg",
            "c[x=größe]",
            "c[x=0.5]",
        ];
        assert_eq!(
            all(&plain),
            [
                "model_fold=1_loss=lq.history",
                "model_fold=2_loss=lq",
                "c",
                "1-100032-A-0.ogg",
                "c_x=größe",
                "c_x=0.5"
            ]
        );
    }

    #[test]
    fn different_names_have_different_files() {
        let files = all(&[
            "c[x=a/b]",
            "c[x=a b]",
            "c[x=a:b]",
            "c[x=a|b]",
            "c[x=a*b]",
            "c[x=a_b]",
            "c[x=a__b]",
            "c[x=a/ b]",
        ]);
        assert!(files.iter().all(|file| file.starts_with("c_x=a_")), "{files:?}");
        all(&[
            "A",
            "a",
            "ß",
            "ss",
            "SS",
            "ſs",
            "É",
            "é",
            "e\u{301}",
            "가",
            "\u{1100}\u{1161}",
            "ﬁ",
            "fi",
            "İ",
            "i",
        ]);
        all(&[
            "", ".", "..", "...", "/", "a.", "a", ".a", " ", "\n", "\0", "…", "con", "NUL.txt", "com1",
            "lpt9.x", "unnamed",
        ]);
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        let wide = "é".repeat(200);
        all(&[&long, &longer, &wide, &long[..LONGEST], &long[..=LONGEST]]);
        all(&["model[a_fold=1]", "model_a[fold=1]", "model[fold=1.history]", "model[fold=1].history"]);
        let hashed = Names::new(["a/b"].iter()).of("a/b");
        all(&["a/b", &hashed, "a b"]);
    }

    /// What a cell is called does not depend on which other cells are written with it.
    #[test]
    fn names_depend_on_all_that_there_are() {
        let names = Names::new(["a", "A", "b"].iter());
        assert_eq!(names.of("b"), "b");
        assert!(names.of("a").starts_with("a-") && names.of("A").starts_with("A-"), "{}", names.of("a"));
    }
}
