//! `decode`: clips to samples.

use serde_json::{Value, json};
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, SourceScan, StageError,
    StageIo, Upstream,
};

use super::decode::{Damage, Pcm, decode};
use super::ffmpeg::Ffmpeg;
use super::params::{DecodeParams, Decoder, OnDamage, OnError};
use super::prepare::prepare;

/// What the metadata of an artefact of kind `audio` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioMeta {
    /// Samples per second and channel, Hz.
    pub sample_rate: u32,
    /// Channels of every clip; a row holds one after the other.
    pub channels: usize,
}

impl AudioMeta {
    /// Reads it.
    ///
    /// # Errors
    /// [`StageError::Failed`] if one of the two is missing.
    pub fn read(meta: &Meta) -> Result<Self, StageError> {
        let number = |name: &str| {
            meta.get(name).and_then(Value::as_u64).filter(|&n| n > 0).ok_or_else(|| {
                StageError::failed(format!("the audio does not say its `{name}` in its metadata"))
            })
        };
        let sample_rate = number("sample_rate")?;
        let sample_rate = u32::try_from(sample_rate)
            .map_err(|_| StageError::failed(format!("the audio claims {sample_rate} Hz")))?;
        Ok(Self { sample_rate, channels: usize::try_from(number("channels")?).unwrap_or(usize::MAX) })
    }

    /// Refuses audio of which no spectrogram is made.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it has more than one channel.
    pub(crate) fn check_mono(self) -> Result<(), StageError> {
        if self.channels == 1 {
            return Ok(());
        }
        let message = format!("the audio has {} channels, a spectrogram is of one", self.channels);
        Err(StageError::failed(message).help("decode with `channels: mono` or `channels: first`"))
    }

    /// The metadata of audio that `decode` gives with these parameters: rate, channels and the recipe that gives it from a file.
    ///
    /// # Errors
    /// Never in practice; [`StageError::Failed`] if the parameters are no JSON.
    pub fn of(params: &DecodeParams) -> Result<Meta, StageError> {
        // The recipe says what a sample is; what becomes of broken and damaged files is no part of it.
        let decode = serde_json::to_value(DecodeParams {
            on_error: OnError::default(),
            damage: OnDamage::default(),
            ..params.clone()
        })
        .map_err(|error| StageError::failed(error.to_string()))?;
        Ok(Meta::from([
            ("sample_rate".to_owned(), params.sample_rate.into()),
            ("channels".to_owned(), params.channels.count().into()),
            ("recipe".to_owned(), json!({ "decode": decode })),
        ]))
    }

    /// The channels of a row.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the row does not divide into channels.
    pub fn pcm(self, row: &sndpipe_cache::RowRef<'_>) -> Result<Pcm, StageError> {
        let samples = row.to_f32();
        let frames = samples.len() / self.channels;
        if frames * self.channels != samples.len() || frames != row.frames as usize {
            let message =
                format!("{} samples are not {} channels of {}", samples.len(), self.channels, row.frames);
            return Err(StageError::failed(message));
        }
        let channels = if frames == 0 {
            vec![Vec::new(); self.channels]
        } else {
            samples.chunks(frames).map(<[f32]>::to_vec).collect()
        };
        Ok(Pcm { sample_rate: self.sample_rate, channels, damage: Vec::new() })
    }
}

/// `decode`: wav, aiff, au, caf, flac, ogg, opus, webm, mkv, mp3 and m4a files, or audio that a stage made, to samples of one rate, level and length.
pub struct Decode;

impl MapStage for Decode {
    const NAME: &'static str = "decode";
    // 6: Matroska past damage. 5: AAC by another decoder. 4: how samples lie in WAV, ADPCM. 3: Vorbis of more than two channels, granule positions. 2: edit lists,
    // lengths of MP3, damage inside.
    const VERSION: u32 = 6;
    const NOT_IN_ROWS: &'static [&'static str] = &["on_error", "damage"];
    const REMARKED: [&'static str; 2] = ["is damaged inside", "are damaged inside"];
    type Params = DecodeParams;
    type Worker = (DecodeParams, Option<Ffmpeg>);

    fn check(params: &DecodeParams) -> Vec<ParamError> {
        params.check().into_iter().map(|(path, message)| ParamError::new(path, message)).collect()
    }

    fn check_wiring(_: &DecodeParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let synthetic = |wired: &&Upstream<'_>| {
            wired.output.kind == Kind::Clips
                && wired.stage.outputs().iter().any(|output| output.kind == Kind::Audio)
        };
        match upstream.iter().find(synthetic) {
            Some(wired) => {
                let message = format!("the clips of `{}` are no files", wired.stage.name());
                vec![ParamError::new("", message).help("read its audio: `in: STAGE.audio`")]
            }
            None => Vec::new(),
        }
    }

    fn input(_: &DecodeParams) -> Port {
        // Of a table of clips only these count; audio is read whole.
        Port::any("clips", &[Kind::Clips, Kind::Audio]).reading(&["clip_id", "digest"])
    }

    fn output(_: &DecodeParams) -> Output {
        Output::new("audio", Kind::Audio)
    }

    fn skips(params: &DecodeParams) -> bool {
        params.on_error == OnError::Skip
    }

    fn refuses_remarks(params: &DecodeParams) -> bool {
        params.damage == OnDamage::Refuse
    }

    fn sources(params: &DecodeParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        match params.decoder {
            Decoder::Builtin => Ok(()),
            Decoder::Ffmpeg => Ffmpeg::declare(scan),
        }
    }

    fn prepare(params: &DecodeParams, io: &StageIo<'_>) -> Result<(Self::Worker, Meta), StageError> {
        if io.manifest("clips")?.kind == Kind::Audio.name() {
            AudioMeta::read(io.meta("clips")?)?;
        }
        let ffmpeg = (params.decoder == Decoder::Ffmpeg).then(Ffmpeg::find).transpose()?;
        Ok(((params.clone(), ffmpeg), AudioMeta::of(params)?))
    }

    fn map((params, ffmpeg): &Self::Worker, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        let pcm = match &input.content {
            MapContent::File(bytes) => match ffmpeg {
                Some(ffmpeg) => ffmpeg.decode(bytes, &params.limits())?,
                None => {
                    decode(bytes, &params.limits()).map_err(|error| MapError::Unusable(error.to_string()))?
                }
            },
            MapContent::Row(row) => AudioMeta::read(input.meta)?.pcm(row)?,
        };
        let remark = Damage::told(&pcm.damage);
        let prepared = prepare(pcm, params);
        let frames = prepared.channels.first().map_or(0, Vec::len);
        let frames = u32::try_from(frames)
            .map_err(|_| MapError::Unusable(format!("{frames} samples are too many")))?;
        Ok(Mapped { row: Row { frames, values: Values::F32(prepared.into_planar()) }, remark })
    }
}
