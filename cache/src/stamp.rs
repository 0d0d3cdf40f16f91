//! What the file system says of documents and manifests: whether they are those that were read, without reading them again.

use std::path::Path;

use crate::folder::sharded;
use crate::{Bucket, Digest, FileRef, FileStat, Store};

impl Store {
    /// Returns the version of a document's file; `None` if there is none.
    pub fn document_stat(&self, bucket: Bucket, name: &str) -> Option<FileStat> {
        stat(&sharded(&self.inner.dir, bucket.folder(), name))
    }

    /// Returns the version of a manifest's file; `None` if the artefact is unknown.
    pub fn manifest_stat(&self, id: &Digest) -> Option<FileStat> {
        stat(&self.manifest_path(id))
    }

    /// Returns the versions of files of artefacts, if all exist with their lengths; their content is checked when it is read.
    pub fn file_stats<'f>(&self, files: impl IntoIterator<Item = &'f FileRef>) -> Option<Vec<FileStat>> {
        files.into_iter().map(|file| self.file_stat(file)).collect()
    }
}

fn stat(path: &Path) -> Option<FileStat> {
    fs_err::metadata(path).ok().map(|meta| FileStat::of(&meta))
}
