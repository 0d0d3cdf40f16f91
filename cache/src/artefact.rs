//! Manifests on the disk, and what happens to a damaged artefact.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::folder::{ARTEFACTS, sharded};
use crate::manifest::content_id;
use crate::{CacheError, Digest, Durability, Manifest, Store};

impl Store {
    /// Finds an artefact by its content id; `None` if it is unknown or its manifest is damaged.
    pub fn manifest(&self, id: &Digest) -> Option<Manifest> {
        let path = self.manifest_path(id);
        let bytes = match self.read_document(&path, ARTEFACTS, &id.to_hex()) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.warn(&path, error.to_string());
                return None;
            }
        };
        let manifest = parse_manifest(id, &bytes);
        if manifest.is_none() {
            self.warn(&path, "it describes another artefact; it is ignored and will be made again");
        }
        manifest
    }

    /// Says whether all files of an artefact exist with their lengths; their content is checked when it is read.
    pub fn is_present(&self, manifest: &Manifest) -> bool {
        manifest.files().all(|file| self.has_file(file))
    }

    /// Removes a damaged artefact: its manifest and those of its files whose content is wrong.
    ///
    /// Good files stay, so that rows in undamaged shards are reused. Rows in damaged shards are forgotten by every
    /// row map, for their files are gone.
    pub fn drop_artefact(&self, manifest: &Manifest) {
        if !self.is_writable() {
            return;
        }
        let path = self.manifest_path(&manifest.id);
        if let Err(error) = fs_err::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{error}");
        }
        self.inner.warnings.forget(&path);
        for file in manifest.files() {
            match self.read_file(manifest, file) {
                Ok(_) | Err(CacheError::Io { .. }) => {}
                Err(_) => self.forget_file(&file.id, &self.file_path(file)),
            }
        }
        self.inner.generation.fetch_add(1, Ordering::Release);
    }

    /// Removes a damaged file, where the cache can be written.
    pub(crate) fn forget_file(&self, id: &Digest, path: &std::path::Path) {
        if self.is_writable()
            && let Err(error) = fs_err::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{error}");
        }
        self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.inner.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn manifest_path(&self, id: &Digest) -> PathBuf {
        sharded(&self.inner.dir, ARTEFACTS, &format!("{id}.json"))
    }

    /// Holds an artefact and returns it if it is known and its files exist: then nothing needs to be written.
    pub(crate) fn present(&self, id: &Digest) -> Result<Option<Manifest>, CacheError> {
        self.hold(&[*id])?;
        let Some(known) = self.manifest(id).filter(|manifest| self.is_present(manifest)) else {
            return Ok(None);
        };
        if self.traffic.doubts() && !self.is_whole(&known) {
            self.drop_artefact(&known);
            return Ok(None);
        }
        Ok(Some(known))
    }

    /// Reads every file of an artefact and says whether all are as they were written; what is wrong is warned about.
    pub fn is_whole(&self, manifest: &Manifest) -> bool {
        manifest.files().all(|file| match self.read_file(manifest, file) {
            Ok(_) => true,
            Err(CacheError::Damaged { path, what, .. }) => {
                self.warn(&path, what);
                false
            }
            Err(error) => {
                self.warn(&self.file_path(file), error.to_string());
                false
            }
        })
    }

    /// Writes the manifest, after its files.
    pub(crate) fn put_manifest(&self, manifest: Manifest) -> Result<Manifest, CacheError> {
        let bytes = encode_manifest(&manifest)?;
        let path = self.manifest_path(&manifest.id);
        self.write_document(&path, ARTEFACTS, &manifest.id.to_hex(), &bytes, Durability::Directory)?;
        Ok(manifest)
    }
}

/// Encodes a manifest as the document holds it.
pub(crate) fn encode_manifest(manifest: &Manifest) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(manifest)
        .map_err(|error| CacheError::invalid(format!("the artefact cannot be described: {error}")))
}

/// Parses a manifest and checks that it describes what its name says.
pub(crate) fn parse_manifest(id: &Digest, bytes: &[u8]) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes).ok()?;
    let described = content_id(&manifest.kind, &manifest.meta, &manifest.columns);
    (manifest.id == *id && described == *id).then_some(manifest)
}
