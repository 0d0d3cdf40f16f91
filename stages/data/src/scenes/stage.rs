//! The stage.

use rayon::prelude::*;
use sndpipe_artefacts::audio::{AudioMeta, Channels, DecodeParams, Normalise};
use sndpipe_artefacts::columns;
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::mix::{Event, Scene, scene};
use super::params::MixParams;
use super::sources::{Group, Sources};
use crate::dataset::{Clip, Listing};

/// Scenes that are mixed at once.
const AT_ONCE: usize = 64;

/// Mixes clips into scenes.
pub struct Scenes;

impl Stage for Scenes {
    const NAME: &'static str = "scenes";
    const VERSION: u32 = 1;
    type Params = MixParams;

    fn check(params: &MixParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &MixParams) -> Vec<Port> {
        let mut ports = vec![Port::new("audio", Kind::Audio)];
        ports.extend(Sources::ports());
        ports
    }

    fn outputs(_: &MixParams) -> Vec<Output> {
        let mut outputs = crate::dataset::outputs();
        outputs.extend([Output::new("audio", Kind::Audio), Output::new("events", Kind::Table)]);
        outputs
    }

    fn run(params: &MixParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let audio = io.open_rows("audio")?;
        let meta = AudioMeta::read(io.meta("audio")?)?;
        let sources = Sources::read(io, &audio)?;
        for (count, what) in sources.unfit.into_iter().zip(["not exactly one class", "no audio"]) {
            if count > 0 {
                let have = agree(count, "has", "have");
                io.remark(format!("{} {have} {what}, left out", counted(count, "clip")));
            }
        }
        let shares = sources.shares(params.count);
        let mut planned: Vec<(&Group, usize)> = Vec::with_capacity(params.count);
        for (group, share) in sources.groups.iter().zip(shares) {
            let classes = group.classes.len();
            if share > 0 && classes < params.max_events {
                let message = format!(
                    "the clips of `{}` have {classes} classes, and a scene has up to {} events of different ones",
                    group.name, params.max_events
                );
                return Err(
                    StageError::failed(message).help(format!("set `max_events` to {classes} or less"))
                );
            }
            planned.extend((0..share).map(|number| (group, number)));
        }
        let (mut truth, mut events) = (Vec::with_capacity(planned.len()), Vec::new());
        let rows = planned.chunks(AT_ONCE).flat_map(|chunk| {
            let made: Vec<Result<Scene, StageError>> =
                chunk.par_iter().map(|(group, number)| scene(params, meta, &audio, group, *number)).collect();
            let rows = made.into_iter().zip(chunk).map(|(made, (group, _))| {
                let made = made?;
                let frames = u32::try_from(made.samples.len() / meta.channels)
                    .map_err(|_| StageError::failed(format!("{} s are too long", params.seconds)))?;
                let row = Row { frames, values: Values::F32(made.samples) };
                truth.push((clip(&made.id, &made.events, group, &sources), row.hash().to_string()));
                events.extend(made.events.into_iter().map(|event| (made.id.clone(), event)));
                Ok((made.id, row))
            });
            rows.collect::<Vec<_>>()
        });
        io.write_rows("audio", audio_meta(meta)?, rows)?;
        events.sort_by(|(a, _), (b, _)| a.cmp(b));
        io.write_table("events", Meta::new(), &events_table(&events, &sources.classes)?)?;
        truth.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let (clips, digests) = truth.into_iter().unzip();
        let texts = if sources.has_subsets { vec!["subset".to_owned()] } else { Vec::new() };
        Listing::new(clips, sources.classes, sources.has_folds, texts)?.write_with(digests, io)
    }
}

fn clip(id: &str, events: &[Event], group: &Group, sources: &Sources) -> Clip {
    Clip {
        id: id.to_owned(),
        path: id.to_owned(),
        line: None,
        fold: group.fold,
        classes: events.iter().map(|event| sources.classes[event.class].clone()).collect(),
        texts: if sources.has_subsets { vec![group.subset.clone()] } else { Vec::new() },
    }
}

/// The recipe is the one that would leave a file with this audio as it is.
fn audio_meta(meta: AudioMeta) -> Result<Meta, StageError> {
    let channels = match meta.channels {
        1 => Channels::Mono,
        2 => Channels::Stereo,
        other => return Err(StageError::failed(format!("the audio has {other} channels, not 1 or 2"))),
    };
    AudioMeta::of(&DecodeParams {
        sample_rate: meta.sample_rate,
        channels,
        remove_mean: false,
        normalise: Normalise::None,
        ..DecodeParams::default()
    })
}

fn events_table(
    events: &[(String, Event)],
    classes: &[String],
) -> Result<arrow_array::RecordBatch, StageError> {
    let text = |value: &dyn Fn(&(String, Event)) -> String| {
        columns::Values::Text(events.iter().map(value).collect())
    };
    let number = |value: fn(&Event) -> f64| {
        columns::Values::Number(events.iter().map(|(_, event)| Some(value(event))).collect())
    };
    columns::table(vec![
        ("clip_id", text(&|(id, _)| id.clone())),
        ("class", text(&|(_, event)| classes[event.class].clone())),
        ("onset", number(|event| event.onset)),
        ("duration", number(|event| event.duration)),
        ("level_db", number(|event| event.level_db)),
        ("source", text(&|(_, event)| event.source.clone())),
        ("source_onset", number(|event| event.source_onset)),
        (
            "uploader",
            columns::Values::MaybeText(events.iter().map(|(_, event)| event.uploader.clone()).collect()),
        ),
    ])
}
