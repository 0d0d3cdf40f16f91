//! Artefacts that are plain bytes: models, reports, images; and reading of whole files.

use std::io;

use crate::folder::DENIED;
use crate::manifest::content_id;
use crate::{CacheError, Column, Digest, FileRef, Form, Manifest, Meta, Store};

impl Store {
    /// Stores bytes as an artefact with one column, `bytes`.
    ///
    /// # Errors
    /// Full or unusable; [`CacheError::Invalid`] for an extension that is not 1 to 16 ASCII letters and digits.
    pub fn put_blob(
        &self,
        kind: &str,
        meta: Meta,
        bytes: &[u8],
        extension: &str,
    ) -> Result<Manifest, CacheError> {
        if !(1..=16).contains(&extension.len()) || !extension.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(CacheError::invalid(format!(
                "`{}` cannot end a file name: 1 to 16 ASCII letters or digits",
                extension.escape_debug()
            )));
        }
        let columns =
            vec![Column { name: "bytes".to_owned(), data_type: "Binary".to_owned(), id: Digest::of(bytes) }];
        let id = content_id(kind, &meta, &columns);
        if let Some(known) = self.present(&id)? {
            return Ok(known);
        }
        let file = self.put_file(bytes, extension)?;
        self.put_manifest(Manifest {
            id,
            kind: kind.to_owned(),
            meta,
            rows: 1,
            skipped: 0,
            remarked: 0,
            columns,
            form: Form::Blob { file },
        })
    }

    /// Reads the bytes of a blob, comparing them with their checksum.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]; [`CacheError::Invalid`] if the artefact is no blob.
    pub fn read_blob(&self, manifest: &Manifest) -> Result<Vec<u8>, CacheError> {
        let Form::Blob { file } = &manifest.form else {
            return Err(wrong_form(manifest, "bytes"));
        };
        self.read_file(manifest, file)
    }

    /// Reads a whole file of an artefact and compares it with its checksum.
    pub(crate) fn read_file(&self, manifest: &Manifest, file: &FileRef) -> Result<Vec<u8>, CacheError> {
        let path = self.file_path(file);
        let damaged = |what: &str| CacheError::Damaged {
            path: path.clone(),
            artefact: manifest.id,
            what: what.to_owned(),
        };
        let bytes = match fs_err::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("it is missing")),
            // It is made again, as what is missing is.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(damaged(DENIED)),
            Err(source) => return Err(CacheError::reading(&path, source)),
        };
        self.traffic.count_read(bytes.len() as u64);
        if bytes.len() as u64 != file.bytes {
            return Err(damaged(&format!("it has {} bytes instead of {}", bytes.len(), file.bytes)));
        }
        if Digest::of(&bytes) != file.id {
            return Err(damaged("its checksum does not match"));
        }
        Ok(bytes)
    }
}

pub(crate) fn wrong_form(manifest: &Manifest, wanted: &str) -> CacheError {
    let is = match manifest.form {
        Form::Table { .. } => "a table",
        Form::Rows { .. } => "dense rows",
        Form::Blob { .. } => "plain bytes",
    };
    CacheError::invalid(format!(
        "artefact {} of kind `{}` is {is}; it was read as {wanted}",
        manifest.id, manifest.kind
    ))
}
