//! `sndpipe runs`.

use std::path::Path;

use sndpipe_cache::Store;
use sndpipe_engine::{RunRecord, RunStage};

use crate::args::{Format, Runs, RunsCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{bytes, plural, seconds, short, time};
use crate::out::Out;
use crate::paint::Paint;
use crate::plain;
use crate::progress::rows_text;
use crate::render::{Grid, Side};
use crate::session::open;

/// Lists past runs, or shows one.
pub fn runs(args: &Runs, cache: &Path) -> Result<Exit, Failure> {
    let store = open(cache)?;
    let mut out = Out::new();
    match &args.command {
        Some(RunsCommand::Show { id, format }) => {
            let run = find(&store, id)?;
            match format {
                Format::Json => out.json(&run)?,
                Format::Text => one(&mut out, &run)?,
            }
        }
        None => {
            let names = RunRecord::names(&store)?;
            let runs: Vec<RunRecord> =
                names.iter().take(args.limit).filter_map(|name| RunRecord::read(&store, name)).collect();
            match args.format {
                Format::Json => runs.iter().try_for_each(|run| out.json(run))?,
                Format::Text => list(&mut out, &runs, names.len())?,
            }
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// The run that an id, the beginning of one, `last` or `last~N` names.
pub fn find(store: &Store, id: &str) -> Result<RunRecord, Failure> {
    let names = RunRecord::names(store)?;
    let back = match id.strip_prefix("last") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('~').and_then(|number| number.parse::<usize>().ok()),
        None => None,
    };
    let matching: Vec<&String> = match back {
        Some(back) => names.get(back).into_iter().collect(),
        None => names.iter().filter(|name| name.starts_with(id)).collect(),
    };
    let name = match (&matching[..], back) {
        ([], Some(_)) if names.is_empty() => return Err(Failure::failed("nothing ran yet")),
        ([], Some(_)) => {
            let recorded = plural(names.len() as u64, "run");
            let message = format!("there is no run `{id}`: {recorded} recorded");
            return Err(Failure::usage(message).help("`sndpipe runs` lists them"));
        }
        ([], None) => {
            return Err(Failure::usage(format!("there is no run `{id}`")).help("`sndpipe runs` lists them"));
        }
        ([one], _) => one,
        (several, _) => {
            let message = format!("`{id}` is the beginning of {} runs", several.len());
            return Err(Failure::usage(message).help("give more of the id"));
        }
    };
    RunRecord::read(store, name)
        .ok_or_else(|| Failure::failed(format!("the record of run `{name}` is damaged")))
}

fn count(run: &RunRecord, status: &str) -> usize {
    run.stages.iter().filter(|stage| stage.status == status).count()
}

fn counts(run: &RunRecord) -> String {
    let all =
        ["ran", "cached", "failed", "skipped", "interrupted"].map(|status| (count(run, status), status));
    let some: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, status)| format!("{n} {status}")).collect();
    some.join(", ")
}

fn list(out: &mut Out, runs: &[RunRecord], total: usize) -> Result<(), Failure> {
    if runs.is_empty() {
        return out.line("nothing ran yet");
    }
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Left, Side::Left, Side::Left, Side::Right, Side::Left]);
    grid.row(["run", "started", "pipeline", "status", "took", "stages"].map(|title| paint.bold(title)));
    for run in runs {
        grid.row([
            run.id.clone(),
            time(run.started_ms),
            run.pipeline.clone(),
            status(paint, &run.status),
            seconds(run.seconds),
            counts(run),
        ]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))?;
    if total > runs.len() {
        out.line(format!("and {} earlier; `--limit N` shows more", total - runs.len()))?;
    }
    Ok(())
}

fn status(paint: Paint, status: &str) -> String {
    match status {
        "done" => paint.green(status),
        "failed" => paint.red(status),
        _ => paint.yellow(status),
    }
}

fn one(out: &mut Out, run: &RunRecord) -> Result<(), Failure> {
    let paint = Paint::stdout();
    out.line(format!("{}  {}", paint.bold(&run.id), status(paint, &run.status)))?;
    out.line(format!("  pipeline  {} ({})", run.pipeline, run.file))?;
    for (name, value) in &run.overrides {
        out.line(format!("  set       {name}={value}"))?;
    }
    out.line(format!("  started   {} on {}", time(run.started_ms), run.host))?;
    out.line(format!("  took      {}", seconds(run.seconds)))?;
    out.line(format!("  version   {}", run.version))?;
    out.line(format!("  stages    {}: {}", plural(run.stages.len() as u64, "stage"), counts(run)))?;
    let sides = [vec![Side::Left; 2], vec![Side::Right; 5], vec![Side::Left; 3]].concat();
    let mut grid = Grid::new(&sides).indent(4);
    let titles = ["stage", "status", "wall", "cpu", "memory", "read", "written", "rows", "key", "why"];
    grid.row(titles.map(|title| paint.bold(title)));
    let shown: Vec<&RunStage> = run.stages.iter().filter(|stage| stage.status != "cached").collect();
    for stage in &shown {
        let ran = matches!(&*stage.status, "ran" | "failed");
        let usage = &stage.usage;
        let cost = [
            seconds(stage.seconds),
            seconds(usage.cpu_seconds),
            bytes(usage.peak_bytes),
            bytes(usage.read_bytes),
            bytes(usage.written_bytes),
            rows_text(stage.rows).unwrap_or_default(),
        ];
        let cost = if ran { cost } else { Default::default() };
        let why = stage.error.as_deref().unwrap_or(&stage.reason);
        let why = plain::output(why.lines().next().unwrap_or_default()).into_owned();
        let key = stage.key.map(short).unwrap_or_default();
        let first = [name(stage), stage.status.clone()];
        grid.row(first.into_iter().chain(cost).chain([key, why]));
    }
    if !shown.is_empty() {
        grid.lines().iter().try_for_each(|line| out.line(line))?;
    }
    for stage in shown.iter().filter(|stage| stage.error.is_some() && stage.status == "failed") {
        out.line("")?;
        let error = stage.error.as_deref().unwrap_or_default();
        out.line(format!("{} failed: {}", paint.bold(name(stage)), plain::output(error)))?;
        stage.log.iter().try_for_each(|line| out.line(format!("  | {}", plain::output(line))))?;
    }
    Ok(())
}

/// `model[fold=1]`.
pub fn name(stage: &RunStage) -> String {
    let cell: Vec<String> = stage.axes.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
    if cell.is_empty() { stage.stage.clone() } else { format!("{}[{}]", stage.stage, cell.join(",")) }
}
