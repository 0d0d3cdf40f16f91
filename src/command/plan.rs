//! `sndpipe plan`, and `run --dry-run`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sndpipe_cache::Digest;
use sndpipe_engine::{Graph, Plan, PlanItem, PlanStatus};

use crate::args::{self, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{self, plural};
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::session::{Place, Session};

/// Says what a run would do.
pub fn plan(args: &args::Plan, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    if args.rehash {
        session.store.distrust_digests();
    }
    let targets = session.select(&args.stages)?;
    let sources = session.scan(&targets)?;
    let plan = session.plan(&sources, &targets, &[])?;
    print(&session.graph, &plan, args.format, args.all)?;
    Ok(if args.check && !plan.is_current() { Exit::NotCurrent } else { Exit::Done })
}

/// Prints a plan on standard output.
pub fn print(graph: &Graph, plan: &Plan, format: Format, all: bool) -> Result<(), Failure> {
    let mut out = Out::new();
    match format {
        Format::Json => json(&mut out, graph, plan)?,
        Format::Text => text(&mut out, graph, plan, all)?,
    }
    out.finish()
}

/// What the plan calls a status, for people.
pub fn word(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Cached => "cached",
        PlanStatus::WouldRun => "would run",
        PlanStatus::Maybe => "may run",
    }
}

/// The object of one instance; the fields are sorted.
#[derive(Serialize)]
struct Line<'a> {
    axes: BTreeMap<&'a str, &'a str>,
    event: &'static str,
    key: Option<Digest>,
    outputs: BTreeMap<&'a str, Digest>,
    reason: String,
    stage: &'a str,
    status: &'static str,
}

fn json(out: &mut Out, graph: &Graph, plan: &Plan) -> Result<(), Failure> {
    for item in &plan.items {
        let instance = &graph.instances[item.id];
        let names = instance.bound.outputs().iter().map(|output| output.name.as_str());
        out.json(&Line {
            axes: instance.axes_map(),
            event: "stage",
            key: item.key,
            outputs: names.zip(item.faces.as_deref().into_iter().flatten().map(|face| face.id)).collect(),
            reason: item.reasons.join("; "),
            stage: &instance.stage,
            status: item.status.name(),
        })?;
    }
    let count = |status| plan.items.iter().filter(|item| item.status == status).count();
    out.json(&json!({
        "event": "done",
        "would_run": count(PlanStatus::WouldRun),
        "maybe": count(PlanStatus::Maybe),
        "cached": count(PlanStatus::Cached),
    }))
}

fn text(out: &mut Out, graph: &Graph, plan: &Plan, all: bool) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Left, Side::Left]).indent(2);
    for group in groups(graph, plan, all) {
        let status = word(group.status);
        let status = match group.status {
            PlanStatus::Cached => paint.dim(status),
            PlanStatus::WouldRun => paint.bold(status),
            PlanStatus::Maybe => paint.yellow(status),
        };
        let mut reasons = group.reasons.iter();
        grid.row([group.name, status, reasons.next().cloned().unwrap_or_default()]);
        for reason in reasons {
            grid.row([String::new(), String::new(), reason.clone()]);
        }
    }
    for line in grid.lines() {
        out.line(line)?;
    }
    let count = |status| plan.items.iter().filter(|item| item.status == status).count() as u64;
    let (run, maybe, cached) =
        (count(PlanStatus::WouldRun), count(PlanStatus::Maybe), count(PlanStatus::Cached));
    let total = plural(plan.items.len() as u64, "stage");
    if plan.is_current() {
        return out.line(format!("{total}: everything is up to date"));
    }
    let parts = [(run, "would run"), (maybe, "may run"), (cached, "cached")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", human::count(*n)))
        .collect();
    out.line(format!("{total}: {}", parts.join(", ")))
}

/// Cells of one stage with the same fate.
struct Group {
    name: String,
    status: PlanStatus,
    reasons: Vec<String>,
}

fn groups(graph: &Graph, plan: &Plan, all: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (stage, cells) in &graph.stages {
        let items = cells.iter().filter_map(|&id| plan.item(id));
        if all {
            groups.extend(items.map(|item| group(graph, stage, cells.len(), &[item])));
            continue;
        }
        let items = items.filter(|item| item.status != PlanStatus::Cached);
        groups.extend(alike(graph, stage, cells.len(), items));
    }
    groups
}

/// Cells with the same reasons together; where there are many reasons, the most frequent ones.
fn alike<'p>(
    graph: &Graph,
    stage: &str,
    cells: usize,
    items: impl Iterator<Item = &'p PlanItem>,
) -> Vec<Group> {
    /// So many reasons of one stage are told.
    const SHOWN: usize = 8;
    let mut places: BTreeMap<(&str, &[String]), usize> = BTreeMap::new();
    let mut found: Vec<Vec<&PlanItem>> = Vec::new();
    for item in items {
        let place = *places.entry((item.status.name(), &item.reasons)).or_insert(found.len());
        match found.get_mut(place) {
            Some(group) => group.push(item),
            None => found.push(vec![item]),
        }
    }
    let rest = if found.len() > SHOWN {
        found.sort_by_key(|group| Reverse(group.len()));
        found.split_off(SHOWN - 1)
    } else {
        Vec::new()
    };
    let mut groups: Vec<Group> = found.iter().map(|items| group(graph, stage, cells, items)).collect();
    if let Some(status) = rest.iter().flatten().map(|item| item.status).min() {
        let count = rest.iter().map(Vec::len).sum::<usize>() as u64;
        let name = format!("{stage} ×{} of {}", human::count(count), human::count(cells as u64));
        let reason = format!("{} other reasons; `--all` shows every cell", human::count(rest.len() as u64));
        groups.push(Group { name, status, reasons: vec![reason] });
    }
    groups
}

fn group(graph: &Graph, stage: &str, cells: usize, items: &[&PlanItem]) -> Group {
    let instance = &graph.instances[items[0].id];
    let count = |number: usize| human::count(number as u64);
    let name = if items.len() == 1 {
        instance.to_string()
    } else if items.len() == cells {
        let axes: Vec<&str> = instance.axes.iter().map(|(axis, _)| axis.as_str()).collect();
        format!("{stage} ×{} [{}]", count(items.len()), axes.join(", "))
    } else {
        format!("{stage} ×{} of {}", count(items.len()), count(cells))
    };
    Group { name, status: items[0].status, reasons: items[0].reasons.clone() }
}
