//! No file of a crate imports from one that imports from it, in however many steps: each can be read after those that it names.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

mod files;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use files::{Circle, Files};

/// Files that stand on circles still. This list may only get shorter: the test says what to take off it.
const KNOWN: &str = include_str!("known.txt");

/// The folders with a `Cargo.toml`, and with sources of their own.
fn crates(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("Cargo.toml").exists() && folder.join("src").exists() {
        found.push(folder.to_owned());
    }
    for entry in fs_err::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let skipped = ["target", "src", "tests", "benches"].iter().any(|skipped| name == **skipped);
        if entry.file_type().unwrap().is_dir() && !skipped && !name.to_string_lossy().starts_with('.') {
            crates(&entry.path(), found);
        }
    }
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            read(root, &entry, files);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            let name = entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs_err::read_to_string(&entry).unwrap());
        }
    }
}

#[test]
fn no_file_imports_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = Vec::new();
    crates(root, &mut folders);
    assert!(folders.len() > 5, "{folders:?}");
    let known: BTreeSet<&str> = KNOWN.lines().collect();
    let (mut on_circles, mut text) = (BTreeSet::new(), String::new());
    for folder in folders {
        let source = folder.join("src");
        let mut files = BTreeMap::new();
        read(&source, &source, &mut files);
        let place = source.strip_prefix(root).unwrap().display().to_string();
        for Circle { files, imports } in Files::new(&files).circles() {
            let files: BTreeSet<String> = files.into_iter().map(|file| format!("{place}/{file}")).collect();
            if files.iter().any(|file| !known.contains(file.as_str())) {
                text.push_str(&format!(
                    "\n{place}: {} files in a circle\n  {}\n",
                    files.len(),
                    imports.join("\n  ")
                ));
            }
            on_circles.extend(files);
        }
    }
    assert!(text.is_empty(), "move what two files need to a file of its own:\n{text}");
    let free: Vec<&str> = known.into_iter().filter(|known| !on_circles.contains(*known)).collect();
    assert!(free.is_empty(), "on no circle any more, so take them off `known.txt`:\n{}", free.join("\n"));
}

/// The circles of a small crate: the imports on each.
fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Files::new(&files).circles().into_iter().map(|circle| circle.imports).collect()
}

#[test]
fn a_circle_is_found_with_its_imports() {
    let none: Vec<Vec<String>> = Vec::new();
    let lib = ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::{B as Other, make};\n");
    let straight = ("b.rs", "pub struct B;\npub fn make() {}\n");
    assert_eq!(circles(&[lib, ("a.rs", "use crate::b::B;\npub struct A(B);\n"), straight]), none);
    // Through what the root publishes, under another name, in code, and inside of a module.
    for back in [
        "use crate::A;\npub struct B(A);\npub fn make() {}",
        "use super::{b, a::{self, A as C}};\npub struct B(C);\npub fn make() {}",
        "pub struct B(crate::a::A);\npub fn make() {}",
        "use crate::a;\npub struct B;\npub fn make() { a::A::new() }",
        "mod inner { use super::super::A; }\npub struct B;\npub fn make() {}",
    ] {
        let found = circles(&[lib, ("a.rs", "use crate::{Other};\npub struct A(Other);\n"), ("b.rs", back)]);
        assert_eq!(found.len(), 1, "{back}");
        assert_eq!(found[0][0], "a.rs -> b.rs: crate::Other");
        assert!(found[0][1].starts_with("b.rs -> a.rs: "), "{found:?}");
    }
    // What is said, quoted or only tested imports nothing.
    for no in [
        "/// As [`crate::A`]; /* */ crate::A\n/* use crate::A; /* */ */ pub struct B;\npub fn make() { (\"crate::A\", r#\"\"crate::A\"#, '\"', 'a', b'\\''); }",
        "pub struct B;\npub fn make() {}\n#[cfg(test)]\nmod tests { use crate::A; }",
        "#[cfg(test)]\nuse crate::{A};\npub struct B;\npub fn make<'a>() -> impl Sized + use<'a> {}",
    ] {
        assert_eq!(
            circles(&[lib, ("a.rs", "use crate::Other;\npub struct A(Other);\n"), ("b.rs", no)]),
            none,
            "{no}"
        );
    }
}

#[test]
fn a_parent_that_only_passes_names_on_is_on_no_circle() {
    let none: Vec<Vec<String>> = Vec::new();
    let lib = ("lib.rs", "mod p;\n");
    let (one, two) =
        (("p/one.rs", "use super::Two;\npub struct One(Two);\n"), ("p/two.rs", "pub struct Two;\n"));
    assert_eq!(
        circles(&[lib, ("p/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;\n"), one, two]),
        none
    );
    // One that works with what it passes on is.
    let works =
        ("p/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;\npub fn make(_: One) {}\n");
    let back = ("p/one.rs", "use super::make;\npub struct One;\n");
    assert_eq!(
        circles(&[lib, works, back, two]),
        [["p/mod.rs -> p/one.rs: one::One", "p/one.rs -> p/mod.rs: super::make"]]
    );
    // And so is one in three steps.
    let three = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use super::b::B;\npub struct A(B);\n"),
        ("b.rs", "use super::c::C;\npub struct B(C);\n"),
        ("c.rs", "use super::a::A;\npub struct C(A);\n"),
    ];
    assert_eq!(circles(&three).concat().len(), 3);
}
