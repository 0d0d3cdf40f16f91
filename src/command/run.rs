//! `sndpipe run`.

use std::thread::available_parallelism;

use sndpipe_engine::{InstanceId, Observer, RunOptions, RunReport};

use crate::args::{Format, Run};
use crate::command::{plan, table};
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::plural;
use crate::interrupt;
use crate::machine;
use crate::out::Out;
use crate::paint::Paint;
use crate::progress::{Bars, Json, Lines, Wording, failure, summary};
use crate::results::warn;
use crate::session::{Place, Session, select};
use crate::trace::Trace;

/// So many tables are printed after a run.
const TABLES: usize = 10;

/// Executes what is missing.
pub fn run(args: Run, place: Place<'_>) -> Result<Exit, Failure> {
    let jobs = match args.jobs {
        Some(jobs) => jobs,
        None => available_parallelism().map_or(1, usize::from),
    };
    if args.jobs.is_some() {
        // Without `--jobs` rayon makes its threads where it first needs them, which a run of cached stages never does.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        pool.map_err(|error| Failure::failed(format!("cannot start {jobs} threads: {error}")))?;
    }
    let session = Session::open(&args.pipeline, place)?;
    if args.rehash {
        session.store.distrust_digests();
    }
    let targets = session.select(&args.stages)?;
    let force = session.select(&args.force)?;
    refuse_idle_force(&session, &targets, &args)?;
    let sources = session.scan(&targets)?;
    if args.dry_run {
        let plan = session.plan(&sources, &targets, &force)?;
        plan::print(&session.graph, &plan, args.format, false)?;
        return Ok(Exit::Done);
    }

    interrupt::listen();
    let tables = match args.format {
        Format::Text => tables(&session, &targets),
        Format::Json => Vec::new(),
    };
    let options = RunOptions {
        read: tables.iter().copied().take(TABLES).collect(),
        targets,
        force,
        jobs,
        memory: args.memory.unwrap_or_else(machine::memory),
        device: args.device,
        fail_fast: args.fail_fast && !args.keep_going,
        overrides: args.pipeline.set.clone(),
        cancel: &interrupt::CANCEL,
    };
    let engine = |observer: &dyn Observer| {
        sndpipe_engine::run(&session.graph, &session.store, &sources, &options, observer)
    };
    let run = |observer: &dyn Observer| -> Result<RunReport, Failure> {
        let Some(path) = &args.trace else { return Ok(engine(observer)?) };
        let trace = Trace::create(path, &session.graph, observer)?;
        let report = engine(&trace);
        if let Err(error) = trace.finish() {
            warn(&format!("the trace is not complete: {error}"));
        }
        Ok(report?)
    };
    let file = args.pipeline.file.display().to_string();
    let paint = Paint::stderr();
    let wording = Wording::new(&session.graph, &file, paint);
    let report = match args.format {
        Format::Json => {
            let json = Json::new(&session.graph);
            let report = run(&json)?;
            json.done(&report);
            report
        }
        Format::Text if console::is_terminal() => {
            let bars = Bars::new(wording, paint);
            let report = run(&bars);
            bars.clear();
            report?
        }
        Format::Text => run(&Lines::new(wording))?,
    };
    if let Some(text) = failure(&wording, &report).filter(|_| args.format == Format::Text) {
        console::line(&format!("\n{text}\n"));
    }
    if args.format == Format::Text {
        console::line(&summary(&report, paint));
    }
    if report.is_done() {
        print_tables(&session, &report, &tables)?;
        return Ok(Exit::Done);
    }
    Ok(if interrupt::happened() { Exit::Interrupted } else { Exit::Failed })
}

/// Refuses a stage to be forced that the stages asked for do not need: it would not run.
fn refuse_idle_force(session: &Session, targets: &[InstanceId], args: &Run) -> Result<(), Failure> {
    if targets.is_empty() {
        return Ok(());
    }
    let needed = session.graph.needed(targets);
    for reference in &args.force {
        if select(&session.graph, reference)?.iter().any(|&id| needed[id]) {
            continue;
        }
        let asked: Vec<String> = args.stages.iter().map(|stage| format!("`{stage}`")).collect();
        let (asked, verb) = (asked.join(", "), if asked.len() == 1 { "does" } else { "do" });
        let message = format!("`--force {reference}` has no effect: {asked} {verb} not need `{reference}`");
        let help = format!("add `{reference}` to the stages, or leave `--force {reference}` out");
        return Err(Failure::usage(message).help(help));
    }
    Ok(())
}

/// The tables that nothing else reads: what the experiment was made for.
fn tables(session: &Session, targets: &[InstanceId]) -> Vec<InstanceId> {
    let (graph, readers) = (&session.graph, session.graph.readers());
    let is_table = |id: &InstanceId| {
        readers[*id].is_empty() && table::KINDS.contains(&graph.instances[*id].bound.name())
    };
    let needed = graph.needed(targets);
    (0..graph.instances.len()).filter(|&id| needed[id]).filter(is_table).collect()
}

/// Prints the first few tables.
fn print_tables(session: &Session, report: &RunReport, ids: &[InstanceId]) -> Result<(), Failure> {
    let mut out = Out::new();
    for id in ids.iter().take(TABLES) {
        let face = report.faces[*id].as_ref().and_then(|faces| faces.first());
        let Some(manifest) = face.and_then(|face| session.store.manifest(&face.id)) else { continue };
        let batch = session.store.read_table(&manifest, None)?;
        let title = session.graph.instances[*id].to_string();
        table::print_text(&mut out, (ids.len() > 1).then_some(title.as_str()), &batch, &manifest.meta)?;
    }
    if ids.len() > TABLES {
        let more = plural((ids.len() - TABLES) as u64, "more table");
        out.line(format!("\nand {more}; `sndpipe table FILE STAGE` prints each"))?;
    }
    out.finish()
}
