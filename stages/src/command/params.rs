//! Parameters of `command`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use sndpipe_engine::{FormKind, Kind, ParamError, Retry, StageError};

use super::files::{covers, is_pattern};
use super::placeholder::{Piece, pieces};
use crate::quantity::{Size, Time};

/// Runs a program, never through a shell: inputs and outputs are files that it is told about.
///
/// In `program`, `{in.NAME}` and `{out.NAME}` are the files of an input and an output, `{file.PATH}` is the absolute path of one of
/// `files`, `{dir}` is the private directory that the program is started in and that is removed after it; `{{` and `}}` are braces. An
/// argument that is one of `files`, or lies in a folder of them, becomes its absolute path, too; `program` itself may be `{file.PATH}`. The
/// same files are in the environment as `SNDPIPE_IN_NAME` and `SNDPIPE_OUT_NAME`.
///
/// Tables are Parquet. Rows (audio, features, scores, embeddings) are Arrow IPC files with `clip_id`, `frames` and `values` (audio:
/// `samples`). Models are safetensors. The artefact's metadata (classes, sample rate, …) is JSON under the key `sndpipe` of the
/// schema; an output without it takes that of the first input of its kind. Outputs are checked and sorted by clip.
///
/// Metrics have the columns `metric`, `value`, `class` (may be absent, empty over all classes), `better` (`higher` or `lower`: without it, or
/// a common name such as `accuracy` or `loss`, `table` and `claims` give no verdicts) and `unit` (such as `fraction`, which is shown in
/// percent, or `dB`).
///
/// The environment holds what `env` says and, of the environment of the run, what says where things are and which part of the machine may be
/// used: `PATH`, `HOME`, `USER`, `TMPDIR`, `TZ`, `LANG` and `LC_*`; masks of accelerators (`*_VISIBLE_DEVICES`, `CUDA_*`, `NVIDIA_*`, `HIP_*`,
/// `ROCR_*`, `ZE_*`, …) and `*_NUM_THREADS`; `LD_LIBRARY_PATH`, `VIRTUAL_ENV` and `CONDA_PREFIX`; proxies and certificates
/// (`HTTPS_PROXY`, `SSL_CERT_FILE`, …); jobs of clusters (`SLURM_*`, `PBS_*`, …); `XDG_*_HOME`, `HF_HOME` and `TORCH_HOME`. None of them is part
/// of the key. `pass_env` adds others, `key_env` those whose value counts. Libraries and packages that the program loads are not part of the
/// key: list their lock file under `files`.
///
/// The program must give the same outputs for the same inputs. What it
/// prints is the stage's log. When the stage is stopped or takes longer than `timeout`, its process group is ended, and whatever else it
/// started.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandParams {
    /// The program and its arguments. A program without `/` is looked for in `PATH`.
    ///
    /// What it holds is part of the key, and what the interpreter of a script holds; the folder that it lies in is not.
    #[serde(serialize_with = "without_folder")]
    pub program: Vec<String>,
    /// Files that the program depends on, such as the script: a change in one of them runs the stage again. A folder stands for every file
    /// below it, a pattern such as `src/**/*.py` for every file that it matches. Folders such as `.git` and `__pycache__` are passed over.
    #[serde(default, skip_serializing)]
    pub files: Vec<String>,
    /// Inputs: name and kind.
    #[serde(default)]
    pub inputs: BTreeMap<String, Kind>,
    /// The columns of an input table that the program gets, `?` after those that may be absent; all if absent.
    #[serde(default)]
    pub reads: BTreeMap<String, Vec<String>>,
    /// Outputs: name and kind. The first by name is the default.
    pub outputs: BTreeMap<String, Kind>,
    /// Further variables of the environment, with their values.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the run's environment that the program sees, too, such as `WANDB_API_KEY`. Another value does not run the stage again.
    #[serde(default, skip_serializing)]
    pub pass_env: Vec<String>,
    /// Variables of the run's environment that the program sees and that are part of the key: another value runs the stage again.
    #[serde(default, skip_serializing)]
    pub key_env: Vec<String>,
    /// The program is stopped, and the stage fails, after this time: `90s`, `10min`, `2h`.
    #[serde(default, skip_serializing)]
    pub timeout: Option<Time>,
    /// Tries again after a failure of the program that may pass, such as that of a server.
    #[serde(default, skip_serializing)]
    pub retry: Option<RetryParams>,
    /// The memory that the program takes, such as `4GB`: bounds what runs beside it.
    #[serde(default, skip_serializing)]
    pub memory: Option<Size>,
    /// Whether the program uses the accelerator; `SNDPIPE_DEVICE` names the device of the run.
    #[serde(default, skip_serializing)]
    pub accelerator: bool,
}

/// What the key says of the command line: where the program lies differs between machines.
fn without_folder<S: Serializer>(words: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let base = |word: &str| match word.rsplit_once('/') {
        Some((_, base)) if !word.contains('{') => base.to_owned(),
        _ => word.to_owned(),
    };
    let (first, rest) = words.split_at(words.len().min(1));
    serializer.collect_seq(first.iter().map(|word| base(word)).chain(rest.iter().cloned()))
}

/// Which failures of a program may pass, and when to try again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryParams {
    /// Further tries at most.
    #[schemars(range(min = 1, max = 100))]
    pub times: u32,
    /// The time before the first of them, `1s` if absent; it doubles before each later one.
    #[serde(default = "second")]
    pub wait: Time,
    /// The exit codes after which to try again; empty: after any, after signals and after `timeout` too.
    #[serde(default)]
    pub codes: Vec<i32>,
}

fn second() -> Time {
    Time(Duration::from_secs(1))
}

impl RetryParams {
    /// The failure of a program, which may pass if it ended so.
    pub(super) fn judge(&self, error: StageError, code: Option<i32>) -> StageError {
        let passes = self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(&code));
        let retry = Retry { times: self.times, wait: self.wait.0 };
        if passes { error.passing(retry) } else { error }
    }
}

impl CommandParams {
    /// Every mistake.
    pub(super) fn check(&self) -> Vec<ParamError> {
        let mut errors = Vec::new();
        match self.program.first() {
            None => errors.push(ParamError::new("program", "an empty list names no program")),
            Some(program) if program.is_empty() || program.contains('\0') => {
                errors
                    .push(ParamError::new("program[0]", format!("`{program}` is not the name of a program")));
            }
            Some(program) if self.program.len() == 1 && program.contains(' ') && !program.contains('/') => {
                let words: Vec<String> =
                    program.split_whitespace().map(|word| format!("\"{word}\"")).collect();
                let error = ParamError::new(
                    "program[0]",
                    format!("`{program}` is not split into words: there is no shell"),
                );
                errors.push(error.help(format!("write a list: [{}]", words.join(", "))));
            }
            Some(_) => {}
        }
        for (index, argument) in self.program.iter().enumerate() {
            if index > 0 && argument.contains('\0') {
                errors.push(ParamError::new(
                    format!("program[{index}]"),
                    "an argument cannot hold a zero byte",
                ));
            }
            match pieces(argument) {
                Ok(pieces) => {
                    for piece in pieces {
                        if index == 0 && !matches!(piece, Piece::Text(_) | Piece::File(_)) {
                            let error =
                                ParamError::new("program[0]", format!("`{argument}` is not a program"));
                            errors
                                .push(error.help("the program itself may be `{file.PATH}`, one of `files`"));
                        } else if let Some(message) = self.unknown(&piece) {
                            errors.push(ParamError::new(format!("program[{index}]"), message));
                        }
                    }
                }
                Err(message) => errors.push(ParamError::new(format!("program[{index}]"), message).help(
                    "there are {in.NAME}, {out.NAME}, {file.PATH} and {dir}; `{{` and `}}` are braces",
                )),
            }
        }
        let names = self
            .inputs
            .keys()
            .map(|name| ("inputs", name))
            .chain(self.outputs.keys().map(|name| ("outputs", name)));
        for (map, name) in names {
            let plain =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if name.is_empty() || !plain {
                errors.push(ParamError::new(
                    format!("{map}.{name}"),
                    format!("`{name}` is no name: use a-z, 0-9 and _"),
                ));
            }
        }
        if self.outputs.is_empty() {
            errors.push(ParamError::new("outputs", "a stage without outputs does nothing that can be kept"));
        }
        for input in self.reads.keys() {
            match self.inputs.get(input) {
                None => errors
                    .push(ParamError::new(format!("reads.{input}"), format!("there is no input `{input}`"))),
                Some(kind) if kind.form() != FormKind::Table => {
                    errors.push(ParamError::new(format!("reads.{input}"), format!("{kind} is no table")));
                }
                Some(_) => {}
            }
        }
        self.check_environment(&mut errors);
        if let Some(retry) = &self.retry {
            if !(1..=100).contains(&retry.times) {
                errors.push(ParamError::new("retry.times", format!("{} is outside 1..=100", retry.times)));
            }
            if let Some(code) = retry.codes.iter().find(|code| !(1..=255).contains(*code)) {
                let error = ParamError::new("retry.codes", format!("{code} is outside 1..=255"));
                errors.push(error.help("leave `codes` out to try again after any failure"));
            }
        }
        errors
    }

    fn check_environment(&self, errors: &mut Vec<ParamError>) {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        for (name, value) in &self.env {
            if !is_name(name) {
                let message = format!("`{name}` is not the name of a variable");
                errors.push(ParamError::new(format!("env.{name}"), message));
            } else if value.contains('\0') {
                errors.push(ParamError::new(format!("env.{name}"), "a variable cannot hold a zero byte"));
            }
        }
        for (list, names) in [("pass_env", &self.pass_env), ("key_env", &self.key_env)] {
            for (index, name) in names.iter().enumerate() {
                let at = format!("{list}[{index}]");
                if !is_name(name) {
                    let error = ParamError::new(at, format!("`{name}` is not the name of a variable"));
                    errors.push(error.help("`env` gives variables a value; this list only names them"));
                } else if self.env.contains_key(name) {
                    errors.push(ParamError::new(at, format!("`env` gives `{name}` a value already")));
                } else if list == "key_env" && self.pass_env.contains(name) {
                    let error = ParamError::new(at, format!("`{name}` is in `pass_env`, too"));
                    errors.push(
                        error.help("name it in one of them: in `key_env` its value is part of the key"),
                    );
                }
            }
        }
    }

    /// The program as it is looked for: one of `files` is a path, even without `/`.
    pub(super) fn first_word(&self) -> String {
        let word = self.program.first().map_or("", String::as_str);
        let pieces = pieces(word).unwrap_or_default();
        let path: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::File(path) => path,
                _ => "",
            })
            .collect();
        let is_file =
            pieces.iter().any(|piece| matches!(piece, Piece::File(_))) || self.files.contains(&path);
        if is_file && !path.contains('/') { format!("./{path}") } else { path }
    }

    fn unknown(&self, piece: &Piece<'_>) -> Option<String> {
        let list = |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match piece {
            Piece::In(name) if !self.inputs.contains_key(*name) => Some(format!(
                "there is no input `{name}`; the inputs are: {}",
                list(self.inputs.keys().collect())
            )),
            Piece::Out(name) if !self.outputs.contains_key(*name) => Some(format!(
                "there is no output `{name}`; the outputs are: {}",
                list(self.outputs.keys().collect())
            )),
            Piece::File(path) if is_pattern(path) => {
                Some(format!("`{path}` is a pattern: name one of its files, or list their folder"))
            }
            Piece::File(path) if !self.files.iter().any(|file| file == path || covers(file, path)) => {
                Some(format!("`{path}` is none of `files`"))
            }
            _ => None,
        }
    }
}
