//! A folder with audio files, a pipeline file and a cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use arrow_array::RecordBatch;
use sndpipe_cache::{Digest, Manifest, Store};
use sndpipe_engine::{
    Device, Graph, Outcome, RowCounts, RunOptions, RunReport, ScanError, Silent, Sources, SpecErrors, load,
    run,
};
use sndpipe_stages::registry;

pub struct Sandbox {
    dir: tempfile::TempDir,
}

pub struct Ran {
    pub graph: Graph,
    pub report: RunReport,
    pub store: Store,
}

/// What a broken pipeline says: messages and help.
pub fn said(errors: &SpecErrors) -> String {
    let one = |error: &sndpipe_engine::SpecError| {
        let help = error.help.as_ref().map(|help| format!(" / {help}"));
        format!("{}{}", error.message, help.unwrap_or_default())
    };
    errors.0.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl Sandbox {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the folders it lies in.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, bytes).unwrap();
        path
    }

    /// Writes a tone of a tenth of a second.
    pub fn tone(&self, name: &str, hertz: f32) -> PathBuf {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for n in 0..800 {
            let phase = std::f32::consts::TAU * hertz * n as f32 / 8000.0;
            writer.write_sample((phase.sin() * 16_000.0) as i16).unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    /// A data set of tones: `data.csv` with six clips of two classes, three folds and three people.
    pub fn tones(&self) {
        let mut text = "path,class,fold,uploader,license\n".to_owned();
        for n in 0..6 {
            self.tone(&format!("data/{n}.wav"), 200.0 + 100.0 * n as f32);
            text.push_str(&format!(
                "{n}.wav,{},{},person-{},CC0\n",
                ["low", "high"][n % 2],
                n % 3 + 1,
                n / 2
            ));
        }
        self.file("data/data.csv", text);
    }

    pub fn store(&self) -> Store {
        Store::open(&self.path("cache")).unwrap()
    }

    /// `DIR` in the stages is the sandbox.
    pub fn load(&self, stages: &str) -> Result<Graph, SpecErrors> {
        let stages = stages.replace("DIR", self.dir.path().to_str().unwrap());
        let file = self.file("test.yaml", format!("version: 1\nname: test\n{stages}"));
        load(&file, &[], &registry())
    }

    pub fn graph(&self, stages: &str) -> Graph {
        self.load(stages).unwrap_or_else(|errors| panic!("{}", said(&errors)))
    }

    /// What the plan refuses.
    pub fn refused(&self, stages: &str) -> String {
        match self.load(stages) {
            Err(errors) => said(&errors),
            Ok(graph) => match Sources::scan(&graph, &self.store(), &[]) {
                Err(ScanError::Spec(errors)) => said(&errors),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("nothing was refused"),
            },
        }
    }

    pub fn try_run(&self, stages: &str) -> Ran {
        self.run_until(stages, &AtomicBool::new(false))
    }

    pub fn run_until(&self, stages: &str, cancel: &AtomicBool) -> Ran {
        let (graph, store) = (self.graph(stages), self.store());
        let sources = Sources::scan(&graph, &store, &[]).unwrap_or_else(|error| match error {
            ScanError::Spec(errors) => panic!("{}", said(&errors)),
            other => panic!("{other}"),
        });
        let options = RunOptions {
            read: vec![],
            targets: vec![],
            force: vec![],
            jobs: 2,
            memory: u64::MAX,
            device: Device::Cpu,
            fail_fast: false,
            overrides: vec![],
            cancel,
        };
        let report = run(&graph, &store, &sources, &options, &Silent).unwrap();
        Ran { graph, report, store }
    }

    /// Runs a pipeline in which no stage fails.
    pub fn run(&self, stages: &str) -> Ran {
        let ran = self.try_run(stages);
        for (id, outcome) in &ran.report.outcomes {
            if let Outcome::Failed { message, help, .. } = outcome {
                panic!("{} failed: {message} / {help:?}", ran.graph.instances[*id]);
            }
        }
        ran
    }
}

impl Ran {
    fn id(&self, name: &str) -> usize {
        self.graph.select(name).unwrap()[0]
    }

    pub fn outcome(&self, name: &str) -> &Outcome {
        &self.report.outcomes[&self.id(name)]
    }

    pub fn status(&self, name: &str) -> &'static str {
        self.outcome(name).name()
    }

    /// `clips ran, audio cached, …` in the order of the plan.
    pub fn statuses(&self) -> String {
        let words = self.graph.instances.iter().enumerate();
        let words = words.map(|(id, instance)| format!("{instance} {}", self.report.outcomes[&id].name()));
        words.collect::<Vec<_>>().join(", ")
    }

    pub fn failure(&self, name: &str) -> String {
        match self.outcome(name) {
            Outcome::Failed { message, help, log, .. } => {
                let log: String = log.iter().map(|line| format!("\n  {line}")).collect();
                format!("{message}{log} / {}", help.clone().unwrap_or_default())
            }
            other => panic!("{name} {}", other.name()),
        }
    }

    /// Why a stage ran.
    pub fn reason(&self, name: &str) -> String {
        match self.outcome(name) {
            Outcome::Ran { reason, .. } => reason.clone(),
            other => panic!("{name} {}", other.name()),
        }
    }

    /// What the summary says of a stage that ran.
    pub fn remarks(&self, name: &str) -> Vec<String> {
        match self.outcome(name) {
            Outcome::Ran { remarks, .. } => remarks.clone(),
            other => panic!("{name} {}", other.name()),
        }
    }

    pub fn rows(&self, name: &str) -> RowCounts {
        match self.outcome(name) {
            Outcome::Ran { rows, .. } => *rows,
            other => panic!("{name} {}", other.name()),
        }
    }

    /// Content ids of every output of a stage.
    pub fn ids(&self, name: &str) -> Vec<Digest> {
        self.report.faces[self.id(name)].as_ref().unwrap().iter().map(|face| face.id).collect()
    }

    pub fn manifest(&self, name: &str, output: usize) -> Manifest {
        self.store.manifest(&self.ids(name)[output]).unwrap()
    }

    pub fn table(&self, name: &str, output: usize) -> RecordBatch {
        self.store.read_table(&self.manifest(name, output), None).unwrap()
    }

    /// A text column; absent values are `-`.
    pub fn column(&self, name: &str, output: usize, column: &str) -> Vec<String> {
        let texts =
            sndpipe_stages::artefacts::columns::maybe_text(&self.table(name, output), column).unwrap();
        texts.into_iter().map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
    }

    pub fn log(&self, name: &str) -> String {
        let key = self.report.keys[self.id(name)].unwrap();
        fs_err::read_to_string(self.store.log_path(&key)).unwrap_or_default()
    }
}

/// Pairs of two columns as a map.
pub fn zip(keys: Vec<String>, values: Vec<String>) -> BTreeMap<String, String> {
    keys.into_iter().zip(values).collect()
}
