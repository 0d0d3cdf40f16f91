//! One file laid over another: maps merge, lists and scalars replace, `null` removes a key.
//!
//! What names another kind is replaced whole, for what the base says of the old one does not hold: a stage whose `uses` differs, and a
//! map that selects a variant, such as `loss: { name: lq, q: 0.7 }`, whose `name` differs. Which maps do so is said by the schema of the
//! stage kind; any other map may have a key `name` like any other key. Values in `params:` and `matrix:` have the form of the parameters
//! that refer to them.

use std::collections::BTreeMap;

use super::form::Form;
use super::interpolate::{Piece, Ref, pieces};
use super::node::{Entries, Node, Value};
use super::yaml::DEPTH;
use crate::registry::Registry;

/// Merges files, of which each extends the next one.
pub(super) fn files(mut trees: Vec<Node>, registry: &Registry) -> Option<Node> {
    if trees.len() < 2 {
        return trees.pop();
    }
    let mut definitions: Vec<Node> = Vec::with_capacity(trees.len());
    for tree in &mut trees {
        let Value::Map(entries) = &mut tree.value else { continue };
        let moved = entries.extract_if(.., |(key, _)| matches!(key.text.as_str(), "params" | "matrix"));
        let moved = Value::Map(moved.collect());
        definitions.push(Node { span: tree.span, verbatim: 0, value: moved });
        entries.retain(|(key, _)| key.text != "extends");
    }
    let mut merged = fold(trees, &Merger { registry, forms: Forms::default() })?;
    // Which form a parameter or an axis has is known once it is known which stages there are.
    let mut forms = Forms::default();
    forms.find(&merged, &definitions, registry);
    let defined = fold(definitions, &Merger { registry, forms })?;
    if let (Value::Map(entries), Value::Map(defined)) = (&mut merged.value, defined.value) {
        entries.extend(defined);
    }
    Some(merged)
}

fn fold(mut trees: Vec<Node>, merger: &Merger<'_>) -> Option<Node> {
    let mut merged = trees.pop()?;
    while let Some(over) = trees.pop() {
        merged = merger.merge(merged, over, &Place::File);
    }
    Some(merged)
}

/// Where in a file a map stands.
enum Place<'s> {
    File,
    Stages,
    /// `params:`, or `matrix:`.
    Defined {
        axes: bool,
    },
    /// An axis with its bundles: their form.
    Axis(Vec<(Vec<String>, Form<'s>)>),
    Stage,
    /// Inside of a parameter: the forms that it has, and those of the places below it that are referred to.
    Parameter(Vec<(Vec<String>, Form<'s>)>),
    /// Anywhere else.
    Plain,
}

struct Merger<'s> {
    registry: &'s Registry,
    forms: Forms<'s>,
}

impl<'s> Merger<'s> {
    fn merge(&self, base: Node, over: Node, place: &Place<'s>) -> Node {
        let Node { span, verbatim, value } = over;
        let (base, over) = match (base.value, value) {
            (Value::Map(base), Value::Map(over)) => (base, over),
            (_, value) => return Node { span, verbatim, value },
        };
        let replaces = match place {
            Place::Stage => says_other("uses", &base, &over),
            Place::Parameter(forms) => {
                let here = forms.iter().filter(|(below, _)| below.is_empty());
                here.filter_map(|(_, form)| form.tag()).any(|tag| says_other(tag, &base, &over))
            }
            _ => false,
        };
        let value = if replaces { over } else { self.entries(base, over, place) };
        Node { span, verbatim, value: Value::Map(value) }
    }

    fn entries(&self, base: Entries, over: Entries, place: &Place<'s>) -> Entries {
        let kind = matches!(place, Place::Stage).then(|| text(&over, "uses").or_else(|| text(&base, "uses")));
        let kind = kind.flatten().map(str::to_owned);
        let places: BTreeMap<String, usize> =
            base.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
        let mut merged: Vec<Option<_>> = base.into_iter().map(Some).collect();
        for (key, node) in over {
            let Some(&at) = places.get(&key.text) else {
                merged.push(Some((key, node)));
                continue;
            };
            let before = merged[at].take();
            if let Some((base_key, base)) = before.filter(|_| !matches!(node.value, Value::Null)) {
                let node = self.merge(base, node, &self.below(place, &key.text, kind.as_deref()));
                // A stage that is only adjusted keeps its place in the base; anything else is named by the later file.
                let key = if matches!(place, Place::Stages) { base_key } else { key };
                merged[at] = Some((key, node));
            }
        }
        merged.into_iter().flatten().collect()
    }

    /// The place of an entry; `kind` is that of the stage whose entry it is.
    fn below(&self, place: &Place<'s>, key: &str, kind: Option<&str>) -> Place<'s> {
        match place {
            Place::File => match key {
                "stages" => Place::Stages,
                "params" => Place::Defined { axes: false },
                "matrix" => Place::Defined { axes: true },
                _ => Place::Plain,
            },
            Place::Stages => Place::Stage,
            Place::Stage if key == "with" => {
                let kind = kind.and_then(|kind| self.registry.get(kind));
                Place::Parameter(
                    kind.map(|kind| (Vec::new(), Form::new(kind.schema()))).into_iter().collect(),
                )
            }
            Place::Defined { axes } => {
                let forms = self.forms.0.get(key).cloned().unwrap_or_default();
                if *axes { Place::Axis(forms) } else { Place::Parameter(forms) }
            }
            Place::Axis(forms) => Place::Parameter(forms.clone()),
            Place::Parameter(forms) => {
                let below = |(below, form): &(Vec<String>, Form<'s>)| match below.split_first() {
                    None => Some((Vec::new(), form.entry(key)?)),
                    Some((first, rest)) if first == key || first == ANY => {
                        Some((rest.to_vec(), form.clone()))
                    }
                    Some(_) => None,
                };
                Place::Parameter(forms.iter().filter_map(below).collect())
            }
            Place::Stage | Place::Plain => Place::Plain,
        }
    }
}

/// Any key: the labels of an axis whose values are those of a parameter.
const ANY: &str = "*";

/// For each name in `params:` and `matrix:` the forms of its value and of places below it.
#[derive(Default)]
struct Forms<'s>(BTreeMap<String, Vec<(Vec<String>, Form<'s>)>>);

impl<'s> Forms<'s> {
    /// Goes from the parameters of stages to what they refer to, and on from there.
    fn find(&mut self, merged: &Node, definitions: &[Node], registry: &'s Registry) {
        let mut found = Vec::new();
        for (_, stage) in merged.get("stages").and_then(Node::as_map).into_iter().flatten() {
            let kind = stage.get("uses").and_then(Node::as_str).and_then(|uses| registry.get(uses));
            if let (Some(kind), Some(with)) = (kind, stage.get("with")) {
                referred(with, &Form::new(kind.schema()), &mut found);
            }
        }
        let maps = |section: &'static str| definitions.iter().filter_map(move |file| file.get(section));
        // An axis that is made of a parameter has as many bundles as that has entries.
        let axes: BTreeMap<&str, Vec<&Node>> = by_name(maps("matrix"));
        let params: BTreeMap<&str, Vec<&Node>> = by_name(maps("params"));
        while let Some((Ref { name, path, .. }, form)) = found.pop() {
            let known = self.0.entry(name.clone()).or_default();
            // A parameter that refers to a part of itself, a mistake that is told later, would lead ever deeper.
            if path.len() > DEPTH || known.iter().any(|(other, seen)| *other == path && seen.is(&form)) {
                continue;
            }
            known.push((path.clone(), form.clone()));
            for node in axes.get(name.as_str()).into_iter().flatten() {
                if let Some(mut reference) = whole(node) {
                    reference.path.push(ANY.to_owned());
                    reference.path.extend(path.iter().cloned());
                    found.push((reference, form.clone()));
                }
                for (_, bundle) in node.as_map().into_iter().flatten() {
                    below(bundle, &path, &form, &mut found);
                }
            }
            for node in params.get(name.as_str()).into_iter().flatten() {
                below(node, &path, &form, &mut found);
            }
        }
    }
}

/// The definitions of each name in several files.
fn by_name<'n>(maps: impl Iterator<Item = &'n Node>) -> BTreeMap<&'n str, Vec<&'n Node>> {
    let mut all: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for (key, node) in maps.filter_map(Node::as_map).flatten() {
        all.entry(&key.text).or_default().push(node);
    }
    all
}

/// What the place below a value refers to, which has the form `form`.
fn below<'s>(node: &Node, path: &[String], form: &Form<'s>, found: &mut Vec<(Ref, Form<'s>)>) {
    if let Some(mut reference) = whole(node) {
        reference.path.extend(path.iter().cloned());
        found.push((reference, form.clone()));
        return;
    }
    match (path.split_first(), &node.value) {
        (None, _) => referred(node, form, found),
        (Some((step, rest)), Value::Map(entries)) => {
            for (_, node) in entries.iter().filter(|(key, _)| step == ANY || key.text == *step) {
                below(node, rest, form, found);
            }
        }
        _ => {}
    }
}

/// Everything in a value that is a reference as a whole, with the form that it has there.
fn referred<'s>(node: &Node, form: &Form<'s>, found: &mut Vec<(Ref, Form<'s>)>) {
    if let Some(reference) = whole(node) {
        found.push((reference, form.clone()));
        return;
    }
    match &node.value {
        Value::Map(entries) => {
            for (key, node) in entries {
                if let Some(form) = form.entry(&key.text) {
                    referred(node, &form, found);
                }
            }
        }
        Value::Seq(items) => {
            if let Some(form) = form.item() {
                items.iter().for_each(|node| referred(node, &form, found));
            }
        }
        _ => {}
    }
}

/// The reference that a value is as a whole.
fn whole(node: &Node) -> Option<Ref> {
    let text = node.as_str().filter(|text| text.starts_with("${"))?;
    let mut pieces = pieces(node, text).ok()?;
    match (pieces.pop(), pieces.is_empty()) {
        (Some(Piece::Ref(reference)), true) => Some(reference),
        _ => None,
    }
}

fn text<'n>(entries: &'n Entries, key: &str) -> Option<&'n str> {
    entries.iter().find(|(found, _)| found.text == key)?.1.as_str()
}

/// Whether a map names another kind, so that what the base says of the old one does not hold.
fn says_other(key: &str, base: &Entries, over: &Entries) -> bool {
    text(over, key).is_some_and(|kind| text(base, key) != Some(kind))
}
