//! A cache in a temporary folder, stages run in it one by one, and a task that can be learnt.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sndpipe_cache::{Digest, Manifest, Meta, Row, Store, Values};
use sndpipe_engine::{
    Axes, Device, Event, Gate, IoItem, IoPort, Observer, StageError, StageIo, StageLog, Surroundings, Written,
};
use sndpipe_random::Stream;
use sndpipe_stages::artefacts::{Labels, State};
use sndpipe_stages::artefacts::{Split, Subset};

/// Bands of the features.
pub const BANDS: usize = 6;
/// The classes of the task.
pub const CLASSES: [&str; 3] = ["bell", "dog", "rain"];

/// Where stages run.
pub struct Bench {
    pub store: Store,
    _folder: tempfile::TempDir,
}

/// What is asked of a run beside its inputs.
#[derive(Default)]
pub struct Run {
    /// Stop when the stage first reports progress.
    pub stop_at_progress: bool,
    /// What the stage logged.
    pub log: Mutex<Vec<String>>,
    pub cancel: Arc<AtomicBool>,
}

impl Observer for Run {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Log { line, .. } => self.log.lock().unwrap().push((*line).to_owned()),
            Event::Progress { .. } if self.stop_at_progress => self.cancel.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

/// What is behind a port.
pub type Wire<'a> = (&'a str, Vec<(Axes, &'a Manifest)>);

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::open(&folder.path().join("cache")).unwrap(), _folder: folder }
    }

    /// Runs a stage; the key names its working directory and row map.
    pub fn run_as(
        &self,
        key: &str,
        stage: &str,
        with: Value,
        wires: &[Wire<'_>],
        run: &Run,
    ) -> Result<Written, StageError> {
        let registry = sndpipe_stages::registry();
        let bound = registry.get(stage).unwrap().bind(&with).unwrap_or_else(|errors| panic!("{errors:?}"));
        let items = |name: &str| {
            let wire = wires.iter().find(|(port, _)| *port == name);
            wire.into_iter()
                .flat_map(|(_, items)| items)
                .map(|(axes, manifest)| IoItem { axes: axes.clone(), manifest: (*manifest).clone() })
                .collect()
        };
        let ports = bound
            .inputs()
            .iter()
            .map(|port| IoPort { port: port.clone(), items: items(&port.name) })
            .collect();
        let (files, gate) = (BTreeMap::new(), Gate::new(u64::MAX, rayon::current_num_threads()));
        let around = Surroundings {
            store: &self.store,
            inputs: &self.store,
            files: &files,
            cancel: &run.cancel,
            observer: run,
            device: Device::Cpu,
            threads: 1,
            gate: &gate,
        };
        let key = Digest::of(key.as_bytes());
        let log = StageLog::new(self.store.log_path(&key));
        let mut io = StageIo::new(&around, 0, key, ports, bound.outputs(), &[], &log);
        bound.run(&mut io)?;
        io.finish()
    }

    /// Runs a stage that is expected to succeed.
    #[track_caller]
    pub fn run(&self, stage: &str, with: Value, wires: &[(&str, &Manifest)]) -> Written {
        self.try_run(stage, with, wires).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a stage under a key that is made from everything it gets.
    pub fn try_run(
        &self,
        stage: &str,
        with: Value,
        wires: &[(&str, &Manifest)],
    ) -> Result<Written, StageError> {
        let ids: Vec<String> =
            wires.iter().map(|(port, manifest)| format!("{port} {}", manifest.id)).collect();
        let wires: Vec<Wire<'_>> =
            wires.iter().map(|(port, manifest)| (*port, vec![(Axes::new(), *manifest)])).collect();
        self.run_as(&format!("{stage} {with} {ids:?}"), stage, with, &wires, &Run::default())
    }

    /// A table as an artefact.
    pub fn labels(&self, labels: &Labels) -> Manifest {
        let (meta, table) = labels.to_table().unwrap();
        self.store.put_table("labels", meta, &table).unwrap()
    }

    /// A split as an artefact.
    pub fn split(&self, split: &Split) -> Manifest {
        self.store.put_table("split", Meta::new(), &split.to_table().unwrap()).unwrap()
    }

    /// Rows as an artefact.
    pub fn rows(&self, kind: &str, meta: Meta, rows: Vec<(String, Row)>) -> Manifest {
        let map = self.store.row_map(&Digest::of(b"made up")).unwrap();
        let inputs = rows.iter().map(|(_, row)| (row.hash(), row.clone())).collect();
        let at: BTreeMap<Digest, _> =
            map.commit(inputs, Vec::new(), Vec::new()).unwrap().into_iter().collect();
        let mut index = sndpipe_cache::IndexBuilder::default();
        rows.iter().for_each(|(clip_id, row)| index.push(clip_id, &at[&row.hash()]));
        self.store.put_rows(kind, meta, index).unwrap()
    }

    /// The bytes of the model that a training wrote.
    pub fn model(&self, written: &Written) -> Vec<u8> {
        self.store.read_blob(&written.outputs[0]).unwrap()
    }

    /// A column of numbers of a table with the text of another column.
    pub fn table(&self, manifest: &Manifest) -> arrow_array::RecordBatch {
        self.store.read_table(manifest, None).unwrap()
    }

    /// The value of a metric over all classes.
    pub fn metric(&self, metrics: &Manifest, name: &str) -> Option<f64> {
        let table = self.table(metrics);
        let names = sndpipe_stages::artefacts::columns::text(&table, "metric").unwrap();
        let classes = sndpipe_stages::artefacts::columns::maybe_text(&table, "class").unwrap();
        let row =
            names.iter().zip(&classes).position(|(metric, class)| metric == name && class.is_none()).unwrap();
        sndpipe_stages::artefacts::columns::number(&table, "value").unwrap()[row]
    }
}

/// A task: each class has two louder bands of its own; clips differ in length, and some are shorter than a patch.
pub struct Task {
    pub rows: Vec<(String, Row)>,
    pub labels: Labels,
    pub split: Split,
}

impl Task {
    /// The task with its clips: of each five, three train, one validates, one tests.
    pub fn new(clips: usize) -> Self {
        let noise = Stream::new(5, "features");
        let (mut rows, mut labels, mut split) = (Vec::new(), Labels::default(), Split::default());
        labels.classes = CLASSES.map(str::to_owned).to_vec();
        for clip in 0..clips {
            let id = format!("clip{clip:03}");
            let class = clip % CLASSES.len();
            let mut rng = noise.at(0, clip as u64);
            let frames = 6 + rng.index(20);
            let value = |band: usize, normal: f64| {
                (normal + if band / 2 == class { 1.5 } else { 0.0 }) as f32 * 10.0 - 40.0
            };
            let values = (0..frames * BANDS).map(|i| value(i % BANDS, rng.normal())).collect();
            rows.push((id.clone(), Row { frames: frames as u32, values: Values::F32(values) }));
            labels.clips.insert(id.clone(), BTreeMap::from([(class, State::Present)]));
            let subset = [Subset::Train, Subset::Train, Subset::Val, Subset::Train, Subset::Test][clip % 5];
            split.clips.insert(id, subset);
        }
        Self { rows, labels, split }
    }

    /// The artefacts `features`, `labels` and `split`.
    pub fn put(&self, bench: &Bench) -> [Manifest; 3] {
        [
            bench.rows("features", meta(), self.rows.clone()),
            bench.labels(&self.labels),
            bench.split(&self.split),
        ]
    }

    /// Trains and gives what was written.
    #[track_caller]
    pub fn train(&self, bench: &Bench, with: Value) -> Written {
        self.try_train(bench, with).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_train(&self, bench: &Bench, with: Value) -> Result<Written, StageError> {
        let [features, labels, split] = self.put(bench);
        bench.try_run("train", with, &[("features", &features), ("labels", &labels), ("split", &split)])
    }

    /// Trains, scores and evaluates a subset; gives the outputs of `evaluate`.
    #[track_caller]
    pub fn judge(&self, bench: &Bench, train: Value, score: Value) -> Written {
        let [features, labels, split] = self.put(bench);
        let model = self.train(bench, train);
        let wires = [("features", &features), ("model", &model.outputs[0]), ("split", &split)];
        let scores = bench.run("score", score, &wires);
        bench.run("evaluate", json!({}), &[("scores", &scores.outputs[0]), ("labels", &labels)])
    }
}

/// The metadata of the made-up features.
pub fn meta() -> Meta {
    Meta::from([("bands".to_owned(), BANDS.into()), ("recipe".to_owned(), json!({ "name": "made up" }))])
}

/// Parameters of a small training, with changes.
pub fn small(changes: Value) -> Value {
    let mut with = json!({
        "network": { "name": "mlp", "hidden": [16] }, "patch": { "frames": 8 }, "batch": 8, "epochs": 12, "rate": 3e-3, "seed": 1,
    });
    for (name, value) in changes.as_object().unwrap() {
        with[name] = value.clone();
    }
    with
}
