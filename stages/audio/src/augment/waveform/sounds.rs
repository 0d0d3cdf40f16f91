//! Clips whose waveform is changed, and patches of what becomes of it.

use serde_json::{Map, Value};
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::PatchShape;
use sndpipe_artefacts::Standardisation;
use sndpipe_artefacts::audio::AudioMeta;
use sndpipe_artefacts::patch::{self};
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{StageError, StageIo, agree, counted};
use sndpipe_random::Stream;

use super::params::{PORT, WaveformParams};
use crate::augment::At;
use crate::spectrogram::{self, Frontend};

/// The audio that features were made of, steps for it, and the front-end that made the features.
pub struct Sounds<'a> {
    rows: Rows,
    /// Where the samples of each clip stand.
    positions: Vec<usize>,
    steps: &'a [WaveformParams],
    sample_rate: u32,
    frontend: Frontend,
    seed: u64,
}

impl<'a> Sounds<'a> {
    /// The audio behind the port `audio` of some clips of the port `features`; `None` where there is no step.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the features do not say how they were made, if they were made of other audio than this (which may
    /// have another length), or if a clip has no audio.
    pub fn open<'i>(
        steps: &'a [WaveformParams],
        io: &StageIo<'_>,
        ids: impl Iterator<Item = &'i str>,
        shape: FrameShape,
        seed: u64,
    ) -> Result<Option<Self>, StageError> {
        if steps.is_empty() {
            return Ok(None);
        }
        let (features, meta) = (io.meta("features")?, io.meta(PORT)?);
        let audio = AudioMeta::read(meta)?;
        audio.check_mono()?;
        let frontend = frontend(features, audio.sample_rate, shape)?;
        check_preparation(features, meta)?;
        let rows = io.open_rows(PORT)?;
        let (mut positions, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match rows.position(id) {
                Some(position) => positions.push(position),
                None => missing.push(id),
            }
        }
        if let Some(first) = missing.first() {
            let message = format!(
                "{} {} features and no audio (the first is `{first}`)",
                counted(missing.len(), "training clip"),
                agree(missing.len(), "has", "have")
            );
            return Err(
                StageError::failed(message).help("make the features of the audio at the input `audio`")
            );
        }
        Ok(Some(Self { rows, positions, steps, sample_rate: audio.sample_rate, frontend, seed }))
    }

    /// The steps.
    pub const fn steps(&self) -> &'a [WaveformParams] {
        self.steps
    }

    /// Samples of a clip after its first `taken` steps.
    fn changed(&self, at: At, taken: usize) -> Result<Vec<f32>, StageError> {
        let mut samples = self.rows.row(self.positions[at.clip])?.to_f32().into_owned();
        for (i, step) in self.steps.iter().enumerate().take(taken) {
            let label = format!("waveform step {i} view {}", at.view);
            let mut rng = Stream::new(self.seed, &label).at(at.epoch, at.item as u64);
            step.apply(&mut samples, self.sample_rate, &mut rng);
        }
        Ok(samples)
    }

    /// Gives a patch of the features of a clip after its first `taken` steps, as they would be stored, and the frame where it
    /// starts; `start` chooses that, given the last one where it can.
    ///
    /// # Errors
    /// [`StageError`] if the samples cannot be read, or there are none.
    pub fn patch(
        &self,
        at: At,
        taken: usize,
        input: PatchShape,
        start: impl FnOnce(usize) -> usize,
        out: &mut [f32],
    ) -> Result<usize, StageError> {
        let samples = self.changed(at, taken)?;
        let frames = self.frontend.frames(samples.len());
        let start = start(frames.saturating_sub(input.frames));
        let last = frames.min(start + input.frames);
        let row = self.frontend.row(&samples, start..last).map_err(|error| {
            StageError::failed(format!("clip `{}`: {error}", &self.rows.ids()[self.positions[at.clip]]))
        })?;
        let shape = FrameShape { channels: input.channels, bands: input.bands };
        patch::cut(row.as_ref(), shape, 0, &Standardisation::none(), out);
        Ok(start)
    }
}

/// The front-end that made features of audio at a rate.
fn frontend(features: &Meta, sample_rate: u32, shape: FrameShape) -> Result<Frontend, StageError> {
    let unknown = |what: &str| {
        StageError::failed(format!("the features do not say how they were made of audio: {what}"))
            .help("connect a `spectrogram` to the input `features`")
    };
    let params = spectrogram::params_of(features).map_err(|what| unknown(&what))?;
    let own = features
        .get("sample_rate")
        .and_then(Value::as_u64)
        .ok_or_else(|| unknown("there is no sample rate"))?;
    if own != u64::from(sample_rate) {
        let message =
            format!("the features were made of audio at {own} Hz, and `{PORT}` has {sample_rate} Hz");
        return Err(StageError::failed(message).help("connect the audio that the features are made of"));
    }
    let frontend = Frontend::new(&params, sample_rate).map_err(|error| unknown(&error.to_string()))?;
    let (channels, bands) = frontend.shape();
    if (channels, bands) != (shape.channels, shape.bands) {
        return Err(unknown(&format!(
            "its recipe makes {channels} x {bands} numbers a frame (channels, bands), and they have {} x {}",
            shape.channels, shape.bands
        )));
    }
    Ok(frontend)
}

/// Refuses audio that was prepared in another way than that behind the features; its length may differ.
fn check_preparation(features: &Meta, audio: &Meta) -> Result<(), StageError> {
    let of = |meta: &Meta| {
        let recipe = meta.get("recipe").and_then(Value::as_object);
        let mut steps: Map<String, Value> = recipe.cloned().unwrap_or_default();
        steps.remove("spectrogram");
        if let Some(decode) = steps.get_mut("decode").and_then(Value::as_object_mut) {
            decode.remove("length");
        }
        steps
    };
    let (wanted, got) = (of(features), of(audio));
    if wanted == got {
        return Ok(());
    }
    let written = |steps| Value::Object(steps).to_string();
    let message = format!(
        "the features were made of audio that was made in another way than `{PORT}`: {}, not {}",
        written(wanted),
        written(got)
    );
    Err(StageError::failed(message)
        .help("connect the audio that the features are made of; only its length may differ"))
}
