//! `labels.corrupt`: labels that are wrong, on purpose.

use std::collections::{BTreeMap, BTreeSet};

use sndpipe_artefacts::composed;
use sndpipe_artefacts::split::place;
use sndpipe_artefacts::{Labels, State};
use sndpipe_engine::{
    Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted, did_you_mean,
};
use sndpipe_random::Stream;

use super::noise::{CorruptParams, Noise};
use super::touched::{Touched, share_of};

/// `labels.corrupt`.
pub struct LabelsCorrupt;

impl Stage for LabelsCorrupt {
    const NAME: &'static str = "labels.corrupt";
    const VERSION: u32 = 1;
    type Params = CorruptParams;

    fn check(params: &CorruptParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &CorruptParams) -> Vec<Port> {
        Touched::inputs()
    }

    fn outputs(_: &CorruptParams) -> Vec<Output> {
        vec![Output::new("labels", Kind::Labels), Output::new("truth", Kind::Labels)]
    }

    fn run(params: &CorruptParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (labels, touched) = Touched::read(&params.subsets, io)?;
        let corrupted = corrupt(params, &labels, &touched)?;
        let (wrong, all) = (corrupted.wrong, corrupted.all);
        io.remark(format!("{wrong} of {} {} wrong", counted(all, "label"), agree(wrong, "is", "are")));
        if corrupted.bare > 0 {
            let have = agree(corrupted.bare, "has", "have");
            io.remark(format!("{} of held-out classes {have} no label", counted(corrupted.bare, "clip")));
        }
        for (output, labels) in [("labels", &corrupted.labels), ("truth", &corrupted.truth)] {
            let (meta, table) = labels.to_table()?;
            io.write_table(output, meta, &table)?;
        }
        Ok(())
    }
}

/// What came of the labels.
#[derive(Debug, PartialEq)]
struct Corrupted {
    labels: Labels,
    truth: Labels,
    /// Wrong labels of touched clips.
    wrong: usize,
    /// Labels of touched clips.
    all: usize,
    /// Clips of held-out classes without a label.
    bare: usize,
}

fn corrupt(params: &CorruptParams, labels: &Labels, touched: &Touched) -> Result<Corrupted, StageError> {
    match &params.kind {
        Noise::OutOfVocabulary { classes } => open_set(params, classes, labels, touched),
        kind => closed_set(params, kind, labels, touched),
    }
}

/// The place of a class in the vocabulary.
fn index(labels: &Labels, class: &str) -> Result<usize, StageError> {
    labels.classes.iter().position(|known| *known == composed(class)).ok_or_else(|| {
        let near = did_you_mean(class, labels.classes.iter().map(String::as_str));
        StageError::failed(format!("`kind` names the class `{class}`, which the labels do not have{near}"))
    })
}

/// What the labels of a class become: classes, and the share of the labels that become each.
type Targets = Vec<(usize, f64)>;

/// What the labels of each class become. None: any other class.
fn targets(
    params: &CorruptParams,
    kind: &Noise,
    labels: &Labels,
) -> Result<Option<Vec<Targets>>, StageError> {
    let (count, rate) = (labels.classes.len(), params.rate.unwrap_or_default());
    let mut targets = vec![Vec::new(); count];
    match kind {
        Noise::Cyclic {} => {
            targets.iter_mut().enumerate().for_each(|(class, to)| to.push(((class + 1) % count, rate)));
        }
        Noise::Pairs { pairs } => {
            for (from, to) in pairs {
                targets[index(labels, from)?].push((index(labels, to)?, rate));
            }
        }
        Noise::Matrix { rows } => {
            for (from, row) in rows {
                for (to, share) in row {
                    targets[index(labels, from)?].push((index(labels, to)?, *share));
                }
            }
        }
        Noise::Symmetric {} | Noise::OutOfVocabulary { .. } => return Ok(None),
    }
    Ok(Some(targets))
}

/// Labels become other classes of the vocabulary.
fn closed_set(
    params: &CorruptParams,
    kind: &Noise,
    truth: &Labels,
    touched: &Touched,
) -> Result<Corrupted, StageError> {
    let count = truth.classes.len();
    if count < 2 {
        return Err(StageError::failed(format!("labels of {count} class cannot become another")));
    }
    let targets = targets(params, kind, truth)?;
    let (mut changes, mut all) = (Vec::new(), 0);
    // The classes that a clip has or gets, none of which it gets again.
    let mut taken: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (class, clips) in touched.shuffled(truth, params.seed, LabelsCorrupt::NAME).into_iter().enumerate() {
        all += clips.len();
        match &targets {
            Some(targets) => {
                let (mut from, mut sum) = (0, 0.0);
                for (to, share) in &targets[class] {
                    sum += share;
                    let until = share_of(clips.len(), sum);
                    changes.extend(clips[from..until].iter().map(|id| (*id, class, *to)));
                    from = until;
                }
            }
            None => {
                let stream = Stream::new(params.seed, &format!("labels.corrupt to {}", truth.classes[class]));
                for &id in &clips[..share_of(clips.len(), params.rate.unwrap_or_default())] {
                    let taken = taken.entry(id).or_insert_with(|| truth.present(id).collect());
                    let free: Vec<usize> = (0..count).filter(|class| !taken.contains(class)).collect();
                    let Some(&to) = free.get(stream.at(0, place(&stream, id)).index(free.len())) else {
                        continue;
                    };
                    taken.insert(to);
                    changes.push((id, class, to));
                }
            }
        }
    }
    let mut labels = truth.clone();
    for (id, from, _) in &changes {
        if let Some(states) = labels.clips.get_mut(*id) {
            states.remove(from);
        }
    }
    for (id, _, to) in &changes {
        labels.clips.entry((*id).to_owned()).or_default().insert(*to, State::Present);
    }
    Ok(Corrupted { labels, truth: truth.clone(), wrong: changes.len(), all, bare: 0 })
}

/// Clips of classes that leave the vocabulary get labels that stay in it.
fn open_set(
    params: &CorruptParams,
    held_out: &[String],
    labels: &Labels,
    touched: &Touched,
) -> Result<Corrupted, StageError> {
    let held_out: BTreeSet<usize> =
        held_out.iter().map(|class| index(labels, class)).collect::<Result<_, _>>()?;
    let kept: Vec<usize> = (0..labels.classes.len()).filter(|class| !held_out.contains(class)).collect();
    if kept.is_empty() {
        return Err(StageError::failed("`kind` holds every class out")
            .help("leave the classes that the model is to know out of `classes`"));
    }
    let outside = |id: &str| {
        let mut present = labels.present(id).peekable();
        present.peek().is_some() && present.all(|class| held_out.contains(&class))
    };
    let stream = Stream::new(params.seed, LabelsCorrupt::NAME);
    let candidates = labels.clips.keys().filter(|id| touched.holds(id) && outside(id));
    let mut candidates: Vec<(u64, &str)> = candidates.map(|id| (place(&stream, id), id.as_str())).collect();
    candidates.sort_unstable();

    let place: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(at, &class)| (class, at)).collect();
    let classes = kept.iter().map(|&class| labels.classes[class].clone()).collect();
    let inside = |states: &BTreeMap<usize, State>| -> BTreeMap<usize, State> {
        states.iter().filter_map(|(class, &state)| Some((*place.get(class)?, state))).collect()
    };
    let clips = labels.clips.iter().map(|(id, states)| (id.clone(), inside(states)));
    let truth = Labels { classes, clips: clips.filter(|(_, states)| !states.is_empty()).collect() };

    let rate = params.rate.unwrap_or_default();
    let known: Vec<usize> =
        touched.shuffled(&truth, params.seed, LabelsCorrupt::NAME).iter().map(Vec::len).collect();
    // A share of what there is in the end.
    let wanted = |n: usize| (rate / (1.0 - rate) * n as f64 + 0.5).floor() as usize;
    let (needed, right): (usize, usize) = (known.iter().map(|&n| wanted(n)).sum(), known.iter().sum());
    if needed > candidates.len() {
        let there = candidates.len();
        let largest = there as f64 / (there + right) as f64;
        let message = format!(
            "a rate of {rate} takes {needed} clips of held-out classes beside {right} right labels, and there are {there}"
        );
        return Err(StageError::failed(message)
            .help(format!("hold out more classes, or take a rate up to {largest:.3}")));
    }
    let mut corrupted = truth.clone();
    let mut given = candidates.iter().map(|(_, id)| *id);
    for (class, &n) in known.iter().enumerate() {
        for id in given.by_ref().take(wanted(n)) {
            corrupted.clips.entry(id.to_owned()).or_default().insert(class, State::Present);
        }
    }
    let bare = labels.clips.keys().filter(|id| outside(id)).count() - needed;
    Ok(Corrupted { labels: corrupted, truth, wrong: needed, all: right + needed, bare })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sndpipe_artefacts::{Split, Subset};

    use super::*;

    fn params(value: Value) -> CorruptParams {
        serde_json::from_value(value).unwrap()
    }

    /// 80 clips, 20 of each of four classes.
    fn truth() -> Labels {
        let clip = |n: usize| (format!("clip{n:02}"), BTreeMap::from([(n % 4, State::Present)]));
        Labels {
            classes: ["bell", "cat", "dog", "rain"].map(str::to_owned).to_vec(),
            clips: (0..80).map(clip).collect(),
        }
    }

    /// From true class to given class: how many clips.
    fn transitions(truth: &Labels, labels: &Labels) -> BTreeMap<(usize, usize), usize> {
        let mut counts = BTreeMap::new();
        for id in truth.clips.keys() {
            let (true_, given) = (truth.present(id).next(), labels.present(id).next());
            *counts.entry((true_.unwrap(), given.unwrap())).or_default() += 1;
        }
        counts
    }

    fn corrupted(value: Value) -> BTreeMap<(usize, usize), usize> {
        let found = corrupt(&params(value), &truth(), &Touched::all()).unwrap();
        assert_eq!(found.truth, truth());
        assert!(found.labels.clips.values().all(|states| states.len() == 1));
        transitions(&truth(), &found.labels)
    }

    #[test]
    fn symmetric_noise_hits_every_class_alike() {
        let found = corrupted(json!({ "kind": "symmetric", "rate": 0.4, "seed": 1 }));
        let mut wrong: BTreeSet<(usize, usize)> = BTreeSet::new();
        for class in 0..4 {
            assert_eq!(found[&(class, class)], 12);
            wrong.extend(found.keys().filter(|(from, to)| *from == class && from != to));
        }
        assert!(wrong.len() > 8, "of 12 ways to be wrong, most occur: {wrong:?}");
        assert_ne!(found, corrupted(json!({ "kind": "symmetric", "rate": 0.4, "seed": 2 })));
    }

    #[test]
    fn a_higher_rate_keeps_what_is_wrong() {
        let at = |rate: f64| {
            let params = params(json!({ "kind": "symmetric", "rate": rate }));
            corrupt(&params, &truth(), &Touched::all()).unwrap().labels.clips
        };
        let (few, many) = (at(0.2), at(0.6));
        let wrong = few.iter().filter(|(id, states)| truth().clips[*id] != **states);
        let wrong: Vec<_> = wrong.collect();
        assert_eq!(wrong.len(), 16);
        assert!(wrong.iter().all(|(id, states)| many[*id] == **states));
        assert_eq!(at(0.0), truth().clips);
    }

    #[test]
    fn classes_become_what_is_said() {
        let cyclic = corrupted(json!({ "kind": "cyclic", "rate": 0.25 }));
        let pairs = (0..4).flat_map(|class| [((class, class), 15), ((class, (class + 1) % 4), 5)]);
        assert_eq!(cyclic, pairs.collect());
        let kind = json!({ "name": "pairs", "pairs": { "cat": "dog", "dog": "cat" } });
        let found = corrupted(json!({ "kind": kind, "rate": 0.5 }));
        let expected = [((0, 0), 20), ((1, 1), 10), ((1, 2), 10), ((2, 1), 10), ((2, 2), 10), ((3, 3), 20)];
        assert_eq!(found, expected.into());
        let rows = json!({ "bell": { "cat": 0.1, "dog": 0.25 }, "rain": { "bell": 1.0 } });
        let found = corrupted(json!({ "kind": { "name": "matrix", "rows": rows } }));
        let expected = [((0, 0), 13), ((0, 1), 2), ((0, 2), 5), ((1, 1), 20), ((2, 2), 20), ((3, 0), 20)];
        assert_eq!(found, expected.into());
    }

    #[test]
    fn several_labels_of_a_clip_stay_several() {
        let mut truth = truth();
        truth.clips.values_mut().for_each(|states| {
            states.insert(0, State::Present);
            states.insert(1, State::Present);
        });
        let found =
            corrupt(&params(json!({ "kind": "symmetric", "rate": 0.5, "seed": 4 })), &truth, &Touched::all());
        let found = found.unwrap();
        assert!(found.wrong > 0);
        let count = |labels: &Labels| -> Vec<usize> { labels.clips.values().map(BTreeMap::len).collect() };
        assert_eq!(count(&found.labels), count(&truth));
    }

    #[test]
    fn clips_outside_of_the_vocabulary_get_labels_inside() {
        let subset = |n: usize| if n < 60 { Subset::Train } else { Subset::Test };
        let split = Split { clips: (0..80).map(|n| (format!("clip{n:02}"), subset(n))).collect() };
        let kind = json!({ "name": "out_of_vocabulary", "classes": ["cat"] });
        let found = corrupt(
            &params(json!({ "kind": kind, "rate": 0.25 })),
            &truth(),
            &Touched::of(split.clone(), Subset::Train),
        );
        let found = found.unwrap();
        assert_eq!(found.labels.classes, ["bell", "dog", "rain"]);
        assert_eq!(found.truth.classes, found.labels.classes);
        // 15 training clips a class: 5 of 20 are wrong. Of the 20 cats 15 train; the 5 that test have no label.
        assert_eq!((found.wrong, found.all, found.bare), (15, 60, 5));
        let given: Vec<&String> =
            found.labels.clips.keys().filter(|id| !found.truth.clips.contains_key(*id)).collect();
        assert_eq!(given.len(), 15);
        assert!(given.iter().all(|id| id[4..].parse::<usize>().unwrap() % 4 == 1));
        assert!(given.iter().all(|id| split.clips[*id] == Subset::Train));
        let of = |class| given.iter().filter(|id| found.labels.present(id).any(|of| of == class)).count();
        assert_eq!([0, 1, 2].map(of), [5, 5, 5]);
    }

    #[track_caller]
    fn refuse(value: Value, expected: &str) {
        let error = corrupt(&params(value), &truth(), &Touched::all()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let pairs = json!({ "name": "pairs", "pairs": { "cat": "dug" } });
        refuse(
            json!({ "kind": pairs, "rate": 0.5 }),
            &format!(
                "`kind` names the class `dug`, which the labels do not have{}",
                did_you_mean("dug", ["bell", "cat", "dog", "rain"].into_iter())
            ),
        );
        let open = json!({ "name": "out_of_vocabulary", "classes": ["cat"] });
        refuse(
            json!({ "kind": open, "rate": 0.5 }),
            "a rate of 0.5 takes 60 clips of held-out classes beside 60 right labels, and there are 20",
        );
        let all = json!({ "name": "out_of_vocabulary", "classes": ["bell", "cat", "dog", "rain"] });
        refuse(json!({ "kind": all, "rate": 0.5 }), "`kind` holds every class out");
    }
}
