//! What is wrong before anything runs, and caches that cannot be used.

use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::{Sandbox, check};

#[test]
fn mistakes_of_a_file_are_shown_together() {
    let sandbox = Sandbox::toy();
    sandbox.edit(
        "toy.yaml",
        "in: { text: words }\n    with: { program: [\"cp\"",
        "in: { text: wrods }\n    with: { programm: [\"cp\"",
    );
    let ran = sandbox.ends("run toy.yaml", 2);
    assert!(ran.stdout.is_empty());
    check("spec_two_mistakes", &ran);
}

#[test]
fn overrides_are_checked_like_the_file() {
    let sandbox = Sandbox::toy();
    check("set_unknown", sandbox.ends("run toy.yaml --set wrod=x", 2));
    check("set_malformed", sandbox.ends("run toy.yaml --set word", 2));
}

#[test]
fn a_missing_file_is_named() {
    let sandbox = Sandbox::toy();
    check("no_file", sandbox.ends("run tpy.yaml", 2));
}

#[test]
fn an_unknown_stage_or_cell_is_named() {
    let sandbox = Sandbox::toy();
    check("no_stage", sandbox.ends("run toy.yaml cuont", 2));
    sandbox.ends("run toy.yaml --force nothing", 2);
    sandbox.ends("explain toy.yaml words[fold=1]", 2);
    sandbox.ends("show toy.yaml words.nothing", 2);
    check("no_kind", sandbox.ends("stages comand", 2));
}

#[test]
fn a_missing_data_set_ends_with_2_at_its_place() {
    let text = "version: 1\nname: data\nstages:\n  clips: { uses: dataset.csv, with: { manifest: missing/clips.csv } }\n";
    let sandbox = Sandbox::new().file("data.yaml", text);
    check("no_data", sandbox.ends("run data.yaml", 2));
}

#[test]
fn a_cache_that_cannot_be_used_ends_with_3() {
    let sandbox = Sandbox::toy().file("taken", "a file where the cache should be");
    check("cache_is_a_file", sandbox.ends("run toy.yaml --cache taken", 3));
    check("cache_below_a_file", sandbox.ends("runs --cache taken/below", 3));
    let closed = sandbox.path("closed");
    fs_err::create_dir(&closed).unwrap();
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Who may write anywhere cannot be kept out by permissions.
    if fs_err::write(closed.join("probe"), "").is_err() {
        sandbox.ends("run toy.yaml --cache closed", 3);
    }
}

#[test]
fn results_that_are_not_there_end_with_1() {
    let sandbox = Sandbox::toy();
    check("show_none", sandbox.ends("show toy.yaml words", 1));
    check("table_none", sandbox.ends("table toy.yaml", 2));
}
