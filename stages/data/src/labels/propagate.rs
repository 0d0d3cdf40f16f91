//! `labels.propagate`: a class implies what it is a kind of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::composed;
use sndpipe_artefacts::{Labels, State};
use sndpipe_cache::Meta;
use sndpipe_engine::declared;
use sndpipe_engine::{Kind, Output, ParamError, Port, SourceScan, Stage, StageError, StageIo};

use super::ontology::Ontology;
use crate::dataset::sheet::{Sheet, refuse};

/// The label of the declared table of pairs.
const PAIRS: &str = "pairs";

/// Which classes a class implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// The ancestors that lie on every way from it up to a root of the ontology.
    #[default]
    Certain,
    /// Every ancestor in the ontology.
    AllPaths,
    /// What a table of pairs says.
    Table,
}

/// Adds to the classes of each clip those that they imply, within the vocabulary.
///
/// Outputs: `labels`, and `added`: for each class how many clips have it before and after. Only present classes imply others. An
/// implied class is present whatever was said of it before; what contradicts an explicit negative is counted in a remark. What
/// was propagated once does not change when it is propagated again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropagateParams {
    /// Which classes a class implies. The released labels of FSD50K follow neither `certain` (too few) nor `all_paths` (too many): where
    /// a class has several parents, theirs were chosen by listening, and a table says which pairs hold always.
    #[serde(default)]
    pub mode: Propagation,
    /// `ontology.json` of AudioSet, for `certain` and `all_paths`. Classes are found in it by id, by name, or as FSD50K writes names.
    #[serde(default, skip_serializing)]
    pub ontology: Option<PathBuf>,
    /// A CSV file with the columns `child`, `ancestor` and, optionally, `fraction`, for `table`. Pairs with a class outside the
    /// vocabulary are passed over.
    #[serde(default, skip_serializing)]
    pub pairs: Option<PathBuf>,
    /// The least `fraction` (share of the child's clips that have the ancestor) of a pair that counts, above 0 and at most 1.
    #[serde(default = "one")]
    pub fraction: f64,
}

const fn one() -> f64 {
    1.0
}

/// `labels.propagate`.
pub struct LabelsPropagate;

impl Stage for LabelsPropagate {
    const NAME: &'static str = "labels.propagate";
    const VERSION: u32 = 1;
    const SOURCE: &'static str =
        "Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022";
    type Params = PropagateParams;

    fn check(params: &PropagateParams) -> Vec<ParamError> {
        let mut errors = Vec::new();
        let (wanted, given, name) = match params.mode {
            Propagation::Table => (&params.pairs, &params.ontology, ["pairs", "ontology"]),
            _ => (&params.ontology, &params.pairs, ["ontology", "pairs"]),
        };
        if wanted.is_none() {
            let message = format!("`mode` needs the file `{}`", name[0]);
            errors.push(ParamError::new(name[0], message).help(format!("add `{}: FILE`", name[0])));
        }
        if given.is_some() {
            errors.push(ParamError::new(name[1], "`mode` does not read this file").help("leave it out"));
        }
        if !(params.fraction > 0.0 && params.fraction <= 1.0) {
            errors.push(ParamError::new(
                "fraction",
                format!("{} is not above 0 and at most 1", params.fraction),
            ));
        }
        errors
    }

    fn inputs(_: &PropagateParams) -> Vec<Port> {
        vec![Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS)]
    }

    fn outputs(_: &PropagateParams) -> Vec<Output> {
        vec![Output::new("labels", Kind::Labels), Output::new("added", Kind::Table)]
    }

    fn sources(params: &PropagateParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        params.ontology.iter().try_for_each(|path| scan.file(Ontology::LABEL, path))?;
        params.pairs.iter().try_for_each(|path| scan.file(PAIRS, path))
    }

    fn run(params: &PropagateParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let implied = match (&params.ontology, &params.pairs) {
            (Some(path), _) => {
                let ontology = Ontology::parse(path, &declared::read(Ontology::LABEL, path, io)?)?;
                by_ontology(&ontology, &labels.classes, params.mode)?
            }
            (None, Some(path)) => {
                by_pairs(path, &declared::read(PAIRS, path, io)?, &labels.classes, params.fraction)?
            }
            (None, None) => return Err(StageError::failed("neither an ontology nor a table is given")),
        };
        let before = labels.counts();
        let (labels, contradicted) = propagate(labels, &implied);
        if contradicted > 0 {
            io.remark(format!("{contradicted} explicit negatives became present: a class below them is"));
        }
        let after = labels.counts();
        let (meta, table) = labels.to_table()?;
        io.write_table("labels", meta, &table)?;
        let added = columns::table(vec![
            ("class", Values::Text(labels.classes)),
            ("before", Values::Int(before)),
            ("after", Values::Int(after)),
        ])?;
        io.write_table("added", Meta::new(), &added)
    }
}

/// For each class of a vocabulary those that it implies by the ontology.
pub(crate) fn by_ontology(
    ontology: &Ontology,
    classes: &[String],
    mode: Propagation,
) -> Result<Vec<BTreeSet<usize>>, StageError> {
    let nodes = ontology.nodes(classes)?;
    let class_of: BTreeMap<usize, usize> = nodes.iter().enumerate().map(|(c, &node)| (node, c)).collect();
    let above = match mode {
        Propagation::Certain => ontology.certain_ancestors(),
        Propagation::AllPaths | Propagation::Table => ontology.ancestors(),
    };
    let within = |node: &usize| above[*node].iter().filter_map(|node| class_of.get(node)).copied().collect();
    Ok(nodes.iter().map(within).collect())
}

/// For each class of a vocabulary those that it implies by a table of pairs, and by what these imply.
pub(crate) fn by_pairs(
    path: &Path,
    bytes: &[u8],
    classes: &[String],
    least: f64,
) -> Result<Vec<BTreeSet<usize>>, StageError> {
    let sheet = Sheet::parse(path, bytes, ',')?.single_lines()?;
    let column = |name| {
        sheet.column(name, PAIRS).map_err(|error| {
            error.help("a table of pairs has the columns `child`, `ancestor` and, optionally, `fraction`")
        })
    };
    let (child, ancestor) = (column("child")?, column("ancestor")?);
    let fraction =
        sheet.header.iter().any(|name| name == "fraction").then(|| column("fraction")).transpose()?;
    let index: BTreeMap<&str, usize> =
        classes.iter().enumerate().map(|(class, name)| (name.as_str(), class)).collect();
    let mut implied = vec![BTreeSet::new(); classes.len()];
    let (mut mistakes, mut used) = (Vec::new(), 0);
    for line in sheet.lines() {
        let share: Option<f64> = fraction.map_or(Some(1.0), |at| line[at].trim().parse().ok());
        let Some(share) = share.filter(|share| (0.0..=1.0).contains(share)) else {
            let text = fraction.map_or("", |at| &line[at]);
            mistakes.push(format!("line {}: `fraction` is `{text}`, not a number from 0 to 1", line.number));
            continue;
        };
        let of = |at: usize| index.get(composed(line[at].trim()).as_str()).copied();
        if let (Some(child), Some(ancestor)) = (of(child), of(ancestor)) {
            used += 1;
            if share >= least {
                implied[child].insert(ancestor);
            }
        }
    }
    refuse(mistakes, || format!("`{}` cannot be used", path.display()))?;
    if used == 0 {
        let message = format!("no pair of `{}` names two classes of the labels", path.display());
        return Err(StageError::failed(message).help("the names must be those of the vocabulary"));
    }
    close(&mut implied);
    Ok(implied)
}

/// Adds what is implied by what is implied, until nothing is new.
fn close(implied: &mut [BTreeSet<usize>]) {
    loop {
        let mut grown = false;
        for class in 0..implied.len() {
            let further: BTreeSet<usize> =
                implied[class].iter().flat_map(|&next| implied[next].iter().copied()).collect();
            let before = implied[class].len();
            implied[class].extend(further);
            grown |= implied[class].len() > before;
        }
        if !grown {
            return;
        }
    }
}

/// Makes present what present classes imply; counts the explicit negatives that this contradicts.
pub(crate) fn propagate(mut labels: Labels, implied: &[BTreeSet<usize>]) -> (Labels, usize) {
    let mut contradicted = 0;
    for clip in labels.clips.values_mut() {
        let present = clip.iter().filter(|(_, state)| **state == State::Present);
        let wanted: BTreeSet<usize> =
            present.flat_map(|(&class, _)| implied[class].iter().copied()).collect();
        for class in wanted {
            let before = clip.insert(class, State::Present);
            contradicted += usize::from(before == Some(State::ExplicitNegative));
        }
    }
    (labels, contradicted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ontology::tests::small;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    const CLASSES: [&str; 4] = ["Bicycle_bell", "Bell", "Musical_instrument", "Things"];

    fn labels(clips: &[(&str, &[(usize, State)])]) -> Labels {
        let clips = clips.iter().map(|(id, labels)| ((*id).to_owned(), labels.iter().copied().collect()));
        Labels { classes: names(&CLASSES), clips: clips.collect() }
    }

    fn present(labels: &Labels) -> Vec<Vec<usize>> {
        labels.clips.keys().map(|id| labels.present(id).collect()).collect()
    }

    #[test]
    fn modes_differ_where_a_class_has_two_parents() {
        let given = labels(&[("a", &[(0, State::Present)]), ("b", &[(1, State::ExplicitNegative)])]);
        let of = |implied: &[BTreeSet<usize>]| present(&propagate(given.clone(), implied).0);
        let by = |mode| by_ontology(&small(), &given.classes, mode).unwrap();
        assert_eq!(of(&by(Propagation::Certain)), [vec![0, 1, 3], vec![]]);
        assert_eq!(of(&by(Propagation::AllPaths)), [vec![0, 1, 2, 3], vec![]]);
        let table = "child,ancestor,fraction\nBicycle_bell,Bell,1.0\nBell,Things,1\nBell,Musical_instrument,0.07\nDog,Animal,1.0\n";
        let pairs = |least| by_pairs(Path::new("p.csv"), table.as_bytes(), &given.classes, least).unwrap();
        assert_eq!(of(&pairs(1.0)), [vec![0, 1, 3], vec![]], "the pair of a pair counts, too");
        assert_eq!(of(&pairs(0.05)), [vec![0, 1, 2, 3], vec![]]);
    }

    #[test]
    fn an_implied_class_is_present_whatever_was_said_of_it() {
        let given = labels(&[(
            "a",
            &[(0, State::Present), (1, State::ExplicitNegative), (2, State::Ignored), (3, State::Ignored)],
        )]);
        let implied = by_ontology(&small(), &given.classes, Propagation::Certain).unwrap();
        let (got, contradicted) = propagate(given, &implied);
        let expected = labels(&[(
            "a",
            &[(0, State::Present), (1, State::Present), (2, State::Ignored), (3, State::Present)],
        )]);
        assert_eq!((got, contradicted), (expected, 1));
    }

    #[test]
    fn broken_tables_are_refused() {
        let refused = |text: &str, expected: &str| {
            let error = by_pairs(Path::new("p.csv"), text.as_bytes(), &names(&CLASSES), 1.0).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        refused("child,parent\nBell,Things\n", "no column `ancestor`");
        refused("child,ancestor,fraction\nBell,Things,often\n", "line 2: `fraction` is `often`");
        refused("child,ancestor\nDog,Animal\n", "names two classes of the labels");
    }

    proptest! {
        /// Whatever the ontology and the labels are, a second propagation adds nothing, and no label is lost.
        #[test]
        fn propagation_is_idempotent(
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..40),
            vocabulary in prop::collection::btree_set(0usize..12, 1..12),
            clips in prop::collection::vec(prop::collection::vec((0usize..12, 0usize..3), 0..5), 1..6),
            mode in prop::sample::select(vec![Propagation::Certain, Propagation::AllPaths]),
        ) {
            let nodes: Vec<serde_json::Value> = (0..12).map(|node| {
                let children: BTreeSet<String> =
                    edges.iter().filter(|(a, b)| *a == node && b > a).map(|(_, b)| format!("/m/{b}")).collect();
                serde_json::json!({ "id": format!("/m/{node}"), "name": format!("n{node}"), "child_ids": children })
            }).collect();
            let text = serde_json::to_vec(&nodes).unwrap();
            let ontology = Ontology::parse(Path::new("o.json"), &text).unwrap();
            let classes: Vec<String> = vocabulary.iter().map(|node| format!("/m/{node}")).collect();
            let states = [State::Present, State::ExplicitNegative, State::Ignored];
            let clips = clips.iter().enumerate().map(|(n, labels)| {
                let labels = labels.iter().filter(|(class, _)| *class < classes.len());
                (n.to_string(), labels.map(|&(class, state)| (class, states[state])).collect())
            }).collect();
            let given = Labels { classes: classes.clone(), clips };
            let implied = by_ontology(&ontology, &classes, mode).unwrap();
            let (once, _) = propagate(given.clone(), &implied);
            for id in given.clips.keys() {
                let now: BTreeSet<usize> = once.present(id).collect();
                prop_assert!(given.present(id).all(|class| now.contains(&class)));
            }
            let (twice, _) = propagate(once.clone(), &implied);
            prop_assert_eq!(twice, once);
            // The same through a table of the same pairs.
            let mut pairs = "child,ancestor\n".to_owned();
            for (class, implied) in implied.iter().enumerate() {
                implied.iter().for_each(|&above| pairs.push_str(&format!("{},{}\n", classes[class], classes[above])));
            }
            if pairs.lines().count() > 1 {
                let table = by_pairs(Path::new("p.csv"), pairs.as_bytes(), &classes, 1.0).unwrap();
                prop_assert_eq!(table, implied);
            }
        }
    }
}
