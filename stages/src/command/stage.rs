//! `command`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use sndpipe_engine::{Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};

use super::hand_over::extension;
use super::params::CommandParams;
use super::program::{Places, find};
use super::{child, hand_over, strays, take_back};
use crate::quantity::Size;

/// Variables of this process's environment that a program sees, too.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// How the names of the directories begin in which programs run.
const PRIVATE: &str = "command-";

/// `command`: an external program as a stage.
pub struct CommandStage;

impl Stage for CommandStage {
    const NAME: &'static str = "command";
    const VERSION: u32 = 1;
    type Params = CommandParams;

    fn check(params: &CommandParams) -> Vec<ParamError> {
        params.check()
    }

    fn inputs(params: &CommandParams) -> Vec<Port> {
        let port = |(name, kind): (&String, _)| match params.reads.get(name) {
            None => Port::new(name, kind),
            Some(columns) => {
                Port::new(name, kind).reading(&columns.iter().map(String::as_str).collect::<Vec<_>>())
            }
        };
        params.inputs.iter().map(|(name, kind)| port((name, *kind))).collect()
    }

    fn outputs(params: &CommandParams) -> Vec<Output> {
        params.outputs.iter().map(|(name, kind)| Output::new(name, *kind)).collect()
    }

    fn wants_accelerator(params: &CommandParams) -> bool {
        params.accelerator
    }

    fn sources(params: &CommandParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let program = params.program.first().map_or("", String::as_str);
        let path = find(program)?;
        let mut files: BTreeMap<String, PathBuf> =
            params.files.iter().map(|file| (file.clone(), PathBuf::from(file))).collect();
        if program.contains('/') {
            files.insert(program.to_owned(), path);
        }
        let missing: Vec<&String> =
            files.iter().filter(|(_, path)| !path.is_file()).map(|(file, _)| file).collect();
        if let Some(first) = missing.first() {
            let message = format!("`files`: `{first}` is no file");
            return Err(
                StageError::failed(message).help("relative paths are taken from the current directory")
            );
        }
        scan.files(files.into_iter().collect())
    }

    fn run(params: &CommandParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        if let Some(Size(bytes)) = params.memory {
            io.memory(bytes)?;
        }
        let work = std::path::absolute(io.work_dir()?)?;
        // No run before this one lives, for this one holds the stage's lock: what a kill left is nobody's.
        for left in fs_err::read_dir(&work)?.flatten() {
            if left.file_name().to_string_lossy().starts_with(PRIVATE) {
                strays::kill(&left.path());
                if let Err(error) = fs_err::remove_dir_all(left.path()) {
                    tracing::warn!("{error}");
                }
            }
        }
        // Under a name that nothing else ever had: what an orphan of a killed run writes is never taken for a result.
        let private = tempfile::Builder::new().prefix(PRIVATE).tempdir_in(&work)?;
        let dir = private.path().to_owned();
        let files = params.files.iter().map(|file| Ok((file.clone(), std::path::absolute(file)?)));
        let output =
            |(name, kind): (&String, _)| (name.clone(), dir.join(format!("out.{name}.{}", extension(kind))));
        let places = Places {
            inputs: hand_over::write(&params.inputs, &dir, io).map_err(|error| io.or_full(error))?,
            outputs: params.outputs.iter().map(|(name, kind)| output((name, *kind))).collect(),
            files: files.collect::<Result<_, StageError>>()?,
            dir,
        };
        let program = params.program.first().map_or("", String::as_str);
        let mut command = Command::new(find(program)?);
        for argument in params.program.iter().skip(1) {
            command.arg(places.fill(argument)?);
        }
        command.current_dir(&places.dir).env_clear().env("TMPDIR", &places.dir);
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("SNDPIPE_DEVICE", io.device().to_string());
        for (direction, paths) in [("IN", &places.inputs), ("OUT", &places.outputs)] {
            command.envs(
                paths
                    .iter()
                    .map(|(name, path)| (format!("SNDPIPE_{direction}_{}", name.to_uppercase()), path)),
            );
        }
        command.envs(&params.env);
        child::run(command, params, &places.dir, io).map_err(|error| io.or_full(error))?;
        take_back::read(params, &places.outputs, io)?;
        private.close()?;
        Ok(())
    }
}
