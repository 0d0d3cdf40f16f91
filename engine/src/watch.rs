//! The declared files of a stage while it runs: they must be what its key says, from before it starts until it has ended.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sndpipe_cache::{CacheError, Change, FileDigest};

use crate::count::counted;
use crate::error::StageError;
use crate::io::Surroundings;
use crate::scan::SourceFile;

/// Looks at declared files before a stage reads them, waiting until a change would show: at most two seconds, and only for files that
/// were written just now.
///
/// # Errors
/// [`StageError::Failed`] if a file has other bytes than the plan saw; [`StageError::Interrupted`].
pub(crate) fn settle(
    around: &Surroundings<'_>,
    sources: &[SourceFile],
) -> Result<Vec<FileDigest>, StageError> {
    /// How soon a request to stop is heard.
    const STEP: Duration = Duration::from_millis(50);
    let files: Vec<FileDigest> = sources.iter().filter_map(SourceFile::file).cloned().collect();
    while let Some(left) =
        files.iter().filter_map(FileDigest::settles_in).max().filter(|left| !left.is_zero())
    {
        if around.cancel.load(Ordering::Relaxed) {
            return Err(StageError::Interrupted);
        }
        std::thread::sleep(left.min(STEP));
    }
    let settled = around.store.settle(&files);
    let mut changed = Vec::new();
    let mut now = Vec::with_capacity(files.len());
    for (file, before) in settled.into_iter().zip(&files) {
        match file {
            Ok(file) => {
                if file.digest != before.digest {
                    changed.push(&*before.path);
                }
                now.push(file);
            }
            Err(CacheError::Io { source, .. }) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StageError::from(source));
            }
            Err(_) => changed.push(&*before.path),
        }
    }
    match listed(&changed) {
        None => Ok(now),
        Some(listed) => Err(StageError::failed(format!("{listed} changed after the run was planned"))
            .help("run again; nothing was recorded")),
    }
}

/// Looks at declared files after a stage has run: a result that was made while one of them changed belongs to no key.
///
/// # Errors
/// [`StageError::Failed`] if a file changed, even if it has the same bytes now: those that the stage read may have been others.
pub(crate) fn check(around: &Surroundings<'_>, files: &[FileDigest]) -> Result<(), StageError> {
    let changes = around.store.recheck(files);
    let of = |wanted: Change| -> Vec<&Path> {
        changes.iter().filter(|(_, change)| *change == wanted).map(|(at, _)| &*files[*at].path).collect()
    };
    if let Some(listed) = listed(&of(Change::Content)) {
        return Err(StageError::failed(format!("{listed} changed while the stage ran"))
            .help("run again; nothing was recorded"));
    }
    let Some(listed) = listed(&of(Change::Version)) else { return Ok(()) };
    let message = format!(
        "{listed} changed while the stage ran and is the same again: what the stage read may have been something else"
    );
    Err(StageError::failed(message).help(
        "run again; nothing was recorded. If the stage itself writes to the file, moves it or changes its \
         attributes, let it work on a copy",
    ))
}

/// `a.txt`, or `a.txt and 3 more files`.
fn listed(paths: &[&Path]) -> Option<String> {
    let first = paths.first()?.display();
    Some(match paths.len() - 1 {
        0 => first.to_string(),
        more => format!("{first} and {}", counted(more, "more file")),
    })
}
