//! `sndpipe graph`.

use std::collections::BTreeSet;

use sndpipe_engine::{Graph, Instance, Registry};

use crate::args::{self, GraphFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{count, plural};
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::session::load;

/// One stage or cell as it is drawn.
struct Node {
    name: String,
    repeated: String,
    uses: &'static str,
}

/// One arrow.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: usize,
    to: usize,
    label: String,
}

/// Shows the stages and what they read.
pub fn graph(args: &args::Graph, registry: &Registry) -> Result<Exit, Failure> {
    let graph = load(&args.pipeline, registry)?;
    let (nodes, edges) = if args.cells { cells(&graph) } else { stages(&graph) };
    let mut out = Out::new();
    match args.format {
        GraphFormat::Text => text(&mut out, &graph, &nodes, args.cells)?,
        GraphFormat::Dot => dot(&mut out, &graph, &nodes, &edges)?,
        GraphFormat::Mermaid => mermaid(&mut out, &nodes, &edges)?,
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn cells(graph: &Graph) -> (Vec<Node>, BTreeSet<Edge>) {
    let node = |instance: &Instance| Node {
        name: instance.to_string(),
        repeated: String::new(),
        uses: instance.bound.name(),
    };
    let nodes = graph.instances.iter().map(node).collect();
    let mut edges = BTreeSet::new();
    for (to, instance) in graph.instances.iter().enumerate() {
        for item in instance.inputs.iter().flat_map(|input| &input.items) {
            edges.insert(Edge { from: item.from, to, label: output_label(graph, item.from, item.output) });
        }
    }
    (nodes, edges)
}

fn stages(graph: &Graph) -> (Vec<Node>, BTreeSet<Edge>) {
    let mut nodes = Vec::with_capacity(graph.stages.len());
    let mut edges = BTreeSet::new();
    let mut stage_of = vec![0; graph.instances.len()];
    for (index, (_, ids)) in graph.stages.iter().enumerate() {
        ids.iter().for_each(|&id| stage_of[id] = index);
    }
    for (to, (name, ids)) in graph.stages.iter().enumerate() {
        let uses = ids.first().map_or("", |&id| graph.instances[id].bound.name());
        nodes.push(Node { name: name.clone(), repeated: repeated(graph, ids), uses });
        for item in ids.iter().flat_map(|&id| &graph.instances[id].inputs).flat_map(|input| &input.items) {
            let label = output_label(graph, item.from, item.output);
            edges.insert(Edge { from: stage_of[item.from], to, label });
        }
    }
    (nodes, edges)
}

/// `×10 [fold, loss]`, or nothing where a stage is not repeated.
fn repeated(graph: &Graph, ids: &[usize]) -> String {
    let axes = ids.first().map_or(&[][..], |&id| &graph.instances[id].axes);
    if axes.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = axes.iter().map(|(axis, _)| axis.as_str()).collect();
    format!("×{} [{}]", count(ids.len() as u64), names.join(", "))
}

/// The output's name where it is not the first.
fn output_label(graph: &Graph, from: usize, output: usize) -> String {
    if output == 0 {
        return String::new();
    }
    graph.instances[from].bound.outputs().get(output).map_or_else(String::new, |output| output.name.clone())
}

fn text(out: &mut Out, graph: &Graph, nodes: &[Node], by_cell: bool) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let (stages, cells) = (graph.stages.len() as u64, graph.instances.len() as u64);
    let cells = if cells == stages { String::new() } else { format!(", {}", plural(cells, "cell")) };
    out.line(format!("{}: {}{cells}", paint.bold(&graph.name), plural(stages, "stage")))?;
    let mut grid = Grid::new(&[Side::Left, Side::Left, Side::Left, Side::Left]).indent(2);
    let first = |index: usize| if by_cell { Some(index) } else { graph.stages[index].1.first().copied() };
    for index in order(graph, nodes.len(), by_cell) {
        let node = &nodes[index];
        let inputs = first(index).map_or_else(String::new, |id| inputs(graph, &graph.instances[id], by_cell));
        let inputs = if inputs.is_empty() { inputs } else { format!("← {inputs}") };
        grid.row([paint.cyan(&node.name), node.repeated.clone(), paint.dim(node.uses), inputs]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}

/// Inputs before what reads them; else as the file has them.
fn order(graph: &Graph, nodes: usize, by_cell: bool) -> Vec<usize> {
    if by_cell {
        return (0..nodes).collect();
    }
    let mut order: Vec<usize> = (0..nodes).collect();
    // Instances are sorted topologically, so the last cell of a stage comes after everything that the stage reads.
    let mut depth = vec![0_usize; graph.instances.len()];
    for (id, instance) in graph.instances.iter().enumerate() {
        let inputs = instance.inputs.iter().flat_map(|input| &input.items).map(|item| depth[item.from] + 1);
        depth[id] = inputs.max().unwrap_or(0);
    }
    order.sort_by_key(|&index| graph.stages[index].1.iter().map(|&id| depth[id]).max());
    order
}

/// `features: mel, labels: clips.labels`; a single input is named by its stage only.
fn inputs(graph: &Graph, instance: &Instance, by_cell: bool) -> String {
    let mut parts = Vec::new();
    for input in &instance.inputs {
        let Some(item) = input.items.first() else { continue };
        let from = &graph.instances[item.from];
        let label = output_label(graph, item.from, item.output);
        let mut name = if by_cell && input.items.len() == 1 { from.to_string() } else { from.stage.clone() };
        if !label.is_empty() {
            name = format!("{name}.{label}");
        }
        if input.items.len() > 1 {
            let axes: Vec<&str> = item.axes.iter().map(|(axis, _)| axis.as_str()).collect();
            name =
                format!("{name} collected over {} (×{})", axes.join(", "), count(input.items.len() as u64));
        }
        parts.push((input.port.as_str(), name));
    }
    match &parts[..] {
        [(_, name)] => name.clone(),
        several => {
            several.iter().map(|(port, name)| format!("{port}: {name}")).collect::<Vec<_>>().join(", ")
        }
    }
}

fn dot(out: &mut Out, graph: &Graph, nodes: &[Node], edges: &BTreeSet<Edge>) -> Result<(), Failure> {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    out.line(format!("digraph {} {{", quote(&graph.name)))?;
    out.line("  rankdir=LR;")?;
    out.line("  node [shape=box, style=rounded, fontname=\"Helvetica\"];")?;
    for (index, node) in nodes.iter().enumerate() {
        let repeated = if node.repeated.is_empty() { String::new() } else { format!(" {}", node.repeated) };
        let label = quote(&format!("{}{repeated}", node.name));
        let uses = quote(node.uses);
        let (label, uses) = (label.trim_end_matches('"'), uses.trim_start_matches('"'));
        out.line(format!("  n{index} [label={label}\\n{uses}];"))?;
    }
    for edge in edges {
        let label =
            if edge.label.is_empty() { String::new() } else { format!(" [label={}]", quote(&edge.label)) };
        out.line(format!("  n{} -> n{}{label};", edge.from, edge.to))?;
    }
    out.line("}")
}

fn mermaid(out: &mut Out, nodes: &[Node], edges: &BTreeSet<Edge>) -> Result<(), Failure> {
    let quote = |text: &str| {
        text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
    };
    out.line("flowchart LR")?;
    for (index, node) in nodes.iter().enumerate() {
        let repeated = if node.repeated.is_empty() { String::new() } else { format!(" {}", node.repeated) };
        out.line(format!(
            "  n{index}[\"{}{}<br><i>{}</i>\"]",
            quote(&node.name),
            quote(&repeated),
            quote(node.uses)
        ))?;
    }
    for edge in edges {
        let arrow =
            if edge.label.is_empty() { "-->".to_owned() } else { format!("-->|\"{}\"|", quote(&edge.label)) };
        out.line(format!("  n{} {arrow} n{}", edge.from, edge.to))?;
    }
    Ok(())
}
