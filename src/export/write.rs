//! Which form an artefact is written in.

use std::path::PathBuf;

use sndpipe_cache::{Form, Manifest};
use sndpipe_engine::Kind;

use super::{Export, clips, file, npy, table};
use crate::args::ExportForm;
use crate::failure::Failure;

impl Export<'_> {
    /// Writes an artefact under one of [`Names`](super::Names) and gives what was written.
    ///
    /// # Errors
    /// [`Failure`] if the form does not fit the artefact, or a file exists or cannot be written.
    pub fn write(&self, name: &str, manifest: &Manifest) -> Result<Vec<PathBuf>, Failure> {
        match (&manifest.form, self.form) {
            (Form::Table { .. }, None | Some(ExportForm::Parquet)) => {
                Ok(vec![table::parquet(self, name, manifest)?])
            }
            (Form::Table { .. }, Some(ExportForm::Csv)) => Ok(vec![table::csv(self, name, manifest)?]),
            (Form::Rows { .. }, None | Some(ExportForm::Arrow)) => {
                Ok(vec![clips::arrow(self, name, manifest)?])
            }
            (Form::Rows { .. }, Some(ExportForm::Npy)) => npy::write(self, name, manifest),
            (Form::Rows { .. }, Some(ExportForm::Wav)) if manifest.kind == Kind::Audio.name() => {
                Ok(vec![clips::wav(self, name, manifest)?])
            }
            (Form::Blob { file }, None) => {
                let path = self.path(&format!("{name}.{}", file.extension))?;
                file::write(&path, &self.store.read_blob(manifest)?)?;
                Ok(vec![path])
            }
            (form, Some(wanted)) => {
                let wanted = format!("{wanted:?}").to_lowercase();
                let forms = match form {
                    Form::Table { .. } => "parquet and csv",
                    Form::Rows { .. } if manifest.kind == Kind::Audio.name() => "arrow, npy and wav",
                    Form::Rows { .. } => "arrow and npy",
                    Form::Blob { .. } => "its own bytes, without `--as`",
                };
                let message = format!("{} cannot be written as {wanted}", manifest.kind);
                Err(Failure::usage(message).help(format!("it can be written as {forms}")))
            }
        }
    }
}
