//! Edges: which instance reads which, with ports and artefact kinds checked.

use std::collections::{BTreeMap, BTreeSet};

use super::cells::Totals;
use super::interpolate::scalar_text;
use super::layout::Route;
use super::matrix::Matrix;
use super::plan::{InputPlan, Plan};
use super::problem::Problem;
use super::problems::Problems;
use super::suppliers::Suppliers;
use crate::cell::{InstanceId, Item};
use crate::graph::{Input, Instance};
use crate::port::Port;

/// How many artefacts the inputs of all instances may read.
const ITEMS: usize = 5_000_000;

/// Makes the instances of one stage; `first` is the first instance of each earlier stage.
pub(super) fn instances(
    plans: &[Plan<'_>],
    at: usize,
    first: &[InstanceId],
    matrix: &Matrix<'_>,
    total: &mut Totals,
    problems: &mut Problems,
    instances: &mut Vec<Instance>,
) {
    let plan = &plans[at];
    if plan.layout.broken || plan.layout.bound.is_empty() {
        return;
    }
    let mut wires: Vec<Wire<'_>> =
        (0..plan.inputs.len()).map(|input| Wire::new(plans, at, input, first, matrix)).collect();
    for wire in &wires {
        let (each, cells) = (wire.gathers(), plan.layout.cells.len());
        total.items = total.items.saturating_add(each.saturating_mul(cells));
        if total.items > ITEMS {
            let message = format!("the inputs of all stages read more than {ITEMS} artefacts");
            let label = format!("gathers {each} cells, in each of {cells} cells of `{}`", plan.spec.key.text);
            problems.push(
                Problem::new("too_many", wire.input.span, message)
                    .label(label)
                    .help("gather in a stage that is not repeated, or choose cells: `stage[axis=label]`"),
            );
            return;
        }
    }
    let mut ports: Vec<(Vec<Port>, Vec<Option<usize>>)> = Vec::new();
    let mut port_set: Vec<usize> = Vec::with_capacity(plan.layout.bound.len());
    for bound in &plan.layout.bound {
        let known = ports.iter().rposition(|(known, _)| known == bound.inputs());
        port_set.push(known.unwrap_or_else(|| {
            let inputs = bound.inputs().to_vec();
            let assigned = assign(plans, at, &inputs, &mut total.suppliers, problems);
            ports.push((inputs, assigned));
            ports.len() - 1
        }));
    }
    let mut coords = Vec::new();
    for &(dense, group) in &plan.layout.cells {
        plan.layout.decode(dense, &mut coords);
        let (inputs, assigned) = &ports[port_set[group as usize]];
        let mut wired = Vec::with_capacity(inputs.len());
        for (port, input) in inputs.iter().zip(assigned) {
            let (items, span) = match input {
                Some(input) => {
                    let suppliers = &mut total.suppliers;
                    (wires[*input].items(group, &coords, port, suppliers, problems), plan.inputs[*input].span)
                }
                None => (Vec::new(), plan.spec.key.span),
            };
            wired.push(Input { port: port.name.clone(), items, span });
        }
        instances.push(Instance {
            stage: plan.spec.key.text.clone(),
            axes: plan.layout.labels(matrix, &coords, |_| true),
            bound: std::sync::Arc::clone(&plan.layout.bound[group as usize]),
            inputs: wired,
            keep: plan.spec.keep,
            span: plan.spec.key.span,
        });
    }
}

/// Which input each port has.
fn assign(
    plans: &[Plan<'_>],
    at: usize,
    ports: &[Port],
    suppliers: &mut Suppliers,
    problems: &mut Problems,
) -> Vec<Option<usize>> {
    let plan = &plans[at];
    let (stage, kind) = (&plan.spec.key.text, &plan.spec.uses.text);
    let mut assigned: Vec<Option<usize>> = vec![None; ports.len()];
    let mut misnamed = false;
    for (index, input) in plan.inputs.iter().enumerate() {
        let port = match input.spec.port {
            None => ports.iter().position(|port| !port.optional).or((!ports.is_empty()).then_some(0)),
            Some(name) => ports.iter().position(|port| port.name == name.text),
        };
        let Some(port) = port else {
            misnamed = true;
            let (span, name) =
                input.spec.port.map_or((input.span, "in"), |name| (name.span, name.text.as_str()));
            let problem = if ports.is_empty() {
                Problem::new("unknown_port", span, format!("stage `{stage}`: `{kind}` has no inputs"))
                    .label("nothing reads this")
            } else {
                Problem::new("unknown_port", span, format!("stage `{stage}`: `{kind}` has no input `{name}`"))
                    .label("unknown input")
                    .maybe_help(problems.hint(
                        name,
                        "its inputs",
                        ports.iter().map(|port| port.name.as_str()),
                    ))
            };
            problems.push(problem);
            continue;
        };
        if let (Some(&(_, span)), false) = (input.collect.first(), ports[port].collects) {
            let name = &ports[port].name;
            problems.push(
                Problem::new(
                    "bad_collect",
                    span,
                    format!("the input `{name}` of `{kind}` reads one artefact and gathers none"),
                )
                .label("cannot be gathered here")
                .help(format!("without `collect`, `{stage}` is repeated along the axes of what it reads")),
            );
        }
        assigned[port] = Some(index);
    }
    if plan.inputs_broken || misnamed {
        return assigned;
    }
    for (port, _) in ports.iter().zip(&assigned).filter(|(port, input)| !port.optional && input.is_none()) {
        let name = &port.name;
        let problem = Problem::new(
            "missing_input",
            plan.spec.key.span,
            format!("stage `{stage}` lacks the input `{name}` of `{kind}`"),
        )
        .label(format!("reads no {}", accepted(port)));
        let help = match suppliers.of(plans, at, port).as_slice() {
            [] => format!("no stage of this file writes {}", accepted(port)),
            found => format!(
                "add `in: {{ {name}: {} }}`; {} is written by {}",
                found[0],
                accepted(port),
                list(found)
            ),
        };
        problems.push(problem.help(help));
    }
    assigned
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn accepted(port: &Port) -> String {
    port.accepts.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
}

/// One input of a stage on its way to items.
struct Wire<'w> {
    plans: &'w [Plan<'w>],
    plan: &'w Plan<'w>,
    input: &'w InputPlan<'w>,
    routes: &'w [Route],
    first: InstanceId,
    matrix: &'w Matrix<'w>,
    /// The source's dimensions that are gathered.
    gathered: Vec<usize>,
    /// The output for each pair of reader's and source's parameter sets; `None` where it does not fit, which was reported.
    fits: BTreeMap<(u32, u32), Option<usize>>,
    last: ((u32, u32), Option<usize>),
    /// A missing cell was reported.
    reported: BTreeSet<&'static str>,
}

impl<'w> Wire<'w> {
    fn new(
        plans: &'w [Plan<'w>],
        at: usize,
        input: usize,
        first: &[InstanceId],
        matrix: &'w Matrix<'w>,
    ) -> Self {
        let plan = &plans[at];
        let routes = &plan.layout.routes[input];
        let input = &plan.inputs[input];
        let gathered = (0..routes.len()).filter(|&slot| matches!(routes[slot], Route::Collected)).collect();
        Self {
            plans,
            plan,
            input,
            routes,
            first: first[input.stage],
            matrix,
            gathered,
            fits: BTreeMap::new(),
            last: ((u32::MAX, u32::MAX), None),
            reported: BTreeSet::new(),
        }
    }

    /// How many artefacts the input reads in each cell, at most.
    fn gathers(&self) -> usize {
        let lens = &self.plans[self.input.stage].layout.lens;
        self.gathered.iter().filter_map(|&slot| lens.get(slot)).product()
    }

    /// What the input reads in a cell of the reader.
    fn items(
        &mut self,
        group: u32,
        coords: &[usize],
        port: &Port,
        suppliers: &mut Suppliers,
        problems: &mut Problems,
    ) -> Vec<Item> {
        let source = &self.plans[self.input.stage];
        if source.layout.broken || source.layout.bound.is_empty() {
            return Vec::new();
        }
        let mut at = Vec::with_capacity(self.routes.len());
        for route in self.routes {
            at.push(match route {
                Route::Reader(slot) => coords[*slot],
                Route::Fixed(position) => *position,
                Route::Collected => 0,
                Route::Chosen(axis, label, span) => {
                    let label = label.eval(&|axis| self.plan.layout.on_axis(self.matrix, coords, axis));
                    let label = scalar_text(&label).unwrap_or_default();
                    match self.matrix.position(*axis, &label, *span, problems) {
                        Some(position) => position,
                        None => return Vec::new(),
                    }
                }
            });
        }
        let mut items = Vec::new();
        loop {
            if let Some(cell) = source.layout.cell(source.layout.encode(&at)) {
                let (_, written) = source.layout.cells[cell];
                if let Some(output) = self.output(group, written, port, suppliers, problems) {
                    let axes = if self.gathered.is_empty() {
                        Vec::new()
                    } else {
                        let gathered = |axis: usize| {
                            let dim = self.matrix.axes[axis].dim;
                            source
                                .layout
                                .dims
                                .binary_search(&dim)
                                .is_ok_and(|slot| self.gathered.contains(&slot))
                        };
                        source.layout.labels(self.matrix, &at, gathered)
                    };
                    items.push(Item { from: self.first + cell, output, axes });
                }
            } else if self.gathered.is_empty() {
                self.missing("excluded_cell", &at, "is not there: `exclude` drops it", problems);
            }
            if !self.advance(&mut at, &source.layout.lens) {
                break;
            }
        }
        if items.is_empty() && !self.gathered.is_empty() && self.fits.values().all(Option::is_some) {
            self.missing(
                "nothing_collected",
                &at,
                "and all others are dropped by `exclude`: nothing is left to gather",
                problems,
            );
        }
        items
    }

    /// Goes to the next gathered cell, the last dimension fastest.
    fn advance(&self, at: &mut [usize], lens: &[usize]) -> bool {
        for &slot in self.gathered.iter().rev() {
            at[slot] += 1;
            if at[slot] < lens[slot] {
                return true;
            }
            at[slot] = 0;
        }
        false
    }

    fn missing(&mut self, code: &'static str, at: &[usize], what: &str, problems: &mut Problems) {
        if !self.reported.insert(code) {
            return;
        }
        let source = &self.plans[self.input.stage];
        let labels = source.layout.labels(self.matrix, at, |_| true);
        let cell: Vec<String> = labels.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        let message = format!("`{}[{}]` {what}", source.spec.key.text, cell.join(","));
        problems.push(
            Problem::new(code, self.input.span, message)
                .label(format!("read by `{}`", self.plan.spec.key.text))
                .help("choose another cell, or exclude less"),
        );
    }

    /// The output that is read, if its kind fits the port.
    fn output(
        &mut self,
        group: u32,
        written: u32,
        port: &Port,
        suppliers: &mut Suppliers,
        problems: &mut Problems,
    ) -> Option<usize> {
        let pair = (group, written);
        if self.last.0 == pair {
            return self.last.1;
        }
        let output = match self.fits.get(&pair) {
            Some(&known) => known,
            None => {
                let found = self.check(written, port, suppliers, problems);
                self.fits.insert(pair, found);
                found
            }
        };
        self.last = (pair, output);
        output
    }

    fn check(
        &self,
        written: u32,
        port: &Port,
        suppliers: &mut Suppliers,
        problems: &mut Problems,
    ) -> Option<usize> {
        let source = &self.plans[self.input.stage];
        let outputs = source.layout.bound[written as usize].outputs();
        let stage = &source.spec.key.text;
        let index = match &self.input.output {
            None => (!outputs.is_empty()).then_some(0),
            Some(name) => outputs.iter().position(|output| output.name == name.text),
        };
        let Some(index) = index else {
            let (name, span) = self
                .input
                .output
                .as_ref()
                .map_or(("", self.input.span), |name| (name.text.as_str(), name.span));
            problems.push(
                Problem::new("unknown_output", span, format!("stage `{stage}` has no output `{name}`"))
                    .label("unknown output")
                    .maybe_help(problems.hint(
                        name,
                        "its outputs",
                        outputs.iter().map(|output| output.name.as_str()),
                    )),
            );
            return None;
        };
        let kind = outputs[index].kind;
        if port.accepts.contains(&kind) {
            return Some(index);
        }
        let reader = &self.plan.spec.key.text;
        let message = format!(
            "the input `{}` of stage `{reader}` takes {}, and `{}` is {kind}",
            port.name,
            accepted(port),
            self.input.spec.from.as_str().unwrap_or(stage)
        );
        let mut problem =
            Problem::new("wrong_kind", self.input.span, message).label(format!("this is {kind}"));
        let fitting = outputs.iter().find(|output| port.accepts.contains(&output.kind));
        let others = suppliers.of(self.plans, usize::MAX, port);
        problem = if let Some(output) = fitting {
            let name = if output.name == outputs[0].name {
                stage.clone()
            } else {
                format!("{stage}.{}", output.name)
            };
            problem.help(format!("did you mean `{name}`?"))
        } else if let Some(close) = problems.closest(stage, others.iter().map(String::as_str)) {
            problem.help(format!("did you mean `{close}`?"))
        } else if others.is_empty() {
            problem.help(format!("no stage of this file writes {}", accepted(port)))
        } else {
            problem.help(format!("{} is written by {}", accepted(port), list(&others)))
        };
        problems.push(problem);
        None
    }
}
