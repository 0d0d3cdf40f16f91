//! `dataset.audioset`: segments of AudioSet, as far as their audio is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{ParamError, StageError, agree, counted};
use walkdir::WalkDir;

use super::listing::{Clip, Listing};
use super::official::{ClassName, Layout, Metadata, Official};
use super::sheet::refuse;

/// A published list of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudiosetPart {
    /// `balanced_train_segments.csv`: 22,160 segments.
    Balanced,
    /// `unbalanced_train_segments.csv`: 2,041,789 segments.
    Unbalanced,
    /// `eval_segments.csv`: 20,371 segments.
    Eval,
}

impl AudiosetPart {
    const fn file(self) -> &'static str {
        match self {
            Self::Balanced => "balanced_train_segments.csv",
            Self::Unbalanced => "unbalanced_train_segments.csv",
            Self::Eval => "eval_segments.csv",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Unbalanced => "unbalanced",
            Self::Eval => "eval",
        }
    }

    const fn subset(self) -> &'static str {
        match self {
            Self::Balanced | Self::Unbalanced => "train",
            Self::Eval => "test",
        }
    }
}

/// AudioSet: segments of ten seconds and 527 classes, several a segment. The lists are published, the audio is not; what is there of it
/// is used.
///
/// Files hold the segments, cut out already, and are named after the id of the video: `--4gqARaEJE.wav`, in `audio` or in folders below.
/// Segments without a file are left out, and a remark counts them. Outputs: `clips` and `labels` (527 classes in their published order).
/// Ids are ids of videos; `subset` is `train` or `test`; `part` is the list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AudiosetParams {
    /// The folder that holds `class_labels_indices.csv`, the lists of segments and `audio`.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// Which lists are used.
    #[serde(default = "parts")]
    pub parts: Vec<AudiosetPart>,
    /// How classes are named.
    #[serde(default)]
    pub classes: ClassName,
    /// Extensions of audio files, without the dot; where a segment has several files, the first of these.
    #[serde(default = "extensions")]
    pub extensions: Vec<String>,
}

fn parts() -> Vec<AudiosetPart> {
    vec![AudiosetPart::Balanced, AudiosetPart::Eval]
}

fn extensions() -> Vec<String> {
    ["wav", "flac", "ogg", "m4a", "mp3"].map(str::to_owned).to_vec()
}

/// `dataset.audioset`.
pub type DatasetAudioset = Official<AudiosetParams>;

const VOCABULARY: &str = "class_labels_indices.csv";
const AUDIO: &str = "audio";

impl Layout for AudiosetParams {
    const KIND: &'static str = "dataset.audioset";
    const PAPER: &'static str =
        "Gemmeke et al., Audio Set: An ontology and human-labeled dataset for audio events, ICASSP 2017";
    const TITLE: &'static str = "AudioSet";
    const ORIGIN: &'static str = "get the lists of segments and `class_labels_indices.csv` from \
        https://research.google.com/audioset/download.html; the audio is not published";

    fn mistakes(&self) -> Vec<ParamError> {
        let mut errors = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, part) in self.parts.iter().enumerate() {
            if !seen.insert(part) {
                let message = format!("`{}` is listed twice", part.name());
                errors.push(ParamError::new(format!("parts[{index}]"), message));
            }
        }
        if self.parts.is_empty() {
            errors.push(ParamError::new("parts", "an empty list gives no clips"));
        }
        if self.extensions.is_empty() {
            errors.push(ParamError::new("extensions", "an empty list selects no file"));
        }
        errors
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        vec![AUDIO.to_owned()]
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let lists = self.parts.iter().map(|part| self.below(part.file()));
        std::iter::once(self.below(VOCABULARY)).chain(lists).collect()
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let found = self.audio()?;
        let (segments, classes) = self.segments(metadata)?;
        let all = segments.len();
        let clips: Vec<Clip> = segments
            .into_iter()
            .filter_map(|mut clip| {
                clip.path = found.get(&clip.id)?.clone();
                Some(clip)
            })
            .collect();
        let audio = self.root.join(AUDIO);
        if clips.is_empty() {
            let message =
                format!("`{}` holds the audio of none of {}", audio.display(), counted(all, "segment"));
            return Err(StageError::failed(message)
                .help("a segment is a file named after the id of its video, such as `--4gqARaEJE.wav`"));
        }
        let missing = all - clips.len();
        let texts = ["subset", "part"].map(str::to_owned).to_vec();
        let mut listing = Listing::new(clips, classes, false, texts)?;
        if missing > 0 {
            let said = agree(missing, "has no audio and is", "have no audio and are");
            listing.remarks.push(format!("{missing} of {} {said} left out", counted(all, "segment")));
        }
        Ok(listing)
    }
}

impl AudiosetParams {
    /// The audio file of each video, relative to the root.
    fn audio(&self) -> Result<BTreeMap<String, String>, StageError> {
        let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for entry in WalkDir::new(self.root.join(AUDIO)).sort_by_file_name() {
            let entry = entry.map_err(|error| StageError::failed(error.to_string()))?;
            let path = entry.path().strip_prefix(&self.root).unwrap_or(entry.path());
            let text =
                |part: Option<&std::ffi::OsStr>| part.and_then(std::ffi::OsStr::to_str).map(str::to_owned);
            let (Some(stem), Some(extension), Some(path)) =
                (text(path.file_stem()), text(path.extension()), path.to_str())
            else {
                continue;
            };
            let rank = self.extensions.iter().position(|known| known.eq_ignore_ascii_case(&extension));
            let Some(rank) = rank.filter(|_| !entry.file_type().is_dir()) else { continue };
            if found.get(&stem).is_none_or(|(other, _)| rank < *other) {
                found.insert(stem, (rank, path.to_owned()));
            }
        }
        Ok(found.into_iter().map(|(stem, (_, path))| (stem, path)).collect())
    }

    /// The segments of all lists, without paths, and the vocabulary.
    fn segments(&self, metadata: &Metadata<'_>) -> Result<(Vec<Clip>, Vec<String>), StageError> {
        let sheet = metadata.sheet(VOCABULARY)?;
        let [mid, name] = sheet.columns(["mid", "display_name"])?;
        let named = if self.classes == ClassName::Name { name } else { mid };
        let names: BTreeMap<&str, &str> =
            sheet.lines().map(|line| (line.cell(mid).trim(), line.cell(named).trim())).collect();
        let classes = sheet.lines().map(|line| line.cell(named).trim().to_owned()).collect();
        let mut segments = Vec::new();
        for part in &self.parts {
            let (path, bytes) = metadata.read(part.file())?;
            let text = String::from_utf8(bytes)
                .map_err(|_| StageError::failed(format!("`{}` is not UTF-8", path.display())))?;
            let mut mistakes = Vec::new();
            for (number, line) in (1..).zip(text.lines()) {
                // Three lines of comments; the cell with labels is quoted after a blank, which is no CSV.
                let cells: Vec<&str> = line.splitn(4, ',').map(str::trim).collect();
                if line.starts_with('#') || line.trim().is_empty() || cells[0].eq_ignore_ascii_case("ytid") {
                    continue;
                }
                let [id, _, _, mids] = cells[..] else {
                    mistakes.push(format!("line {number}: {} cells instead of 4", cells.len()));
                    continue;
                };
                let unquoted = mids.strip_prefix('"').map_or(Some(mids), |mids| mids.strip_suffix('"'));
                let Some(mids) = unquoted.filter(|mids| !mids.contains('"')) else {
                    mistakes.push(format!("line {number}: a quote that is not closed, or text behind it"));
                    continue;
                };
                let mids = mids.split(',').map(str::trim);
                let labels = mids.map(|mid| names.get(mid).map(|&name| name.to_owned()).ok_or(mid));
                match labels.collect::<Result<Vec<String>, &str>>() {
                    Ok(classes) => segments.push(Clip {
                        id: id.to_owned(),
                        path: String::new(),
                        line: Some(number),
                        fold: None,
                        classes,
                        texts: vec![Some(part.subset().to_owned()), Some(part.name().to_owned())],
                    }),
                    Err(mid) => {
                        mistakes.push(format!("line {number}: `{mid}` is no class of `{VOCABULARY}`"))
                    }
                }
            }
            refuse(mistakes, || format!("`{}` cannot be used", path.display()))?;
        }
        Ok((segments, classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published counts.
    #[test]
    fn the_real_metadata_is_read() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let root = metadata.join("audioset");
        let part = AudiosetPart::Eval;
        let files = [(VOCABULARY, VOCABULARY), (part.file(), "eval_segments_clean.csv")];
        let files = files.map(|(label, name)| (label.to_owned(), root.join(name))).to_vec();
        let params =
            AudiosetParams { root, parts: vec![part], classes: ClassName::Name, extensions: extensions() };
        let (segments, classes) = params.segments(&Metadata::on_disk(files)).unwrap();
        let labels: usize = segments.iter().map(|clip| clip.classes.len()).sum();
        let used: BTreeSet<&String> = segments.iter().flat_map(|clip| &clip.classes).collect();
        assert_eq!((segments.len(), labels, classes.len(), used.len()), (20_371, 51_804, 527, 527));
        assert_eq!((&*classes[0], segments[0].id.as_str()), ("Speech", "--4gqARaEJE"));
    }
}
