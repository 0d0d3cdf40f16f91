//! The shape of a pipeline file: which keys there are and what form each has. Names are looked up later.

use std::collections::BTreeSet;

use super::node::{Key, Node, Value};
use super::problem::Problem;
use super::problems::Problems;
use super::source::Span;

/// A pipeline file as written.
pub(super) struct File<'a> {
    pub name: Option<String>,
    pub params: Vec<(&'a Key, &'a Node)>,
    pub matrix: Vec<(&'a Key, &'a Node)>,
    pub zip: Vec<Vec<Name>>,
    pub exclude: Vec<(Span, Vec<(&'a Key, &'a Node)>)>,
    pub stages: Vec<Stage<'a>>,
}

/// A name that refers to something, and where.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub text: String,
    pub span: Span,
}

pub(super) struct Stage<'a> {
    pub key: &'a Key,
    /// Empty where it is missing, which was reported.
    pub uses: Name,
    pub inputs: Vec<InputSpec<'a>>,
    /// Whether a part of `in:` was wrong, so that a missing input is not worth a word.
    pub inputs_broken: bool,
    pub with: Option<(&'a Key, &'a Node)>,
    pub keep: bool,
}

pub(super) struct InputSpec<'a> {
    /// `None` for `in: name`.
    pub port: Option<&'a Key>,
    pub from: &'a Node,
    pub collect: Vec<Name>,
}

const TOP: [&str; 8] = ["version", "name", "description", "params", "matrix", "zip", "exclude", "stages"];
const STAGE: [&str; 5] = ["uses", "in", "with", "keep", "description"];

/// Reads the tree of a file.
pub(super) fn read<'a>(tree: &'a Node, problems: &mut Problems) -> File<'a> {
    let mut file = File {
        name: None,
        params: Vec::new(),
        matrix: Vec::new(),
        zip: Vec::new(),
        exclude: Vec::new(),
        stages: Vec::new(),
    };
    let Value::Map(entries) = &tree.value else { return file };
    check_keys(tree, "a pipeline", &TOP, problems);
    version(tree, problems);
    for (key, node) in entries {
        match key.text.as_str() {
            "name" => file.name = string(key, node, problems).map(|name| name.text),
            "description" => drop(string(key, node, problems)),
            "params" => file.params = named(key, node, "parameter", problems),
            "matrix" => file.matrix = named(key, node, "axis", problems),
            "zip" => file.zip = zip(node, problems),
            "exclude" => file.exclude = exclude(node, problems),
            "stages" => {
                let stages = named(key, node, "stage", problems);
                file.stages =
                    stages.into_iter().filter_map(|(key, node)| stage(key, node, problems)).collect();
            }
            _ => {}
        }
    }
    match tree.entry("stages") {
        None if misspelt(tree, "stages", &TOP, problems) => {}
        None => problems.push(
            Problem::new("missing_key", start(tree), "`stages` is missing")
                .help("add `stages:` with at least one stage"),
        ),
        Some((key, node))
            if node.as_map().is_some_and(Vec::is_empty) || matches!(node.value, Value::Null) =>
        {
            problems.push(
                Problem::new("missing_key", key.span, "the pipeline has no stages").label("nothing in here"),
            );
        }
        _ => {}
    }
    file
}

fn start(tree: &Node) -> Span {
    tree.as_map().and_then(|entries| entries.first()).map_or(tree.span, |(key, _)| key.span)
}

fn version(tree: &Node, problems: &mut Problems) {
    match tree.get("version") {
        None if misspelt(tree, "version", &TOP, problems) => {}
        None => problems.push(
            Problem::new("missing_key", start(tree), "`version` is missing")
                .help("write `version: 1` at the top of the file"),
        ),
        Some(node) => {
            if !matches!(&node.value, Value::Number(number) if number.as_u64() == Some(1)) {
                let message = match &node.value {
                    Value::Number(number) => format!("version {number} is unknown"),
                    _ => format!("`version` expects the number 1, found {}", node.describe()),
                };
                problems
                    .push(Problem::new("version", node.span, message).help("this build reads `version: 1`"));
            }
        }
    }
}

fn wrong_type(what: &str, expected: &str, node: &Node) -> Problem {
    Problem::new("wrong_type", node.span, format!("{what} expects {expected}, found {}", node.describe()))
        .label(format!("expected {expected}"))
}

/// Refuses keys that are not among `known`.
fn check_keys(node: &Node, what: &str, known: &[&'static str], problems: &mut Problems) {
    for (key, _) in node.as_map().into_iter().flatten() {
        if !known.contains(&key.text.as_str()) {
            problems.push(
                Problem::new("unknown_key", key.span, format!("{what} has no key `{}`", key.text))
                    .label("unknown key")
                    .maybe_help(problems.hint(&key.text, "the keys are", known.iter().copied())),
            );
        }
    }
}

/// Whether a key of a map is likely meant to be this one; that it is missing needs no word then.
fn misspelt(node: &Node, key: &str, known: &[&'static str], problems: &Problems) -> bool {
    let mut unknown =
        node.as_map().into_iter().flatten().filter(|(other, _)| !known.contains(&other.text.as_str()));
    unknown.any(|(other, _)| problems.closest(&other.text, known.iter().copied()) == Some(key))
}

fn string(key: &Key, node: &Node, problems: &mut Problems) -> Option<Name> {
    match node.as_str() {
        Some(text) if !text.trim().is_empty() => Some(Name { text: text.to_owned(), span: node.span }),
        _ => {
            problems.push(wrong_type(&format!("`{}`", key.text), "a text", node));
            None
        }
    }
}

/// The entries of a map whose keys are names.
fn named<'a>(key: &Key, node: &'a Node, what: &str, problems: &mut Problems) -> Vec<(&'a Key, &'a Node)> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        Value::Null => return Vec::new(),
        _ => {
            problems.push(wrong_type(&format!("`{}`", key.text), "a map", node));
            return Vec::new();
        }
    };
    let mut good = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if is_name(&key.text) {
            good.push((key, node));
        } else {
            problems.push(
                Problem::new("bad_name", key.span, format!("`{}` is no name of a {what}", key.text))
                    .help("names consist of letters, digits and `_`, and do not begin with a digit"),
            );
        }
    }
    good
}

/// `[A-Za-z_][A-Za-z0-9_]*`
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn stage<'a>(key: &'a Key, node: &'a Node, problems: &mut Problems) -> Option<Stage<'a>> {
    if node.as_map().is_none() {
        problems.push(wrong_type(&format!("stage `{}`", key.text), "a map with `uses:`", node));
        return None;
    }
    check_keys(node, "a stage", &STAGE, problems);
    let mut stage = Stage {
        key,
        uses: Name { text: String::new(), span: key.span },
        inputs: Vec::new(),
        inputs_broken: false,
        with: None,
        keep: true,
    };
    for (key, node) in node.as_map().into_iter().flatten() {
        match key.text.as_str() {
            "uses" => stage.uses = string(key, node, problems).unwrap_or(stage.uses),
            "description" => drop(string(key, node, problems)),
            "keep" => match node.value {
                Value::Bool(keep) => stage.keep = keep,
                _ => problems.push(wrong_type("`keep`", "`true` or `false`", node)),
            },
            "with" => match &node.value {
                Value::Null => {}
                Value::Map(_) => stage.with = Some((key, node)),
                Value::Str(text) if text.starts_with("${") => stage.with = Some((key, node)),
                _ => problems.push(wrong_type("`with`", "a map of parameters", node)),
            },
            "in" => {
                let before = problems.len();
                stage.inputs = inputs(node, problems);
                stage.inputs_broken = problems.len() > before;
            }
            _ => {}
        }
    }
    if node.get("uses").is_none() && !misspelt(node, "uses", &STAGE, problems) {
        problems.push(
            Problem::new("missing_key", key.span, format!("stage `{}` does not say what it uses", key.text))
                .label("`uses` is missing")
                .help("add `uses:` with the name of a stage kind; `sndpipe stages` lists them"),
        );
    }
    Some(stage)
}

fn inputs<'a>(node: &'a Node, problems: &mut Problems) -> Vec<InputSpec<'a>> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::Str(_) => vec![InputSpec { port: None, from: node, collect: Vec::new() }],
        Value::Map(ports) => ports.iter().filter_map(|(port, node)| input(port, node, problems)).collect(),
        _ => {
            problems.push(
                wrong_type("`in`", "a stage or a map of ports", node)
                    .help("write `in: clips`, or `in: { features: mel, labels: clips.labels }`"),
            );
            Vec::new()
        }
    }
}

fn input<'a>(port: &'a Key, node: &'a Node, problems: &mut Problems) -> Option<InputSpec<'a>> {
    let what = format!("input `{}`", port.text);
    match &node.value {
        Value::Str(_) => Some(InputSpec { port: Some(port), from: node, collect: Vec::new() }),
        Value::Map(_) => {
            check_keys(node, "an input", &["from", "collect"], problems);
            let collect =
                node.get("collect").map(|node| names(node, "`collect`", "the axes to gather", problems));
            match node.get("from") {
                None if misspelt(node, "from", &["from", "collect"], problems) => None,
                Some(from) if from.as_str().is_some() => {
                    Some(InputSpec { port: Some(port), from, collect: collect.unwrap_or_default() })
                }
                Some(from) => {
                    problems.push(wrong_type("`from`", "the name of a stage", from));
                    None
                }
                None => {
                    problems.push(
                        Problem::new("missing_key", port.span, format!("{what} does not say what it reads"))
                            .label("`from` is missing")
                            .help(format!("write `{}: {{ from: stage, collect: [axis] }}`", port.text)),
                    );
                    None
                }
            }
        }
        _ => {
            problems.push(wrong_type(&what, "the name of a stage", node).help(format!(
                "write `{0}: stage`, `{0}: stage.output` or `{0}: {{ from: stage, collect: [axis] }}`",
                port.text
            )));
            None
        }
    }
}

/// A list of names, or one name.
fn names(node: &Node, what: &str, expected: &str, problems: &mut Problems) -> Vec<Name> {
    let one = |node: &Node| node.as_str().map(|text| Name { text: text.to_owned(), span: node.span });
    match &node.value {
        Value::Str(_) => one(node).into_iter().collect(),
        Value::Seq(items) => {
            let mut all: Vec<Name> = Vec::new();
            let mut seen = BTreeSet::new();
            for item in items {
                match one(item) {
                    Some(name) if !seen.insert(name.text.clone()) => problems.push(Problem::new(
                        "duplicate_axis",
                        name.span,
                        format!("`{}` stands twice in {what}", name.text),
                    )),
                    Some(name) => all.push(name),
                    None => problems.push(wrong_type(what, "names of axes", item)),
                }
            }
            all
        }
        _ => {
            problems.push(wrong_type(what, expected, node));
            Vec::new()
        }
    }
}

fn zip(node: &Node, problems: &mut Problems) -> Vec<Vec<Name>> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::Seq(items) if items.iter().any(|item| matches!(item.value, Value::Seq(_))) => items
            .iter()
            .filter_map(|item| match item.value {
                Value::Seq(_) => Some(names(item, "`zip`", "a list of axes", problems)),
                _ => {
                    problems.push(wrong_type("`zip`", "either names of axes or lists of them", item));
                    None
                }
            })
            .collect(),
        Value::Seq(_) => vec![names(node, "`zip`", "a list of axes", problems)],
        _ => {
            problems.push(wrong_type("`zip`", "a list of axes", node).help("write `zip: [a, b]`"));
            Vec::new()
        }
    }
}

fn exclude<'a>(node: &'a Node, problems: &mut Problems) -> Vec<(Span, Vec<(&'a Key, &'a Node)>)> {
    let items = match &node.value {
        Value::Null => return Vec::new(),
        Value::Seq(items) => items,
        _ => {
            problems.push(
                wrong_type("`exclude`", "a list of cells", node)
                    .help("write `exclude: [{ fold: 1, loss: lq }]`"),
            );
            return Vec::new();
        }
    };
    let mut cells = Vec::new();
    for item in items {
        match &item.value {
            Value::Map(entries) if !entries.is_empty() => {
                cells.push((item.span, entries.iter().map(|(key, node)| (key, node)).collect()));
            }
            Value::Map(_) => problems.push(
                Problem::new(
                    "bad_exclude",
                    item.span,
                    "a rule of `exclude` without axes would drop every cell",
                )
                .label("names no axis")
                .help("write `exclude: [{ fold: 1, loss: lq }]`, or remove the rule"),
            ),
            _ => problems.push(
                wrong_type("a rule of `exclude`", "a map of axes and labels", item)
                    .help("write `exclude: [{ fold: 1, loss: lq }]`"),
            ),
        }
    }
    cells
}
