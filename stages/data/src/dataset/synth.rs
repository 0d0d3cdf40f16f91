//! `dataset.synth`: the built-in data set.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sndpipe_artefacts::audio::{AudioMeta, Channels, DecodeParams, Normalise};
use sndpipe_artefacts::columns;
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};

use super::listing::{Clip, Listing};
use crate::synth::{SynthClip, SynthParams, clip_count, synth_clip};

/// Clips that are synthesised at once.
const AT_ONCE: usize = 64;

/// `dataset.synth`: labelled sound events from a seed.
///
/// Outputs: `clips` (without files; with folds and uploaders), `labels`, `audio` and `events`: what truly happens when.
pub struct DatasetSynth;

impl Stage for DatasetSynth {
    const NAME: &'static str = "dataset.synth";
    const VERSION: u32 = 1;
    type Params = SynthParams;

    fn check(params: &SynthParams) -> Vec<ParamError> {
        params.check().into_iter().map(|(path, message)| ParamError::new(path, message)).collect()
    }

    fn inputs(_: &SynthParams) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(_: &SynthParams) -> Vec<Output> {
        let mut outputs = super::listing::outputs();
        outputs.extend([Output::new("audio", Kind::Audio), Output::new("events", Kind::Table)]);
        outputs
    }

    fn run(params: &SynthParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let classes: Vec<String> = params.vocabulary().iter().map(|class| class.name().to_owned()).collect();
        let count = clip_count(params);
        let mut truth: Vec<(Clip, String)> = Vec::with_capacity(count);
        let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        let rows = (0..count).step_by(AT_ONCE).flat_map(|from| {
            let indices = from..(from + AT_ONCE).min(count);
            let made: Vec<SynthClip> =
                indices.into_par_iter().map(|index| synth_clip(params, index)).collect();
            made.into_iter()
                .map(|made| {
                    let (id, row) = row(&made)?;
                    truth.push((clip(&made, &classes), row.hash().to_string()));
                    events.insert(
                        id.clone(),
                        made.events.iter().map(|event| Event::of(event, &classes)).collect(),
                    );
                    Ok((id, row))
                })
                .collect::<Vec<_>>()
        });
        io.write_rows("audio", audio_meta(params)?, rows)?;
        io.write_table("events", Meta::new(), &events_table(events)?)?;
        truth.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let (clips, digests) = truth.into_iter().unzip();
        Listing::new(clips, classes, true, vec!["uploader".to_owned()])?.write_with(digests, io)
    }
}

/// One event, as it is written.
struct Event {
    class: String,
    onset: f64,
    duration: f64,
    level_db: f64,
}

impl Event {
    fn of(event: &crate::synth::SynthEvent, classes: &[String]) -> Self {
        let class = classes.get(event.class).cloned().unwrap_or_default();
        Self { class, onset: event.onset, duration: event.duration, level_db: event.level_db }
    }
}

fn row(made: &SynthClip) -> Result<(String, Row), StageError> {
    let frames = u32::try_from(made.samples.len())
        .map_err(|_| StageError::failed(format!("{} samples are too many", made.samples.len())))?;
    Ok((made.clip_id.clone(), Row { frames, values: Values::F32(made.samples.clone()) }))
}

fn clip(made: &SynthClip, classes: &[String]) -> Clip {
    let mut present: Vec<String> =
        made.events.iter().filter_map(|event| classes.get(event.class).cloned()).collect();
    present.sort();
    present.dedup();
    Clip {
        id: made.clip_id.clone(),
        path: made.clip_id.clone(),
        line: None,
        fold: i64::try_from(made.fold).ok(),
        classes: present,
        texts: vec![Some(made.uploader.clone())],
    }
}

/// The recipe is the one that would leave a file with this audio as it is.
fn audio_meta(params: &SynthParams) -> Result<Meta, StageError> {
    AudioMeta::of(&DecodeParams {
        sample_rate: params.sample_rate,
        channels: Channels::Mono,
        remove_mean: false,
        normalise: Normalise::None,
        ..DecodeParams::default()
    })
}

fn events_table(events: BTreeMap<String, Vec<Event>>) -> Result<arrow_array::RecordBatch, StageError> {
    let flat: Vec<(String, Event)> = events
        .into_iter()
        .flat_map(|(id, events)| events.into_iter().map(move |event| (id.clone(), event)))
        .collect();
    let number = |value: fn(&Event) -> f64| {
        columns::Values::Number(flat.iter().map(|(_, event)| Some(value(event))).collect())
    };
    columns::table(vec![
        ("clip_id", columns::Values::Text(flat.iter().map(|(id, _)| id.clone()).collect())),
        ("class", columns::Values::Text(flat.iter().map(|(_, event)| event.class.clone()).collect())),
        ("onset", number(|event| event.onset)),
        ("duration", number(|event| event.duration)),
        ("level_db", number(|event| event.level_db)),
    ])
}
