//! `spectrogram`: samples to time-frequency features.

use serde_json::{Map, Value};
use sndpipe_artefacts::audio::AudioMeta;
use sndpipe_cache::Meta;
use sndpipe_engine::{
    Kind as Artefact, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, StageError,
    StageIo, Upstream,
};

use super::frontend::{Frontend, SpectrogramError};
use super::params::SpectrogramParams;

/// `spectrogram`: features `[frames, bands]` or `[channels, frames, bands]` of every clip, the lowest frequency first.
pub struct SpectrogramStage;

/// The parameters that features were made with, as this stage writes them into their metadata.
///
/// # Errors
/// What the metadata lack.
pub fn params_of(features: &Meta) -> Result<SpectrogramParams, String> {
    let recipe = features.get("recipe").ok_or("there is no recipe")?;
    let params = recipe.get("spectrogram").ok_or("the recipe has no spectrogram")?;
    serde_json::from_value(params.clone()).map_err(|error| error.to_string())
}

/// `windows_ms.0` is `windows_ms[0]` in a file.
fn at(field: &str) -> String {
    match field.rsplit_once('.') {
        Some((list, index)) if index.parse::<usize>().is_ok() => format!("{list}[{index}]"),
        _ => field.to_owned(),
    }
}

impl MapStage for SpectrogramStage {
    const NAME: &'static str = "spectrogram";
    /// 2: the metadata have the values that were used.
    const VERSION: u32 = 2;
    type Params = SpectrogramParams;
    type Worker = Frontend;

    fn check(params: &SpectrogramParams) -> Vec<ParamError> {
        params.check().into_iter().map(|(field, message)| ParamError::new(at(&field), message)).collect()
    }

    fn check_wiring(params: &SpectrogramParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        // Whatever makes audio calls its rate so.
        let rate = upstream
            .iter()
            .find(|wired| wired.port == "audio")
            .and_then(|wired| wired.stage.params().get("sample_rate"));
        let rate = rate.and_then(|rate| u32::try_from(rate.as_u64()?).ok());
        match rate.map(|rate| Frontend::new(params, rate)) {
            Some(Err(SpectrogramError::Param { field, message })) => {
                vec![ParamError::new(at(&field), message)]
            }
            _ => Vec::new(),
        }
    }

    fn input(_: &SpectrogramParams) -> Port {
        Port::new("audio", Artefact::Audio)
    }

    fn output(_: &SpectrogramParams) -> Output {
        Output::new("features", Artefact::Features)
    }

    fn prepare(params: &SpectrogramParams, io: &StageIo<'_>) -> Result<(Frontend, Meta), StageError> {
        let meta = io.meta("audio")?;
        let audio = AudioMeta::read(meta)?;
        audio.check_mono()?;
        let frontend = Frontend::new(params, audio.sample_rate)
            .map_err(|error| StageError::failed(error.to_string()))?;
        let mut recipe = meta.get("recipe").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let own = serde_json::to_value(params).map_err(|error| StageError::failed(error.to_string()))?;
        recipe.insert("spectrogram".to_owned(), own);
        let (channels, bands) = frontend.shape();
        let mut out = Meta::from([
            ("sample_rate".to_owned(), audio.sample_rate.into()),
            ("channels".to_owned(), channels.into()),
            ("bands".to_owned(), bands.into()),
            ("recipe".to_owned(), recipe.into()),
            ("used".to_owned(), frontend.used()),
        ]);
        if let Some(rate) = frontend.frame_rate() {
            out.insert("frame_rate".to_owned(), rate.into());
        }
        Ok((frontend, out))
    }

    fn remarks(frontend: &Frontend) -> Vec<String> {
        frontend.remarks()
    }

    fn map(frontend: &Frontend, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        let MapContent::Row(row) = &input.content else {
            return Err(StageError::failed("a spectrogram is made of audio, not of files").into());
        };
        let samples = row.to_f32();
        let all = 0..frontend.frames(samples.len());
        let row = frontend.row(&samples, all).map_err(|error| MapError::Unusable(error.to_string()))?;
        Ok(row.into())
    }
}
