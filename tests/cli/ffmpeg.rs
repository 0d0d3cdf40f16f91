//! `decoder: ffmpeg`: the program is found before the run, and its digest is part of the key.

use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::{Ran, Sandbox};

const PIPELINE: &str = "version: 1
name: speech
stages:
  clips: { uses: dataset.folder, with: { root: data } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000, decoder: ffmpeg } }
";

/// A data set of one file, and a program that decodes every file to three samples.
fn speech() -> Sandbox {
    let mut sound = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    sound.extend(8000u32.to_le_bytes());
    sound.extend(32_000u32.to_le_bytes());
    sound.extend(b"\x04\0\x20\0data\xff\xff\xff\xff");
    sound.extend([0.5f32, -0.25, 0.0].map(f32::to_le_bytes).concat());
    let sandbox = Sandbox::new().file("speech.yaml", PIPELINE);
    sandbox.write("data/say/a.wav", "#!AMR\n");
    sandbox.write("lib/sound", sound);
    program(&sandbox, "first");
    fs_err::create_dir_all(sandbox.path("bin")).unwrap();
    fs_err::os::unix::fs::symlink(sandbox.path("lib/ffmpeg"), sandbox.path("bin/ffmpeg")).unwrap();
    sandbox
}

fn program(sandbox: &Sandbox, version: &str) {
    let sound = sandbox.path("lib/sound");
    sandbox.write("lib/ffmpeg", format!("#!/bin/sh\n# {version}\ncat '{}'\n", sound.display()));
    let all = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(sandbox.path("lib/ffmpeg"), all).unwrap();
}

fn run(sandbox: &Sandbox, path: &str) -> Ran {
    let output = sandbox
        .command(["run", "speech.yaml", "--format", "json"])
        .env("PATH", format!("{}:{path}", sandbox.path("bin").display()))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

#[test]
fn another_program_decodes_anew() {
    let sandbox = speech();
    let ran = run(&sandbox, "/usr/bin:/bin");
    assert_eq!(ran.statuses(), ["audio ran", "clips ran"], "{ran}");
    let ran = run(&sandbox, "/usr/bin:/bin");
    assert_eq!(ran.statuses(), ["audio cached", "clips cached"], "{ran}");
    program(&sandbox, "second");
    let ran = run(&sandbox, "/usr/bin:/bin");
    assert_eq!(ran.statuses(), ["audio ran", "clips cached"], "{ran}");
    assert!(ran.stdout.contains("\"rows_computed\":1"), "rows are not reused either\n{ran}");
}

#[test]
fn a_program_that_is_not_there_is_told_before_the_run() {
    let sandbox = speech();
    fs_err::remove_file(sandbox.path("bin/ffmpeg")).unwrap();
    let ran = run(&sandbox, "/nowhere");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("the program `ffmpeg` is not in PATH"), "{ran}");
}
