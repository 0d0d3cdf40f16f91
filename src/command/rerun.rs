//! `sndpipe cache verify --rerun`.

use std::path::PathBuf;

use serde_json::json;
use sndpipe_cache::{CacheError, Store};
use sndpipe_engine::{
    Difference, Faces, InstanceId, KeyParts, PlanItem, PlanStatus, RerunOptions, Side, Silent, Sources,
    StageError, compare,
};

use crate::args::{Format, Pipeline, Verify};
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::plural;
use crate::interrupt;
use crate::machine;
use crate::out::Out;
use crate::paint::Paint;
use crate::results::never_ran;
use crate::session::{Place, Session};

/// Runs a cached stage again and compares.
pub fn rerun(args: &Verify, stage: &[String], place: Place<'_>) -> Result<Exit, Failure> {
    let [file, stage] = stage else { return Err(Failure::usage("`--rerun` takes a file and a stage")) };
    let pipeline = Pipeline { file: PathBuf::from(file), set: args.set.clone() };
    let session = Session::open(&pipeline, place)?;
    let targets = session.select(std::slice::from_ref(stage))?;
    let sources = session.scan(&targets)?;
    let plan = session.plan(&sources, &targets, &[])?;
    let mut faces: Vec<Option<Faces>> = vec![None; session.graph.instances.len()];
    for item in &plan.items {
        faces[item.id].clone_from(&item.faces);
    }
    let again = Again { session: &session, sources: &sources, faces: &faces, args };
    interrupt::listen();
    let (mut out, mut outputs, mut differing) = (Out::new(), 0, 0);
    for item in plan.items.iter().filter(|item| targets.contains(&item.id)) {
        let found = match again.compare(item) {
            Err(Stop::Interrupted) => return Ok(Exit::Interrupted),
            Err(Stop::Failed(failure)) => return Err(failure),
            Ok(found) => found,
        };
        outputs += found.len();
        differing += found.iter().filter(|(_, difference)| difference.is_some()).count();
        again.print(&mut out, item.id, &found)?;
    }
    if args.format == Format::Json {
        out.json(&json!({ "event": "done", "outputs": outputs, "differing": differing }))?;
    }
    out.finish()?;
    let compared = plural(outputs as u64, "output");
    if differing > 0 {
        return Err(Failure::failed(format!("{differing} of {compared} of `{stage}` came out different"))
            .help("the stage uses chance, time or something that it does not declare; `sndpipe run FILE --force STAGE` replaces a result that went bad"));
    }
    if args.format == Format::Text {
        console::line(&format!("{compared} of `{stage}` came out as cached"));
    }
    Ok(Exit::Done)
}

/// Outputs by name, each with the first place that differs.
type Found = Vec<(String, Option<Difference>)>;

enum Stop {
    Interrupted,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct Again<'a> {
    session: &'a Session,
    sources: &'a Sources,
    faces: &'a [Option<Faces>],
    args: &'a Verify,
}

impl Again<'_> {
    fn compare(&self, item: &PlanItem) -> Result<Found, Stop> {
        let Session { graph, store } = self.session;
        let (PlanStatus::Cached, Some(parts), Some(outputs)) = (item.status, &item.parts, &item.faces) else {
            return Err(never_ran(graph, item.id)
                .help("`sndpipe run FILE` computes it; only what is cached can be compared")
                .into());
        };
        let scratch = tempfile::Builder::new().prefix("sndpipe-rerun-").tempdir();
        let scratch = scratch.map_err(|error| Failure::failed(format!("no scratch folder: {error}")))?;
        let beside = Store::open(scratch.path())?;
        let rerun = self.run(item.id, parts, &beside)?;
        let names = graph.instances[item.id].bound.outputs().iter().map(|output| output.name.clone());
        let mut found = Found::new();
        for ((name, face), rerun) in names.zip(outputs.iter()).zip(&rerun) {
            let cached =
                store.manifest(&face.id).ok_or_else(|| gone(graph.instances[item.id].to_string()))?;
            let side = |store, manifest| Side { store, manifest };
            found.push((name, compare(side(store, &cached), side(&beside, rerun))?));
        }
        Ok(found)
    }

    fn run(
        &self,
        id: InstanceId,
        parts: &KeyParts,
        beside: &Store,
    ) -> Result<Vec<sndpipe_cache::Manifest>, Stop> {
        let Session { graph, store } = self.session;
        let options = RerunOptions {
            scratch: beside,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: machine::memory(),
            device: self.args.device,
            cancel: &interrupt::CANCEL,
            observer: &Silent,
        };
        let manifests = sndpipe_engine::rerun(graph, store, self.sources, id, parts, self.faces, &options);
        manifests.map_err(|error| match error {
            StageError::Interrupted => Stop::Interrupted,
            StageError::Cache(CacheError::Damaged { path, what, .. }) => {
                let message =
                    format!("an input of `{}` is damaged: {}: {what}", graph.instances[id], path.display());
                Failure::failed(message).help("`sndpipe run FILE STAGE` computes it again").into()
            }
            other => other.into(),
        })
    }

    fn print(&self, out: &mut Out, id: InstanceId, found: &Found) -> Result<(), Failure> {
        let instance = &self.session.graph.instances[id];
        let paint = Paint::stdout();
        for (output, difference) in found {
            if self.args.format == Format::Json {
                out.json(&json!({
                    "event": "output",
                    "stage": instance.stage,
                    "axes": instance.axes_map(),
                    "output": output,
                    "same": difference.is_none(),
                    "difference": difference,
                }))?;
                continue;
            }
            match difference {
                None => out.line(format!("{instance}.{output}: {}", paint.green("the same")))?,
                Some(Difference { place, cached, rerun }) => out.line(format!(
                    "{instance}.{output}: {}: {} in the cache, {} now",
                    paint.red(place),
                    shortened(cached),
                    shortened(rerun)
                ))?,
            }
        }
        Ok(())
    }
}

fn gone(instance: String) -> Failure {
    Failure::failed(format!("the result of `{instance}` is recorded, but no longer in the cache"))
        .help("`sndpipe run FILE STAGE` computes it again")
}

/// Values are words and numbers, rarely whole texts.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
