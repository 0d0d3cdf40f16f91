//! Tables as Parquet or CSV.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use sndpipe_cache::{Manifest, Meta};

use super::{Export, file};
use crate::failure::Failure;
use crate::render;

/// Metadata as Arrow carries it: text stays text, everything else is JSON.
pub fn schema_metadata(meta: &Meta) -> HashMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    meta.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Writes a Parquet file; the metadata stands in its schema.
pub fn parquet(export: &Export<'_>, name: &str, manifest: &Manifest) -> Result<PathBuf, Failure> {
    let table = export.store.read_table(manifest, None)?;
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("cannot write {name}.parquet: {error}"));
    let schema = table.schema().as_ref().clone().with_metadata(schema_metadata(&manifest.meta));
    let table =
        RecordBatch::try_new(Arc::new(schema), table.columns().to_vec()).map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let path = export.path(&format!("{name}.parquet"))?;
    file::replace(&path, |file| {
        let mut writer =
            ArrowWriter::try_new(file, table.schema(), Some(properties)).map_err(|error| failed(&error))?;
        writer.write(&table).map_err(|error| failed(&error))?;
        writer.close().map_err(|error| failed(&error))?;
        Ok(())
    })?;
    Ok(path)
}

/// Writes a CSV file.
pub fn csv(export: &Export<'_>, name: &str, manifest: &Manifest) -> Result<PathBuf, Failure> {
    let table = export.store.read_table(manifest, None)?;
    let path = export.path(&format!("{name}.csv"))?;
    file::write(&path, render::csv(&table)?.as_bytes())?;
    Ok(path)
}
