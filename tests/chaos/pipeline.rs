//! Random experiments on a random folder of sounds.

use std::fmt::Write as _;

use crate::dice::Dice;
use crate::lab::Lab;

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
}

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
        let what = dice.below(16);
        let last = self.clips.len() - 1;
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
                let at = dice.below(self.clips.len() as u64) as usize;
                self.clips[at].seed = dice.next();
                sound(lab, &self.clips[at]);
            }
            14 => {
                // Touched and rewritten, the same bytes.
                for clip in &self.clips {
                    sound(lab, clip);
                }
            }
            _ => {
                let at = dice.below(self.clips.len() as u64) as usize;
                self.clips[at].license = *dice.pick(&["cc0", "by", "by-nc"]);
            }
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
            "a licence",
        ];
        names[what as usize].to_owned()
    }

    /// Writes the CSV and the pipeline file.
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
        lab.write("chaos.yaml", &self.settings.text());
    }
}

impl Settings {
    fn text(&self) -> String {
        let mut text = format!("version: 1 # {}\nname: chaos\n", self.comment);
        let folds = if self.folds == 1 { "[1]" } else { "[1, 2]" };
        let _ = writeln!(text, "matrix: {{ fold: {folds} }}\nstages:");
        if self.synth {
            let _ = writeln!(
                text,
                "  clips: {{ uses: dataset.synth, with: {{ classes: 2, clips_per_class: 4, seconds: 0.5, sample_rate: 8000, folds: 2, seed: 1 }} }}"
            );
            let _ = writeln!(
                text,
                "  audio: {{ uses: decode, in: clips.audio, with: {{ sample_rate: {} }} }}",
                self.rate
            );
        } else {
            let _ = writeln!(
                text,
                "  clips: {{ uses: dataset.csv, with: {{ manifest: clips.csv, class: label, fold: fold, license: license }} }}"
            );
            let _ = writeln!(
                text,
                "  audio: {{ uses: decode, in: clips, with: {{ sample_rate: {} }} }}",
                self.rate
            );
        }
        let mel = |name: &str, bands: u32| {
            format!(
                "  {name}: {{ uses: spectrogram, in: audio, with: {{ kind: log_mel, bands: {bands}, window_ms: 32, hop_ms: {}, n_fft: 256, high_hz: 3000 }} }}\n",
                self.hop
            )
        };
        text += &mel("mel", self.bands);
        if self.second_mel {
            text += &mel("fine", self.bands + 4);
        }
        text += "  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: '${fold}', val: none } }\n";
        let _ = writeln!(
            text,
            "  model: {{ uses: train, in: {{ features: mel, labels: clips.labels, split: split }}, with: {{ network: {{ name: mlp, hidden: [{}] }}, patch: {{ frames: 20 }}, epochs: {}, batch: 4, seed: 1 }} }}",
            self.hidden, self.epochs
        );
        text += "  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }\n";
        text += "  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }\n";
        text += "  table: { uses: table, in: { metrics: { from: eval, collect: [fold] } }, with: { over: [fold], metric: accuracy } }\n";
        if self.command {
            text += "  copy: { uses: command, in: { x: clips.labels }, with: { program: [cp, '{in.x}', '{out.y}'], inputs: { x: labels }, outputs: { y: labels } } }\n";
        }
        text
    }
}

/// Writes a second of a tone in noise that depends on the clip's seed only.
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
