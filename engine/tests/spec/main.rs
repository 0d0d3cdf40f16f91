//! Pipeline files to graphs: what is accepted and what it becomes, and what is said about everything else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod broken;
mod extends;
mod graphs;
mod kinds;
mod orders;
mod remembered;
mod schemas;
mod speed;

use std::fmt::Write as _;

use sndpipe_engine::{Graph, SpecErrors};

/// The example of the documentation, for the kinds of these tests.
pub const EXAMPLE: &str = r#"version: 1
name: esc50
params:
  root: data/ESC-50
  sample_rate: 22050
matrix:
  fold: [1, 2, 3, 4, 5]
  loss:
    cce: { name: cce }
    lq:  { name: lq, q: 0.7 }
stages:
  clips:  { uses: data, with: { root: "${root}" } }
  audio:  { uses: decode, in: clips, with: { sample_rate: "${sample_rate}" } }
  mel:    { uses: spectrogram, in: audio, with: { bands: 96, hop_ms: 10 } }
  split:  { uses: split.folds, in: clips, with: { test: "${fold}" } }
  model:
    uses: train
    in: { features: mel, labels: clips.labels, split: split }
    with: { loss: "${loss}", epochs: 60, seed: 0 }
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval:   { uses: evaluate, in: { scores: scores, labels: clips.labels } }
  table:  { uses: table, in: { metrics: { from: eval, collect: [fold, loss] } }, with: { rows: loss, over: [fold] } }
"#;

/// Writes files into an empty folder and loads the first.
pub fn load_files(
    files: &[(&str, &[u8])],
    set: &[(&str, &str)],
) -> (Result<Graph, SpecErrors>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let set: Vec<(String, String)> =
        set.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    (sndpipe_engine::load(&folder.path().join(files[0].0), &set, &kinds::registry()), folder)
}

/// Loads a text.
pub fn load_text(text: &str) -> Result<Graph, SpecErrors> {
    load_files(&[("x.yaml", text.as_bytes())], &[]).0
}

/// The graph of a text that must be right.
#[track_caller]
pub fn graph(text: &str) -> Graph {
    load_text(text).unwrap_or_else(|errors| panic!("{}", render(&errors)))
}

/// Mistakes as text: place, code, message, label and help, then the marked line.
pub fn render(errors: &SpecErrors) -> String {
    let mut text = String::new();
    for error in errors {
        let name = |place: String| place.rsplit('/').next().unwrap_or_default().to_owned();
        let place = error.span.map_or_else(|| "-".to_owned(), |span| name(error.source.place(span)));
        writeln!(text, "{place} {}: {}", error.code, error.message).unwrap();
        if let Some(span) = error.span {
            writeln!(text, "  `{}` {}", error.source.text(span), error.label).unwrap();
        }
        for (span, label) in &error.also {
            writeln!(text, "  {} `{}` {label}", name(error.source.place(*span)), error.source.text(*span))
                .unwrap();
        }
        let folder = std::path::Path::new(error.source.name()).parent().unwrap_or(std::path::Path::new(""));
        let folder = format!("{}/", folder.display());
        text = text.replace(&folder, "");
        for line in error.help.iter().flat_map(|help| help.lines()).map(|line| line.replace(&folder, "")) {
            writeln!(text, "  help: {line}").unwrap();
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A graph as text: each instance with its parameters and what each port reads.
pub fn describe(graph: &Graph) -> Vec<String> {
    let describe = |id: usize| {
        let instance = &graph.instances[id];
        let mut line = format!("{instance} {}", instance.bound.params());
        for input in &instance.inputs {
            let items: Vec<String> = input
                .items
                .iter()
                .map(|item| {
                    let from = &graph.instances[item.from];
                    let axes: Vec<String> =
                        item.axes.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
                    let output = &from.bound.outputs()[item.output].name;
                    format!(
                        "{from}.{output}{}",
                        if axes.is_empty() { String::new() } else { format!(" ({})", axes.join(",")) }
                    )
                })
                .collect();
            write!(line, " {}<-{}", input.port, items.join("+")).unwrap();
        }
        line
    };
    (0..graph.instances.len()).map(describe).collect()
}
