//! `sndpipe runs`.

use std::path::Path;

use sndpipe_cache::{Bucket, Store};
use sndpipe_engine::RunRecord;

use crate::args::{Format, Runs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{plural, seconds, short, time};
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::session::open;

/// Lists past runs, or shows one.
pub fn runs(args: &Runs, cache: &Path) -> Result<Exit, Failure> {
    let store = open(cache)?;
    let mut names = store.documents(Bucket::Runs)?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    let mut out = Out::new();
    match &args.id {
        Some(id) => {
            let run = find(&store, &names, id)?;
            match args.format {
                Format::Json => out.json(&run)?,
                Format::Text => one(&mut out, &run)?,
            }
        }
        None => {
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

fn find(store: &Store, names: &[String], id: &str) -> Result<RunRecord, Failure> {
    let matching: Vec<&String> = names.iter().filter(|name| id == "last" || name.starts_with(id)).collect();
    let name = match (&matching[..], id) {
        ([], "last") => return Err(Failure::failed("nothing ran yet")),
        ([], _) => {
            return Err(Failure::usage(format!("there is no run `{id}`")).help("`sndpipe runs` lists them"));
        }
        ([latest, ..], "last") | ([latest], _) => latest,
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
    let mut grid = Grid::new(&[Side::Left, Side::Left, Side::Right, Side::Left, Side::Left]).indent(4);
    for stage in run.stages.iter().filter(|stage| stage.status != "cached") {
        let cell: Vec<String> = stage.axes.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        let name = if cell.is_empty() {
            stage.stage.clone()
        } else {
            format!("{}[{}]", stage.stage, cell.join(","))
        };
        let took = if stage.status == "ran" { seconds(stage.seconds) } else { String::new() };
        let why = stage.error.clone().unwrap_or_else(|| stage.reason.clone());
        grid.row([name, stage.status.clone(), took, stage.key.map(short).unwrap_or_default(), why]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}
