//! A folder in which the real program runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A number from the environment.
pub fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A folder with pipelines, data and caches.
pub struct Lab {
    dir: tempfile::TempDir,
}

/// What a run counted.
pub struct Counts {
    pub ran: u64,
}

impl Lab {
    pub fn new() -> Self {
        let below = std::env::var_os("SNDPIPE_CHAOS_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        Self { dir: tempfile::tempdir_in(below).unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    pub fn remove(&self, name: &str) {
        if self.path(name).exists() {
            fs_err::remove_dir_all(self.path(name)).unwrap();
        }
    }

    pub fn copy(&self, from: &str, to: &str) {
        let status = Command::new("cp").arg("-a").arg(self.path(from)).arg(self.path(to)).status().unwrap();
        assert!(status.success());
    }

    pub fn timed<T>(&self, what: impl FnOnce() -> T) -> (T, Duration) {
        let begun = Instant::now();
        let result = what();
        (result, begun.elapsed())
    }

    fn command(&self, cache: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sndpipe"));
        command.current_dir(self.dir.path()).args(["--cache", cache]).args(arguments).stdin(Stdio::null());
        command
    }

    fn lines(&self, cache: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(cache, arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that must end well.
    pub fn must(&self, cache: &str, arguments: &[&str]) {
        let output = self.command(cache, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `cache gc`, which must end well unless a pin is damaged; says whether it did.
    pub fn collect(&self, cache: &str, arguments: &[&str]) -> bool {
        let output = self.command(cache, arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || text.contains("is damaged, so what it keeps is not known"),
            "{text}"
        );
        output.status.success()
    }

    /// Runs to the end.
    pub fn run(&self, file: &str, cache: &str, more: &[&str]) -> Counts {
        let mut arguments = vec!["run", file, "--format", "json"];
        arguments.extend(more);
        let lines = self.lines(cache, &arguments);
        let done = lines.last().unwrap();
        assert_eq!(done["event"], "done");
        Counts { ran: done["ran"].as_u64().unwrap() }
    }

    /// Starts a run and kills it after a while; says whether it was still running.
    pub fn run_and_kill(&self, file: &str, cache: &str, after: Duration, more: &[&str]) -> bool {
        let mut command = self.command(cache, &["run", file]);
        let mut child = command.args(more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        status.code().is_none()
    }

    /// Starts two runs together, kills the first after a while and, where `both`, the second one later; says how many kills
    /// hit a running program. A second run that is left alone must end well.
    pub fn run_two_and_kill(&self, file: &str, cache: &str, after: [Duration; 2], both: bool) -> u64 {
        let start = || {
            let mut command = self.command(cache, &["run", file]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let (mut first, mut second) = (start(), start());
        std::thread::sleep(after[0]);
        first.kill().unwrap();
        let mut hits = u64::from(first.wait().unwrap().code().is_none());
        if both {
            std::thread::sleep(after[1]);
            second.kill().unwrap();
            hits += u64::from(second.wait().unwrap().code().is_none());
        } else {
            let output = second.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        hits
    }

    /// Runs with `spare` KiB of space beside what the cache has; says whether the disk was full, or none where no file system
    /// can be mounted.
    pub fn run_on_full_disk(&self, file: &str, cache: &str, spare: u64) -> Option<bool> {
        let script = format!(
            "mkdir -p small && mount -t tmpfs -o size=4g tmpfs small || exit 99
             [ -d {cache} ] && cp -a {cache} small/cache
             used=$(df -k small | awk 'NR == 2 {{ print $3 }}')
             mount -o remount,size=$((used + {spare}))k small || exit 99
             {} --cache small/cache run {file}; code=$?
             rm -rf {cache} && cp -a small/cache {cache} || exit 98
             exit $code",
            env!("CARGO_BIN_EXE_sndpipe")
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let output = command.current_dir(self.dir.path()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Some(false),
            Some(3) => {
                assert!(text.contains("no space is left"), "{text}");
                Some(true)
            }
            Some(98 | 99) | None => None,
            Some(1) if text.contains("unshare") => None,
            Some(code) => panic!("a run on a full disk ends with {code}: {text}"),
        }
    }

    /// Looks at every byte of a cache, and removes what is damaged.
    pub fn repair(&self, cache: &str) {
        let output = self.command(cache, &["cache", "verify", "--repair"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
        self.lines(cache, &["cache", "verify", "--format", "json"]);
    }

    /// Gives the bytes of what `show --export` writes for every instance, once each is in the cache.
    pub fn exports(&self, file: &str, cache: &str) -> BTreeMap<String, Vec<u8>> {
        let lines = self.lines(cache, &["plan", file, "--all", "--format", "json"]);
        let stages = lines.iter().filter(|line| line["event"] == "stage");
        let names: BTreeSet<String> = stages.map(instance).collect();
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        self.run(file, cache, &asked);
        names.iter().map(|name| (name.clone(), self.exported(file, cache, name))).collect()
    }

    /// Runs to the end and gives the content ids of every output of every instance.
    pub fn contents(&self, file: &str, cache: &str) -> BTreeMap<String, Value> {
        self.run(file, cache, &[]);
        let lines = self.lines(cache, &["plan", file, "--all", "--format", "json"]);
        let stages = lines.iter().filter(|line| line["event"] == "stage");
        stages
            .map(|line| {
                assert_eq!(line["status"], "cached", "{line}");
                assert!(line["outputs"].as_object().is_some_and(|outputs| !outputs.is_empty()), "{line}");
                (format!("{}{}", line["stage"], line["axes"]), line["outputs"].clone())
            })
            .collect()
    }

    /// The bytes of what `show --export` writes for a stage.
    pub fn exported(&self, file: &str, cache: &str, stage: &str) -> Vec<u8> {
        let folder = self.path("export");
        self.remove("export");
        self.must(cache, &["show", file, stage, "--export", "export"]);
        let mut files: Vec<PathBuf> =
            fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        files.iter().flat_map(|path| fs_err::read(path).unwrap()).collect()
    }
}

/// What the command line calls the instance of a line of a plan: `model[fold=1]`.
fn instance(line: &Value) -> String {
    let name = line["stage"].as_str().unwrap();
    let axes: Vec<String> = line["axes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(axis, value)| format!("{axis}={}", value.as_str().map_or(value.to_string(), str::to_owned)))
        .collect();
    if axes.is_empty() { name.to_owned() } else { format!("{name}[{}]", axes.join(",")) }
}
