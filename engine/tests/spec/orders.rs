//! The order of keys, comments and quotes change nothing.

use proptest::prelude::*;

use super::{describe, graph};

/// A map whose entries can be written in any order.
#[derive(Clone)]
enum Tree {
    Leaf(&'static str),
    List(Vec<Tree>),
    Map(Vec<(&'static str, Tree)>),
}

fn leaf(text: &'static str) -> Tree {
    Tree::Leaf(text)
}

fn list(items: Vec<Tree>) -> Tree {
    Tree::List(items)
}

fn pipeline() -> Tree {
    use Tree::Map;
    let stage = |uses, reads, with| Map(vec![("uses", leaf(uses)), ("in", reads), ("with", with)]);
    Map(vec![
        ("version", leaf("1")),
        ("name", leaf("x")),
        ("params", Map(vec![("root", leaf("s:a b")), ("rate", leaf("8000"))])),
        (
            "matrix",
            Map(vec![
                ("fold", list(vec![leaf("1"), leaf("2"), leaf("3")])),
                (
                    "loss",
                    Map(vec![
                        ("cce", Map(vec![("name", leaf("s:cce"))])),
                        ("lq", Map(vec![("name", leaf("s:lq")), ("q", leaf("0.7"))])),
                    ]),
                ),
            ]),
        ),
        (
            "stages",
            Map(vec![
                (
                    "clips",
                    Map(vec![("uses", leaf("s:data")), ("with", Map(vec![("root", leaf("s:${root}"))]))]),
                ),
                ("audio", stage("s:decode", leaf("s:clips"), Map(vec![("sample_rate", leaf("s:${rate}"))]))),
                (
                    "split",
                    stage(
                        "s:split.folds",
                        Map(vec![("clips", leaf("s:clips"))]),
                        Map(vec![("test", leaf("s:${fold}"))]),
                    ),
                ),
                (
                    "model",
                    stage(
                        "s:train",
                        Map(vec![
                            ("features", leaf("s:audio")),
                            ("labels", leaf("s:clips.labels")),
                            ("split", leaf("s:split")),
                        ]),
                        Map(vec![("loss", leaf("s:${loss}")), ("epochs", leaf("3")), ("seed", leaf("1"))]),
                    ),
                ),
            ]),
        ),
    ])
}

/// Writes a tree; `choices` decides order, style, comments and quotes. Axes and labels keep their order, which has a meaning.
fn write(
    tree: &Tree,
    choices: &mut impl FnMut(usize) -> usize,
    indent: usize,
    fixed: bool,
    out: &mut String,
) {
    match tree {
        Tree::Leaf(text) => {
            let text = match text.strip_prefix("s:") {
                None => (*text).to_owned(),
                Some(text) => match choices(3) {
                    0 if !text.starts_with('$') => text.to_owned(),
                    1 => format!("'{text}'"),
                    _ => format!("\"{text}\""),
                },
            };
            out.push_str(&text);
        }
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write(item, choices, indent, fixed, out);
            }
            out.push(']');
        }
        Tree::Map(entries) => {
            let mut entries: Vec<&(&str, Tree)> = entries.iter().collect();
            if !fixed {
                for last in (1..entries.len()).rev() {
                    entries.swap(last, choices(last + 1));
                }
            }
            let flow = indent > 2 && choices(2) == 0 || out.ends_with(", ");
            if flow {
                out.push_str("{ ");
            }
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let below = fixed || *key == "matrix";
                if flow {
                    out.push_str(if index > 0 { ", " } else { "" });
                    out.push_str(&format!("{key}: "));
                    let mut inner = String::from(", ");
                    write(value, choices, indent + 2, below && indent == 0, &mut inner);
                    out.push_str(&inner[2..]);
                    continue;
                }
                out.push('\n');
                if choices(3) == 0 {
                    out.push_str(&format!("{}# about {key}\n", " ".repeat(choices(5))));
                }
                let quote = ["", "'", "\""][choices(3)];
                out.push_str(&format!("{}{quote}{key}{quote}: ", " ".repeat(indent)));
                write(value, choices, indent + 2, below, out);
                if choices(4) == 0 {
                    out.push_str("  # why");
                }
            }
            if flow {
                out.push_str(" }");
            }
        }
    }
}

/// Everything of a graph but the order of its stages.
fn sorted(text: &str) -> Vec<String> {
    let mut lines = describe(&graph(text));
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_way_of_writing_never_changes_the_graph(seed in prop::collection::vec(any::<u16>(), 64..200)) {
        let mut at = 0;
        let mut choices = |below: usize| {
            at += 1;
            usize::from(seed[at % seed.len()]) % below.max(1)
        };
        let mut text = String::new();
        write(&pipeline(), &mut choices, 0, false, &mut text);
        let mut plain = String::new();
        write(&pipeline(), &mut |_| 1, 0, true, &mut plain);
        prop_assert_eq!(sorted(&text), sorted(&plain), "{}", text);
    }
}
