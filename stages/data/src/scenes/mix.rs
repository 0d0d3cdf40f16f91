//! One scene.

use std::f64::consts::PI;

use sndpipe_artefacts::audio::AudioMeta;
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_random::{Rng, Stream};

use super::params::MixParams;
use super::sources::{Group, Source};

/// What lies this far below the peak at either end of a clip is silence and no part of an event: -60 dB.
const SILENCE: f32 = 1e-3;
/// Places of a clip that are looked at for a stretch that is loud enough.
const PLACES: usize = 64;
/// Length of a fade in seconds.
const FADE: f64 = 0.01;

/// An event as it is in its scene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// Index into the vocabulary.
    pub class: usize,
    /// Start in seconds from the start of the scene.
    pub onset: f64,
    /// Seconds.
    pub duration: f64,
    /// Root mean square, dB of full scale.
    pub level_db: f64,
    /// The clip that it comes from.
    pub source: String,
    /// Its start there, seconds.
    pub source_onset: f64,
    pub uploader: Option<String>,
}

/// A scene with its truth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub id: String,
    /// `[channels][samples]`, one channel behind the other, within ±1.
    pub samples: Vec<f32>,
    /// By onset.
    pub events: Vec<Event>,
}

/// Mixes a scene of a group.
///
/// # Errors
/// [`StageError::Failed`] if the group has too few classes, or a class nothing but silence.
pub(super) fn scene(
    params: &MixParams,
    meta: AudioMeta,
    audio: &Rows,
    group: &Group,
    number: usize,
) -> Result<Scene, StageError> {
    let mut rng = Stream::new(params.seed, &format!("scenes {}", group.name)).at(0, number as u64);
    let rate = f64::from(meta.sample_rate);
    let total = ((params.seconds * rate).round() as usize).max(1);
    let count = params.min_events + rng.index(params.max_events - params.min_events + 1);
    let chosen = rng.permutation(group.classes.len());
    let mut mix = vec![0.0f64; meta.channels * total];
    let mut events = Vec::with_capacity(count);
    for class in chosen.into_iter().take(count) {
        let (class, sources) = &group.classes[class];
        let longest = rng.range(params.min_event_seconds, params.max_event_seconds);
        let longest = ((longest * rate).round() as usize).clamp(1, total);
        let level_db = rng.range(params.min_level_db, params.max_level_db);
        let (source, sound) = draw(sources, meta, audio, longest, &mut rng)?;
        let n = sound.samples[0].len();
        let onset = rng.index(total - n + 1);
        let gain = 10f64.powf(level_db / 20.0) / sound.rms();
        for (channel, samples) in sound.samples.iter().enumerate() {
            let mix = &mut mix[channel * total + onset..][..n];
            mix.iter_mut().zip(samples).for_each(|(mix, sample)| *mix += gain * sample);
        }
        events.push(Event {
            class: *class,
            onset: onset as f64 / rate,
            duration: n as f64 / rate,
            level_db,
            source: source.id.clone(),
            source_onset: sound.start as f64 / rate,
            uploader: source.uploader.clone(),
        });
    }
    let peak = mix.iter().fold(1.0f64, |peak, sample| peak.max(sample.abs()));
    events.iter_mut().for_each(|event| event.level_db -= 20.0 * peak.log10());
    events.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.class.cmp(&b.class)));
    let samples = mix.iter().map(|sample| (sample / peak) as f32).collect();
    Ok(Scene { id: format!("{}-{number:05}", group.name), samples, events })
}

/// A stretch of a clip.
struct Sound {
    /// `[channels][samples]`.
    samples: Vec<Vec<f64>>,
    /// Where it starts in the clip, samples.
    start: usize,
}

impl Sound {
    fn rms(&self) -> f64 {
        let (mut sum, mut n) = (0.0, 0);
        for sample in self.samples.iter().flatten() {
            sum += sample * sample;
            n += 1;
        }
        (sum / f64::from(n.max(1))).sqrt()
    }
}

/// Draws a clip and a stretch of it; of clips that are silent the next one is taken.
fn draw<'a>(
    sources: &'a [Source],
    meta: AudioMeta,
    audio: &Rows,
    longest: usize,
    rng: &mut Rng,
) -> Result<(&'a Source, Sound), StageError> {
    let first = rng.index(sources.len());
    for source in sources[first..].iter().chain(&sources[..first]) {
        let channels = meta.channels_of(&audio.row(source.position)?);
        let channels = channels.map_err(|error| error.at(&format!("clip `{}`", source.id)))?;
        if let Some(sound) = stretch(&channels, meta.sample_rate, longest, rng) {
            return Ok((source, sound));
        }
    }
    let ids: Vec<String> = sources.iter().take(3).map(|source| format!("`{}`", source.id)).collect();
    let message = format!("all {} clips of a class are silent: {}, …", sources.len(), ids.join(", "));
    Err(StageError::failed(message).help("leave their class out of the data set"))
}

/// Cuts a stretch that is at most so long and loud for the clip; none from a clip that is silent.
fn stretch(channels: &[Vec<f32>], sample_rate: u32, longest: usize, rng: &mut Rng) -> Option<Sound> {
    let frames = channels.first()?.len();
    let loudest = |at: usize| channels.iter().fold(0.0f32, |most, channel| most.max(channel[at].abs()));
    let peak = (0..frames).map(loudest).fold(0.0, f32::max);
    if !(peak > 0.0 && peak.is_finite()) {
        return None;
    }
    let heard = |at: &usize| loudest(*at) > SILENCE * peak;
    let (first, last) = ((0..frames).find(heard)?, (0..frames).rfind(heard)?);
    let n = longest.min(last + 1 - first);
    // The energy before each sample.
    let mut sums = Vec::with_capacity(frames + 1);
    sums.push(0.0f64);
    for at in 0..frames {
        let energy: f64 = channels.iter().map(|channel| f64::from(channel[at]).powi(2)).sum();
        sums.push(sums[at] + energy);
    }
    let room = last + 1 - first - n;
    let mut places: Vec<usize> = (0..PLACES).map(|place| first + room * place / (PLACES - 1)).collect();
    places.dedup();
    let energy = |start: usize| sums[start + n] - sums[start];
    let most = places.iter().map(|&start| energy(start)).fold(0.0, f64::max);
    places.retain(|&start| energy(start) >= 0.5 * most);
    let start = places[rng.index(places.len())];

    let fade = ((FADE * f64::from(sample_rate)) as usize).min(n / 2);
    let weight = |at: usize| {
        let edge = at.min(n - 1 - at);
        if edge < fade { 0.5 - 0.5 * (PI * (edge as f64 + 0.5) / fade as f64).cos() } else { 1.0 }
    };
    let cut = |channel: &Vec<f32>| -> Vec<f64> {
        channel[start..start + n].iter().enumerate().map(|(at, &x)| weight(at) * f64::from(x)).collect()
    };
    let sound = Sound { samples: channels.iter().map(cut).collect(), start };
    (sound.rms() > 0.0).then_some(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1000;

    fn rng() -> Rng {
        Rng::new(0, "test")
    }

    #[test]
    fn silence_at_the_ends_is_no_event() {
        let mut clip = vec![0.0; 3000];
        clip[1000..1500].fill(0.5);
        let sound = stretch(&[clip], RATE, 2000, &mut rng()).unwrap();
        assert_eq!((sound.start, sound.samples[0].len()), (1000, 500));
        assert!(stretch(&[vec![0.0; 100]], RATE, 50, &mut rng()).is_none());
        assert!(stretch(&[Vec::new()], RATE, 50, &mut rng()).is_none());
    }

    #[test]
    fn an_event_is_cut_where_the_clip_is_loud() {
        // Noise floor everywhere, the sound itself from 2 to 2.5 s.
        let clip: Vec<f32> =
            (0..4000).map(|at| if (2000..2500).contains(&at) { 0.5 } else { 0.01 }).collect();
        for seed in 0..20 {
            let sound = stretch(std::slice::from_ref(&clip), RATE, 400, &mut Rng::new(seed, "test")).unwrap();
            let inside = (sound.start..sound.start + 400).filter(|at| (2000..2500).contains(at)).count();
            assert!(inside >= 190, "{inside} of 400 samples from {}", sound.start);
        }
    }

    #[test]
    fn the_edges_fade() {
        let sound = stretch(&[vec![1.0; 100]], RATE, 100, &mut rng()).unwrap();
        let samples = &sound.samples[0];
        assert!(samples[0] < 0.01 && samples[99] < 0.01);
        assert!(samples[..10].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(samples[10..90].iter().all(|&x| (x - 1.0).abs() < 1e-12));
    }
}
