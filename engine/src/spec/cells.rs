//! Which cells a stage has, and its parameters in each of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bind::{self, Index, Place};
use super::interpolate::{Template, scalar_text};
use super::layout::{Layout, NONE, Route};
use super::matrix::Matrix;
use super::params::Params;
use super::plan::Plan;
use super::problem::Problem;
use super::problems::Problems;
use super::suppliers::Suppliers;
use crate::bound::BoundStage;

/// How many instances a pipeline may have.
const LARGEST: usize = 1_000_000;
/// How many values, or 64 bytes of text, the parameters of all cells may have.
const VALUES: usize = 20_000_000;
/// After how many mistakes in the parameters of one stage its other cells are left alone.
const ENOUGH: usize = 20;
/// What all stages so far amount to, and what they offer.
#[derive(Default)]
pub(super) struct Totals {
    pub instances: usize,
    /// Sizes of parameters, each distinct set once.
    pub values: usize,
    /// What inputs read: one for each artefact.
    pub items: usize,
    pub suppliers: Suppliers,
}

/// Finds the axes of a stage from its own and those of its inputs, its cells, and its parameters in each.
pub(super) fn lay_out(
    plans: &mut [Plan<'_>],
    at: usize,
    params: &Params<'_>,
    matrix: &Matrix<'_>,
    total: &mut Totals,
    problems: &mut Problems,
) {
    let before = problems.len();
    let (mut layout, routes) = axes(plans, at, matrix, problems);
    let plan = &plans[at];
    layout.routes = routes;
    layout.broken = plan.circular || problems.len() > before;
    let product = layout.lens.iter().try_fold(1usize, |product, &len| product.checked_mul(len));
    let size = product.filter(|&size| size <= LARGEST);
    let Some(size) = size.filter(|size| total.instances + size <= LARGEST) else {
        let factors: Vec<String> = layout
            .dims
            .iter()
            .zip(&layout.lens)
            .map(|(&dim, len)| format!("{} {len}", dim_name(matrix, dim)))
            .collect();
        problems.push(
            Problem::new(
                "too_many",
                plan.spec.key.span,
                format!("the pipeline has more than {LARGEST} stage instances"),
            )
            .label(format!("this stage is repeated along {}", factors.join(" x ")))
            .help("shorten an axis, or pair axes with `zip`"),
        );
        layout.broken = true;
        layout.lens = vec![0; layout.dims.len()];
        plans[at].layout = layout;
        return;
    };
    total.instances += size;
    let rules: Vec<Vec<(usize, usize)>> = matrix
        .exclude
        .iter()
        .filter_map(|rule| {
            rule.iter()
                .map(|&(dim, position)| Some((layout.dims.binary_search(&dim).ok()?, position)))
                .collect()
        })
        .collect();
    let mut binder = Binder::new(plan, &layout, matrix, params);
    total.values = total.values.saturating_add(binder.values());
    if total.values > VALUES {
        let key = &plan.spec.key;
        let message = format!(
            "the parameters of all cells have more than {VALUES} values (64 bytes of a text count as one)"
        );
        let label = format!("those of this stage have {}", binder.values());
        let help = "shorten an axis, or move what is the same in all cells to a stage of its own";
        problems.push(Problem::new("too_many", key.span, message).label(label).help(help));
        layout.broken = true;
        layout.lens = vec![0; layout.dims.len()];
        plans[at].layout = layout;
        return;
    }
    let mut coords = Vec::new();
    layout.table = vec![NONE; size];
    let mut cells = Vec::with_capacity(size);
    for dense in 0..size {
        let dense32 = u32::try_from(dense).unwrap_or(NONE);
        layout.decode(dense32, &mut coords);
        if rules.iter().any(|rule| rule.iter().all(|&(slot, position)| coords[slot] == position)) {
            continue;
        }
        let bound = binder.bind(&layout, &coords, problems);
        layout.table[dense] = u32::try_from(cells.len()).unwrap_or(NONE);
        cells.push((dense32, bound.unwrap_or(0)));
        layout.broken |= bound.is_none();
    }
    if cells.is_empty() && !layout.lens.contains(&0) {
        problems.push(
            Problem::new(
                "no_cells",
                plan.spec.key.span,
                format!("`exclude` leaves no cell of stage `{}`", plan.spec.key.text),
            )
            .help("exclude less"),
        );
    }
    let bound = binder.bound;
    layout.cells = cells;
    layout.bound = bound;
    plans[at].layout = layout;
}

fn dim_name(matrix: &Matrix<'_>, dim: usize) -> String {
    let names: Vec<&str> =
        matrix.axes.iter().filter(|axis| axis.dim == dim).map(|axis| axis.name.as_str()).collect();
    names.join("+")
}

/// The axes of a stage, and the routes of its inputs.
fn axes(
    plans: &[Plan<'_>],
    at: usize,
    matrix: &Matrix<'_>,
    problems: &mut Problems,
) -> (Layout, Vec<Vec<Route>>) {
    let plan = &plans[at];
    let mut axes: BTreeSet<usize> = plan.own.clone();
    for input in &plan.inputs {
        let source = &plans[input.stage];
        let named =
            input.cell.iter().map(|&(axis, span, ..)| (axis, span)).chain(input.collect.iter().copied());
        for (axis, span) in named {
            if !source.layout.axes.contains(&axis) && !source.circular {
                let (stage, axis) = (&source.spec.key.text, &matrix.axes[axis].name);
                let there: Vec<&str> =
                    source.layout.axes.iter().map(|&axis| matrix.axes[axis].name.as_str()).collect();
                let help = match there.as_slice() {
                    [] => format!("`{stage}` exists once"),
                    there => format!("`{stage}` is repeated along {}", there.join(", ")),
                };
                problems.push(
                    Problem::new(
                        "wrong_axis",
                        span,
                        format!("stage `{stage}` is not repeated along `{axis}`"),
                    )
                    .label("no axis of that stage")
                    .help(help),
                );
            }
        }
        let taken = |axis: usize| {
            let dim = matrix.axes[axis].dim;
            input.cell.iter().any(|&(chosen, ..)| matrix.axes[chosen].dim == dim)
                || input.collect.iter().any(|&(gathered, _)| matrix.axes[gathered].dim == dim)
        };
        axes.extend(source.layout.axes.iter().filter(|&&axis| !taken(axis)));
    }
    let axes: Vec<usize> = axes.into_iter().collect();
    let dims: BTreeSet<usize> = axes.iter().map(|&axis| matrix.axes[axis].dim).collect();
    let dims: Vec<usize> = dims.into_iter().collect();
    let lens = dims.iter().map(|&dim| matrix.dims[dim]).collect();
    let mut routes = Vec::with_capacity(plan.inputs.len());
    for input in &plan.inputs {
        let mut route = Vec::new();
        for &dim in &plans[input.stage].layout.dims {
            let chosen = input.cell.iter().find(|&&(axis, ..)| matrix.axes[axis].dim == dim);
            let gathered = input.collect.iter().find(|&&(axis, _)| matrix.axes[axis].dim == dim);
            if let (Some(_), Some(&(axis, span))) = (chosen, gathered) {
                let name = &matrix.axes[axis].name;
                problems.push(
                    Problem::new(
                        "wrong_axis",
                        span,
                        format!("the axis `{name}` is gathered, and one of its cells is chosen"),
                    )
                    .help("do one of the two"),
                );
            }
            route.push(match chosen {
                Some((axis, _, Template::Const(label), span)) => {
                    let label = scalar_text(label).unwrap_or_default();
                    Route::Fixed(matrix.position(*axis, &label, *span, problems).unwrap_or(0))
                }
                Some((axis, _, label, span)) => Route::Chosen(*axis, label.clone(), *span),
                None if gathered.is_some() => Route::Collected,
                None => Route::Reader(dims.binary_search(&dim).unwrap_or(0)),
            });
        }
        routes.push(route);
    }
    (Layout { axes, dims, lens, ..Layout::default() }, routes)
}

/// Binds the parameters of a stage, each distinct set once.
struct Binder<'p> {
    plan: &'p Plan<'p>,
    matrix: &'p Matrix<'p>,
    params: &'p Params<'p>,
    /// The dimensions that the parameters depend on: place in the stage's list, length.
    slots: Vec<(usize, usize)>,
    /// For each position in the product of these: tried and failed, or which of `bound`.
    known: BTreeMap<usize, Option<u32>>,
    by_value: BTreeMap<String, u32>,
    bound: Vec<Arc<dyn BoundStage>>,
    mistakes: usize,
    index: Index,
}

impl<'p> Binder<'p> {
    fn new(plan: &'p Plan<'p>, layout: &Layout, matrix: &'p Matrix<'p>, params: &'p Params<'p>) -> Self {
        let mut axes = BTreeSet::new();
        if let Some(with) = &plan.with {
            with.axes(&mut axes);
        }
        let dims: BTreeSet<usize> = axes.iter().map(|&axis| matrix.axes[axis].dim).collect();
        let slots = dims
            .iter()
            .filter_map(|dim| layout.dims.binary_search(dim).ok())
            .map(|slot| (slot, layout.lens[slot]))
            .collect();
        let (known, by_value) = (BTreeMap::new(), BTreeMap::new());
        Self {
            plan,
            matrix,
            params,
            slots,
            known,
            by_value,
            bound: Vec::new(),
            mistakes: 0,
            index: Index::default(),
        }
    }

    /// The size of all distinct sets of parameters, at most.
    fn values(&self) -> usize {
        let sets = self.slots.iter().fold(1usize, |sets, &(_, len)| sets.saturating_mul(len));
        sets.saturating_mul(self.plan.with.as_ref().map_or(0, Template::weight))
    }

    fn bind(&mut self, layout: &Layout, coords: &[usize], problems: &mut Problems) -> Option<u32> {
        let (kind, with) = (self.plan.kind.as_ref()?, self.plan.with.as_ref()?);
        let key = self.slots.iter().fold(0, |key, &(slot, len)| key * len + coords[slot]);
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        if self.mistakes >= ENOUGH {
            return None;
        }
        let on_axis = |axis: usize| layout.on_axis(self.matrix, coords, axis);
        let value = match with {
            Template::Const(value) => Cow::Borrowed(value),
            _ => Cow::Owned(with.eval(&on_axis)),
        };
        // Cells can only share a set of parameters where there is more than one cell.
        let text = (!self.slots.is_empty()).then(|| value.to_string());
        let found = match text.as_ref().and_then(|text| self.by_value.get(text)) {
            Some(&found) => Some(found),
            None => match kind.bind(&value) {
                Ok(bound) => {
                    let id = u32::try_from(self.bound.len()).unwrap_or(NONE);
                    self.bound.push(bound);
                    if let Some(text) = text {
                        self.by_value.insert(text, id);
                    }
                    Some(id)
                }
                Err(errors) => {
                    let place = Place {
                        stage: self.plan.spec,
                        kind: &**kind,
                        params: self.params,
                        matrix: self.matrix,
                        on_axis: &on_axis,
                        index: &self.index,
                    };
                    for error in errors {
                        self.mistakes += 1;
                        let problem = bind::problem(&place, &error, problems);
                        problems.push(problem);
                    }
                    None
                }
            },
        };
        self.known.insert(key, found);
        found
    }
}
