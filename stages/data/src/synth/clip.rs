//! One clip of the data set.

use sndpipe_random::{Rng, Stream};

use super::params::SynthParams;
use super::room::Uploader;

/// Root mean square of an event before the uploader's gain.
const EVENT_LEVEL: f64 = 0.08;

/// One event in a clip, as it truly is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SynthEvent {
    /// Index into [`SynthParams::vocabulary`].
    pub class: usize,
    /// Start in seconds from the start of the clip.
    pub onset: f64,
    /// Duration in seconds.
    pub duration: f64,
    /// Level over the noise floor of the clip, dB.
    pub level_db: f64,
}

/// A synthesised clip with everything that is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthClip {
    /// Unique name: the class and a number, or `scene` and a number.
    pub clip_id: String,
    /// Samples, within ±1.
    pub samples: Vec<f32>,
    /// The events, by onset.
    pub events: Vec<SynthEvent>,
    /// Name of the uploader.
    pub uploader: String,
    /// Fold of the uploader, from 1.
    pub fold: usize,
}

/// Returns the number of clips: the single-event clips class by class, then the scenes.
pub fn clip_count(params: &SynthParams) -> usize {
    params.vocabulary().len() * params.clips_per_class + params.scenes.map_or(0, |s| s.count)
}

/// Synthesises clip `index` of `0..clip_count`; it depends on nothing but the parameters and the index.
///
/// Of the clips of a class, and of the scenes, equally many fall in each fold (a remainder in the first ones). A single-event clip
/// stays as it is when `clips_per_class` or the scenes change only behind it: its numbers come from its class and its number.
pub fn synth_clip(params: &SynthParams, index: usize) -> SynthClip {
    let vocabulary = params.vocabulary();
    let single = index / params.clips_per_class.max(1);
    let is_scene = index >= vocabulary.len() * params.clips_per_class;
    let (name, number, stream) = if is_scene {
        let number = index - vocabulary.len() * params.clips_per_class;
        ("scene", number, Stream::new(params.seed, "synth.scene"))
    } else {
        let name = vocabulary[single].name();
        (name, index % params.clips_per_class, Stream::new(params.seed, &format!("synth.{name}")))
    };
    let mut rng = stream.at(0, number as u64);
    let fold = number % params.folds.max(1);
    let in_fold = (params.uploaders.saturating_sub(fold)).div_ceil(params.folds.max(1)).max(1);
    let who = fold + params.folds * rng.below(in_fold as u64) as usize;
    let uploader = Uploader::new(params.seed, who);

    // The floor belongs to the uploader, a little to the clip.
    let place = 0.7 * uploader.cleanness + 0.3 * rng.uniform();
    let snr = params.min_snr_db + (params.max_snr_db - params.min_snr_db) * place;
    let classes = match params.scenes.filter(|_| is_scene) {
        Some(scenes) => {
            let spread = scenes.max_events.saturating_sub(scenes.min_events) as u64 + 1;
            let count = scenes.min_events + rng.below(spread) as usize;
            pick(vocabulary.len(), count, &mut rng)
        }
        None => vec![single],
    };
    let rate = f64::from(params.sample_rate);
    let total = (params.seconds * rate).round() as usize;
    let mut mix = vec![0.0; total];
    let mut events = Vec::with_capacity(classes.len());
    for class in classes {
        let longest = params.seconds.min(3.0);
        let n = ((rng.range(0.4, 0.7) * longest * rate) as usize).clamp(1, total);
        let start = rng.below((total - n) as u64 + 1) as usize;
        let quieter = if is_scene { rng.range(-6.0, 0.0) } else { 0.0 };
        let level = EVENT_LEVEL * 10f64.powf(quieter / 20.0);
        let event = vocabulary[class].event(n, params.sample_rate, &mut rng);
        for (x, e) in mix[start..].iter_mut().zip(event) {
            *x += level * e;
        }
        let (onset, duration) = (start as f64 / rate, n as f64 / rate);
        events.push(SynthEvent { class, onset, duration, level_db: snr + quieter });
    }
    events.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.class.cmp(&b.class)));
    uploader.reverberate(&mut mix, rate);
    uploader.record(&mut mix, EVENT_LEVEL * 10f64.powf(-snr / 20.0), &mut rng);
    let peak = mix.iter().fold(1.0f64, |peak, x| peak.max(x.abs()));
    SynthClip {
        clip_id: format!("{name}-{number:05}"),
        samples: mix.iter().map(|x| (x / peak) as f32).collect(),
        events,
        uploader: format!("uploader-{who:04}"),
        fold: fold + 1,
    }
}

/// Picks `count` different numbers of `0..n`.
fn pick(n: usize, count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for i in 0..count.min(n) {
        let j = i + rng.below((n - i) as u64) as usize;
        all.swap(i, j);
    }
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::params::ScenesParams;
    use super::*;

    fn small() -> SynthParams {
        let scenes = ScenesParams { count: 10, min_events: 1, max_events: 3 };
        SynthParams {
            clips_per_class: 10,
            seconds: 1.0,
            sample_rate: 16_000,
            scenes: Some(scenes),
            ..SynthParams::default()
        }
    }

    #[test]
    fn defaults_pass_and_mistakes_are_named() {
        assert_eq!(SynthParams::default().check(), []);
        assert_eq!(small().check(), []);
        let wrong = SynthParams { uploaders: 2, classes: 13, max_snr_db: 5.0, ..small() }.check();
        let fields: Vec<&str> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["classes", "uploaders", "max_snr_db"]);
        assert_eq!(wrong[1].1, "2 is outside 5..=10000");
    }

    #[test]
    fn clips_are_what_they_say() {
        let params = small();
        assert_eq!(clip_count(&params), 110);
        let mut folds: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut home: BTreeMap<String, usize> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for index in 0..clip_count(&params) {
            let clip = synth_clip(&params, index);
            assert_eq!(clip.samples.len(), 16_000);
            assert!(clip.samples.iter().all(|x| x.abs() <= 1.0));
            assert!(ids.insert(clip.clip_id.clone()));
            assert_eq!(*home.entry(clip.uploader).or_insert(clip.fold), clip.fold, "one uploader, one fold");
            for event in &clip.events {
                assert!(event.onset >= 0.0 && event.onset + event.duration <= 1.0 + 1e-9);
                assert!((4.0..=30.0).contains(&event.level_db));
            }
            if index < 100 {
                assert_eq!(clip.events.len(), 1);
                assert_eq!(clip.events[0].class, index / 10);
                *folds.entry((index / 10, clip.fold)).or_default() += 1;
            } else {
                let classes: BTreeSet<usize> = clip.events.iter().map(|e| e.class).collect();
                assert_eq!(classes.len(), clip.events.len());
                assert!((1..=3).contains(&classes.len()));
            }
        }
        assert_eq!(folds.len(), 50);
        assert!(folds.values().all(|&n| n == 2), "two clips of each class in each fold");
    }

    #[test]
    fn a_clip_depends_on_its_own_number_only() {
        let params = small();
        let clip = synth_clip(&params, 25);
        let more = SynthParams { clips_per_class: 50, scenes: None, ..small() };
        assert_eq!(synth_clip(&more, 2 * 50 + 5), clip);
        assert_ne!(synth_clip(&SynthParams { seed: 1, ..small() }, 25).samples, clip.samples);
    }

    /// Inside the event the level over the floor is the one that is recorded, from the samples outside and inside it.
    #[test]
    fn the_level_over_the_noise_floor_is_true() {
        let params = SynthParams { max_snr_db: 10.0, ..small() };
        let mut worst = 0.0f64;
        for index in (0..100).step_by(7) {
            let clip = synth_clip(&params, index);
            let event = clip.events[0];
            let (start, end) =
                ((event.onset * 16e3) as usize, ((event.onset + event.duration) * 16e3) as usize);
            let power = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>() / x.len() as f64;
            if start < 3000 {
                continue; // What lies after an event holds its echoes.
            }
            let noise = power(&clip.samples[..start]);
            let db = 10.0 * ((power(&clip.samples[start..end]) - noise) / noise).log10();
            worst = worst.max((db - event.level_db).abs());
        }
        // The room takes away up to a few dB of the dry sound.
        assert!(worst > 0.0 && worst < 6.0, "{worst} dB");
    }
}
