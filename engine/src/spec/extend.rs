//! The files that a pipeline file `extends:`.

use std::path::{Path, PathBuf};

use super::merge;
use super::node::{Node, Value};
use super::problem::Problem;
use super::problems::Problems;
use super::source::{self, Source, Span};
use super::yaml;
use crate::registry::Registry;

/// How many files may extend each other.
const CHAIN: usize = 32;
/// How large a pipeline file may be.
const LARGEST: u64 = 16 << 20;

/// Reads a file and everything that it extends, as one tree.
pub(super) fn read(
    path: &Path,
    source: &mut Source,
    registry: &Registry,
    problems: &mut Problems,
) -> Option<Node> {
    let mut trees = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut next = Some((path.to_owned(), path.display().to_string(), None));
    while let Some((path, name, from)) = next.take() {
        let tree = read_one(&path, &name, from, source, problems)?;
        seen.push(fs_err::canonicalize(&path).unwrap_or_else(|_| path.clone()));
        let Some((key, base)) = tree.entry("extends") else {
            trees.push(tree);
            break;
        };
        let (span, text) = (base.span, base.as_str().map(str::to_owned));
        let Some(text) = text else {
            problems.push(wrong(span, &key.text, "the path of a pipeline file", base));
            return None;
        };
        let base = path.parent().unwrap_or(Path::new("")).join(text);
        let known = fs_err::canonicalize(&base).unwrap_or_else(|_| base.clone());
        if seen.len() >= CHAIN {
            let message = format!("more than {CHAIN} files extend each other");
            let problem = Problem::new("too_many", span, message).label("one too many");
            problems.push(problem.help("merge some of them"));
            return None;
        }
        if seen.contains(&known) {
            let names: Vec<&str> = source.files().map(|(name, _)| name).collect();
            let circle = format!("{} -> {}", names.join(" -> "), source::shown(&base));
            problems.push(
                Problem::new(
                    "extends_cycle",
                    span,
                    format!("the files extend each other in a circle: {circle}"),
                )
                .label("leads back to a file that extends this one")
                .help("let one of them stand on its own"),
            );
            return None;
        }
        let name = source::shown(&base);
        trees.push(tree);
        next = Some((base, name, Some(span)));
    }
    merge::files(trees, registry)
}

fn wrong(span: Span, key: &str, expected: &str, found: &Node) -> Problem {
    Problem::new("wrong_type", span, format!("`{key}` expects {expected}, found {}", found.describe()))
}

fn read_one(
    path: &Path,
    name: &str,
    from: Option<Span>,
    source: &mut Source,
    problems: &mut Problems,
) -> Option<Node> {
    let refuse = |problems: &mut Problems, message: String, help: Option<&str>| {
        let problem = match from {
            Some(span) => Problem::new("unreadable", span, message),
            None => Problem::nowhere("unreadable", message),
        };
        problems.push(problem.maybe_help(help.map(str::to_owned)));
    };
    let size = fs_err::metadata(path).map(|metadata| metadata.len());
    let bytes = match size {
        Ok(size) if size > LARGEST => {
            let message = format!("{name} has {size} bytes, more than a pipeline file may have ({LARGEST})");
            refuse(problems, message, Some("is it a data file?"));
            None
        }
        Ok(_) => match fs_err::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                refuse(problems, format!("cannot read the pipeline: {error}"), None);
                None
            }
        },
        Err(error) => {
            let help = (error.kind() == std::io::ErrorKind::NotFound)
                .then_some("check the path; a base file is looked for beside the file that extends it");
            let cause = error.to_string();
            refuse(problems, format!("cannot read the pipeline {name}: {}", reason(&cause)), help);
            None
        }
    };
    let Some(bytes) = bytes else {
        if from.is_none() {
            source.add(name, String::new());
        }
        return None;
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let wide =
                error.as_bytes().starts_with(&[0xff, 0xfe]) || error.as_bytes().starts_with(&[0xfe, 0xff]);
            let file = source.add(name, String::from_utf8_lossy(error.as_bytes()).into_owned());
            let what = if wide { "the file is UTF-16, not UTF-8" } else { "the file is not valid UTF-8" };
            problems.push(
                Problem::new("yaml", Span::new(file, at, at + '\u{fffd}'.len_utf8()), what)
                    .label("not UTF-8 from here")
                    .help("save it as UTF-8"),
            );
            return None;
        }
    };
    let file = source.add_file(path, name, text.clone());
    let before = problems.len();
    let tree = yaml::parse(&text, file, 0, problems);
    match tree {
        Some(tree) if tree.as_map().is_some() => Some(tree),
        Some(tree) if !matches!(tree.value, Value::Null) => {
            let message =
                format!("a pipeline is a map with `version:` and `stages:`, found {}", tree.describe());
            problems.push(Problem::new("wrong_type", tree.span, message));
            None
        }
        _ => {
            if problems.len() == before {
                problems.push(
                    Problem::new("empty", Span::new(file, 0, 0), "the file is empty")
                        .help("`sndpipe init` writes a pipeline to start from"),
                );
            }
            None
        }
    }
}

/// The cause without the path that `fs_err` puts before it.
fn reason(error: &str) -> &str {
    error.rsplit_once("`: ").map_or(error, |(_, cause)| cause)
}
