//! `dataset.fsd50k`: FSD50K as it is published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, StageError};

use super::listing::{Clip, Listing, labels_of};
use super::official::{ClassName, Layout, Metadata, Official};
use super::sheet::refuse;

/// FSD50K: 51,197 clips of 200 classes, several a clip, in its published folders `FSD50K.dev_audio`, `FSD50K.eval_audio`,
/// `FSD50K.ground_truth` and `FSD50K.metadata`.
///
/// Outputs: `clips` (ids are Freesound ids; `subset` is `train`, `val` or `test`; `freesound_id`; `uploader` and `license` where
/// `dev_clips_info_FSD50K.json` and `eval_clips_info_FSD50K.json` are there), `labels` (the vocabulary in its published order) and
/// with `collection: true` `collection`: the labels as they were collected, before they were merged and propagated, in a larger
/// vocabulary. Clips with the same audio are told in a remark.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fsd50kParams {
    /// The folder that holds `FSD50K.dev_audio` and the others.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// How classes are named.
    #[serde(default)]
    pub classes: ClassName,
    /// Whether there is an output `collection`.
    #[serde(default)]
    pub collection: bool,
}

/// `dataset.fsd50k`.
pub type DatasetFsd50k = Official<Fsd50kParams>;

/// Development and evaluation.
const PARTS: [&str; 2] = ["dev", "eval"];
const VOCABULARY: &str = "FSD50K.ground_truth/vocabulary.csv";

fn ground_truth(part: &str) -> String {
    format!("FSD50K.ground_truth/{part}.csv")
}

fn collected(part: &str) -> String {
    format!("FSD50K.metadata/collection/collection_{part}.csv")
}

fn clips_info(part: &str) -> String {
    format!("FSD50K.metadata/{part}_clips_info_FSD50K.json")
}

/// What is read of a clip's entry.
#[derive(Deserialize)]
struct Info {
    uploader: Option<String>,
    license: Option<String>,
}

impl Layout for Fsd50kParams {
    const KIND: &'static str = "dataset.fsd50k";
    const PAPER: &'static str =
        "Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022";
    const TITLE: &'static str = "FSD50K";
    const ORIGIN: &'static str = "get FSD50K from https://zenodo.org/records/4060432 and unpack it (the audio in parts: `zip -s 0` \
        joins them)";

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        PARTS.map(|part| format!("FSD50K.{part}_audio")).to_vec()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let mut files = vec![self.below(VOCABULARY)];
        files.extend(PARTS.map(|part| self.below(&ground_truth(part))));
        if self.collection {
            files.extend(PARTS.map(|part| self.below(&collected(part))));
        }
        let infos = PARTS.map(|part| self.below(&clips_info(part)));
        if infos.iter().any(|(_, path)| path.is_file()) {
            files.extend(infos);
        }
        files
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let classes = vocabulary(metadata)?;
        let known: BTreeSet<(&str, &str)> =
            classes.iter().map(|(name, mid)| (name.as_str(), mid.as_str())).collect();
        let informed = metadata.has(&clips_info("dev"));
        let (mut clips, mut mistakes) = (Vec::new(), Vec::new());
        for part in PARTS {
            let infos = if informed { infos(metadata, part)? } else { BTreeMap::new() };
            let sheet = metadata.sheet(&ground_truth(part))?;
            let subset = (part == "dev").then(|| sheet.columns(["split"])).transpose()?;
            let [id, labels, mids] = sheet.columns(["fname", "labels", "mids"])?;
            for line in sheet.lines() {
                let pairs = pairs(&line[labels], &line[mids]);
                let subset = subset.map_or("test", |[at]| line[at].trim());
                let unknown = pairs.iter().flatten().find(|pair| !known.contains(*pair));
                match (&pairs, unknown, subset) {
                    (None, ..) => {
                        mistakes.push(format!("line {}: more labels than mids, or fewer", line.number))
                    }
                    (_, Some((name, mid)), _) => {
                        mistakes
                            .push(format!("line {}: `{name}` ({mid}) is not in the vocabulary", line.number));
                    }
                    (.., "train" | "val" | "test") => {}
                    (.., other) => mistakes.push(format!("line {}: `split` is `{other}`", line.number)),
                }
                let id = line[id].trim();
                let info = infos.get(id);
                let mut texts = vec![Some(subset.to_owned()), Some(id.to_owned())];
                if informed {
                    texts.push(info.and_then(|info| info.uploader.clone()));
                    texts.push(info.and_then(|info| info.license.clone()));
                }
                clips.push(Clip {
                    id: id.to_owned(),
                    path: format!("FSD50K.{part}_audio/{id}.wav"),
                    line: Some(line.number),
                    fold: None,
                    classes: pairs.unwrap_or_default().into_iter().map(|pair| self.name(pair)).collect(),
                    texts,
                });
            }
            refuse(std::mem::take(&mut mistakes), || format!("`{}` cannot be used", sheet.path.display()))?;
        }
        let classes = classes.iter().map(|(name, mid)| self.name((name, mid))).collect();
        let texts: &[&str] = if informed {
            &["subset", "freesound_id", "uploader", "license"]
        } else {
            &["subset", "freesound_id"]
        };
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let mut listing = Listing::new(clips, classes, false, texts)?;
        if !informed {
            let missing =
                "the uploaders are not known: `FSD50K.metadata/dev_clips_info_FSD50K.json` is not there";
            listing.remarks.push(missing.to_owned());
        }
        Ok(listing)
    }

    fn more_outputs(&self) -> Vec<Output> {
        self.collection.then(|| Output::new("collection", Kind::Labels)).into_iter().collect()
    }

    fn more(&self, metadata: &Metadata<'_>) -> Result<Vec<(Meta, RecordBatch)>, StageError> {
        if !self.collection {
            return Ok(Vec::new());
        }
        let clips = self.collected(metadata)?;
        let classes: BTreeSet<&String> = clips.values().flatten().collect();
        let classes: Vec<String> = classes.into_iter().cloned().collect();
        let clips = clips.iter().map(|(id, classes)| (id.as_str(), &classes[..]));
        Ok(vec![labels_of(clips, &classes)?])
    }
}

impl Fsd50kParams {
    fn name(&self, (name, mid): (&str, &str)) -> String {
        match self.classes {
            ClassName::Name => name.to_owned(),
            ClassName::Mid => mid.to_owned(),
        }
    }

    /// The labels of each clip as they were collected; a few clips have none.
    fn collected(&self, metadata: &Metadata<'_>) -> Result<BTreeMap<String, Vec<String>>, StageError> {
        let mut clips = BTreeMap::new();
        for part in PARTS {
            let sheet = metadata.sheet(&collected(part))?;
            let [id, labels, mids] = sheet.columns(["fname", "labels", "mids"])?;
            for line in sheet.lines() {
                let pairs = pairs(&line[labels], &line[mids]).ok_or_else(|| {
                    let (path, number) = (sheet.path.display(), line.number);
                    StageError::failed(format!("`{path}`, line {number}: more labels than mids, or fewer"))
                })?;
                let names = pairs.into_iter().map(|pair| self.name(pair)).collect();
                clips.insert(line[id].trim().to_owned(), names);
            }
        }
        Ok(clips)
    }
}

/// The pairs of name and mid in two cells, unless there are more of one than of the other.
fn pairs<'a>(labels: &'a str, mids: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let split = |cell: &'a str| cell.split(',').map(str::trim).filter(|text| !text.is_empty());
    let (labels, mids): (Vec<_>, Vec<_>) = (split(labels).collect(), split(mids).collect());
    (labels.len() == mids.len()).then(|| labels.into_iter().zip(mids).collect())
}

/// Names and mids in the order of the vocabulary. The file has no header: what was taken for one is its first row.
fn vocabulary(metadata: &Metadata<'_>) -> Result<Vec<(String, String)>, StageError> {
    let sheet = metadata.sheet(VOCABULARY)?;
    let [_, name, mid] = &sheet.header[..] else {
        let message = format!("`{}` has {} columns, not 3", sheet.path.display(), sheet.header.len());
        return Err(StageError::failed(message).help("its rows are `index,label,mid`, without a header"));
    };
    let first = std::iter::once((name.clone(), mid.clone()));
    Ok(first.chain(sheet.lines().map(|line| (line[1].to_owned(), line[2].to_owned()))).collect())
}

/// What is known of each clip of a part beside its sound.
fn infos(metadata: &Metadata<'_>, part: &str) -> Result<BTreeMap<String, Info>, StageError> {
    let (path, bytes) = metadata.read(&clips_info(part))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        StageError::failed(format!("`{}`: {error}", path.display()))
            .help("each clip has an object with `uploader` and `license`")
    })
}

#[cfg(test)]
mod tests {
    use sndpipe_artefacts::Labels;

    use super::*;
    use crate::labels::{self, Ontology, Propagation};
    use crate::real::data;

    /// The real metadata, read as the stage reads it.
    fn real() -> Option<(Fsd50kParams, Metadata<'static>)> {
        let root = data("SNDPIPE_METADATA", "metadata")?.join("fsd50k");
        let params = Fsd50kParams { root, classes: ClassName::Name, collection: true };
        let metadata = Metadata::on_disk(params.files());
        Some((params, metadata))
    }

    /// The published counts.
    #[test]
    fn the_real_metadata_is_read() {
        let Some((params, metadata)) = real() else { return };
        let listing = params.listing(&metadata).unwrap();
        let of = |name: &str| -> Vec<&Clip> {
            listing.clips.iter().filter(|clip| clip.texts[0].as_deref() == Some(name)).collect()
        };
        let labels = |clips: &[&Clip]| clips.iter().map(|clip| clip.classes.len()).sum::<usize>();
        let (train, val, test) = (of("train"), of("val"), of("test"));
        assert_eq!((train.len(), val.len(), test.len()), (36_796, 4_170, 10_231));
        assert_eq!((labels(&train), labels(&val), labels(&test)), (101_088, 13_183, 38_596));
        assert_eq!(listing.classes.len(), 200);
        let has = |clips: &[&Clip], class: &str| {
            clips.iter().filter(|clip| clip.classes.iter().any(|of| of == class)).count()
        };
        assert_eq!((has(&train, "Tick"), has(&val, "Accordion")), (42, 6));
        assert_eq!((has(&test, "Gull_and_seagull"), has(&test, "Music")), (32, 1_972));
        let collected = params.collected(&metadata).unwrap();
        assert_eq!(collected.len(), 51_197);
        assert_eq!(collected.values().filter(|classes| classes.is_empty()).count(), 110);
        let mids = Fsd50kParams { classes: ClassName::Mid, ..params }.listing(&metadata).unwrap();
        assert!(mids.classes.iter().all(|mid| mid.starts_with('/')));
        assert_eq!(labels(&mids.clips.iter().collect::<Vec<_>>()), 152_867);
    }
    /// Merging and the pairs that always hold give the released labels, 98.13 % of dev and 96.47 % of eval, but for what was chosen for
    /// each clip by listening.
    #[test]
    fn merging_and_the_table_reproduce_the_released_labels() {
        let Some((params, metadata)) = real() else { return };
        let folder = data("SNDPIPE_METADATA", "metadata").unwrap();
        let released = params.listing(&metadata).unwrap();
        let table = |clips: &[(&str, &[String])], classes: &[String]| {
            let (meta, table) = labels_of(clips.iter().copied(), classes).unwrap();
            Labels::read(&table, &meta).unwrap()
        };
        let collected = params.collected(&metadata).unwrap();
        let all: BTreeSet<&String> = collected.values().flatten().collect();
        let all: Vec<String> = all.into_iter().cloned().collect();
        let clips: Vec<_> = collected.iter().map(|(id, classes)| (id.as_str(), &classes[..])).collect();
        let collected = table(&clips, &all);
        let clips: Vec<_> = released.clips.iter().map(|clip| (clip.id.as_str(), &clip.classes[..])).collect();
        let truth = table(&clips, &released.classes);

        let path = folder.join("audioset/ontology.json");
        let ontology = Ontology::parse(&path, &fs_err::read(&path).unwrap()).unwrap();
        let fates = labels::fates(&ontology, &collected.classes, &truth.classes).unwrap();
        let merged = labels::merge(&collected, truth.classes.clone(), &fates);
        let path = params.root.join("derived_propagation_pairs.csv");
        let pairs = labels::by_pairs(&path, &fs_err::read(&path).unwrap(), &truth.classes, 1.0).unwrap();
        assert_eq!(pairs.iter().map(BTreeSet::len).sum::<usize>(), 296);
        let (propagated, contradicted) = labels::propagate(merged, &pairs);
        assert_eq!(contradicted, 0);
        let mut exact = BTreeMap::from([("dev", (0, 0)), ("eval", (0, 0))]);
        for clip in &released.clips {
            let part = if clip.texts[0].as_deref() == Some("test") { "eval" } else { "dev" };
            let (same, all) = exact.get_mut(part).unwrap();
            *all += 1;
            *same += usize::from(truth.present(&clip.id).eq(propagated.present(&clip.id)));
        }
        // 98.13 % and 96.47 %.
        assert_eq!(exact, BTreeMap::from([("dev", (40_199, 40_966)), ("eval", (9_870, 10_231))]));

        // The released labels are closed under `certain` and the table, not under `all_paths`.
        let gain = |implied: &[BTreeSet<usize>]| {
            let (more, _) = labels::propagate(truth.clone(), implied);
            more.clips.iter().filter(|(id, states)| truth.clips[*id] != **states).count()
        };
        let by = |mode| labels::by_ontology(&ontology, &truth.classes, mode).unwrap();
        assert_eq!((gain(&pairs), gain(&by(Propagation::Certain))), (0, 0));
        assert_eq!(gain(&by(Propagation::AllPaths)), 2_367 + 1_058);
    }
}
