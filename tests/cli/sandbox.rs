//! A folder of its own for each test, and the program in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Three stages that need no data: words, their count, and a copy of the words.
pub const TOY: &str = r#"version: 1
name: toy
params: { word: hello }
stages:
  words: { uses: command, with: { program: ["sh", "-c", "echo ${word} > {out.text}; echo said ${word} >&2"], outputs: { text: file } } }
  count:
    uses: command
    in: { text: words }
    with: { program: ["sh", "-c", "wc -c < {in.text} > {out.number}"], inputs: { text: file }, outputs: { number: file } }
  copy:
    uses: command
    in: { text: words }
    with: { program: ["cp", "{in.text}", "{out.text}"], inputs: { text: file }, outputs: { text: file } }
"#;

/// A temporary folder and a program that sees nothing else of this machine.
pub struct Sandbox(TempDir);

/// What a run of the program left.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with the toy pipeline.
    pub fn toy() -> Self {
        Self::new().file("toy.yaml", TOY)
    }

    /// The same with a file.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Replaces text in a file.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let before = fs_err::read_to_string(self.path(name)).unwrap();
        assert!(before.contains(from), "`{from}` is not in {name}");
        self.write(name, before.replace(from, to));
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, not started yet.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_sndpipe")), args)
    }

    /// Another program, not started yet.
    pub fn program<'a>(&self, program: &Path, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("NO_COLOR", "1");
        command.current_dir(self.0.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Ran {
        self.done(self.command(args))
    }

    /// What a program leaves.
    pub fn done(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| self.redact(&String::from_utf8(bytes).unwrap());
        Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }

    /// Runs the program with words on a line separated by blanks, and expects it to end well.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Ran {
        self.ends(line, 0)
    }

    /// The same, and expects an exit code.
    #[track_caller]
    pub fn ends(&self, line: &str, code: i32) -> Ran {
        let ran = self.run(line.split(' '));
        assert_eq!(ran.code, Some(code), "sndpipe {line}\n{ran}");
        ran
    }

    /// Takes out what differs from run to run: the folder, times, ids.
    fn redact(&self, text: &str) -> String {
        let folder = fs_err::canonicalize(self.0.path()).unwrap();
        text.replace(&*folder.to_string_lossy(), "[DIR]").replace(&*self.0.path().to_string_lossy(), "[DIR]")
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stdout.is_empty() {
            writeln!(f, "{}", self.stdout.trim_end())?;
        }
        if !self.stderr.is_empty() {
            writeln!(f, "[stderr]\n{}", self.stderr.trim_end())?;
        }
        write!(f, "[exit {}]", self.code.map_or_else(|| "by signal".to_owned(), |code| code.to_string()))
    }
}

impl Ran {
    /// Standard output as JSON, one object a line.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Status of each stage in the order of the output, from `--format json`.
    #[track_caller]
    pub fn statuses(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .json()
            .iter()
            .filter(|line| line["event"] == "stage")
            .map(|line| format!("{} {}", line["stage"].as_str().unwrap(), line["status"].as_str().unwrap()))
            .collect();
        all.sort();
        all
    }
}

/// Compares with a stored snapshot after times, ids and sizes are taken out.
pub fn check(name: &str, text: impl fmt::Display) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\b[0-9a-f]{64}\b", "[ID]");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[KEY]");
    settings.add_filter(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{4}-\d+", "[RUN]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[TIME]");
    settings.add_filter(r"(took|in|s\)|\() *\d+(\.\d+)? m?s\b", "$1 [TOOK]");
    settings.add_filter(r" +\d+(\.\d+)? m?s\b", " [TOOK]");
    settings.add_filter(r#""seconds":\d+(\.\d+)?"#, r#""seconds":[TOOK]"#);
    settings.add_filter(r"\d+ threads?", "[THREADS]");
    // Records hold times.
    settings.add_filter(r"(free|of|result|results +\d+|artefacts +\d+) +\d+(\.\d+)? k?B\b", "$1 [SIZE]");
    settings.add_filter(r"\bon [\w.-]+ \(cpu", "on [HOST] (cpu");
    settings.add_filter(r"started   \[TIME\] on .*", "started   [TIME] on [HOST]");
    settings.bind(|| insta::assert_snapshot!(name, text.to_string()));
}

/// Compares with a snapshot in which sizes and the widths of columns do not count.
pub fn check_costs(name: &str, text: impl fmt::Display) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"started .* on .*", "started [TIME] on [HOST]");
    settings.add_filter(r"\b\d+(\.\d+)? [kMG]?B\b", "[SIZE]");
    settings.add_filter(r"(\S) {2,}", "$1  ");
    settings.bind(|| check(name, text));
}

/// Mono wav files of a second or less: a tone each.
pub fn tone(path: &Path, hertz: f32, seconds: f32) {
    const RATE: u32 = 8000;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in 0..(RATE as f32 * seconds) as u32 {
        let phase = std::f32::consts::TAU * hertz * sample as f32 / RATE as f32;
        writer.write_sample((phase.sin() * 9000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}
