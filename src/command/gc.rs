//! `sndpipe cache gc`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sndpipe_cache::{Collection, Freed, Store};
use sndpipe_engine::{Keep, Needed, Record, Sources, keys_needed};

use crate::args::{Format, Gc, Pipeline};
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{bytes, count, plural};
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::results::warn;
use crate::session::{Place, load, open};

/// Frees what nothing needs.
pub fn gc(args: &Gc, place: Place<'_>) -> Result<Exit, Failure> {
    // Whatever is wrong with a pipeline is found before anything goes.
    let pipeline = |file: &_| Pipeline { file: Path::to_owned(file), set: args.set.clone() };
    let graphs = args
        .files
        .iter()
        .map(|file| load(&pipeline(file), place.registry))
        .collect::<Result<Vec<_>, Failure>>()?;
    let dir = place.cache;
    let store = open(dir)?;
    let collection = begin(&store)?;
    let mut named = Needed::default();
    for graph in &graphs {
        let sources = Sources::scan(graph, &store, &[])?;
        named.extend(keys_needed(graph, &store, &sources, &[]).map_err(Failure::usage)?);
    }
    let keep = Keep { runs: args.keep_runs, age: args.older_than, max_bytes: args.max_size };
    let policy = keep.policy(&store, (!graphs.is_empty()).then_some(named))?;
    let freed = collection.run(&policy, &Record::names, args.dry_run)?;
    let mut out = Out::new();
    match args.format {
        Format::Json => write_json(&mut out, &freed, args.dry_run)?,
        Format::Text => write_text(&mut out, &freed, args.dry_run, dir)?,
    }
    out.finish()?;
    if freed.over > 0 {
        warn(&format!(
            "{} more than --max-size: named pipelines, pins and running processes need them",
            bytes(freed.over)
        ));
    }
    Ok(Exit::Done)
}

/// Waits for its turn: one process collects at a time.
fn begin(store: &Store) -> Result<Collection<'_>, Failure> {
    let mut told = false;
    loop {
        if let Some(collection) = store.collection()? {
            return Ok(collection);
        }
        if !told {
            console::line("another process collects garbage in this cache; waiting for it");
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn write_json(out: &mut Out, freed: &Freed, dry_run: bool) -> Result<(), Failure> {
    for (part, tally) in &freed.parts {
        out.json(
            &json!({ "event": "part", "part": part.name(), "count": tally.count, "bytes": tally.bytes }),
        )?;
    }
    out.json(&json!({
        "event": "done",
        "dry_run": dry_run,
        "bytes": freed.bytes(),
        "before": freed.before,
        "after": freed.before.saturating_sub(freed.bytes()),
        "in_use": freed.in_use,
        "over": freed.over,
    }))
}

fn write_text(out: &mut Out, freed: &Freed, dry_run: bool, dir: &Path) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let before = bytes(freed.before);
    if freed.parts.is_empty() {
        return out.line(format!("nothing to free: all of {before} in {} is kept", dir.display()));
    }
    let mut grid = Grid::new(&[Side::Left, Side::Right, Side::Right]);
    grid.row(["part", "count", "size"].map(|title| paint.bold(title)));
    for (part, tally) in &freed.parts {
        grid.row([part.name().to_owned(), count(tally.count), bytes(tally.bytes)]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))?;
    let done = if dry_run { "would free" } else { "freed" };
    out.line(format!("{done} {} of {before} in {}", bytes(freed.bytes()), dir.display()))?;
    if freed.in_use > 0 {
        out.line(format!("{} stayed: running processes use them", plural(freed.in_use, "file")))?;
    }
    Ok(())
}
