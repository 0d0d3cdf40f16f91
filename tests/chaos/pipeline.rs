//! Random experiments on a random folder of sounds.

use crate::dice::Dice;
use crate::lab::Lab;
use crate::yaml::{Pipeline, StageText};

/// A small training on synthesised sounds.
pub const TRAINING: &str = r#"
version: 1
name: training
stages:
  clips: { uses: dataset.synth, with: { classes: 4, clips_per_class: 8, seconds: 0.6, sample_rate: 8000, seed: 3 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 8000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 32, window_ms: 32, hop_ms: 10, n_fft: 256, high_hz: 4000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.25, val: 0.25, seed: 1 } }
  model:
    uses: train
    in: { features: mel, labels: clips.labels, split: split }
    with:
      network: { name: vgg41_plain, width: 0.25 }
      patch: { frames: 40 }
      epochs: 12
      batch: 8
      rate: 0.002
      early_stopping: { metric: accuracy, patience: 12 }
      seed: 5
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }
"#;

/// Another pipeline, which is never edited and whose results are pinned. Its clips, labels and files have the content that stages of
/// the edited pipeline have, some of them with `keep: false`.
pub const PINNED: &str = r#"
version: 1
name: pinned
stages:
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: 4, seconds: 0.5, sample_rate: 8000, folds: 2, seed: 1 } }
  labels: { uses: command, in: { x: clips.labels }, with: { program: [cp, '{in.x}', '{out.y}'], inputs: { x: labels }, outputs: { y: labels } } }
  same: { uses: command, with: { program: [sh, -c, 'printf same > $SNDPIPE_OUT_R'], outputs: { r: report } } }
"#;

/// One sound file.
#[derive(Clone)]
struct Clip {
    name: String,
    class: usize,
    fold: u64,
    license: &'static str,
    seed: u64,
}

/// What the pipeline file says.
#[derive(Clone)]
struct Settings {
    synth: bool,
    rate: u32,
    bands: u32,
    hop: u32,
    epochs: u32,
    folds: u64,
    second_mel: bool,
    command: bool,
    hidden: u32,
    shuffled: bool,
    comment: u64,
    /// Stages with `keep: false`.
    dropped: Vec<&'static str>,
    /// Stages whose results have equal content, one for each fold among them.
    equal: bool,
    /// The file extends another one that says something else.
    extends: bool,
}

/// Stages that may have `keep: false`.
const DROPPABLE: [&str; 9] =
    ["audio", "mel", "split", "model", "scores", "copy", "same", "again", "same_by_fold"];

/// A pipeline and its data, as they are now.
pub struct Experiment {
    clips: Vec<Clip>,
    settings: Settings,
    next: u64,
}

impl Experiment {
    pub fn new(lab: &Lab, dice: &mut Dice) -> Self {
        fs_err::create_dir(lab.path("sounds")).unwrap();
        let settings = Settings {
            synth: false,
            rate: 8000,
            bands: 16,
            hop: 10,
            epochs: 2,
            folds: 2,
            second_mel: false,
            command: true,
            hidden: 8,
            shuffled: false,
            comment: 0,
            dropped: Vec::new(),
            equal: true,
            extends: false,
        };
        let mut experiment = Self { clips: Vec::new(), settings, next: 0 };
        for _ in 0..8 {
            experiment.add(lab, dice);
        }
        experiment
    }

    fn add(&mut self, lab: &Lab, dice: &mut Dice) {
        let n = self.next;
        self.next += 1;
        // Two classes and two folds are always there: the first four clips are never removed.
        let clip = Clip {
            name: format!("{n}.wav"),
            class: (n % 2) as usize,
            fold: n / 2 % 2 + 1,
            license: "cc0",
            seed: dice.next(),
        };
        sound(lab, &clip);
        self.clips.push(clip);
    }

    /// Changes something at random and says what.
    pub fn edit(&mut self, lab: &Lab, dice: &mut Dice) -> String {
        let what = dice.below(21);
        let last = self.clips.len() - 1;
        let any = dice.below(self.clips.len() as u64) as usize;
        match what {
            0 => self.settings.bands = *dice.pick(&[12, 16, 24]),
            1 => self.settings.hop = *dice.pick(&[8, 10]),
            2 => self.settings.epochs = *dice.pick(&[1, 2, 3]),
            3 => self.settings.rate = *dice.pick(&[8000, 6000]),
            4 => self.settings.second_mel ^= true,
            5 => self.settings.command ^= true,
            6 => self.settings.hidden = *dice.pick(&[4, 8]),
            7 => self.settings.folds = 3 - self.settings.folds,
            8 => self.settings.synth ^= true,
            9 => self.settings.shuffled ^= true,
            10 => self.settings.comment = dice.next(),
            11 => self.add(lab, dice),
            12 if last >= 4 => drop(self.clips.remove(last)),
            13 => {
                self.clips[any].seed = dice.next();
                sound(lab, &self.clips[any]);
            }
            14 => {
                // Touched and rewritten, the same bytes.
                for clip in &self.clips {
                    sound(lab, clip);
                }
            }
            15 => {
                // As much is written as was there, and the time says that it is old.
                let path = lab.path("sounds").join(&self.clips[any].name);
                let before = fs_err::metadata(&path).unwrap().modified().unwrap();
                self.clips[any].seed = dice.next();
                sound(lab, &self.clips[any]);
                let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
                file.file().set_modified(before).unwrap();
            }
            16 => {
                let stage = *dice.pick(&DROPPABLE);
                match self.settings.dropped.iter().position(|dropped| *dropped == stage) {
                    Some(at) => drop(self.settings.dropped.remove(at)),
                    None => self.settings.dropped.push(stage),
                }
            }
            17 => self.settings.equal ^= true,
            18 => self.settings.extends ^= true,
            19 => self.settings.dropped = DROPPABLE.to_vec(),
            _ => self.clips[any].license = *dice.pick(&["cc0", "by", "by-nc"]),
        }
        let names = [
            "bands",
            "hop",
            "epochs",
            "sample rate",
            "a second spectrogram",
            "the command",
            "hidden units",
            "folds",
            "synthesised data",
            "order of the CSV",
            "a comment",
            "a clip more",
            "a clip less",
            "another sound",
            "touched sounds",
            "another sound with the time of the old one",
            "keep",
            "equal contents",
            "extends",
            "keep nothing",
            "a licence",
        ];
        names[what as usize].to_owned()
    }

    /// Writes the CSV and the pipeline: `chaos.yaml`, which may extend `base.yaml`, and the same in one file, `plain.yaml`.
    pub fn write(&self, lab: &Lab) {
        let mut rows: Vec<String> = self
            .clips
            .iter()
            .map(|clip| {
                format!("sounds/{},{},{},{}", clip.name, ["dog", "rain"][clip.class], clip.fold, clip.license)
            })
            .collect();
        if self.settings.shuffled {
            rows.reverse();
        }
        lab.write("clips.csv", &format!("path,label,fold,license\n{}\n", rows.join("\n")));
        let pipeline = self.settings.pipeline();
        let plain = pipeline.text();
        lab.write("plain.yaml", &plain);
        if self.settings.extends {
            lab.write("base.yaml", &pipeline.base());
            lab.write("chaos.yaml", &pipeline.overlay("base.yaml"));
        } else {
            lab.write("chaos.yaml", &plain);
        }
    }
}

impl Settings {
    fn pipeline(&self) -> Pipeline {
        let mut stages = Vec::new();
        let mut add = |stage: StageText| {
            let keep = !self.dropped.contains(&stage.name);
            stages.push(stage.keep(keep));
        };
        let number = |n: u32| n.to_string();
        if self.synth {
            let clips = StageText::new("clips", "dataset.synth", "");
            let clips = clips.with(&[("classes", "2"), ("clips_per_class", "4"), ("seconds", "0.5")]);
            add(clips.with(&[("sample_rate", "8000"), ("folds", "2"), ("seed", "1")]));
        } else {
            let clips = StageText::new("clips", "dataset.csv", "").with(&[("manifest", "clips.csv")]);
            add(clips.with(&[("class", "label"), ("fold", "fold"), ("license", "license")]));
        }
        let source = if self.synth { "clips.audio" } else { "clips" };
        add(StageText::new("audio", "decode", source).with(&[("sample_rate", &number(self.rate))]));
        let mel = |name, bands| {
            StageText::new(name, "spectrogram", "audio").with(&[
                ("kind", "log_mel"),
                ("bands", &number(bands)),
                ("window_ms", "32"),
                ("hop_ms", &number(self.hop)),
                ("n_fft", "256"),
                ("high_hz", "3000"),
            ])
        };
        add(mel("mel", self.bands));
        if self.second_mel {
            add(mel("fine", self.bands + 4));
        }
        add(StageText::new("split", "split.folds", "{ clips: clips, labels: clips.labels }")
            .with(&[("test", "'${fold}'"), ("val", "none")]));
        add(StageText::new("model", "train", "{ features: mel, labels: clips.labels, split: split }").with(
            &[
                ("network", &format!("{{ name: mlp, hidden: [{}] }}", self.hidden)),
                ("patch", "{ frames: 20 }"),
                ("epochs", &number(self.epochs)),
                ("batch", "4"),
                ("seed", "1"),
            ],
        ));
        add(StageText::new("scores", "score", "{ model: model, features: mel, split: split }")
            .with(&[("subset", "test")]));
        add(StageText::new("eval", "evaluate", "{ scores: scores, labels: clips.labels }"));
        add(StageText::new("table", "table", "{ metrics: { from: eval, collect: [fold] } }")
            .with(&[("over", "[fold]"), ("metric", "accuracy")]));
        if self.command {
            add(StageText::new("copy", "command", "{ x: clips.labels }").with(&[
                ("program", "[cp, '{in.x}', '{out.y}']"),
                ("inputs", "{ x: labels }"),
                ("outputs", "{ y: labels }"),
            ]));
        }
        if self.equal {
            let report = ("outputs", "{ r: report }");
            // `env` is a map with a key of the user's called `name`: nothing that selects a variant.
            add(StageText::new("same", "command", "").with(&[
                ("program", "[sh, -c, 'printf \"$name$MORE\" > $SNDPIPE_OUT_R']"),
                ("env", "{ name: sa, MORE: me }"),
                report,
            ]));
            let copied = [("inputs", "{ x: report }"), report];
            add(StageText::new("again", "command", "{ x: same }")
                .with(&[("program", "[cp, '{in.x}', '{out.r}']")])
                .with(&copied));
            add(StageText::new("same_by_fold", "command", "{ x: same }")
                .with(&[("program", "[sh, -c, 'cp \"$0\" \"$1\"', '{in.x}', '{out.r}', 'fold ${fold}']")])
                .with(&copied));
            add(StageText::new("last", "command", "{ x: same_by_fold }")
                .with(&[("program", "[cp, '{in.x}', '{out.r}']")])
                .with(&copied));
        }
        Pipeline { comment: self.comment, folds: self.folds, stages }
    }
}

/// Writes half a second of a tone in noise that depends on the clip's seed only.
fn sound(lab: &Lab, clip: &Clip) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(lab.path("sounds").join(&clip.name), spec).unwrap();
    let mut dice = Dice::new(clip.seed);
    let step = 0.05 + 0.3 * dice.unit();
    for n in 0..4000 {
        let tone =
            (step * f64::from(n)).sin() * if clip.class == 0 { 1.0 } else { f64::from(n % 400) / 400.0 };
        writer.write_sample(((0.5 * tone + 0.1 * (dice.unit() - 0.5)) * 32_000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}
