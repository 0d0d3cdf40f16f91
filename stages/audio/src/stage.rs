//! `decode`: clips to samples.

use sndpipe_artefacts::audio::{AudioMeta, DecodeParams, Decoder, OnDamage, OnError};
use sndpipe_cache::{Meta, Row, RowRef, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, SourceScan, StageError,
    StageIo, Upstream,
};

use super::decode::{Damage, Pcm, decode};
use super::ffmpeg::Ffmpeg;
use super::prepare::prepare;

/// The channels of a row, with nothing missing.
fn pcm(meta: AudioMeta, row: &RowRef<'_>) -> Result<Pcm, StageError> {
    let channels = meta.channels_of(row)?;
    Ok(Pcm { sample_rate: meta.sample_rate, channels, damage: Vec::new() })
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
            MapContent::Row(row) => pcm(AudioMeta::read(input.meta)?, row)?,
        };
        let remark = Damage::told(&pcm.damage);
        let prepared = prepare(pcm, params);
        let frames = prepared.channels.first().map_or(0, Vec::len);
        let frames = u32::try_from(frames)
            .map_err(|_| MapError::Unusable(format!("{frames} samples are too many")))?;
        Ok(Mapped { row: Row { frames, values: Values::F32(prepared.into_planar()) }, remark })
    }
}
