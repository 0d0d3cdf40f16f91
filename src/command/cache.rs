//! `sndpipe cache`.

use std::collections::BTreeMap;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sndpipe_cache::Stats;
use sndpipe_engine::Pin;

use crate::args::{Cache, Format, Verify};
use crate::command::{gc, pin, rerun};
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{bytes, count, plural};
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::session::{Place, open};

/// Looks at the cache, or frees some of it.
pub fn cache(command: &Cache, place: Place<'_>) -> Result<Exit, Failure> {
    let dir = place.cache;
    match command {
        Cache::Stats { format } => stats(*format, dir),
        Cache::Gc(args) => gc::gc(args, place),
        Cache::Pin(args) => pin::pin(args, place),
        Cache::Unpin { name } => pin::unpin(name, dir),
        Cache::Verify(args) => match &args.rerun {
            Some(stage) => rerun::rerun(args, stage, place),
            None => verify(args, dir),
        },
    }
}

fn stats(format: Format, dir: &Path) -> Result<Exit, Failure> {
    let store = open(dir)?;
    let (stats, pins) = (store.stats()?, Pin::all(&store)?);
    let mut out = Out::new();
    match format {
        Format::Json => {
            #[derive(serde::Serialize)]
            struct All<'a> {
                #[serde(flatten)]
                stats: &'a Stats,
                pins: &'a BTreeMap<String, Pin>,
            }
            out.json(&All { stats: &stats, pins: &pins })?;
        }
        Format::Text => {
            stats_text(&mut out, &stats, dir)?;
            for (name, pin) in &pins {
                let what = [std::slice::from_ref(&pin.file), &pin.stages].concat().join(" ");
                out.line(format!("pin {name}: {} of {what}", plural(pin.keys.len() as u64, "result")))?;
            }
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn stats_text(out: &mut Out, stats: &Stats, dir: &Path) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Right, Side::Right, Side::Right, Side::Right]);
    grid.row(["kind", "artefacts", "rows", "files", "size"].map(|title| paint.bold(title)));
    for (name, kind) in &stats.kinds {
        grid.row([
            name.clone(),
            count(kind.artefacts),
            count(kind.rows),
            count(kind.files),
            bytes(kind.bytes),
        ]);
    }
    if stats.orphan_files > 0 {
        grid.row([
            "unused".to_owned(),
            String::new(),
            String::new(),
            count(stats.orphan_files),
            bytes(stats.orphan_bytes),
        ]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))?;
    let (records, runs) = (plural(stats.records, "result"), plural(stats.runs, "run"));
    out.line(format!("{} in {}: {records}, {runs}", bytes(stats.total_bytes), dir.display()))
}

fn verify(args: &Verify, dir: &Path) -> Result<Exit, Failure> {
    let store = open(dir)?;
    let bar =
        if console::is_terminal() { console::bars().add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("verifying  {bar:30.cyan}  {percent:>3} %  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
    let faults = store.verify(&|done, total| {
        bar.set_length(total.max(1));
        bar.set_position(done);
        bar.set_message(format!("{} of {}", bytes(done), bytes(total)));
    });
    let checked = bar.length().filter(|_| bar.position() > 0).unwrap_or(0);
    bar.finish_and_clear();
    let faults = faults?;
    if args.repair {
        store.repair(&faults)?;
    }
    let mut out = Out::new();
    match args.format {
        Format::Json => {
            for fault in &faults {
                out.json(&json!({ "event": "fault", "path": fault.path, "what": fault.what }))?;
            }
            out.json(&json!({ "event": "done", "bytes": checked, "faults": faults.len() }))?;
        }
        Format::Text => {
            for fault in &faults {
                out.line(format!("{}: {}", fault.path.display(), fault.what))?;
            }
        }
    }
    out.finish()?;
    if faults.is_empty() {
        if args.format == Format::Text {
            console::line(&format!("{} verified: everything is as it was written", bytes(checked)));
        }
        return Ok(Exit::Done);
    }
    let found = plural(faults.len() as u64, "damaged file");
    let help = match args.repair {
        true => "they were removed; the next run that needs them computes them anew",
        false => {
            "`sndpipe cache verify --repair` removes them; the next run that needs them computes them anew"
        }
    };
    Err(Failure::failed(format!("{found} in {}", dir.display())).help(help))
}
