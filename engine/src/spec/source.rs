//! The text that a pipeline came from, and places in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::text::Text;

/// A place in one of the files of a [`Source`]: byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Span {
    file: u16,
    start: u32,
    len: u32,
}

impl Span {
    /// The bytes from `start` to `end` of a file.
    pub(super) fn new(file: u16, start: usize, end: usize) -> Self {
        let clip = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clip(start), len: clip(end.saturating_sub(start)) }
    }

    /// The position of the file in its [`Source`].
    #[must_use]
    pub const fn file(self) -> usize {
        self.file as usize
    }

    /// The first byte.
    #[must_use]
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// How many bytes it covers.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it covers nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Every file that took part in a pipeline: the pipeline file first, then the files that it extends. What `--set` says stands in
/// a file of its own named `--set`, one line each.
#[derive(Debug, Default)]
pub struct Source {
    files: Vec<Text>,
    /// Where the first of them lie.
    paths: Vec<PathBuf>,
}

impl Source {
    /// Adds a file that was read from a path and gives its position.
    pub(super) fn add_file(&mut self, path: &Path, name: &str, text: String) -> u16 {
        self.paths.push(path.to_owned());
        self.add(name, text)
    }

    /// The files that were read: path, name and text.
    pub(super) fn on_disk(&self) -> impl Iterator<Item = (&Path, &str, &str)> {
        self.paths.iter().zip(self.files()).map(|(path, (name, text))| (path.as_path(), name, text))
    }

    /// Adds a text that is no file and gives its position.
    pub(super) fn add(&mut self, name: &str, text: String) -> u16 {
        self.files.push(Text::new(name, text));
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    /// The name of the pipeline file, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.files.first().map_or("", Text::name)
    }

    /// Where the pipeline file lies, links resolved: the same by whatever name it was given, and another for each copy.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let Some(path) = self.paths.first() else { return PathBuf::from(self.name()) };
        fs_err::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.clone())
    }

    /// The files: name and text.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| (file.name(), file.inner()))
    }

    /// The text of a place.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        let text = self.files.get(span.file()).map_or("", Text::inner);
        text.get(span.start()..span.start() + span.len()).unwrap_or("")
    }

    /// The place as people write it: `pipelines/x.yaml:7:14`, counting lines and characters from 1.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let Some(file) = self.files.get(span.file()) else { return String::new() };
        let before = file.inner().get(..span.start()).unwrap_or(file.inner());
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", file.name())
    }

    pub(super) fn named(&self, file: usize) -> Option<&Text> {
        self.files.get(file)
    }
}

/// A path as it is shown: `pipelines/small/../x.yaml` is `pipelines/x.yaml` where both lead to the same file.
pub(super) fn shown(path: &Path) -> String {
    let mut tidy = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir
                if matches!(tidy.components().next_back(), Some(std::path::Component::Normal(_))) =>
            {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    let same = match (fs_err::canonicalize(&tidy), fs_err::canonicalize(path)) {
        (Ok(one), Ok(two)) => one == two,
        _ => false,
    };
    if same { tidy.display().to_string() } else { path.display().to_string() }
}
