//! `${name}` in values: a whole string keeps the type, inside a longer string it becomes text, `$${` is a plain `${`.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::matrix::Matrix;
use super::node::{Node, Value};
use super::params::Params;
use super::problem::Problem;
use super::problems::Problems;
use super::source::Span;
use super::yaml::DEPTH;

/// A value with its references resolved: parameters are replaced, axes wait for a cell.
#[derive(Debug, Clone)]
pub(super) enum Template {
    Const(Json),
    /// The value in each position of an axis.
    Axis(usize, Vec<Json>),
    Text(Vec<TextPart>),
    Seq(Vec<Self>),
    Map(Vec<(String, Self)>),
}

#[derive(Debug, Clone)]
pub(super) enum TextPart {
    Plain(String),
    Axis(usize, Vec<String>),
}

/// How many values, or 64 bytes of text, references may stand for in all.
const EXPANSION: usize = 2_000_000;

/// So many fields of a map are listed where one is not there.
const FIELDS: usize = 12;

/// The names that a value may refer to.
#[derive(Clone, Copy)]
pub(super) struct Env<'e> {
    pub params: &'e Params<'e>,
    /// `None` where a value is the same in all cells; then what such a place is called.
    pub matrix: Result<&'e Matrix<'e>, (&'static str, &'e BTreeSet<&'e str>)>,
}

/// A part of a text.
pub(super) enum Piece {
    Plain(String),
    Ref(Ref),
}

/// `${name.field}` and its place.
#[derive(Debug, Clone)]
pub(super) struct Ref {
    pub name: String,
    pub path: Vec<String>,
    pub span: Span,
}

enum Found {
    Value(Json),
    Axis(usize, Vec<Json>),
}

/// Splits a text at its references.
pub(super) fn pieces(node: &Node, text: &str) -> Result<Vec<Piece>, Box<Problem>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let open = at + found;
        if text[at..open].ends_with('$') {
            plain.push_str(&text[at..open - 1]);
            plain.push_str("${");
            at = open + 2;
            continue;
        }
        plain.push_str(&text[at..open]);
        let Some(len) = text[open..].find('}') else {
            return Err(Box::new(
                Problem::new("unterminated", node.part(open, text.len()), "`${` is not closed")
                    .label("no `}` behind this")
                    .help("write `${name}`, or `$${` for the characters themselves"),
            ));
        };
        let end = open + len + 1;
        let span = node.part(open, end);
        let inner = text[open + 2..end - 1].trim();
        let mut steps = inner.split('.').map(str::trim);
        let name = steps.next().unwrap_or("").to_owned();
        let path: Vec<String> = steps.map(str::to_owned).collect();
        if !super::file::is_name(&name)
            || path.iter().any(|step| step.is_empty() || step.contains(['$', '{']))
        {
            return Err(Box::new(
                Problem::new("bad_reference", span, format!("`${{{inner}}}` names nothing"))
                    .help("write `${name}` or `${name.field}` with the name of a parameter or an axis"),
            ));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Ref(Ref { name, path, span }));
        at = end;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    Ok(pieces)
}

/// Every reference in a tree; mistakes in them are left to [`compile`].
pub(super) fn references(node: &Node, all: &mut Vec<Ref>) {
    match &node.value {
        Value::Str(text) if text.contains("${") => {
            for piece in pieces(node, text).into_iter().flatten() {
                if let Piece::Ref(reference) = piece {
                    all.push(reference);
                }
            }
        }
        Value::Seq(items) => items.iter().for_each(|item| references(item, all)),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| references(node, all)),
        _ => {}
    }
}

/// As [`compile`], and refuses a value that nests too deeply: parameters that refer to each other in a row can each add a level.
pub(super) fn compile_shallow(node: &Node, env: Env<'_>, problems: &mut Problems) -> Option<Template> {
    let template = compile(node, env, problems)?;
    if template.depth() <= DEPTH {
        return Some(template);
    }
    let message = format!("with its references replaced, the value nests more than {DEPTH} deep");
    problems.push(
        Problem::new("too_deep", node.span, message).help("refer to a part of a value: `${name.field}`"),
    );
    None
}

/// Resolves the references of a tree. `None`: something in it is wrong and was reported, here or where it is defined.
fn compile(node: &Node, env: Env<'_>, problems: &mut Problems) -> Option<Template> {
    let value = match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => Json::Number(number.clone()),
        Value::BadNumber(text) => {
            problems.push(
                Problem::new(
                    "bad_number",
                    node.span,
                    format!("`{text}` is not a finite number that can be kept exactly"),
                )
                .help("write a finite number, or quote it if it is text"),
            );
            return None;
        }
        Value::Str(text) if text.contains("${") => return string(node, text, env, problems),
        Value::Str(text) => Json::String(text.clone()),
        Value::Seq(items) => {
            let parts: Vec<Option<Template>> =
                items.iter().map(|item| compile(item, env, problems)).collect();
            let parts: Vec<Template> = parts.into_iter().collect::<Option<_>>()?;
            if parts.iter().any(|part| !matches!(part, Template::Const(_))) {
                return Some(Template::Seq(parts));
            }
            let constant = |part| match part {
                Template::Const(value) => value,
                _ => Json::Null,
            };
            Json::Array(parts.into_iter().map(constant).collect())
        }
        Value::Map(entries) => {
            let parts: Vec<Option<(String, Template)>> = entries
                .iter()
                .map(|(key, node)| Some((key.text.clone(), compile(node, env, problems)?)))
                .collect();
            let parts: Vec<(String, Template)> = parts.into_iter().collect::<Option<_>>()?;
            if parts.iter().any(|(_, part)| !matches!(part, Template::Const(_))) {
                return Some(Template::Map(parts));
            }
            let constant = |(key, part): (String, Template)| match part {
                Template::Const(value) => (key, value),
                _ => (key, Json::Null),
            };
            Json::Object(parts.into_iter().map(constant).collect())
        }
    };
    Some(Template::Const(value))
}

fn string(node: &Node, text: &str, env: Env<'_>, problems: &mut Problems) -> Option<Template> {
    let pieces = match pieces(node, text) {
        Ok(pieces) => pieces,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    if let [Piece::Ref(reference)] = pieces.as_slice() {
        return Some(match lookup(reference, env, problems)? {
            Found::Value(value) => Template::Const(value),
            Found::Axis(axis, values) => Template::Axis(axis, values),
        });
    }
    let mut parts: Vec<Option<TextPart>> = Vec::new();
    for piece in pieces {
        let reference = match piece {
            Piece::Plain(text) => {
                parts.push(Some(TextPart::Plain(text)));
                continue;
            }
            Piece::Ref(reference) => reference,
        };
        let found = lookup(&reference, env, problems);
        let mut text_of = |value: &Json| {
            let text = scalar_text(value);
            if text.is_none() {
                problems.push(
                    Problem::new(
                        "not_text",
                        reference.span,
                        format!("`${{{}}}` is {}", reference.name, describe(value)),
                    )
                    .label("does not fit into a text")
                    .help("inside a longer text only strings, numbers, `true` and `false` can stand"),
                );
            }
            text
        };
        parts.push(match found {
            Some(Found::Value(value)) => text_of(&value).map(TextPart::Plain),
            Some(Found::Axis(axis, values)) => values
                .iter()
                .map(text_of)
                .collect::<Option<Vec<_>>>()
                .map(|texts| TextPart::Axis(axis, texts)),
            None => None,
        });
    }
    let parts: Vec<TextPart> = parts.into_iter().collect::<Option<_>>()?;
    let template = Template::Text(parts);
    let mut axes = BTreeSet::new();
    template.axes(&mut axes);
    Some(if axes.is_empty() { Template::Const(template.eval(&|_| 0)) } else { template })
}

/// Counts a value that a reference stands for: parameters that refer to parameters twice each would double at every step.
fn count(reference: &Ref, values: &[Json], env: Env<'_>, problems: &mut Problems) -> Option<()> {
    let expanded = &env.params.expanded;
    let before = expanded.get();
    let now = before.saturating_add(values.iter().map(weight).sum());
    expanded.set(now);
    if now <= EXPANSION {
        return Some(());
    }
    if before <= EXPANSION {
        let message =
            format!("references stand for more than {EXPANSION} values (64 bytes of a text count as one)");
        problems.push(
            Problem::new("too_large", reference.span, message)
                .label("too much by here")
                .help("refer to large values less often, or to a part of them: `${name.field}`"),
        );
    }
    None
}

/// The size of a value: one for each scalar, list and map in it, and one more for every 64 bytes of text.
pub(super) fn weight(value: &Json) -> usize {
    1 + match value {
        Json::String(text) => text.len() / 64,
        Json::Array(items) => items.iter().map(weight).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key.len() / 64 + weight(value)).sum(),
        _ => 0,
    }
}

/// How deep lists and maps nest in a value.
fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn lookup(reference: &Ref, env: Env<'_>, problems: &mut Problems) -> Option<Found> {
    let Ref { name, path, span } = reference;
    if let Some(param) = env.params.get(name) {
        param.used.set(true);
        let value = param.value.as_ref()?;
        return match walk(value, path) {
            Ok(value) => {
                count(reference, std::slice::from_ref(value), env, problems)?;
                Some(Found::Value(value.clone()))
            }
            Err((step, inner)) => {
                problems.push(no_field(*span, &format!("parameter `{name}`"), step, inner, problems));
                None
            }
        };
    }
    match env.matrix {
        Ok(matrix) => {
            if let Some(axis) = matrix.find(name) {
                return axis_values(reference, axis, matrix, env, problems);
            }
        }
        Err((place, axes)) if axes.contains(name.as_str()) => {
            problems.push(
                Problem::new(
                    "axis_here",
                    *span,
                    format!("`{name}` is an axis, and {place} cannot depend on a cell"),
                )
                .help("use the axis in the `with:` of a stage"),
            );
            return None;
        }
        Err(_) => {}
    }
    let axes = env.matrix.map_or(&[][..], |matrix| &matrix.axes);
    let names = || env.params.names().chain(axes.iter().map(|axis| axis.name.as_str()));
    // What was probably meant is not called unused as well.
    if let Some(meant) = problems.closest(name, names()) {
        if let Some(param) = env.params.get(meant) {
            param.used.set(true);
        } else if let Ok(matrix) = env.matrix
            && let Some(axis) = matrix.find(meant)
        {
            matrix.axes[axis].used.set(true);
        }
    }
    problems.push(
        Problem::new("unknown_name", *span, format!("`{name}` is no parameter and no axis"))
            .label("not defined")
            .maybe_help(
                problems
                    .hint(name, "defined are", names())
                    .or_else(|| Some(format!("add `{name}:` to `params:`"))),
            ),
    );
    None
}

fn axis_values(
    reference: &Ref,
    axis: usize,
    matrix: &Matrix<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Found> {
    let Ref { name, path, span } = reference;
    let def = &matrix.axes[axis];
    def.used.set(true);
    if def.broken {
        return None;
    }
    let mut values: Vec<Json> = Vec::with_capacity(def.values.len());
    for value in &def.values {
        match walk(&value.value, path) {
            Ok(found) => values.push(found.clone()),
            Err((step, inner)) => {
                let what = format!("`{}` of axis `{name}`", value.label);
                problems.push(no_field(*span, &what, step, inner, problems));
                return None;
            }
        }
    }
    count(reference, &values, env, problems)?;
    Some(Found::Axis(axis, values))
}

fn no_field(span: Span, what: &str, step: &str, value: &Json, problems: &Problems) -> Problem {
    let problem =
        Problem::new("unknown_field", span, format!("{what} has no field `{step}`")).label("no such field");
    let fields = || value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    if let Some(found) = problems.closest(step, fields()) {
        return problem.help(format!("did you mean `{found}`?"));
    }
    let first: Vec<&str> = fields().take(FIELDS).collect();
    match (first.is_empty(), fields().nth(FIELDS)) {
        (true, _) => problem.help(format!("{what} is not a map")),
        (false, None) => problem.help(format!("its fields: {}", first.join(", "))),
        (false, Some(_)) => problem.help(format!("its fields: {}, …", first.join(", "))),
    }
}

/// Follows field names and list positions; an error is the step that leads nowhere and the value that it does not lead into.
fn walk<'v>(value: &'v Json, path: &'v [String]) -> Result<&'v Json, (&'v str, &'v Json)> {
    let mut at = value;
    for step in path {
        let next = match at {
            Json::Object(map) => map.get(step),
            Json::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        at = next.ok_or((step.as_str(), at))?;
    }
    Ok(at)
}

/// The text of a string, number or truth value.
pub(super) fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// What a value is, for messages.
pub(super) fn describe(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Bool(value) => format!("`{value}`"),
        Json::Number(number) => format!("the number `{number}`"),
        Json::String(text) => format!("the string `{}`", super::node::shorten(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a map".to_owned(),
    }
}

impl Template {
    /// Adds the axes that the value depends on.
    pub fn axes(&self, all: &mut BTreeSet<usize>) {
        match self {
            Self::Const(_) => {}
            Self::Axis(axis, _) => drop(all.insert(*axis)),
            Self::Text(parts) => all.extend(parts.iter().filter_map(|part| match part {
                TextPart::Axis(axis, _) => Some(*axis),
                TextPart::Plain(_) => None,
            })),
            Self::Seq(items) => items.iter().for_each(|item| item.axes(all)),
            Self::Map(entries) => entries.iter().for_each(|(_, item)| item.axes(all)),
        }
    }

    /// The size of the value in the cell where it is largest, as [`weight`] counts.
    pub fn weight(&self) -> usize {
        match self {
            Self::Const(value) => weight(value),
            Self::Axis(_, values) => values.iter().map(weight).max().unwrap_or(1),
            Self::Text(parts) => {
                let longest = |part: &TextPart| match part {
                    TextPart::Plain(text) => text.len(),
                    TextPart::Axis(_, texts) => texts.iter().map(String::len).max().unwrap_or(0),
                };
                1 + parts.iter().map(longest).sum::<usize>() / 64
            }
            Self::Seq(items) => 1 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Map(entries) => 1 + entries.iter().map(|(_, item)| item.weight()).sum::<usize>(),
        }
    }

    /// How deep lists and maps nest in it.
    fn depth(&self) -> usize {
        match self {
            Self::Const(value) => depth(value),
            Self::Axis(_, values) => values.iter().map(depth).max().unwrap_or(0),
            Self::Text(_) => 0,
            Self::Seq(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.iter().map(|(_, item)| item.depth()).max().unwrap_or(0),
        }
    }

    /// The value in a cell; `at` gives the position on an axis.
    pub fn eval(&self, at: &dyn Fn(usize) -> usize) -> Json {
        match self {
            Self::Const(value) => value.clone(),
            Self::Axis(axis, values) => values.get(at(*axis)).cloned().unwrap_or_default(),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        TextPart::Plain(plain) => text.push_str(plain),
                        TextPart::Axis(axis, texts) => {
                            text.push_str(texts.get(at(*axis)).map_or("", String::as_str))
                        }
                    }
                }
                Json::String(text)
            }
            Self::Seq(items) => Json::Array(items.iter().map(|item| item.eval(at)).collect()),
            Self::Map(entries) => Json::Object(
                entries.iter().map(|(key, item)| (key.clone(), item.eval(at))).collect::<Map<_, _>>(),
            ),
        }
    }
}
