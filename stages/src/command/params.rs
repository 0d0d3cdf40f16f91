//! Parameters of `command`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{FormKind, Kind, ParamError};

use super::program::{Piece, pieces};

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
/// prints is the stage's log. When the stage is stopped, its process group is ended.
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
    /// The program is stopped, and the stage fails, after this many seconds.
    #[serde(default, skip_serializing)]
    pub timeout_s: Option<f64>,
    /// Whether the program uses the accelerator; `SNDPIPE_DEVICE` names the device of the run.
    #[serde(default, skip_serializing)]
    pub accelerator: bool,
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
        if let Some(timeout) = self.timeout_s.filter(|t| !(t.is_finite() && *t > 0.0 && *t <= 1e9)) {
            errors.push(ParamError::new(
                "timeout_s",
                format!("{timeout} is outside 0..=1000000000, 0 excluded"),
            ));
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
