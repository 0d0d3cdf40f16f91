//! The help of every command, with its examples.

use crate::sandbox::{Sandbox, check};

#[test]
fn every_command_has_help_with_examples() {
    let sandbox = Sandbox::new();
    let commands = [
        "",
        "run",
        "plan",
        "explain",
        "graph",
        "show",
        "table",
        "logs",
        "runs",
        "runs show",
        "diff",
        "stages",
        "schema",
        "predict",
        "cache",
        "cache stats",
        "cache verify",
        "cache gc",
        "cache pin",
        "cache unpin",
        "init",
        "completions",
    ];
    for command in commands {
        let help = sandbox.ok(format!("{command} --help").trim_start());
        assert!(help.stderr.is_empty(), "{help}");
        if !command.is_empty() {
            assert!(help.stdout.contains("Examples:\n  sndpipe "), "`{command}` has no example\n{help}");
        }
        check(&format!("help_{}", command.replace(' ', "_")), &help);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let ran = Sandbox::new().ok("--version");
    assert_eq!(ran.stdout, format!("sndpipe {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let sandbox = Sandbox::toy();
    for line in [
        "frobnicate",
        "run",
        "run toy.yaml --jobs 0",
        "run toy.yaml --set word",
        "run toy.yaml --device tpu",
        "run toy.yaml --log loud",
        "show toy.yaml words --as csv",
    ] {
        let ran = sandbox.ends(line, 2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran}");
    }
    let ran = sandbox.ends("plna toy.yaml", 2);
    assert!(ran.stderr.contains("'plan'"), "{ran}");
    assert!(!sandbox.path(".sndpipe").exists(), "a wrong command line made a cache");
}
