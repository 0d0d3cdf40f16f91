//! Mistakes in parameters: from a path inside of `with:` to the place in the file.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::file::Stage;
use super::interpolate::{Piece, Ref, pieces};
use super::matrix::Matrix;
use super::node::{Entries, Key, Node, Value};
use super::params::Params;
use super::problem::Problem;
use super::problems::Problems;
use super::source::Span;
use super::wording;
use crate::bound::StageKind;
use crate::error::ParamError;

/// The stage whose parameters are wrong, and the cell.
pub(super) struct Place<'p> {
    pub stage: &'p Stage<'p>,
    pub kind: &'p dyn StageKind,
    pub params: &'p Params<'p>,
    pub matrix: &'p Matrix<'p>,
    pub on_axis: &'p dyn Fn(usize) -> usize,
    pub index: &'p Index,
}

/// Where the keys of large maps stand in them.
#[derive(Default)]
pub(super) struct Index(RefCell<BTreeMap<*const Entries, BTreeMap<String, usize>>>);

impl Index {
    fn entry<'n>(&self, entries: &'n Entries, key: &str) -> Option<(&'n Key, &'n Node)> {
        /// Looking at all of fewer keys is quicker.
        const FEW: usize = 32;
        let (key, node) = if entries.len() <= FEW {
            entries.iter().find(|(other, _)| other.text == key)?
        } else {
            let mut maps = self.0.borrow_mut();
            let keys = entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at));
            let map = maps.entry(std::ptr::from_ref(entries)).or_insert_with(|| keys.collect());
            entries.get(*map.get(key)?)?
        };
        Some((key, node))
    }
}

/// Where a path leads.
struct Spot {
    /// The key, if the path leads to an entry of a map.
    key: Option<Span>,
    value: Span,
    /// The reference that was followed: its text, its place, and where its value is defined.
    through: Option<(String, Span, Option<Span>)>,
    /// Whether the whole path was found.
    whole: bool,
}

/// Says what is wrong with a parameter, where it stands.
pub(super) fn problem(place: &Place<'_>, error: &ParamError, problems: &Problems) -> Problem {
    let spot = find(place, &error.path);
    let stage = &place.stage.key.text;
    let kind = place.kind.name();
    let wording = wording::translate(&error.message);
    let known = || properties(place.kind);
    let code;
    let mut problem;
    if let Some(field) = &wording.unknown {
        code = "unknown_param_field";
        let owner = match parent(&error.path, field) {
            "" => format!("stage kind `{kind}` has no parameter `{field}`"),
            parent => format!("`{parent}` of stage `{stage}` has no field `{field}`"),
        };
        let names = if wording.expected.is_empty() && parent(&error.path, field).is_empty() {
            known()
        } else {
            wording.expected
        };
        problem = Problem::new(code, spot.key.unwrap_or(spot.value), owner)
            .label("unknown parameter")
            .maybe_help(problems.hint(field, "it has", names.iter().map(String::as_str)));
    } else if let Some(field) = &wording.missing {
        let message = if error.path.is_empty() {
            format!("stage `{stage}` lacks the parameter `{field}` of `{kind}`")
        } else {
            format!("`{}` of stage `{stage}` lacks the field `{field}`", error.path)
        };
        let described = description(place.kind, field).filter(|_| error.path.is_empty());
        let help =
            described.map_or_else(|| format!("add `{field}:`"), |text| format!("add `{field}:`  {text}"));
        problem = Problem::new("missing_param", spot.key.unwrap_or(spot.value), message)
            .label(format!("`{field}` is missing"))
            .help(help);
    } else {
        let what = if error.path.is_empty() {
            format!("the parameters of stage `{stage}`")
        } else {
            format!("`{}` of stage `{stage}`", error.path)
        };
        problem = Problem::new("bad_param", spot.value, format!("{what}: {}", wording.message)).label(
            match spot.whole {
                true => "this value",
                false => "not written here, so its default counts",
            },
        );
        if !error.path.is_empty() && spot.whole {
            let found = wording.variant.as_ref();
            let close =
                found.and_then(|found| problems.closest(found, wording.expected.iter().map(String::as_str)));
            problem =
                problem.maybe_help(close.map(|close| format!("did you mean `{close}`?")).or(wording.help));
        }
        if error.path.is_empty() {
            problem.label = String::new();
        }
    }
    problem = problem.maybe_help(error.help.clone());
    if let Some((text, span, definition)) = spot.through {
        problem.span = Some(span);
        problem.label = format!("the value comes from `{text}`");
        if let Some(definition) = definition {
            problem = problem.also(definition, format!("`{text}` is defined here"));
        }
    }
    problem
}

fn parent<'p>(path: &'p str, field: &str) -> &'p str {
    path.strip_suffix(field).map_or(path, |head| head.trim_end_matches('.'))
}

/// The names of all parameters of a kind.
fn properties(kind: &dyn StageKind) -> Vec<String> {
    let schema = kind.schema();
    schema
        .get("properties")
        .and_then(Json::as_object)
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// The first line of what a parameter is for.
fn description(kind: &dyn StageKind, field: &str) -> Option<String> {
    let schema = kind.schema();
    let text = schema.get("properties")?.get(field)?.get("description")?.as_str()?;
    text.lines().next().map(str::to_owned)
}

/// Follows a path such as `augment[1].width`, also through references.
fn find(place: &Place<'_>, path: &str) -> Spot {
    let Some((key, with)) = place.stage.with else {
        return Spot { key: None, value: place.stage.uses.span, through: None, whole: path.is_empty() };
    };
    let mut spot = Spot { key: Some(key.span), value: with.span, through: None, whole: true };
    if path.is_empty() {
        spot.value = key.span;
    }
    let mut at = follow(place, with, &mut spot);
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
    {
        let next = match &at.value {
            Value::Map(entries) => place.index.entry(entries, step).map(|(key, node)| (Some(key.span), node)),
            Value::Seq(items) => {
                step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|node| (None, node))
            }
            _ => None,
        };
        let Some((key, node)) = next else {
            spot.whole = false;
            continue;
        };
        if let Some((_, _, definition)) = &mut spot.through {
            *definition = Some(node.span);
        } else {
            (spot.key, spot.value) = (key, node.span);
        }
        at = follow(place, node, &mut spot);
    }
    spot
}

/// The node that a whole-string reference stands for; any other node is itself.
fn follow<'n>(place: &Place<'n>, node: &'n Node, spot: &mut Spot) -> &'n Node {
    let mut at = node;
    // References cannot run in circles here: that was refused before.
    while let Some(reference) = whole_reference(at) {
        let defined = definition(place, &reference);
        let text = std::iter::once(reference.name.as_str()).chain(reference.path.iter().map(String::as_str));
        let text = format!("${{{}}}", text.collect::<Vec<_>>().join("."));
        let (span, name) = match &spot.through {
            Some((name, span, _)) => (*span, name.clone()),
            None => (at.span, text),
        };
        spot.through = Some((name, span, defined.map(|node| node.span)));
        match defined {
            Some(node) => at = node,
            None => break,
        }
    }
    at
}

fn whole_reference(node: &Node) -> Option<Ref> {
    let text = node.as_str().filter(|text| text.starts_with("${"))?;
    let mut pieces = pieces(node, text).ok()?;
    match (pieces.pop(), pieces.is_empty()) {
        (Some(Piece::Ref(reference)), true) => Some(reference),
        _ => None,
    }
}

fn definition<'n>(place: &Place<'n>, reference: &Ref) -> Option<&'n Node> {
    let mut at: &'n Node = match place.params.get(&reference.name) {
        Some(param) => param.node,
        None => {
            let axis = place.matrix.find(&reference.name)?;
            place.matrix.axes[axis].values.get((place.on_axis)(axis))?.node?
        }
    };
    for step in &reference.path {
        at = match &at.value {
            Value::Map(entries) => place.index.entry(entries, step)?.1,
            Value::Seq(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return Some(at),
        };
    }
    Some(at)
}
