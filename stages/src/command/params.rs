//! Parameters of `command`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{FormKind, Kind, ParamError, Retry, StageError};

use super::program::{Piece, pieces};
use crate::quantity::{Size, Time};

/// Runs a program, never through a shell: inputs and outputs are files that it is told about.
///
/// In `program`, `{in.NAME}` and `{out.NAME}` are the files of an input and an output, `{file.PATH}` is the absolute path of one of
/// `files`, `{dir}` is the private directory that the program is started in and that is removed after it; `{{` and `}}` are braces.
/// An argument that is one of `files` becomes its absolute path, too. The same files are in the environment as
/// `SNDPIPE_IN_NAME` and `SNDPIPE_OUT_NAME`.
///
/// Tables are Parquet. Rows (audio, features, scores, embeddings) are Arrow IPC files with `clip_id`, `frames` and `values` (audio:
/// `samples`). Models are safetensors. The artefact's metadata (classes, sample rate, …) is JSON under the key `sndpipe` of the
/// schema; an output without it takes that of the first input of its kind. Outputs are checked and sorted by clip.
///
/// The environment holds `PATH`, `HOME`, `LANG` and what `env` says. The program must give the same outputs for the same inputs. What it
/// prints is the stage's log. When the stage is stopped or takes longer than `timeout`, its process group is ended, and whatever else it
/// started.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandParams {
    /// The program and its arguments. A program without `/` is looked for in `PATH`.
    pub program: Vec<String>,
    /// Files that the program depends on, such as the script: a change in one of them runs the stage again.
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
    /// Further variables of the environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
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
            Some(program) if program.is_empty() || program.contains(['{', '}']) => {
                errors.push(ParamError::new("program[0]", format!("`{program}` is no program")));
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
        for (index, argument) in self.program.iter().enumerate().skip(1) {
            if argument.contains('\0') {
                errors.push(ParamError::new(
                    format!("program[{index}]"),
                    "an argument cannot hold a zero byte",
                ));
            }
            match pieces(argument) {
                Ok(pieces) => {
                    for piece in pieces {
                        if let Some(message) = self.unknown(&piece) {
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
        for name in self.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                errors.push(ParamError::new(
                    format!("env.{name}"),
                    format!("`{name}` is no name of a variable"),
                ));
            }
        }
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
            Piece::File(path) if !self.files.iter().any(|file| file == path) => {
                Some(format!("`{path}` is none of `files`"))
            }
            _ => None,
        }
    }
}
