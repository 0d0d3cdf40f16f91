//! `command`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sndpipe_engine::program::Program;
use sndpipe_engine::{Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};

use super::folders::Folders;
use super::hand_over::extension;
use super::params::CommandParams;
use super::placeholder::Places;
use super::{child, environment, files, hand_over, strays, take_back, unlisted};
use crate::quantity::Size;

/// How the names of the directories begin in which programs run.
const PRIVATE: &str = "command-";

/// `command`: an external program as a stage.
pub struct CommandStage;

impl Stage for CommandStage {
    const NAME: &'static str = "command";
    // 2: unsigned 64-bit columns of tables stay unsigned.
    const VERSION: u32 = 2;
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
        let files = files::expand(&params.files)?;
        program(params)?.declare(scan)?;
        environment::declare(params, scan);
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
        let output =
            |(name, kind): (&String, _)| (name.clone(), dir.join(format!("out.{name}.{}", extension(kind))));
        let places = Places {
            inputs: hand_over::write(&params.inputs, &dir, io).map_err(|error| io.or_full(error))?,
            outputs: params.outputs.iter().map(|(name, kind)| output((name, *kind))).collect(),
            files: listed(params, io)?,
            dir,
        };
        refuse_new_files(params, io)?;
        let program = program(params)?;
        let mut command = Command::new(&program.path);
        for argument in params.program.iter().skip(1) {
            command.arg(places.fill(argument)?);
        }
        command.current_dir(&places.dir).env_clear().env("TMPDIR", &places.dir);
        command.envs(environment::passed(params));
        command.env("SNDPIPE_DEVICE", io.device().to_string());
        for (direction, paths) in [("IN", &places.inputs), ("OUT", &places.outputs)] {
            command.envs(
                paths
                    .iter()
                    .map(|(name, path)| (format!("SNDPIPE_{direction}_{}", name.to_uppercase()), path)),
            );
        }
        command.envs(&params.env);
        let arguments = unlisted::Arguments::of(params);
        let folders = Folders::of(&params.files);
        child::run(command, params, &places.dir, io)
            .map_err(|error| with_advice(error, &arguments))
            .map_err(|error| io.or_full(error))?;
        refuse_new_files(params, io)?;
        if let Some(folder) = Folders::of(&params.files).touched_since(&folders) {
            io.remark(format!(
                "in `{}` something came or went while the program ran: if it read that, the key does not say so",
                folder.display()
            ));
        }
        take_back::read(params, &places.outputs, io)?;
        private.close()?;
        for path in program.unreadable() {
            let path = path.display();
            io.remark(format!(
                "`{path}` may not be read: another version of it does not run this stage again"
            ));
        }
        for path in &arguments.absolute {
            io.remark(format!("`{path}` is not among `files`: a change in it does not run this stage again"));
        }
        let listed = io.sources().iter().filter_map(|source| Some(&*source.file()?.path));
        if let Some(remark) = unlisted::modules(listed) {
            io.remark(remark);
        }
        Ok(())
    }
}

/// A failure whose cause may be that a file was named by a path that leads nowhere from where the program runs.
fn with_advice(error: StageError, arguments: &unlisted::Arguments) -> StageError {
    let [first, ..] = &arguments.relative[..] else { return error };
    match &error {
        StageError::Failed { help: None, .. } | StageError::Passing { help: None, .. } => error.help(format!(
            "`{first}` is a file of the current folder, but the program runs in a folder of its own: list it under `files`"
        )),
        _ => error,
    }
}

/// The program of the command line.
fn program(params: &CommandParams) -> Result<Program, StageError> {
    let first = params.first_word();
    let rest = params.program.iter().skip(1).map(String::as_str);
    Program::find(&std::iter::once(first.as_str()).chain(rest).collect::<Vec<_>>())
}

/// Refuses to go on where a folder or pattern of `files` holds a file that it did not hold when the key was made: the program may read it.
fn refuse_new_files(params: &CommandParams, io: &StageIo<'_>) -> Result<(), StageError> {
    let known: BTreeSet<&str> = io.sources().iter().map(|source| source.label.as_str()).collect();
    match files::expand(&params.files)?.into_keys().find(|label| !known.contains(label.as_str())) {
        None => Ok(()),
        Some(label) => {
            let message = format!("`{label}` was not among `files` when the run was planned");
            Err(StageError::failed(message).help("run again; nothing was recorded"))
        }
    }
}

/// `files` as they are written, and every file below a folder of them, with where they lie.
fn listed(params: &CommandParams, io: &StageIo<'_>) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let is_listed =
        |label: &str| params.files.iter().any(|entry| entry == label || files::covers(entry, label));
    let declared = io.sources().iter().filter(|source| is_listed(&source.label));
    let declared = declared.filter_map(|source| Some((&source.label, &*source.file()?.path)));
    let entries = params.files.iter().map(|entry| (entry, Path::new(entry)));
    declared.chain(entries).map(|(label, path)| Ok((label.clone(), std::path::absolute(path)?))).collect()
}
