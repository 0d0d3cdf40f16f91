//! `labels.subset`: a few labelled clips of each class.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::split::place;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};
use sndpipe_random::Stream;

/// Draws so many clips of each class from the training clips: what a model learns from where labels are few.
///
/// Inputs: `labels`, and optionally `split`; without one, all clips with labels train. Every class is drawn for by itself, without
/// replacement, from the training clips that have it; a clip that is drawn keeps all of its labels and may serve several classes.
/// Outputs: `labels` (drawn training clips and the clips of other subsets), `split` (training clips that were not drawn are in
/// no subset) and `drawn`: for each class how many clips there were and how many were drawn for it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubsetParams {
    /// Clips drawn for each class, from 1; of a class with fewer, all.
    pub clips_per_class: usize,
    /// Seed of the draw.
    #[serde(default)]
    pub seed: u64,
}

/// `labels.subset`.
pub struct LabelsSubset;

impl Stage for LabelsSubset {
    const NAME: &'static str = "labels.subset";
    // 2: the normal form of a class name does not change the draw.
    const VERSION: u32 = 2;
    const SOURCE: &'static str =
        "Jansen et al., Unsupervised Learning of Semantic Audio Representations, ICASSP 2018";
    type Params = SubsetParams;

    fn check(params: &SubsetParams) -> Vec<ParamError> {
        let none = params.clips_per_class == 0;
        none.then(|| ParamError::new("clips_per_class", "0 clips are nothing to learn from"))
            .into_iter()
            .collect()
    }

    fn inputs(_: &SubsetParams) -> Vec<Port> {
        vec![
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
        ]
    }

    fn outputs(_: &SubsetParams) -> Vec<Output> {
        vec![
            Output::new("labels", Kind::Labels),
            Output::new("split", Kind::Split),
            Output::new("drawn", Kind::Table),
        ]
    }

    fn run(params: &SubsetParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let split = if io.has("split") {
            Split::read(&io.table("split")?)?
        } else {
            Split { clips: labels.clips.keys().map(|id| (id.clone(), Subset::Train)).collect() }
        };
        let Drawn { labels, split, counts } = draw(labels, split, params);
        if split.of(Subset::Train).next().is_none() {
            return Err(StageError::failed("no training clip has a class")
                .help("the split and the labels must be of the same clips"));
        }
        let short = labels.classes.iter().zip(&counts);
        let short = short.filter(|(_, (_, drawn))| usize::try_from(*drawn) != Ok(params.clips_per_class));
        let short: Vec<String> = short.map(|(class, (_, drawn))| format!("{class} ({drawn})")).collect();
        if !short.is_empty() {
            io.remark(format!("classes with fewer clips than asked for: {}", short.join(", ")));
        }
        let (meta, table) = labels.to_table()?;
        io.write_table("labels", meta, &table)?;
        io.write_table("split", Meta::new(), &split.to_table()?)?;
        let drawn = columns::table(vec![
            ("class", Values::Text(labels.classes)),
            ("available", Values::Int(counts.iter().map(|count| count.0).collect())),
            ("drawn", Values::Int(counts.iter().map(|count| count.1).collect())),
        ])?;
        io.write_table("drawn", Meta::new(), &drawn)
    }
}

struct Drawn {
    labels: Labels,
    split: Split,
    /// Available and drawn, for each class.
    counts: Vec<(i64, i64)>,
}

fn draw(mut labels: Labels, mut split: Split, params: &SubsetParams) -> Drawn {
    let mut of_class: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for id in split.of(Subset::Train) {
        labels.present(id).for_each(|class| of_class.entry(class).or_default().push(id));
    }
    let mut chosen: BTreeSet<String> = BTreeSet::new();
    let mut counts = vec![(0, 0); labels.classes.len()];
    for (class, mut clips) in of_class {
        // The draw of a class depends on its name and its clips, not on other classes.
        let stream = Stream::new(params.seed, &format!("labels.subset {}", labels.classes[class]));
        counts[class].0 = i64::try_from(clips.len()).unwrap_or(i64::MAX);
        clips.sort_by_cached_key(|id| place(&stream, id));
        clips.truncate(params.clips_per_class);
        counts[class].1 = i64::try_from(clips.len()).unwrap_or(i64::MAX);
        chosen.extend(clips.into_iter().map(str::to_owned));
    }
    let keeps = |id: &String, subset: Option<&Subset>| match subset {
        Some(Subset::Train) => chosen.contains(id),
        other => other.is_some(),
    };
    labels.clips.retain(|id, _| keeps(id, split.clips.get(id)));
    split.clips.retain(|id, subset| keeps(id, Some(subset)));
    Drawn { labels, split, counts }
}

#[cfg(test)]
mod tests {
    use sndpipe_artefacts::State;

    use super::*;

    /// Sixty clips: every second of class 0, every third of class 1, every twentieth of class 2; the last twenty test.
    fn data() -> (Labels, Split) {
        let has = |n: usize| [2, 3, 20].into_iter().enumerate().filter(move |(_, by)| n.is_multiple_of(*by));
        let clips = (0..60).map(|n| {
            (format!("c{n:02}"), has(n).map(|(class, _)| (class, State::Present)).collect::<BTreeMap<_, _>>())
        });
        let labels = Labels { classes: ["a", "b", "c"].map(str::to_owned).to_vec(), clips: clips.collect() };
        let subset = |n| if n < 40 { Subset::Train } else { Subset::Test };
        let split = Split { clips: (0..60).map(|n| (format!("c{n:02}"), subset(n))).collect() };
        (labels, split)
    }

    #[test]
    fn every_class_is_drawn_for_by_itself() {
        let (labels, split) = data();
        let params = SubsetParams { clips_per_class: 4, seed: 1 };
        let drawn = draw(labels.clone(), split.clone(), &params);
        assert_eq!(drawn.counts, [(20, 4), (14, 4), (2, 2)]);
        let train: Vec<&str> = drawn.split.of(Subset::Train).collect();
        // The two clips of class 2 are of class 0, too, whether drawn for it or not.
        assert!(train.contains(&"c00") && train.contains(&"c20") && train.len() <= 10, "{train:?}");
        for class in 0..3 {
            let with = train.iter().filter(|id| drawn.labels.present(id).any(|c| c == class)).count();
            assert!(with >= drawn.counts[class].1 as usize, "class {class}: {with}");
        }
        assert_eq!(drawn.split.of(Subset::Test).count(), 20);
        assert_eq!(drawn.labels.clips["c40"], labels.clips["c40"]);
        assert!(train.iter().all(|id| drawn.labels.clips[*id] == labels.clips[*id]), "all of its labels");
        let other = draw(labels, split, &SubsetParams { seed: 2, ..params });
        assert_ne!(other.split, drawn.split, "the seed counts");
    }

    /// Programs may write `é` as one character or as two, which look the same.
    #[test]
    fn the_normal_form_of_a_name_does_not_change_the_draw() {
        let (labels, split) = data();
        let read = |name: &str| {
            let named = Labels { classes: vec![name.into(), "b".into(), "c".into()], ..labels.clone() };
            let (meta, table) = named.to_table().unwrap();
            Labels::read(&table, &meta).unwrap()
        };
        let (composed, decomposed) = (read("caf\u{e9}"), read("cafe\u{301}"));
        assert_eq!(composed, decomposed);
        let params = SubsetParams { clips_per_class: 4, seed: 1 };
        assert_eq!(draw(composed, split.clone(), &params).split, draw(decomposed, split, &params).split);
    }

    #[test]
    fn a_class_more_draws_the_others_as_before() {
        let (labels, split) = data();
        let params = SubsetParams { clips_per_class: 3, seed: 0 };
        let three = draw(labels.clone(), split.clone(), &params);
        let mut two = labels;
        two.classes.pop();
        two.clips.values_mut().for_each(|states| {
            states.remove(&2);
        });
        let two = draw(two, split, &params);
        let train = |drawn: &Drawn| drawn.split.of(Subset::Train).map(str::to_owned).collect::<BTreeSet<_>>();
        assert!(train(&three).is_superset(&train(&two)));
    }
}
