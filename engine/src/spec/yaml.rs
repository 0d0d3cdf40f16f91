//! YAML text to a tree with places. The one file that names the YAML library.
//!
//! It uses the event parser that serde-saphyr re-exports rather than its deserializer: `Spanned` gives no place for a duplicate
//! key's first occurrence and stops at the first mistake, and events are faster than a self-describing visitor.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span as Place, StructureStyle, options};

use super::node::{Entries, Key, Node, Value};
use super::problem::Problem;
use super::problems::Problems;
use super::scalar;
use super::source::Span;

/// How deep lists and maps may nest.
pub(super) const DEPTH: usize = 64;
/// How many nodes aliases may add to a file.
const EXPANSION: usize = 200_000;
/// How many nodes a file may have.
const NODES: usize = 2_000_000;

/// Parses the text of one document; `base` is where it begins in its file. Mistakes go to `problems`; without a tree there is one.
pub(super) fn parse(text: &str, file: u16, base: usize, problems: &mut Problems) -> Option<Node> {
    if text.starts_with('\u{feff}') {
        problems.push(
            Problem::new("yaml", Span::new(file, base, base + 3), "the file begins with a byte order mark")
                .help("save it as UTF-8 without a byte order mark"),
        );
        return None;
    }
    match read(text, file, base, false, problems) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

/// Parses a text that is one quoted string, list or map in brackets as a whole; `Err` where it is no such thing. `None`: it is one with a
/// mistake, which was reported.
pub(super) fn parse_flow(
    text: &str,
    file: u16,
    base: usize,
    problems: &mut Problems,
) -> Option<Result<Node, ()>> {
    let before = problems.len();
    match read(text, file, base, true, problems) {
        Ok(Some(node)) if problems.len() == before => Some(Ok(node)),
        Ok(Some(_)) => None,
        Err(problem) if problem.code != "yaml" => {
            problems.push(*problem);
            None
        }
        _ => Some(Err(())),
    }
}

/// Builds the tree of a text. With `flow`, what is no quoted string, list or map in brackets is an error, and so is a comment.
fn read(
    text: &str,
    file: u16,
    base: usize,
    flow: bool,
    problems: &mut Problems,
) -> Result<Option<Node>, Box<Problem>> {
    let mut options =
        options! { flow_nesting_limit: DEPTH, block_nesting_limit: DEPTH, disallow_directives: true };
    options.set_emit_comments(false);
    let mut builder = Builder {
        text,
        file,
        base,
        problems,
        stack: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        expanded: 0,
        nodes: 0,
        documents: 0,
    };
    // Where the last scalar ends: between scalars a `#` can only begin a comment.
    let mut end = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, place)) => {
                let range = builder.range(&place);
                let scalar = matches!(event, Event::Scalar(..));
                let gap = if scalar { end..range.0.max(end) } else { end..end };
                if flow && (is_block(&event) || text.get(gap).is_none_or(|gap| gap.contains('#'))) {
                    return Err(Box::new(Problem::new("yaml", builder.span(&place), "not all in brackets")));
                }
                end = if scalar { range.1 } else { end };
                builder.event(event, place)?;
            }
            Err(error) => {
                let offset = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                return Err(Box::new(builder.syntax(&error.info(), offset)));
            }
        }
    }
    if flow && text[end..].contains('#') {
        let span = Span::new(file, base + end, base + text.len());
        return Err(Box::new(Problem::new("yaml", span, "not all in brackets")));
    }
    Ok(builder.root)
}

/// Whether an event begins a list or a map in block style.
fn is_block(event: &Event<'_>) -> bool {
    match event {
        Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => *style == StructureStyle::Block,
        _ => false,
    }
}

struct Builder<'a> {
    text: &'a str,
    file: u16,
    base: usize,
    problems: &'a mut Problems,
    stack: Vec<Frame>,
    root: Option<Node>,
    /// Each anchored node with its number of nodes and its depth.
    anchors: BTreeMap<usize, (Node, usize, usize)>,
    expanded: usize,
    /// Nodes of the file, those behind an anchor once more.
    nodes: usize,
    documents: usize,
}

struct Frame {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map { entries: Entries, key: Option<(Key, bool)>, merges: Vec<(Span, Node)> },
}

type Step = Result<(), Box<Problem>>;

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, place: Place) -> Step {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let span = self.span(&place);
                    return Err(Box::new(
                        Problem::new("yaml", span, "the file holds more than one document")
                            .label("a second document begins here")
                            .help("a pipeline is one document: remove the `---`"),
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.span(&place);
                let plain = style == ScalarStyle::Plain;
                let tag = tag.as_ref().map(|tag| (tag.core_suffix().map(str::to_owned), tag.original()));
                let value = match tag {
                    None if plain => scalar::resolve(&text),
                    None => Value::Str(text.to_string()),
                    Some((core, name)) => self.tagged(core.as_deref(), &name, &text, span)?,
                };
                let node = Node { span, verbatim: self.verbatim(&text, span), value };
                self.remember(anchor, &node);
                self.add(node, Some((&text, plain)))
            }
            Event::SequenceStart(style, anchor, _) => {
                let span = self.opening(&place, style, 1);
                self.open(Frame { span, anchor, content: Content::Seq(Vec::new()) })
            }
            Event::MappingStart(style, anchor, _) => {
                let span = self.opening(&place, style, 0);
                let content = Content::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.open(Frame { span, anchor, content })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else { return Ok(()) };
                let node = self.close(frame, &place);
                self.add(node, None)
            }
            Event::Alias(anchor) => self.alias(anchor, &place),
            _ => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame) -> Step {
        if self.stack.len() >= DEPTH {
            return Err(Box::new(too_deep(frame.span)));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self, frame: Frame, end: &Place) -> Node {
        let Frame { mut span, anchor, content } = frame;
        let range = self.range(end);
        if self.text.get(span.start() - self.base..).is_some_and(|rest| rest.starts_with(['{', '['])) {
            let whole = Span::new(self.file, span.start(), self.base + range.1);
            if self.text.get(span.start() - self.base..range.1).is_some_and(|inner| !inner.contains('\n')) {
                span = whole;
            }
        }
        let value = match content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map { entries, merges, .. } => {
                if let Some((key, _)) = entries.first()
                    && span.is_empty()
                {
                    span = key.span;
                }
                let entries = self.unique(entries);
                Value::Map(self.merge(entries, merges))
            }
        };
        let node = Node { span, verbatim: 0, value };
        self.remember(anchor, &node);
        node
    }

    /// Puts a finished node into the list or map that is open. `scalar` is the text of a scalar and whether it is unquoted.
    fn add(&mut self, node: Node, scalar: Option<(&str, bool)>) -> Step {
        self.nodes += 1;
        if self.nodes > NODES {
            let problem =
                Problem::new("too_many", node.span, format!("the file has more than {NODES} values"));
            return Err(Box::new(
                problem.label("too much by here").help("write a `matrix` instead of its cells"),
            ));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::Seq(items) => items.push(node),
            Content::Map { entries, key, merges } => match key.take() {
                None => {
                    let (text, plain) = match (scalar, &node.value) {
                        (Some((text, plain)), _) => (text.to_owned(), plain),
                        // An alias of a scalar.
                        (None, Value::Str(text)) => (text.clone(), false),
                        (None, Value::Number(number)) => (number.to_string(), false),
                        (None, Value::Bool(value)) => (value.to_string(), false),
                        _ => {
                            return Err(Box::new(
                                Problem::new("yaml", node.span, "a list or a map cannot be a key")
                                    .help("quote it if it is text"),
                            ));
                        }
                    };
                    if text.is_empty() {
                        return Err(Box::new(Problem::new("yaml", node.span, "a key is missing before `:`")));
                    }
                    *key = Some((Key { text, span: node.span }, plain));
                }
                Some((key, true)) if key.text == "<<" => merges.push((key.span, node)),
                Some((key, _)) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Step {
        let span = self.span(place);
        let Some((node, size, depth)) = self.anchors.get(&anchor) else {
            return Err(Box::new(Problem::new("yaml", span, "an alias stands inside of what it repeats")));
        };
        self.expanded += size;
        if self.expanded > EXPANSION {
            return Err(Box::new(
                Problem::new(
                    "alias_bomb",
                    span,
                    format!("aliases expand the file by more than {EXPANSION} values"),
                )
                .label("too much by here")
                .help("repeat less with `*`, or write a `matrix`"),
            ));
        }
        if self.stack.len() + depth > DEPTH {
            return Err(Box::new(too_deep(span)));
        }
        let node = node.clone();
        self.add(node, None)
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            let (size, depth) = measure(node);
            self.nodes += size;
            self.anchors.insert(anchor, (node.clone(), size, depth));
        }
    }

    /// Refuses keys that stand twice; the first one stays.
    fn unique(&mut self, entries: Entries) -> Entries {
        /// Comparing all pairs of fewer keys is quicker than sorting them.
        const FEW: usize = 12;
        let again = |at: usize| entries[..at].iter().any(|(key, _)| key.text == entries[at].0.text);
        if entries.len() <= FEW && !(1..entries.len()).any(again) {
            return entries;
        }
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|&a, &b| entries[a].0.text.cmp(&entries[b].0.text).then(a.cmp(&b)));
        let mut twice = vec![false; entries.len()];
        let mut first = 0;
        for pair in 1..order.len() {
            if entries[order[pair]].0.text != entries[order[first]].0.text {
                first = pair;
                continue;
            }
            let (again, before) = (&entries[order[pair]].0, &entries[order[first]].0);
            twice[order[pair]] = true;
            self.problems.push(
                Problem::new(
                    "duplicate_key",
                    again.span,
                    format!("the key `{}` stands twice in one map", again.text),
                )
                .label("again here")
                .also(before.span, "first here")
                .help("keep one of them"),
            );
        }
        let mut index = 0;
        let mut entries = entries;
        entries.retain(|_| {
            index += 1;
            !twice[index - 1]
        });
        entries
    }

    /// Adds what merge keys bring: explicit keys win, then earlier maps.
    fn merge(&mut self, mut entries: Entries, merges: Vec<(Span, Node)>) -> Entries {
        if merges.is_empty() {
            return entries;
        }
        let mut present: BTreeSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        for (span, node) in merges {
            let maps = match node.value {
                Value::Seq(items) => items,
                _ => vec![node],
            };
            for map in maps {
                let Value::Map(added) = map.value else {
                    self.problems.push(
                        Problem::new("yaml", span, "`<<` merges a map or a list of maps")
                            .label("this brings no map"),
                    );
                    continue;
                };
                for (key, value) in added {
                    if present.insert(key.text.clone()) {
                        entries.push((key, value));
                    }
                }
            }
        }
        entries
    }

    fn tagged(&self, core: Option<&str>, name: &str, text: &str, span: Span) -> Result<Value, Box<Problem>> {
        let refused = |why: String| Err(Box::new(Problem::new("yaml", span, why)));
        match (core, scalar::resolve(text)) {
            (Some("str"), _) => Ok(Value::Str(text.to_owned())),
            (Some("null"), value @ Value::Null) | (Some("bool"), value @ Value::Bool(_)) => Ok(value),
            (Some("int" | "float"), value @ Value::Number(_)) => Ok(value),
            (Some("int" | "float" | "bool" | "null"), _) => refused(format!("`{text}` is no `{name}`")),
            _ => refused(format!("the tag `{name}` means nothing in a pipeline")),
        }
    }

    fn syntax(&self, info: &str, offset: usize) -> Problem {
        let line_end = self.text[offset..].find('\n').map_or(self.text.len(), |at| offset + at);
        let end = self.text[offset..].chars().next().map_or(offset, |c| offset + c.len_utf8()).min(line_end);
        let span = Span::new(self.file, self.base + offset, self.base + end);
        let line = self.text[..offset].rsplit('\n').next().unwrap_or("");
        if info.contains("unknown anchor") {
            let name: String = self.text[offset..]
                .chars()
                .skip(1)
                .take_while(|c| c.is_alphanumeric() || "_-".contains(*c))
                .collect();
            let span = Span::new(self.file, self.base + offset, self.base + offset + 1 + name.len());
            return Problem::new("yaml", span, format!("the alias `*{name}` has no anchor"))
                .label("defined nowhere above")
                .help(format!("define it earlier in the file with `&{name}`, or quote it if it is text"));
        }
        let help = if info.contains("tab") || line.starts_with('\t') {
            Some("indent with blanks, not with tabs".to_owned())
        } else if info.contains("unexpected character") {
            Some("put text that begins with a special character in quotes".to_owned())
        } else if info.contains("mapping values") || info.contains("simple key") {
            Some("text with `: ` in it needs quotes; a key needs `: ` behind it".to_owned())
        } else if info.contains("recursion") {
            Some(format!("lists and maps may nest {DEPTH} deep"))
        } else if info.contains("quoted scalar") {
            Some("the quote that this belongs to is not closed".to_owned())
        } else if info.contains("EOF") || info.contains("unclosed") || info.contains("',' or") {
            Some("a bracket, a brace or a quote is not closed, or a comma is missing".to_owned())
        } else {
            None
        };
        Problem::new("yaml", span, format!("the file is no valid YAML: {info}")).maybe_help(help)
    }

    fn range(&self, place: &Place) -> (usize, usize) {
        let range = place.byte_range().unwrap_or(0..0);
        (range.start.min(self.text.len()), range.end.min(self.text.len()))
    }

    fn span(&self, place: &Place) -> Span {
        let (start, end) = self.range(place);
        Span::new(self.file, self.base + start, self.base + end)
    }

    /// The place of a list or map that begins: its bracket, or in block style `block` bytes.
    fn opening(&self, place: &Place, style: StructureStyle, block: usize) -> Span {
        let (start, _) = self.range(place);
        let len = match style {
            StructureStyle::Flow => 1,
            StructureStyle::Block => block,
        };
        Span::new(self.file, self.base + start, self.base + (start + len).min(self.text.len()))
    }

    /// One more than where the characters of a scalar stand exactly as its value; 0 where they do not.
    fn verbatim(&self, text: &str, span: Span) -> u32 {
        let start = span.start() - self.base;
        let written = self.text.get(start..start + span.len()).unwrap_or("");
        let at = if written == text {
            Some(0)
        } else if written.len() == text.len() + 2 && written.get(1..written.len() - 1) == Some(text) {
            Some(1)
        } else {
            None
        };
        at.and_then(|at| u32::try_from(span.start() + at + 1).ok()).unwrap_or(0)
    }
}

fn too_deep(span: Span) -> Problem {
    Problem::new("yaml", span, format!("lists and maps nest more than {DEPTH} deep")).label("too deep")
}

/// The number of nodes and the depth of a tree.
fn measure(node: &Node) -> (usize, usize) {
    let (size, depth) = match &node.value {
        Value::Seq(items) => items.iter().map(measure).fold((0, 0), |a, b| (a.0 + b.0, a.1.max(b.1))),
        Value::Map(entries) => {
            entries.iter().map(|(_, node)| measure(node)).fold((0, 0), |a, b| (a.0 + b.0, a.1.max(b.1)))
        }
        _ => return (1, 0),
    };
    (size + 1, depth + 1)
}
