//! The grammar of `in:`: `clips`, `clips.labels`, `model[fold=1]`, `model[fold=1].history`, `model.history[fold=1]`.

use std::collections::BTreeSet;

use super::file::{Name, is_name};
use super::node::{Node, Value};
use super::problem::Problem;

/// What an input reads.
pub(super) struct Reference {
    pub stage: Name,
    pub output: Option<Name>,
    /// Axes and labels; a label may be a text with `${axis}`.
    pub cell: Vec<(Name, Node)>,
}

/// Parses the text of a reference.
pub(super) fn parse(node: &Node) -> Result<Reference, Box<Problem>> {
    let text = node.as_str().unwrap_or("");
    let refuse = |start: usize, end: usize, message: String| {
        Box::new(
            Problem::new("bad_reference", node.part(start, end), message)
                .help("write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`"),
        )
    };
    let name = |start: usize, end: usize, what: &str| {
        let (start, end) = trim(text, start, end);
        let part = &text[start..end];
        if is_name(part) {
            return Ok(Name { text: part.to_owned(), span: node.part(start, end) });
        }
        let message = if part.contains("${") {
            format!("a reference to a stage is not computed: `{text}`")
        } else if part.is_empty() {
            format!("`{text}` lacks the name of {what}")
        } else {
            format!("`{part}` is no name of {what}")
        };
        Err(refuse(0, text.len(), message))
    };
    let end = text.find(['.', '[']).filter(|_| !text.trim_start().starts_with("${")).unwrap_or(text.len());
    let mut reference = Reference { stage: name(0, end, "a stage")?, output: None, cell: Vec::new() };
    let mut at = end;
    let mut brackets = false;
    while at < text.len() {
        let rest = &text[at + 1..];
        match text.as_bytes()[at] {
            b'.' if reference.output.is_none() => {
                let end = rest.find(['.', '[']).map_or(text.len(), |found| at + 1 + found);
                reference.output = Some(name(at + 1, end, "an output")?);
                at = end;
            }
            b'[' if !brackets => {
                brackets = true;
                let close = rest.find(']').map(|found| at + 1 + found);
                let close =
                    close.ok_or_else(|| refuse(at, text.len(), format!("`{text}` lacks the closing `]`")))?;
                let mut start = at + 1;
                let mut chosen = BTreeSet::new();
                for part in text[start..close].split(',') {
                    let end = start + part.len();
                    let Some(equals) = part.find('=') else {
                        return Err(refuse(
                            start,
                            end,
                            format!("`{}` is not of the form `axis=label`", part.trim()),
                        ));
                    };
                    let axis = name(start, start + equals, "an axis")?;
                    if !chosen.insert(axis.text.clone()) {
                        return Err(refuse(start, end, format!("the axis `{}` is chosen twice", axis.text)));
                    }
                    let (from, to) = trim(text, start + equals + 1, end);
                    if from == to {
                        return Err(refuse(
                            start,
                            end,
                            format!("the axis `{}` has no label here", axis.text),
                        ));
                    }
                    let verbatim =
                        if node.verbatim == 0 { 0 } else { node.verbatim + u32::try_from(from).unwrap_or(0) };
                    let value = Value::Str(text[from..to].to_owned());
                    reference.cell.push((axis, Node { span: node.part(from, to), verbatim, value }));
                    start = end + 1;
                }
                at = close + 1;
                let next = text[at..].trim_start();
                if !next.is_empty() && !next.starts_with(['.', '[']) {
                    return Err(refuse(at, text.len(), format!("`{next}` follows the `]`")));
                }
                at = text.len() - next.len();
            }
            _ => {
                let again = &text[at..];
                return Err(refuse(at, text.len(), format!("`{again}` is one part too many")));
            }
        }
    }
    Ok(reference)
}

fn trim(text: &str, start: usize, end: usize) -> (usize, usize) {
    let part = &text[start..end];
    let from = start + (part.len() - part.trim_start().len());
    (from, from + part.trim().len())
}
