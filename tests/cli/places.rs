//! A cache in places that others share, that can only be read, or in which some entries belong to somebody else.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Ran, Sandbox};

/// A table, a stage with a log and a working folder, and rows.
const PIPELINE: &str = r#"version: 1
name: places
params: { plus: 0 }
stages:
  clips: { uses: dataset.folder, with: { root: sounds } }
  audio: { uses: decode, in: clips, with: { sample_rate: 4000 } }
  text: { uses: command, with: { program: [sh, -c, "echo told >&2; echo ${plus} > {out.text}"], outputs: { text: file } } }
"#;

/// Everything that only reads.
const READING: [&str; 12] = [
    "show p.yaml audio",
    "table p.yaml clips",
    "plan p.yaml --check",
    "explain p.yaml text",
    "graph p.yaml",
    "logs p.yaml text",
    "runs",
    "runs show last",
    "diff last last",
    "cache stats",
    "cache verify",
    "run p.yaml",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().file("p.yaml", PIPELINE);
    crate::sandbox::tone(&sandbox.path("sounds/tone/a.wav"), 440.0, 0.2);
    crate::sandbox::tone(&sandbox.path("sounds/tone/b.wav"), 880.0, 0.2);
    sandbox
}

/// Somebody whom permissions bind: this user, or another one if this is root. `None` if nobody can be found.
struct Somebody {
    program: Option<PathBuf>,
}

impl Somebody {
    #[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
    fn find(sandbox: &Sandbox) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return Some(Self { program: None });
        }
        if Command::new("setpriv").arg("--version").output().is_err() {
            eprintln!("skipped: this is root, whom permissions do not bind, and there is no setpriv");
            return None;
        }
        chmod(&sandbox.path("."), 0o755);
        // Where it was built others may have no access.
        let program = sandbox.path("sndpipe");
        fs_err::copy(env!("CARGO_BIN_EXE_sndpipe"), &program).unwrap();
        Some(Self { program: Some(program) })
    }

    fn run(&self, sandbox: &Sandbox, line: &str) -> Ran {
        let Some(program) = &self.program else { return sandbox.run(line.split(' ')) };
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("NO_COLOR", "1");
        let output = command.current_dir(sandbox.path(".")).args(line.split(' ')).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }

    #[track_caller]
    fn ends(&self, sandbox: &Sandbox, line: &str, code: i32) -> Ran {
        let ran = self.run(sandbox, line);
        assert_eq!(ran.code, Some(code), "sndpipe {line}\n{ran}");
        ran
    }
}

fn chmod(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything below a folder, with the folder.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut paths = vec![folder.to_owned()];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { paths.extend(all(&path)) } else { paths.push(path) }
    }
    paths
}

/// Gives every folder and file of the cache these modes.
fn chmod_all(sandbox: &Sandbox, folder: u32, file: u32) {
    for path in all(&sandbox.path(".sndpipe")) {
        chmod(&path, if path.is_dir() { folder } else { file });
    }
}

#[test]
fn what_only_reads_works_where_nothing_can_be_written() {
    let sandbox = sandbox();
    let Some(somebody) = Somebody::find(&sandbox) else { return };
    sandbox.ok("run p.yaml");
    chmod_all(&sandbox, 0o555, 0o444);
    for line in READING {
        let ran = somebody.ends(&sandbox, line, 0);
        assert!(!ran.stderr.contains("warning"), "{line}: {ran}");
    }
    let refused = somebody.ends(&sandbox, "run p.yaml --set plus=1", 3);
    assert!(refused.stderr.contains("the cache cannot be used"), "{refused}");
    somebody.ends(&sandbox, "plan p.yaml --set plus=1 --check", 4);
    for line in ["cache gc", "cache pin paper p.yaml", "cache verify --repair"] {
        let code = if line.ends_with("--repair") { 0 } else { 3 };
        somebody.ends(&sandbox, line, code);
    }
    // So it does where there is no cache, and none can be made.
    chmod_all(&sandbox, 0o755, 0o644);
    fs_err::remove_dir_all(sandbox.path(".sndpipe")).unwrap();
    chmod(&sandbox.path("."), 0o555);
    somebody.ends(&sandbox, "plan p.yaml", 0);
    somebody.ends(&sandbox, "run p.yaml", 3);
    chmod(&sandbox.path("."), 0o755);
}

#[test]
fn what_only_reads_works_where_some_folders_can_be_written() {
    let sandbox = sandbox();
    let Some(somebody) = Somebody::find(&sandbox) else { return };
    sandbox.ok("run p.yaml");
    let buckets: Vec<PathBuf> =
        fs_err::read_dir(sandbox.path(".sndpipe")).unwrap().map(|e| e.unwrap().path()).collect();
    for bucket in buckets.iter().filter(|bucket| bucket.is_dir()) {
        chmod_all(&sandbox, 0o555, 0o444);
        all(bucket).iter().for_each(|path| chmod(path, if path.is_dir() { 0o777 } else { 0o666 }));
        for line in READING {
            somebody.ends(&sandbox, line, 0);
        }
        chmod_all(&sandbox, 0o777, 0o666);
        all(bucket).iter().for_each(|path| chmod(path, if path.is_dir() { 0o555 } else { 0o444 }));
        for line in READING {
            somebody.ends(&sandbox, line, 0);
        }
    }
    chmod_all(&sandbox, 0o755, 0o644);
}

#[test]
fn an_entry_that_cannot_be_read_is_made_again_with_a_warning() {
    let sandbox = sandbox();
    let Some(somebody) = Somebody::find(&sandbox) else { return };
    let mut said = 0;
    for bucket in [
        "records-v1",
        "artefacts-v1",
        "files-v1",
        "rows-v3",
        "pipelines-v1",
        "digests-v3",
        "logs-v1",
        "locks-v1",
        "work-v1",
        "sources-v1",
    ] {
        for what in ["files", "folders"] {
            let _ = fs_err::remove_dir_all(sandbox.path(".sndpipe"));
            sandbox.ok("run p.yaml");
            fs_err::create_dir_all(sandbox.path(".sndpipe/work-v1")).unwrap();
            for record in all(&sandbox.path(".sndpipe/records-v1")).iter().filter(|path| path.is_file()) {
                let key = record.file_name().unwrap();
                fs_err::create_dir(sandbox.path(".sndpipe/work-v1").join(key)).unwrap();
            }
            chmod_all(&sandbox, 0o777, 0o666);
            let bucket = sandbox.path(".sndpipe").join(bucket);
            for path in all(&bucket).iter().filter(|path| **path != bucket) {
                if path.is_dir() == (what == "folders") {
                    chmod(path, 0o000);
                }
            }
            let place = format!("{what} of {}", bucket.display());
            // What is asked for is looked at; rows and programs run where a parameter is another one.
            let ran = somebody.ends(&sandbox, "run p.yaml", 0);
            said += usize::from(ran.stderr.contains("keeps it to themselves"));
            let ran = somebody.ends(&sandbox, "run p.yaml --set plus=1", 0);
            assert!(ran.stderr.contains("text "), "{place}: {ran}");
            somebody.ends(&sandbox, "show p.yaml audio", 0);
            let ran = somebody.ends(&sandbox, "run p.yaml --set plus=1", 0);
            assert!(ran.stderr.contains(" 0 ran"), "{place}: {ran}");
            for path in all_there(&sandbox.path(".sndpipe")) {
                chmod(&path, if path.is_dir() { 0o755 } else { 0o644 });
            }
        }
    }
    assert!(said >= 8, "{said} of them were told");
}

/// As [`all`], giving back access on the way.
fn all_there(folder: &Path) -> Vec<PathBuf> {
    chmod(folder, 0o755);
    let mut paths = vec![folder.to_owned()];
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { paths.extend(all_there(&path)) } else { paths.push(path) }
    }
    paths
}

/// Runs the program with a umask.
#[track_caller]
fn run_with_umask(sandbox: &Sandbox, umask: &str, line: &str) {
    let mut command = Command::new("sh");
    let script = format!("umask {umask}; exec \"$0\" {line}");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_sndpipe")]).current_dir(sandbox.path("."));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn files_have_the_group_and_mode_of_the_folder_whatever_the_umask() {
    for (folder, file_mode, folder_mode) in
        [(0o2775, 0o664, 0o2775), (0o700, 0o600, 0o700), (0o2770, 0o660, 0o2770)]
    {
        for umask in ["002", "077", "000"] {
            let sandbox = sandbox();
            fs_err::create_dir(sandbox.path("cache")).unwrap();
            chmod(&sandbox.path("cache"), folder);
            run_with_umask(&sandbox, umask, "run p.yaml --cache cache");
            run_with_umask(&sandbox, umask, "cache gc --cache cache");
            let group = fs_err::metadata(sandbox.path("cache")).unwrap().gid();
            for path in all(&sandbox.path("cache")) {
                let meta = fs_err::metadata(&path).unwrap();
                let wanted = if path.is_dir() { folder_mode } else { file_mode };
                assert_eq!(meta.mode() & 0o7777, wanted, "umask {umask}, {folder:o}: {}", path.display());
                assert_eq!(meta.gid(), group);
            }
        }
    }
}

#[test]
fn a_cache_that_is_made_in_a_shared_folder_is_shared() {
    let sandbox = sandbox();
    fs_err::create_dir(sandbox.path("shared")).unwrap();
    chmod(&sandbox.path("shared"), 0o2775);
    run_with_umask(&sandbox, "077", "run p.yaml --cache shared/of/us");
    for path in all(&sandbox.path("shared")) {
        let wanted = if path.is_dir() { 0o2775 } else { 0o664 };
        assert_eq!(fs_err::metadata(&path).unwrap().mode() & 0o7777, wanted, "{}", path.display());
    }
    // In a folder that nobody shares the umask counts.
    run_with_umask(&sandbox, "077", "run p.yaml --cache mine");
    assert_eq!(fs_err::metadata(sandbox.path("mine")).unwrap().mode() & 0o7777, 0o700);
}
