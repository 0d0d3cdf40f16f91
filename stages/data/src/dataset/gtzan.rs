//! `dataset.gtzan`: GTZAN as it is published, with one of the splits in use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{ParamError, StageError};
use walkdir::WalkDir;

use super::listing::{Clip, Listing};
use super::official::{Layout, Metadata, Official};
use super::sheet::refuse;

/// GTZAN: 1,000 clips of ten genres, in a folder for each genre.
///
/// There is no official split. With `lists`, the clips are those of the fault-filtered lists `train_filtered.txt`,
/// `valid_filtered.txt` and `test_filtered.txt` (443, 197 and 290), which leave out repetitions and mislabelled clips and keep artists
/// apart; else all clips, of which in each genre the first `train` train, in the order of their names, and the rest test. Outputs:
/// `clips` (ids are paths such as `blues/blues.00000.wav`; `subset` is `train`, `val` or `test`) and `labels` (genres sorted).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GtzanParams {
    /// The folder that holds the folders of the genres.
    #[serde(skip_serializing)]
    pub root: PathBuf,
    /// The folder that holds the fault-filtered lists; they are not part of GTZAN.
    #[serde(default, skip_serializing)]
    pub lists: Option<PathBuf>,
    /// Share of the clips of each genre that train where there are no lists, above 0 and below 1.
    #[serde(default = "four_fifths")]
    pub train: f64,
    /// Extension of the audio files, without the dot.
    #[serde(default = "wav")]
    pub extension: String,
}

const fn four_fifths() -> f64 {
    0.8
}

fn wav() -> String {
    "wav".to_owned()
}

/// `dataset.gtzan`.
pub type DatasetGtzan = Official<GtzanParams>;

const LISTS: [(&str, &str); 3] =
    [("train", "train_filtered.txt"), ("val", "valid_filtered.txt"), ("test", "test_filtered.txt")];

impl Layout for GtzanParams {
    const KIND: &'static str = "dataset.gtzan";
    const PAPER: &'static str = "Tzanetakis, Cook, Musical Genre Classification of Audio Signals, IEEE Transactions on Speech and Audio Processing 2002";
    const TITLE: &'static str = "GTZAN";
    const ORIGIN: &'static str = "get GTZAN from http://marsyas.info/downloads/datasets.html and unpack it";

    fn mistakes(&self) -> Vec<ParamError> {
        let wrong = !(self.train > 0.0 && self.train < 1.0);
        wrong
            .then(|| ParamError::new("train", format!("{} is outside 0..1", self.train)))
            .into_iter()
            .collect()
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let lists = self.lists.iter();
        lists.flat_map(|folder| LISTS.map(|(_, name)| (name.to_owned(), folder.join(name)))).collect()
    }

    fn listing(&self, metadata: &Metadata<'_>) -> Result<Listing, StageError> {
        let clips = if self.lists.is_some() { listed(metadata)? } else { self.first()? };
        let genres: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        let genres = genres.into_iter().cloned().collect();
        Listing::new(clips, genres, false, vec!["subset".to_owned()])
    }
}

/// The clip of a path such as `blues/blues.00000.wav`.
fn clip(path: &str, subset: &str, line: Option<u64>) -> Option<Clip> {
    let (genre, _) = path.split_once('/')?;
    Some(Clip {
        id: path.to_owned(),
        path: path.to_owned(),
        line,
        fold: None,
        classes: vec![genre.to_owned()],
        texts: vec![Some(subset.to_owned())],
    })
}

/// The clips of the lists.
fn listed(metadata: &Metadata<'_>) -> Result<Vec<Clip>, StageError> {
    let mut clips = Vec::new();
    for (subset, name) in LISTS {
        let (path, bytes) = metadata.read(name)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut mistakes = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            match clip(line.trim(), subset, Some(number)) {
                Some(clip) => clips.push(clip),
                None => mistakes.push(format!("line {number}: `{line}` is no `genre/file`")),
            }
        }
        refuse(mistakes, || format!("`{}` cannot be used", path.display()))?;
    }
    Ok(clips)
}

impl GtzanParams {
    /// All clips, the first of each genre for training.
    fn first(&self) -> Result<Vec<Clip>, StageError> {
        let mut genres: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in WalkDir::new(&self.root).min_depth(2).max_depth(2).sort_by_file_name() {
            let entry = entry.map_err(|error| StageError::failed(error.to_string()))?;
            let path = entry.path().strip_prefix(&self.root).unwrap_or(entry.path());
            let is_audio =
                path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(&self.extension));
            if let Some((genre, name)) =
                path.to_str().and_then(|path| path.split_once('/')).filter(|_| is_audio)
            {
                genres.entry(genre.to_owned()).or_default().push(format!("{genre}/{name}"));
            }
        }
        if genres.is_empty() {
            let message =
                format!("`{}` holds no folders with `.{}` files", self.root.display(), self.extension);
            return Err(StageError::failed(message).help(format!("{}; see also `extension`", Self::ORIGIN)));
        }
        let clips = genres.into_values().flat_map(|paths| {
            let train = (self.train * paths.len() as f64).round() as usize;
            let subset = move |place| if place < train { "train" } else { "test" };
            paths.into_iter().enumerate().filter_map(move |(place, path)| clip(&path, subset(place), None))
        });
        Ok(clips.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published counts.
    #[test]
    fn the_real_lists_are_read() {
        let Some(metadata) = crate::real::data("SNDPIPE_METADATA", "metadata") else { return };
        let lists = Some(metadata.join("gtzan"));
        let params = GtzanParams { root: PathBuf::new(), lists, train: 0.8, extension: wav() };
        let listing = params.listing(&Metadata::on_disk(params.files())).unwrap();
        let count = |subset: &str| {
            listing.clips.iter().filter(|clip| clip.texts[0].as_deref() == Some(subset)).count()
        };
        assert_eq!((count("train"), count("val"), count("test")), (443, 197, 290));
        assert_eq!((listing.classes.len(), &*listing.classes[0]), (10, "blues"));
    }
}
