//! The clips of a data set: from the rows of a file to the tables `clips` and `labels`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use sndpipe_artefacts::State;
use sndpipe_artefacts::audio::{EXTENSIONS, has_extension};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::composed;
use sndpipe_cache::Meta;
use sndpipe_engine::{SourceScan, StageError, StageIo, agree, counted, did_you_mean};

use super::cells::trimmed;
use super::inside;
use super::located::located;
use super::sheet::{SHOWN, Sheet, late_quote, refuse};
use super::traps;

/// The label of the file that lists the clips.
pub(super) const MANIFEST: &str = "manifest";

/// One clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clip {
    pub id: String,
    /// As it is listed, relative to the folder of the data set.
    pub path: String,
    /// The line on which it is listed, if it is in a file.
    pub line: Option<u64>,
    pub fold: Option<i64>,
    pub classes: Vec<String>,
    /// One value for each of [`Listing::texts`].
    pub texts: Vec<Option<String>>,
}

impl Clip {
    /// Where it is listed, for messages: ` (line 3)`, or nothing.
    pub fn place(&self) -> String {
        self.line.map_or_else(String::new, |line| format!(" (line {line})"))
    }
}

/// The clips of a data set, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub clips: Vec<Clip>,
    /// The vocabulary.
    pub classes: Vec<String>,
    pub has_folds: bool,
    /// Names of the text columns.
    pub texts: Vec<String>,
    /// Where missing files are to be had; empty where nobody knows.
    pub origin: &'static str,
    /// What to say of it when it is written.
    pub remarks: Vec<String>,
}

/// Which column of a [`Sheet`] says what.
pub(super) struct Columns<'a> {
    pub path: &'a str,
    /// Put before each path: `audio/`.
    pub prefix: &'a str,
    pub id: Option<&'a str>,
    pub class: &'a str,
    pub class_separator: Option<&'a str>,
    /// The number of the class, which orders the vocabulary.
    pub target: Option<&'a str>,
    /// The vocabulary in its order.
    pub classes: Option<&'a [String]>,
    pub fold: Option<&'a str>,
    /// Text columns: name in the table of clips, column, parameter that names it.
    pub texts: Vec<(&'a str, &'a str, &'a str)>,
    /// Only rows with a true value in this column.
    pub only: Option<&'a str>,
}

impl Listing {
    /// Reads the clips of a sheet.
    ///
    /// # Errors
    /// [`StageError::Failed`] with the lines of empty cells, double ids and unknown classes.
    pub(super) fn read(sheet: &Sheet, columns: &Columns<'_>) -> Result<Self, StageError> {
        let at =
            |name: Option<&str>, parameter: &str| name.map(|name| sheet.column(name, parameter)).transpose();
        let path = sheet.column(columns.path, "path")?;
        let (id, class) = (at(columns.id, "id")?, sheet.column(columns.class, "class")?);
        let (fold, target, only) =
            (at(columns.fold, "fold")?, at(columns.target, "target")?, at(columns.only, "subset")?);
        let texts: Vec<usize> = columns
            .texts
            .iter()
            .map(|(_, column, parameter)| sheet.column(column, parameter))
            .collect::<Result<_, _>>()?;

        let (mut mistakes, mut outside) = (Vec::new(), Vec::new());
        let mut clips = Vec::with_capacity(sheet.len());
        let mut targets: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        for cells in sheet.lines() {
            let line = cells.number;
            if only.is_some_and(|only| !matches!(cells[only].trim(), "True" | "true" | "TRUE" | "1")) {
                continue;
            }
            let before = mistakes.len();
            let broken = (0..sheet.header.len()).filter(|&at| cells[at].contains(['\n', '\r']));
            let is_name = |at: usize| at == path || at == class || Some(at) == id;
            // Prose may go on in the next line, but not over the rows there.
            let extension = Path::new(&cells[path]).extension().and_then(|extension| extension.to_str());
            let known: Vec<&str> = EXTENSIONS.into_iter().chain(extension).collect();
            let is_row = |cell: &str| has_extension(Path::new(cell), &known);
            let late = |&at: &usize| is_name(at) || sheet.swallows(&cells[at], path, is_row);
            mistakes.extend(broken.filter(late).map(|at| late_quote(line, &sheet.header[at])));
            let mut needed = |index: usize| {
                if cells[index].trim().is_empty() {
                    mistakes.push(format!("line {line}: `{}` is empty", sheet.header[index]));
                }
            };
            needed(path);
            id.into_iter().for_each(&mut needed);
            if columns.class_separator.is_none() {
                needed(class);
            }
            let mut whole = |index: usize| -> Option<i64> {
                let text = cells[index].trim();
                if text.is_empty() {
                    return None;
                }
                let number = text.parse().ok();
                if number.is_none() {
                    mistakes.push(format!(
                        "line {line}: `{}` is `{text}`, not a whole number",
                        sheet.header[index]
                    ));
                }
                number
            };
            let (fold, target) = (fold.and_then(&mut whole), target.and_then(&mut whole));
            let classes: Vec<String> = match columns.class_separator {
                None => vec![composed(&cells[class])],
                Some(separator) => cells[class]
                    .split(separator)
                    .map(|name| composed(trimmed(name)))
                    .filter(|name| !name.is_empty())
                    .collect(),
            };
            if columns.target.is_some()
                && let [class] = &classes[..]
            {
                match target {
                    None if mistakes.len() == before => {
                        mistakes.push(format!("line {line}: the class has no number"))
                    }
                    None => {}
                    Some(number) => {
                        let first = targets.entry(class.clone()).or_insert((number, line));
                        if first.0 != number {
                            let (other, there) = *first;
                            mistakes.push(format!(
                                "line {line}: the class `{class}` has number {number}, on line {there} it has {other}"
                            ));
                        }
                    }
                }
            }
            if mistakes.len() > before {
                continue;
            }
            let relative = format!("{}{}", columns.prefix, &cells[path]);
            if let Some(what) = inside::leads_out(&relative) {
                outside.push(format!("line {line}: `{relative}` {what}"));
                continue;
            }
            clips.push(Clip {
                id: id.map_or_else(|| relative.clone(), |id| cells[id].trim().to_owned()),
                path: relative,
                line: Some(line),
                fold,
                classes,
                texts: texts
                    .iter()
                    .map(|&index| {
                        Some(cells[index].trim()).filter(|text| !text.is_empty()).map(str::to_owned)
                    })
                    .collect(),
            });
        }
        refuse(mistakes, || format!("`{}` cannot be used", sheet.path.display()))?;
        refuse(outside, || format!("`{}` names files outside of the data set", sheet.path.display()))
            .map_err(|error| error.help(inside::HELP))?;
        if clips.is_empty() {
            return Err(StageError::failed(format!("no row of `{}` is selected", sheet.path.display())));
        }
        let classes = vocabulary(sheet, columns, &clips, &targets)?;
        let texts = columns.texts.iter().map(|(name, ..)| (*name).to_owned()).collect();
        Self::new(clips, classes, fold.is_some(), texts)
            .map_err(|error| error.help("every clip needs an id of its own; name a column of ids with `id:`"))
    }

    /// Sorts clips by id.
    ///
    /// # Errors
    /// [`StageError::Failed`] if two have one id.
    pub fn new(
        mut clips: Vec<Clip>,
        classes: Vec<String>,
        has_folds: bool,
        texts: Vec<String>,
    ) -> Result<Self, StageError> {
        clips.sort_by(|a, b| a.id.cmp(&b.id));
        let double = clips.windows(2).filter(|pair| pair[0].id == pair[1].id);
        let double = double.map(|pair| {
            // The sort is stable: the pair stands in the order of the file.
            let line = |clip: &Clip| clip.line.map_or_else(String::new, |line| format!("line {line}"));
            format!("`{}` on {} and {}", pair[0].id, line(&pair[0]), line(&pair[1]))
        });
        refuse(double, || "clip ids appear twice".to_owned())?;
        if let Some(clip) = clips.iter().find(|clip| clip.id == MANIFEST) {
            let message = format!("a clip cannot be called `{MANIFEST}`{}", clip.place());
            return Err(StageError::failed(message));
        }
        Ok(Self { clips, classes, has_folds, texts, origin: "", remarks: Vec::new() })
    }

    /// Declares the audio files under their ids, after making sure that they lie in the folder of the data set.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming the files that are missing, no files, or elsewhere.
    pub fn declare(&self, root: &Path, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let paths = located(&self.clips, root);
        inside::check(&self.clips, &paths, root)?;
        let files =
            self.clips.iter().zip(&paths).map(|(clip, path)| (clip.id.clone(), root.join(path))).collect();
        scan.files(files).map_err(|error| self.explain(&paths, root, error))
    }

    /// Says which files are missing or no files. Called where declaring them failed with `error`.
    fn explain(&self, paths: &[PathBuf], root: &Path, error: StageError) -> StageError {
        let (mut missing, mut odd, mut backslash) = (Vec::new(), Vec::new(), false);
        for (clip, path) in self.clips.iter().zip(paths) {
            let place = clip.place();
            match fs_err::metadata(root.join(path)) {
                Ok(meta) if meta.is_file() => {}
                Ok(meta) if meta.is_dir() => odd.push(format!("`{}`{place} is a folder", clip.path)),
                Ok(_) => odd.push(format!("`{}`{place} is no file", clip.path)),
                Err(_) => {
                    backslash |= clip.path.contains('\\');
                    missing.push(format!("`{}`{place}", clip.path));
                }
            }
        }
        if missing.is_empty() && odd.is_empty() {
            return error;
        }
        let (absent, wrong, all) = (missing.len(), odd.len(), counted(self.clips.len(), "audio file"));
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let place = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let title = match (absent, wrong) {
            (0, 1) => format!("1 of {all} is no file"),
            (0, wrong) => format!("{wrong} of {all} are no files"),
            (absent, _) => {
                let are = agree(absent, "is", "are");
                format!("{absent} of {all} {are} missing in `{}`", place.display())
            }
        };
        let mut lines: Vec<String> = odd.into_iter().take(SHOWN).collect();
        lines.extend(missing);
        let refused = refuse(lines, || title);
        let help = if backslash {
            "write paths with `/`".to_owned()
        } else if self.origin.is_empty() {
            "restore the files, or say where paths start with `root:`".to_owned()
        } else {
            format!("{}; or say with `root:` where it lies", self.origin)
        };
        refused.err().unwrap_or(error).help(help)
    }

    /// Writes the outputs `clips` and `labels`; digests are those of the declared files.
    ///
    /// # Errors
    /// [`StageError::Failed`] if a clip was not declared; [`StageError::Cache`] if the cache cannot be written.
    pub fn write(self, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let sources = io.sources();
        let digest = |clip: &Clip| {
            let found = sources.binary_search_by(|source| source.label.cmp(&clip.id));
            found.map(|at| sources[at].digest().to_string()).map_err(|_| {
                StageError::failed(format!(
                    "the list of clips changed while the pipeline ran: `{}` is new",
                    clip.id
                ))
                .help("run again; nothing was recorded")
            })
        };
        let digests: Vec<String> = self.clips.iter().map(digest).collect::<Result<_, _>>()?;
        let remarks = traps::found(&self, &digests);
        self.remarks.iter().chain(&remarks).for_each(|remark| io.remark(remark));
        self.write_with(digests, io)
    }

    /// Writes the outputs `clips` and `labels`; a digest for each clip, in order.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the cache cannot be written.
    pub fn write_with(self, digests: Vec<String>, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let clips = self.clips.iter().map(|clip| (clip.id.as_str(), &clip.classes[..]));
        let (meta, labels) = labels_of(clips, &self.classes)?;
        let mut ids = Vec::with_capacity(self.clips.len());
        let (mut paths, mut folds) = (ids.clone(), Vec::with_capacity(self.clips.len()));
        let mut texts: Vec<Vec<Option<String>>> =
            vec![Vec::with_capacity(self.clips.len()); self.texts.len()];
        for clip in self.clips {
            ids.push(clip.id);
            paths.push(clip.path);
            folds.push(clip.fold);
            texts.iter_mut().zip(clip.texts).for_each(|(column, value)| column.push(value));
        }
        let mut columns = vec![
            ("clip_id", Values::Text(ids)),
            ("path", Values::Text(paths)),
            ("digest", Values::Text(digests)),
        ];
        if self.has_folds {
            columns.push(("fold", Values::MaybeInt(folds)));
        }
        columns.extend(self.texts.iter().map(String::as_str).zip(texts.into_iter().map(Values::MaybeText)));
        io.write_table("clips", Meta::new(), &columns::table(columns)?)?;
        io.write_table("labels", meta, &labels)
    }
}

/// The table of labels of clips that are sorted by id.
///
/// # Errors
/// Never in practice; [`StageError::Failed`] if Arrow refuses it.
pub(super) fn labels_of<'a>(
    clips: impl Iterator<Item = (&'a str, &'a [String])>,
    classes: &[String],
) -> Result<(Meta, RecordBatch), StageError> {
    let index: BTreeMap<&str, usize> =
        classes.iter().enumerate().map(|(index, class)| (class.as_str(), index)).collect();
    let present = clips.flat_map(|(id, names)| {
        let present: BTreeSet<usize> =
            names.iter().filter_map(|class| index.get(class.as_str()).copied()).collect();
        present.into_iter().map(move |class| (id, class, State::Present))
    });
    sndpipe_artefacts::labels::table(classes, present)
}

/// The vocabulary: as given, in the order of class numbers, or sorted.
fn vocabulary(
    sheet: &Sheet,
    columns: &Columns<'_>,
    clips: &[Clip],
    targets: &BTreeMap<String, (i64, u64)>,
) -> Result<Vec<String>, StageError> {
    if let Some(given) = columns.classes {
        let given: Vec<String> = given.iter().map(|class| composed(class)).collect();
        let known: BTreeSet<&str> = given.iter().map(String::as_str).collect();
        let unknown = clips.iter().flat_map(|clip| {
            let (known, given) = (&known, &given);
            clip.classes.iter().filter(move |class| !known.contains(class.as_str())).map(move |class| {
                let near = did_you_mean(class, given.iter().map(String::as_str));
                format!("line {}: `{class}`{near}", clip.line.unwrap_or_default())
            })
        });
        refuse(unknown, || format!("`{}` has classes that `classes:` does not list", sheet.path.display()))?;
        return Ok(given);
    }
    if columns.target.is_none() {
        let names: BTreeSet<&String> = clips.iter().flat_map(|clip| &clip.classes).collect();
        return Ok(names.into_iter().cloned().collect());
    }
    let mut numbered: Vec<(i64, &String, u64)> =
        targets.iter().map(|(class, (number, line))| (*number, class, *line)).collect();
    numbered.sort();
    let double = numbered.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let double = double.map(|pair| {
        let [(number, a, at), (_, b, there)] = [pair[0], pair[1]];
        format!("number {number} is `{a}` on line {at} and `{b}` on line {there}")
    });
    refuse(double, || format!("`{}` gives one number to two classes", sheet.path.display()))?;
    Ok(numbered.into_iter().map(|(_, class, _)| class.clone()).collect())
}

/// The outputs of a data set: `clips` first.
pub(crate) fn outputs() -> Vec<sndpipe_engine::Output> {
    use sndpipe_engine::{Kind, Output};

    vec![Output::new("clips", Kind::Clips), Output::new("labels", Kind::Labels)]
}
