//! `labels.merge`: labels in a smaller vocabulary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::composed;
use sndpipe_artefacts::labels::vocabulary;
use sndpipe_artefacts::{Labels, State};
use sndpipe_cache::Meta;
use sndpipe_engine::declared;
use sndpipe_engine::{Kind, Output, ParamError, Port, SourceScan, Stage, StageError, StageIo, Upstream};

use super::ontology::Ontology;

/// Replaces each class outside a vocabulary by its nearest ancestors in it: on each way up to a root the first that is met.
///
/// Inputs: `labels`, and either the parameter `classes` or an input `vocabulary`, labels whose classes are taken. Outputs: `labels`, and
/// `merged`: for each class outside the vocabulary what it became and how many clips have it; a class without an ancestor in the
/// vocabulary is lost, and a clip may be left without any. What was present or ignored of a class is so of its ancestors
/// (present counts more); an explicit negative says nothing about them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeParams {
    /// `ontology.json` of AudioSet. Classes are found in it by id, by name, or as FSD50K writes names.
    #[serde(skip_serializing)]
    pub ontology: PathBuf,
    /// The vocabulary in its order; absent where the input `vocabulary` is connected.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
}

/// `labels.merge`.
pub struct LabelsMerge;

impl Stage for LabelsMerge {
    const NAME: &'static str = "labels.merge";
    const VERSION: u32 = 1;
    const SOURCE: &'static str =
        "Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022";
    type Params = MergeParams;

    fn check(params: &MergeParams) -> Vec<ParamError> {
        let Some(classes) = &params.classes else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let twice = classes.iter().enumerate().filter(|(_, class)| !seen.insert(composed(class)));
        let mut errors: Vec<ParamError> = twice
            .map(|(index, class)| {
                ParamError::new(format!("classes[{index}]"), format!("`{class}` is listed twice"))
            })
            .collect();
        if classes.is_empty() {
            errors.push(ParamError::new("classes", "an empty vocabulary"));
        }
        errors
    }

    fn inputs(_: &MergeParams) -> Vec<Port> {
        vec![
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("vocabulary", Kind::Labels).reading(&[]).optional(),
        ]
    }

    fn outputs(_: &MergeParams) -> Vec<Output> {
        vec![Output::new("labels", Kind::Labels), Output::new("merged", Kind::Table)]
    }

    fn check_wiring(params: &MergeParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let connected = upstream.iter().any(|upstream| upstream.port == "vocabulary");
        match (&params.classes, connected) {
            (Some(_), true) => vec![
                ParamError::new("classes", "the input `vocabulary` names the classes already")
                    .help("give one of them"),
            ],
            (None, false) => vec![
                ParamError::new("classes", "neither `classes` nor the input `vocabulary` names the classes")
                    .help("list them, or connect labels that have them: `in: { vocabulary: clips.labels }`"),
            ],
            _ => Vec::new(),
        }
    }

    fn sources(params: &MergeParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        scan.file(Ontology::LABEL, &params.ontology)
    }

    fn run(params: &MergeParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let classes = match &params.classes {
            Some(classes) => classes.iter().map(|class| composed(class)).collect(),
            None => vocabulary(io.meta("vocabulary")?)?,
        };
        let bytes = declared::read(Ontology::LABEL, &params.ontology, io)?;
        let ontology = Ontology::parse(&params.ontology, &bytes)?;
        let fates = fates(&ontology, &labels.classes, &classes)?;
        let report = report(&labels, &classes, &fates)?;
        let lost = labels.classes.iter().zip(&fates).filter(|(_, fate)| fate.is_lost());
        let lost: Vec<&str> = lost.map(|(class, _)| class.as_str()).collect();
        if !lost.is_empty() {
            io.remark(format!(
                "classes without an ancestor in the vocabulary, left out: {}",
                lost.join(", ")
            ));
        }
        let (meta, table) = merge(&labels, classes, &fates).to_table()?;
        io.write_table("labels", meta, &table)?;
        io.write_table("merged", Meta::new(), &report)
    }
}

/// What a class becomes in a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the vocabulary.
    Stays(usize),
    /// These ancestors take its place; it is lost where there are none.
    Becomes(BTreeSet<usize>),
}

impl Fate {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Becomes(ancestors) if ancestors.is_empty())
    }
}

/// For each class what it becomes in a vocabulary.
pub(crate) fn fates(
    ontology: &Ontology,
    classes: &[String],
    vocabulary: &[String],
) -> Result<Vec<Fate>, StageError> {
    let targets = ontology.nodes(vocabulary)?;
    let class_of: BTreeMap<usize, usize> =
        targets.iter().enumerate().map(|(class, &node)| (node, class)).collect();
    let nearest = ontology.nearest(&targets.into_iter().collect());
    let fate = |node: usize| {
        let above = || nearest[node].iter().filter_map(|node| class_of.get(node)).copied().collect();
        class_of.get(&node).map_or_else(|| Fate::Becomes(above()), |&class| Fate::Stays(class))
    };
    Ok(ontology.nodes(classes)?.into_iter().map(fate).collect())
}

/// Labels in another vocabulary.
pub(crate) fn merge(labels: &Labels, classes: Vec<String>, fates: &[Fate]) -> Labels {
    let mut clips: BTreeMap<String, BTreeMap<usize, State>> = BTreeMap::new();
    for (id, states) in &labels.clips {
        let merged = clips.entry(id.clone()).or_default();
        for (&class, &state) in states {
            match &fates[class] {
                // What was said of the class itself counts more than what follows from others, unless that is present.
                Fate::Stays(to) => {
                    let entry = merged.entry(*to).or_insert(state);
                    if *entry != State::Present {
                        *entry = state;
                    }
                }
                Fate::Becomes(_) if state == State::ExplicitNegative => {}
                Fate::Becomes(ancestors) => {
                    for &to in ancestors {
                        let entry = merged.entry(to).or_insert(state);
                        if state == State::Present {
                            *entry = state;
                        }
                    }
                }
            }
        }
    }
    clips.retain(|_, states| !states.is_empty());
    Labels { classes, clips }
}

fn report(
    labels: &Labels,
    classes: &[String],
    fates: &[Fate],
) -> Result<arrow_array::RecordBatch, StageError> {
    let clips = labels.counts();
    let (mut from, mut to, mut count) = (Vec::new(), Vec::new(), Vec::new());
    for (class, fate) in fates.iter().enumerate() {
        let Fate::Becomes(ancestors) = fate else { continue };
        let targets = ancestors.iter().map(|&to| Some(classes[to].clone()));
        for target in targets.chain(fate.is_lost().then_some(None)) {
            from.push(labels.classes[class].clone());
            to.push(target);
            count.push(clips[class]);
        }
    }
    columns::table(vec![
        ("class", Values::Text(from)),
        ("became", Values::MaybeText(to)),
        ("clips", Values::Int(count)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::ontology::tests::small;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_class_becomes_the_first_on_each_way_up() {
        let classes = names(&["Bicycle_bell", "Things", "Musical_instrument"]);
        let states = |labels: &[(usize, State)]| labels.iter().copied().collect::<BTreeMap<_, _>>();
        let labels = Labels {
            classes: classes.clone(),
            clips: BTreeMap::from([
                ("a".to_owned(), states(&[(0, State::Present), (2, State::ExplicitNegative)])),
                ("b".to_owned(), states(&[(0, State::ExplicitNegative)])),
                ("c".to_owned(), states(&[(0, State::Ignored), (1, State::ExplicitNegative)])),
                ("d".to_owned(), states(&[(1, State::Present)])),
            ]),
        };
        let vocabulary = names(&["Things", "Musical_instrument"]);
        let fates = fates(&small(), &classes, &vocabulary).unwrap();
        // Through the alarm the first on the way is `Things`.
        assert_eq!(fates, [Fate::Becomes(BTreeSet::from([0, 1])), Fate::Stays(0), Fate::Stays(1)]);
        let merged = merge(&labels, vocabulary.clone(), &fates);
        let expected = Labels {
            classes: vocabulary.clone(),
            clips: BTreeMap::from([
                ("a".to_owned(), states(&[(0, State::Present), (1, State::Present)])),
                ("c".to_owned(), states(&[(0, State::ExplicitNegative), (1, State::Ignored)])),
                ("d".to_owned(), states(&[(0, State::Present)])),
            ]),
        };
        assert_eq!(merged, expected);
        let table = report(&labels, &vocabulary, &fates).unwrap();
        assert_eq!(columns::text(&table, "became").unwrap(), ["Things", "Musical_instrument"]);
        assert_eq!(columns::maybe_int(&table, "clips").unwrap(), [Some(1), Some(1)]);
    }

    #[test]
    fn a_class_without_an_ancestor_is_lost() {
        let fates = fates(&small(), &names(&["Things", "/m/bell"]), &names(&["Bell"])).unwrap();
        assert_eq!(fates, [Fate::Becomes(BTreeSet::new()), Fate::Stays(0)]);
        assert!(fates[0].is_lost());
    }
}
