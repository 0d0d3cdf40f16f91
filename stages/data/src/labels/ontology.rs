//! The AudioSet ontology: which class is a kind of which other classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use sndpipe_artefacts::composed;
use sndpipe_engine::{StageError, agree, counted, did_you_mean};

/// Mistakes that a message lists.
const SHOWN: usize = 5;

/// A node as the published file has it; what is not read is left out.
#[derive(Deserialize)]
struct Node {
    id: String,
    name: String,
    child_ids: Vec<String>,
}

/// A directed graph without cycles, from classes to their parents. Nodes are numbered so that parents come before their children.
#[derive(Debug, Default)]
pub(crate) struct Ontology {
    ids: Vec<String>,
    parents: Vec<Vec<usize>>,
    /// Id, name and the name as FSD50K writes it -> node.
    names: BTreeMap<String, usize>,
}

impl Ontology {
    /// The label of the declared file.
    pub const LABEL: &'static str = "ontology";

    /// Reads the published JSON: a list of objects with `id`, `name` and `child_ids`.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the file is another one, a child is missing, or a class is its own ancestor.
    ///
    /// # Source
    /// Gemmeke et al., *Audio Set: An ontology and human-labeled dataset for audio events*, ICASSP 2017.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StageError> {
        let shown = path.display();
        let refused = |what: String| {
            StageError::failed(format!("`{shown}`: {what}"))
                .help("the file is `ontology.json` of https://github.com/audioset/ontology")
        };
        let nodes: Vec<Node> = serde_json::from_slice(bytes)
            .map_err(|error| refused(format!("not the ontology of AudioSet: {error}")))?;
        let mut at: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, node) in nodes.iter().enumerate() {
            if at.insert(&node.id, place).is_some() {
                return Err(refused(format!("the class `{}` is there twice", node.id)));
            }
        }
        let mut parents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (place, node) in nodes.iter().enumerate() {
            for child in &node.child_ids {
                let child = at.get(child.as_str()).ok_or_else(|| {
                    refused(format!("`{}` has the child `{child}`, which is not there", node.name))
                })?;
                parents[*child].push(place);
            }
        }
        // Parents first: a node is taken when all of its parents are.
        let mut number: Vec<Option<usize>> = vec![None; nodes.len()];
        let mut order: Vec<usize> = Vec::with_capacity(nodes.len());
        while order.len() < nodes.len() {
            let before = order.len();
            for (place, above) in parents.iter().enumerate() {
                if number[place].is_none() && above.iter().all(|&parent| number[parent].is_some()) {
                    number[place] = Some(order.len());
                    order.push(place);
                }
            }
            if order.len() == before {
                let caught = number.iter().position(Option::is_none).unwrap_or_default();
                return Err(refused(format!("`{}` is its own ancestor", nodes[caught].name)));
            }
        }
        let mut ontology = Self::default();
        for (new, &place) in order.iter().enumerate() {
            let node = &nodes[place];
            ontology.ids.push(node.id.clone());
            ontology.parents.push(parents[place].iter().filter_map(|&parent| number[parent]).collect());
            for name in [node.id.clone(), composed(&node.name), as_fsd50k(&composed(&node.name))] {
                let other = *ontology.names.entry(name.clone()).or_insert(new);
                if other != new {
                    return Err(refused(format!("two classes are called `{name}`")));
                }
            }
        }
        Ok(ontology)
    }

    /// The nodes of classes, which are named by id, by name, or as FSD50K writes names.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming the classes that are not in the ontology.
    pub fn nodes(&self, classes: &[String]) -> Result<Vec<usize>, StageError> {
        let unknown: Vec<&String> =
            classes.iter().filter(|class| !self.names.contains_key(class.as_str())).collect();
        if !unknown.is_empty() {
            let lines: Vec<String> = unknown
                .iter()
                .take(SHOWN)
                .map(|class| {
                    format!("`{class}`{}", did_you_mean(class, self.names.keys().map(String::as_str)))
                })
                .collect();
            let message = format!(
                "{} of {} {} not in the ontology:\n  {}",
                unknown.len(),
                counted(classes.len(), "class"),
                agree(unknown.len(), "is", "are"),
                lines.join("\n  ")
            );
            return Err(StageError::failed(message).help(
                "classes are named by their id (`/m/0395lw`), their name (`Bell`) or as in FSD50K (`Bicycle_bell`)",
            ));
        }
        Ok(classes.iter().filter_map(|class| self.names.get(class)).copied().collect())
    }

    /// For each node every ancestor.
    pub fn ancestors(&self) -> Vec<BTreeSet<usize>> {
        self.climb(|all, above| all.extend(above))
    }

    /// For each node the ancestors that lie on every way from it up to a root.
    pub fn certain_ancestors(&self) -> Vec<BTreeSet<usize>> {
        self.climb(|all, above| all.retain(|node| above.contains(node)))
    }

    /// For each node what `join` makes of its parents and theirs, one parent after the other.
    fn climb(&self, join: impl Fn(&mut BTreeSet<usize>, BTreeSet<usize>)) -> Vec<BTreeSet<usize>> {
        let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(self.parents.len());
        for parents in &self.parents {
            let mut above = parents.iter().map(|&parent| {
                let mut set = all[parent].clone();
                set.insert(parent);
                set
            });
            let mut joined = above.next().unwrap_or_default();
            above.for_each(|set| join(&mut joined, set));
            all.push(joined);
        }
        all
    }

    /// For each node the nearest nodes of a set on each way up to a root; of a node in the set, itself.
    pub fn nearest(&self, set: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
        let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(self.parents.len());
        for (node, parents) in self.parents.iter().enumerate() {
            let found = if set.contains(&node) {
                BTreeSet::from([node])
            } else {
                parents.iter().flat_map(|&parent| all[parent].iter().copied()).collect()
            };
            all.push(found);
        }
        all
    }
}

/// A name of the ontology as FSD50K writes it: `Accelerating, revving, vroom` is `Accelerating_and_revving_and_vroom`.
fn as_fsd50k(name: &str) -> String {
    name.replace(", and ", ", ").replace(", ", " and ").replace(' ', "_")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bell is a kind of instrument and of alarm; both are sounds of things.
    pub const SMALL: &str = r#"[
        {"id": "/m/bicycle", "name": "Bicycle bell", "child_ids": []},
        {"id": "/m/bell", "name": "Bell", "child_ids": ["/m/bicycle"]},
        {"id": "/m/music", "name": "Musical instrument", "child_ids": ["/m/bell"]},
        {"id": "/m/alarm", "name": "Alarm, siren", "child_ids": ["/m/bell"]},
        {"id": "/m/things", "name": "Things", "child_ids": ["/m/music", "/m/alarm"]}
    ]"#;

    pub fn small() -> Ontology {
        Ontology::parse(Path::new("o.json"), SMALL.as_bytes()).unwrap()
    }

    fn ids(ontology: &Ontology, nodes: &BTreeSet<usize>) -> Vec<String> {
        let mut ids: Vec<String> = nodes.iter().map(|&node| ontology.ids[node].clone()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn a_class_with_two_parents_is_certain_of_what_both_are() {
        let ontology = small();
        let [bicycle, things] = ontology.nodes(&["Bicycle_bell".into(), "/m/things".into()]).unwrap()[..]
        else {
            panic!("two nodes")
        };
        let all = &ontology.ancestors()[bicycle];
        assert_eq!(ids(&ontology, all), ["/m/alarm", "/m/bell", "/m/music", "/m/things"]);
        assert_eq!(ids(&ontology, &ontology.certain_ancestors()[bicycle]), ["/m/bell", "/m/things"]);
        let set = ontology.nodes(&["Alarm_and_siren".into(), "Things".into()]).unwrap();
        let nearest = ontology.nearest(&set.into_iter().collect());
        assert_eq!(ids(&ontology, &nearest[bicycle]), ["/m/alarm", "/m/things"]);
        assert_eq!(ids(&ontology, &nearest[things]), ["/m/things"]);
    }

    #[test]
    fn names_are_those_of_fsd50k() {
        assert_eq!(as_fsd50k("Accelerating, revving, vroom"), "Accelerating_and_revving_and_vroom");
        assert_eq!(as_fsd50k("Dishes, pots, and pans"), "Dishes_and_pots_and_pans");
        let error = small().nodes(&["Bel".into(), "Bell".into()]).unwrap_err().to_string();
        assert_eq!(error, "1 of 2 classes is not in the ontology:\n  `Bel`: did you mean `Bell`?");
    }

    #[track_caller]
    fn refused(from: &str, to: &str, expected: &str) {
        let text = SMALL.replacen(from, to, 1);
        let error = Ontology::parse(Path::new("o.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn broken_ontologies_are_refused() {
        refused(
            "[\"/m/bell\"]",
            "[\"/m/bel\"]",
            "`Musical instrument` has the child `/m/bel`, which is not there",
        );
        refused("\"child_ids\": []", "\"child_ids\": [\"/m/things\"]", "is its own ancestor");
        refused("Alarm, siren", "Bell", "two classes are called `Bell`");
        refused("/m/music", "/m/bell", "the class `/m/bell` is there twice");
        refused("[", "{", "not the ontology of AudioSet");
    }

    /// Counts of the released ontology.
    #[test]
    fn the_real_ontology_is_read() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let path = metadata.join("audioset/ontology.json");
        let ontology = Ontology::parse(&path, &fs_err::read(&path).unwrap()).unwrap();
        let parents = &ontology.parents;
        let counts = (
            parents.len(),
            parents.iter().map(Vec::len).sum::<usize>(),
            parents.iter().filter(|parents| parents.len() > 1).count(),
            parents.iter().filter(|parents| parents.is_empty()).count(),
        );
        assert_eq!(counts, (632, 670, 38, 7));
    }
}
