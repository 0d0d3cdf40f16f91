//! File systems whose times do not tell: images that were made reproducibly, and clocks that count in seconds. Mounting them needs root,
//! a mount name space and loop devices.

use std::process::Command;

use crate::sandbox::Sandbox;

const COPY: &str = "version: 1
name: copy
stages:
  x: { uses: command, with: { program: [cp, m/f, '{out.x}'], files: [m/f], outputs: { x: file } } }
";

/// Runs a script in a mount name space of its own, with the program as `$SP`; `None`, with a reason, where a tool or a right is missing.
fn mounted(sandbox: &Sandbox, tools: &[&str], script: &str) -> Option<String> {
    fs_err::create_dir_all(sandbox.path("m")).unwrap();
    let try_all = tools.iter().map(|tool| format!("command -v {tool}")).collect::<Vec<_>>().join(" && ");
    let probe = format!("{try_all} && mount -t tmpfs none m && umount m && losetup -f");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-ec", script]).current_dir(sandbox.path(""));
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("NO_COLOR", "1");
        command.env("SP", env!("CARGO_BIN_EXE_sndpipe")).output()
    };
    if !unshare(&probe).is_ok_and(|probe| probe.status.success()) {
        skip(&format!("{} and the right to mount an image are needed", tools.join(", ")));
        return None;
    }
    let done = unshare(script).unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    Some(text)
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// What each run hashed and did, in one line each.
fn runs(text: &str) -> Vec<String> {
    let mut runs = Vec::new();
    let mut hashed = "";
    for line in text.lines() {
        if let Some((_, what)) = line.split_once("source files hashed: ") {
            hashed = what.split_once(' ').map_or(what, |(count, _)| count);
        } else if let Some((what, _)) = line.split_once(" (").filter(|(what, _)| what.starts_with("1 stage:"))
        {
            runs.push(format!("{what}; hashed: {hashed}"));
            hashed = "";
        }
    }
    runs
}

const RUN: &str = "run() { sleep 2.2; $SP run p.yaml --log info 2>&1; }\n";

#[test]
fn an_image_in_the_place_of_another_is_hashed_and_the_same_image_is_not() {
    for (make, tool) in [
        (
            "mksquashfs $i $i.img -quiet -no-progress -all-time 1704067200 -mkfs-time 1704067200 >&2",
            "mksquashfs",
        ),
        // The same superblock UUID in both.
        (
            "SOURCE_DATE_EPOCH=1704067200 mkfs.ext4 -q -U 6ba7b810-9dad-11d1-80b4-00c04fd430c8 -E \
             hash_seed=6ba7b810-9dad-11d1-80b4-00c04fd430c8 -d $i $i.img 4M >&2",
            "mkfs.ext4",
        ),
    ] {
        let sandbox = Sandbox::new().file("p.yaml", COPY).file("a/f", "AAAA").file("b/f", "BBBB");
        let script = format!(
            "{RUN} touch -d @1704067200 a a/f b b/f; for i in a b; do {make}; done
             for i in a b a; do mount -o loop,ro $i.img m; run; run; umount m; done"
        );
        let Some(text) = mounted(&sandbox, &[tool], &script) else { continue };
        let expected = [
            "1 stage: 1 ran, 0 cached; hashed: 1",
            "1 stage: 0 ran, 1 cached; hashed: ",
            "1 stage: 1 ran, 0 cached; hashed: 1",
            "1 stage: 0 ran, 1 cached; hashed: ",
            "1 stage: 0 ran, 1 cached; hashed: 1",
            "1 stage: 0 ran, 1 cached; hashed: ",
        ];
        assert_eq!(runs(&text), expected, "{tool}: {text}");
    }
}

#[test]
fn a_file_that_changes_within_a_second_is_noticed_where_times_are_whole_seconds() {
    let sandbox = Sandbox::new().file("p.yaml", COPY);
    let script = "
        mkfs.ext4 -q -I 128 image 8M 2>&1; mount -o loop image m
        # Both contents are written, and the first is planned, within one second.
        t=$(date +%s); while [ $(date +%s) = $t ]; do sleep 0.01; done
        printf AAAA > m/f; $SP plan p.yaml >&2; printf BBBB > m/f
        $SP run p.yaml 2>&1; $SP show p.yaml x --export first >&2
        printf CCCC > m/f; $SP run p.yaml 2>&1; $SP show p.yaml x --export second >&2
        sleep 2.2; $SP run p.yaml --log info 2>&1; umount m; cat first/* second/*; echo
    ";
    let Some(text) = mounted(&sandbox, &["mkfs.ext4"], script) else { return };
    assert!(text.ends_with("BBBBCCCC\n"), "{text}");
    assert_eq!(runs(&text)[2], "1 stage: 0 ran, 1 cached; hashed: ", "{text}");
}

#[test]
fn rehash_reads_every_source_file_again() {
    let sandbox = Sandbox::new().file("p.yaml", COPY).file("m/f", "words");
    sandbox.ok("run p.yaml");
    let hashed = |arguments: &str| sandbox.ok(arguments).stderr.contains("source files hashed: 1 (5 bytes)");
    assert!(!hashed("run p.yaml --log info"));
    assert!(hashed("run p.yaml --log info --rehash"));
    assert!(hashed("plan p.yaml --log info --rehash"));
    assert!(!hashed("plan p.yaml --log info"));
}
