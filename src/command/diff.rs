//! `sndpipe diff`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use sndpipe_cache::{CacheError, Cell, Digest, Store, cell};
use sndpipe_engine::{Change, Kind, Record, RunRecord, RunStage, read_sources};

use crate::args::{Diff, Format};
use crate::command::runs::{find, name};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{plural, seconds, time};
use crate::out::Out;
use crate::paint::Paint;
use crate::session::open;

/// Compares two runs.
pub fn diff(args: &Diff, cache: &Path) -> Result<Exit, Failure> {
    let store = open(cache)?;
    let (old, new) = (find(&store, &args.old)?, find(&store, &args.new)?);
    let stages = stages(&store, &old, &new)?;
    let mut out = Out::new();
    match args.format {
        Format::Json => json_lines(&mut out, &old, &new, &stages)?,
        Format::Text => text(&mut out, &old, &new, &stages)?,
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// How one instance differs between the runs.
#[derive(Default, Serialize)]
struct StageDifference {
    stage: String,
    #[serde(skip)]
    name: String,
    axes: BTreeMap<String, String>,
    /// `same`, `changed`, `added` or `removed`.
    status: &'static str,
    /// What became of it: `ran`, `cached`, `failed`, …
    outcomes: [Option<String>; 2],
    keys: [Option<Digest>; 2],
    changes: Vec<Change>,
    /// Declared files that are others: what happened to each.
    files: Vec<FileChange>,
    metrics: Vec<MetricChange>,
    /// What could not be compared, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct FileChange {
    file: String,
    old: Option<Digest>,
    new: Option<Digest>,
}

#[derive(Serialize)]
struct MetricChange {
    /// Every column but the value: the metric, the class.
    metric: String,
    old: Option<f64>,
    new: Option<f64>,
}

fn stages(store: &Store, old: &RunRecord, new: &RunRecord) -> Result<Vec<StageDifference>, Failure> {
    let mut before: BTreeMap<String, &RunStage> =
        old.stages.iter().map(|stage| (name(stage), stage)).collect();
    let mut all = Vec::with_capacity(new.stages.len());
    for stage in &new.stages {
        all.push(difference(store, before.remove(&name(stage)), Some(stage))?);
    }
    for stage in before.into_values() {
        all.push(difference(store, Some(stage), None)?);
    }
    Ok(all)
}

fn difference(
    store: &Store,
    old: Option<&RunStage>,
    new: Option<&RunStage>,
) -> Result<StageDifference, Failure> {
    let Some(stage) = new.or(old) else { return Ok(StageDifference::default()) };
    let sides = [old, new];
    let keys = sides.map(|side| side.and_then(|side| side.key));
    let mut found = StageDifference {
        stage: stage.stage.clone(),
        name: name(stage),
        axes: stage.axes.iter().cloned().collect(),
        status: match (old, new) {
            (Some(_), None) => "removed",
            (None, _) => "added",
            _ if keys[0] == keys[1] && keys[0].is_some() => "same",
            _ => "changed",
        },
        outcomes: sides.map(|side| side.map(|side| side.status.clone())),
        keys,
        ..StageDifference::default()
    };
    if found.status != "changed" {
        return Ok(found);
    }
    let [Some(old), Some(new)] = keys.map(|key| key.and_then(|key| Record::read(store, &key))) else {
        found.note = Some(match keys {
            [Some(_), Some(_)] => "a result is not in the cache: it failed, or was removed",
            _ => "it did not come to run: its inputs were not known",
        });
        return Ok(found);
    };
    for change in new.parts.difference(&old.parts) {
        match change {
            Change::Files { old: Some(old), new: Some(new) } => {
                let lists = [old, new].map(|list| read_sources(store, &list));
                if let [Some(old), Some(new)] = &lists {
                    found.files = files(old, new);
                }
                if found.files.is_empty() {
                    found.changes.push(change);
                }
            }
            other => found.changes.push(other),
        }
    }
    found.metrics = metrics(store, &old, &new)?;
    Ok(found)
}

fn files(old: &BTreeMap<String, Digest>, new: &BTreeMap<String, Digest>) -> Vec<FileChange> {
    let labels: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |label: &String| FileChange {
        file: label.clone(),
        old: old.get(label).copied(),
        new: new.get(label).copied(),
    };
    labels.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

/// The values of every table of metrics that are others.
fn metrics(store: &Store, old: &Record, new: &Record) -> Result<Vec<MetricChange>, Failure> {
    let mut changes = Vec::new();
    for (old, new) in old.outputs.iter().zip(new.outputs.iter()) {
        if new.kind != Kind::Metrics.name() || old.id == new.id {
            continue;
        }
        let [old, new] = [values(store, &old.id)?, values(store, &new.id)?];
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (old, new) = (old.get(name).copied(), new.get(name).copied());
            if old != new {
                changes.push(MetricChange { metric: name.clone(), old, new });
            }
        }
    }
    Ok(changes)
}

/// Metric, and class where there is one, with their value; empty for an artefact that is gone.
fn values(store: &Store, artefact: &Digest) -> Result<BTreeMap<String, f64>, Failure> {
    let table = match store.manifest(artefact).map(|manifest| store.read_table(&manifest, None)) {
        None | Some(Err(CacheError::Damaged { .. })) => return Ok(BTreeMap::new()),
        Some(table) => table?,
    };
    let Some(values) = table.column_by_name("value") else { return Ok(BTreeMap::new()) };
    let names: Vec<_> =
        ["metric", "class"].into_iter().filter_map(|name| table.column_by_name(name)).collect();
    let mut all = BTreeMap::new();
    for row in 0..table.num_rows() {
        let words = names.iter().map(|column| cell(column, row).exact());
        let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if let Cell::Float(value) = cell(values, row) {
            all.insert(name, value);
        }
    }
    Ok(all)
}

/// `--set` values that are not the same in both runs.
fn overrides(old: &RunRecord, new: &RunRecord) -> Vec<(String, [Option<String>; 2])> {
    let maps = [old, new].map(|run| run.overrides.iter().cloned().collect::<BTreeMap<_, _>>());
    let names: BTreeSet<&String> = maps.iter().flat_map(BTreeMap::keys).collect();
    let of = |name: &String| [&maps[0], &maps[1]].map(|map| map.get(name).cloned());
    names.into_iter().map(|name| (name.clone(), of(name))).filter(|(_, [old, new])| old != new).collect()
}

fn count(stages: &[StageDifference], status: &str) -> u64 {
    stages.iter().filter(|stage| stage.status == status).count() as u64
}

fn json_lines(
    out: &mut Out,
    old: &RunRecord,
    new: &RunRecord,
    stages: &[StageDifference],
) -> Result<(), Failure> {
    let run = |run: &RunRecord| {
        json!({
            "id": run.id, "pipeline": run.pipeline, "file": run.file, "version": run.version, "host": run.host,
            "status": run.status, "seconds": run.seconds,
        })
    };
    out.json(&json!({ "event": "runs", "old": run(old), "new": run(new), "set": overrides(old, new) }))?;
    for stage in stages.iter().filter(|stage| stage.status != "same") {
        let mut line = json!(stage);
        line["event"] = json!("stage");
        out.json(&line)?;
    }
    let counts = ["same", "changed", "added", "removed"].map(|status| count(stages, status));
    let [same, changed, added, removed] = counts;
    out.json(
        &json!({ "event": "done", "same": same, "changed": changed, "added": added, "removed": removed }),
    )
}

fn text(out: &mut Out, old: &RunRecord, new: &RunRecord, stages: &[StageDifference]) -> Result<(), Failure> {
    let paint = Paint::stdout();
    out.line(format!("{} -> {}", paint.bold(&old.id), paint.bold(&new.id)))?;
    let file = |run: &RunRecord| format!("{} ({})", run.pipeline, run.file);
    let fields = [
        ("pipeline", file(old), file(new)),
        ("started", time(old.started_ms), time(new.started_ms)),
        ("status", old.status.clone(), new.status.clone()),
        ("took", seconds(old.seconds), seconds(new.seconds)),
        ("version", old.version.clone(), new.version.clone()),
        ("host", old.host.clone(), new.host.clone()),
    ];
    for (field, old, new) in fields.into_iter().filter(|(_, old, new)| old != new) {
        out.line(format!("  {field:<8}  {old} -> {new}"))?;
    }
    let word = |value: Option<String>| value.unwrap_or_else(|| "unset".to_owned());
    for (name, [old, new]) in overrides(old, new) {
        out.line(format!("  {:<8}  {name}: {} -> {}", "set", word(old), word(new)))?;
    }
    for stage in stages.iter().filter(|stage| stage.status == "changed") {
        out.line("")?;
        out.line(paint.bold(&stage.name))?;
        changed(out, stage)?;
    }
    for (status, title) in [("added", "only in the second"), ("removed", "only in the first")] {
        let names: Vec<&str> =
            stages.iter().filter(|stage| stage.status == status).map(|stage| &*stage.name).collect();
        if !names.is_empty() {
            out.line("")?;
            out.line(format!("{title}: {}", names.join(", ")))?;
        }
    }
    out.line("")?;
    let total = plural(stages.len() as u64, "stage");
    out.line(format!("{total}: {} the same, {} changed", count(stages, "same"), count(stages, "changed")))
}

fn changed(out: &mut Out, stage: &StageDifference) -> Result<(), Failure> {
    const FILES: usize = 5;
    if let [Some(old), Some(new)] = &stage.outcomes
        && [old, new].iter().any(|outcome| !matches!(&***outcome, "ran" | "cached"))
    {
        out.line(format!("  {old} -> {new}"))?;
    }
    for change in &stage.changes {
        out.line(format!("  {change}"))?;
    }
    for FileChange { file, old, new } in stage.files.iter().take(FILES) {
        let what = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        out.line(format!("  file {file}: {what}"))?;
    }
    if stage.files.len() > FILES {
        out.line(format!("  and {}", plural((stage.files.len() - FILES) as u64, "more file")))?;
    }
    let shown = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    for MetricChange { metric, old, new } in &stage.metrics {
        let by = match (old, new) {
            (Some(old), Some(new)) => format!(" ({:+.4})", new - old),
            _ => String::new(),
        };
        out.line(format!("  {metric}: {} -> {}{by}", shown(old), shown(new)))?;
    }
    if let Some(note) = stage.note {
        out.line(format!("  {note}"))?;
    }
    Ok(())
}
