//! Large graphs that are kept in a cache: the same graph as a fresh one, and only as long as nothing that it was made of has changed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Store;
use sndpipe_engine::{Graph, Kind, Output, ParamError, Port, Registry, Stage, StageError, StageIo};

use super::{describe, kinds};

/// How often parameters were checked: once for each set of a graph that is not remembered.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceParams {
    /// A path, which is no part of a key.
    #[serde(skip_serializing)]
    place: String,
    /// A number that not every decimal can say.
    share: f64,
}

/// A stage of its own, so that nobody else has its parameters checked.
pub struct Place;

impl Stage for Place {
    const NAME: &'static str = "place";
    const VERSION: u32 = 1;
    type Params = PlaceParams;

    fn check(_: &PlaceParams) -> Vec<ParamError> {
        CHECKED.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }
    fn inputs(params: &PlaceParams) -> Vec<Port> {
        vec![Port::new(&format!("port_{}", params.place), Kind::Clips)]
    }
    fn outputs(_: &PlaceParams) -> Vec<Output> {
        vec![Output::new("table", Kind::Table)]
    }
    fn run(_: &PlaceParams, _: &mut StageIo<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

const CELLS: usize = 1200;

/// A folder with a pipeline, its base and a cache.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut shares = String::new();
        for cell in 0..CELLS {
            write!(shares, "{}, ", 0.1 + f64::from(u32::try_from(cell).unwrap()) / 3.0).unwrap();
        }
        bench.write("base.yaml", &format!("matrix: {{ share: [{shares}] }}\nparams: {{ place: here }}\n"));
        bench.write(
            "x.yaml",
            "extends: base.yaml\nversion: 1\nstages:\n  clips: { uses: data, with: { root: r } }\n  place: { uses: place, in: clips, with: { place: \"${place}\", share: \"${share}\" } }\n  zall: { uses: table, in: { metrics: { from: eval, collect: share } } }\n  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }\n  scores: { uses: score, in: { model: model, features: mel }, with: { subset: \"s${share}\" } }\n  mel: { uses: spectrogram, in: audio, with: { bands: 5 } }\n  audio: { uses: decode, in: clips }\n  split: { uses: split.folds, in: clips, with: { test: 1 } }\n  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { loss: { name: x }, epochs: 1 } }\n",
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, &text.replace(from, to));
    }

    /// The graph, and whether parameters were checked for it.
    fn load(&self, set: &[(&str, &str)]) -> (Vec<String>, bool) {
        let registry: Registry = kinds::registry().with::<Place>();
        let store = Store::open(&self.path("cache")).unwrap();
        let set: Vec<(String, String)> =
            set.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let before = CHECKED.load(Ordering::Relaxed);
        let graph = sndpipe_engine::load_remembered(&self.path("x.yaml"), &set, &registry, &store).unwrap();
        let checked = CHECKED.load(Ordering::Relaxed) > before;
        let fresh = sndpipe_engine::load(&self.path("x.yaml"), &set, &registry).unwrap();
        assert_eq!(whole(&graph), whole(&fresh));
        (describe(&graph), checked)
    }
}

/// Everything that a graph says.
fn whole(graph: &Graph) -> Vec<String> {
    let mut lines = describe(graph);
    for instance in &graph.instances {
        let bound = &instance.bound;
        lines.push(format!(
            "{} {:?} {} {:?} {:?} {:?} {:?}",
            instance.keep,
            graph.source.place(instance.span),
            bound.with(),
            bound.head(),
            bound.inputs(),
            bound.outputs(),
            instance.inputs
        ));
    }
    lines.push(format!("{} {:?} {:?}", graph.name, graph.stages, graph.source.files().collect::<Vec<_>>()));
    lines
}

/// One test, because all of them count checks.
#[test]
fn a_large_graph_is_checked_once() {
    let bench = Bench::new();
    let (first, checked) = bench.load(&[]);
    assert!(checked);
    assert_eq!(bench.load(&[]), (first.clone(), false));

    let set = [("place", "there")];
    assert!(bench.load(&set).1, "other values of parameters");
    assert!(!bench.load(&set).1);
    bench.load(&[]);

    bench.edit("base.yaml", "here", "elsewhere");
    let (changed, checked) = bench.load(&[]);
    assert!(checked, "another base");
    assert_ne!(changed, first);
    bench.edit("x.yaml", "bands: 5", "bands: 6");
    assert!(bench.load(&[]).1, "another file");
    assert!(!bench.load(&[]).1);

    let memory = walk(&bench.path("cache/pipelines-v1"));
    let [memory] = &memory[..] else { panic!("{memory:?}") };
    let mut bytes = fs_err::read(memory).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(memory, bytes).unwrap();
    assert!(bench.load(&[]).1, "a damaged memory");
    assert!(!bench.load(&[]).1);
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
