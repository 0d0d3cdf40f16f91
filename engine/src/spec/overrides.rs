//! `--set key=value`: other values for the parameters of a file.

use super::node::{Node, Value};
use super::problem::Problem;
use super::problems::Problems;
use super::scalar;
use super::source::{Source, Span};
use super::yaml;

/// Puts overrides into the tree. They stand in a file of their own, so that later mistakes can point at them.
pub(super) fn apply(
    tree: &mut Node,
    overrides: &[(String, String)],
    source: &mut Source,
    problems: &mut Problems,
) {
    let (file, places) = add(overrides, source);
    for ((key, text), (start, at)) in overrides.iter().zip(places) {
        let span = Span::new(file, start, start + key.len());
        let before = problems.len();
        let value = value(text, file, at, problems);
        if problems.len() > before {
            continue;
        }
        if let Err(problem) = set(tree, key, span, value, problems) {
            problems.push(*problem);
        }
    }
}

/// The value that a shell's user means: what is a number, a truth value, `null`, a quoted string, or a list or map in brackets in YAML is
/// that; anything else is the text as it stands, for which no character has a meaning.
fn value(text: &str, file: u16, at: usize, problems: &mut Problems) -> Node {
    let trimmed = text.trim();
    let start = at + (text.len() - text.trim_start().len());
    let verbatim = |start: usize| u32::try_from(start + 1).unwrap_or(0);
    match (scalar::resolve(trimmed), trimmed.chars().next()) {
        (_, None) => {}
        (Value::Str(_), Some('"' | '\'' | '[' | '{')) => {
            match yaml::parse_flow(trimmed, file, start, problems) {
                Some(Ok(node)) => return node,
                // It is YAML and wrong, which was reported.
                None => return Node { span: Span::new(file, at, at), verbatim: 0, value: Value::Null },
                Some(Err(())) => {}
            }
        }
        (Value::Str(_), _) => {}
        (value, _) => {
            let span = Span::new(file, start, start + trimmed.len());
            return Node { span, verbatim: verbatim(start), value };
        }
    }
    let span = Span::new(file, at, at + text.len());
    Node { span, verbatim: verbatim(at), value: Value::Str(text.to_owned()) }
}

/// Adds the file that the overrides stand in; says which it is, and where in it each begins and where its value does.
pub(super) fn add(overrides: &[(String, String)], source: &mut Source) -> (u16, Vec<(usize, usize)>) {
    if overrides.is_empty() {
        return (0, Vec::new());
    }
    let mut text = String::new();
    let mut places = Vec::new();
    for (key, value) in overrides {
        let start = text.len();
        text.push_str(key);
        text.push('=');
        places.push((start, text.len()));
        text.push_str(value);
        text.push('\n');
    }
    (source.add("--set", text), places)
}

fn set(tree: &mut Node, key: &str, span: Span, value: Node, problems: &Problems) -> Result<(), Box<Problem>> {
    let axes: Vec<String> = tree
        .get("matrix")
        .and_then(Node::as_map)
        .map(|entries| entries.iter().map(|(key, _)| key.text.clone()).collect())
        .unwrap_or_default();
    let mut at = match &mut tree.value {
        Value::Map(entries) => entries.iter_mut().find(|(key, _)| key.text == "params").map(|(_, node)| node),
        _ => None,
    };
    let mut walked = String::new();
    for step in key.split('.') {
        let inside = if walked.is_empty() { "the pipeline".to_owned() } else { format!("`{walked}`") };
        let unknown = |names: &[&str]| {
            let problem = Problem::new("unknown_param", span, format!("{inside} has no parameter `{step}`"))
                .label("set here")
                .maybe_help(problems.hint(step, "parameters", names.iter().copied()));
            if walked.is_empty() && axes.iter().any(|axis| axis == step) {
                return problem.help(format!(
                    "`{step}` is an axis: write `matrix: {{ {step}: \"${{values}}\" }}` and `params: {{ values: […] }}` to set it"
                ));
            }
            problem
        };
        let Some(node) = at else { return Err(Box::new(unknown(&[]))) };
        let Value::Map(entries) = &mut node.value else {
            return Err(Box::new(Problem::new(
                "unknown_param",
                span,
                format!("{inside} is no map, so it has no `{step}`"),
            )));
        };
        let Some(index) = entries.iter().position(|(key, _)| key.text == step) else {
            let names: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
            return Err(Box::new(unknown(&names)));
        };
        at = Some(&mut entries[index].1);
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(step);
    }
    if let Some(node) = at {
        *node = value;
    }
    Ok(())
}
