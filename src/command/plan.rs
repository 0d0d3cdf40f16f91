//! `sndpipe plan`, and `run --dry-run`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sndpipe_engine::{Graph, Plan, PlanItem, PlanStatus};

use crate::args::{self, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::plural;
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::session::Session;

/// Says what a run would do.
pub fn plan(args: &args::Plan, cache: &Path) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, cache)?;
    let targets = session.select(&args.stages)?;
    let sources = session.scan()?;
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

fn json(out: &mut Out, graph: &Graph, plan: &Plan) -> Result<(), Failure> {
    for item in &plan.items {
        let instance = &graph.instances[item.id];
        let names = instance.bound.outputs().iter().map(|output| output.name.as_str());
        let outputs: BTreeMap<_, _> = names.zip(item.faces.iter().flatten().map(|face| face.id)).collect();
        out.json(&json!({
            "event": "stage",
            "stage": instance.stage,
            "axes": instance.axes_map(),
            "status": item.status.name(),
            "key": item.key,
            "outputs": outputs,
            "reason": item.reasons.join("; "),
        }))?;
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
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    out.line(format!("{total}: {}", parts.join(", ")))
}

/// Cells of one stage with the same fate.
struct Group {
    name: String,
    status: PlanStatus,
    reasons: Vec<String>,
}

fn groups(graph: &Graph, plan: &Plan, all: bool) -> Vec<Group> {
    let mut by_stage: BTreeMap<&str, Vec<&PlanItem>> = BTreeMap::new();
    for item in &plan.items {
        by_stage.entry(&graph.instances[item.id].stage).or_default().push(item);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (stage, cells) in &graph.stages {
        let mut left = by_stage.remove(stage.as_str()).unwrap_or_default();
        if !all {
            left.retain(|item| item.status != PlanStatus::Cached);
        }
        while let Some(&first) = left.first() {
            let same = |item: &&PlanItem| item.status == first.status && item.reasons == first.reasons;
            let (alike, rest): (Vec<&PlanItem>, Vec<&PlanItem>) = if all {
                (vec![first], left[1..].to_vec())
            } else {
                left.iter().partition(|item| same(item))
            };
            let instance = &graph.instances[first.id];
            let name = if alike.len() == 1 {
                instance.to_string()
            } else if alike.len() == cells.len() {
                let axes: Vec<&str> = instance.axes.iter().map(|(axis, _)| axis.as_str()).collect();
                format!("{stage} ×{} [{}]", alike.len(), axes.join(", "))
            } else {
                format!("{stage} ×{} of {}", alike.len(), cells.len())
            };
            groups.push(Group { name, status: first.status, reasons: first.reasons.clone() });
            left = rest;
        }
    }
    groups
}
