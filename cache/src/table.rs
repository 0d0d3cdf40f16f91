//! Tables: Parquet files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::blob::wrong_form;
use crate::column::columns;
use crate::manifest::content_id;
use crate::{CacheError, Form, Manifest, Meta, Store};

impl Store {
    /// Stores a table. Its content is the names, types and values of its columns, and `meta`.
    ///
    /// Metadata and nullability of the Arrow schema are not kept: every column comes back as nullable.
    ///
    /// # Errors
    /// Full or unusable; [`CacheError::Invalid`] for two columns of one name or a type that is not [stored](crate::is_stored).
    pub fn put_table(&self, kind: &str, meta: Meta, table: &RecordBatch) -> Result<Manifest, CacheError> {
        let columns = columns(table)?;
        let id = content_id(kind, &meta, &columns);
        if let Some(known) = self.present(&id)? {
            return Ok(known);
        }
        let bytes = encode(table).map_err(|error| {
            CacheError::invalid(format!("the table cannot be written as Parquet: {error}"))
        })?;
        let file = self.put_file(&bytes, "parquet")?;
        self.put_manifest(Manifest {
            id,
            kind: kind.to_owned(),
            meta,
            rows: table.num_rows() as u64,
            skipped: 0,
            remarked: 0,
            columns,
            form: Form::Table { file },
        })
    }

    /// Reads a table, or the named columns of it in the order of the names.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]; [`CacheError::Invalid`] if the artefact is no table or lacks a column.
    pub fn read_table(
        &self,
        manifest: &Manifest,
        columns: Option<&[String]>,
    ) -> Result<RecordBatch, CacheError> {
        let Form::Table { file } = &manifest.form else {
            return Err(wrong_form(manifest, "a table"));
        };
        let bytes = Bytes::from(self.read_file(manifest, file)?);
        let damaged =
            |what: String| CacheError::Damaged { path: self.file_path(file), artefact: manifest.id, what };
        let load = || ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new());
        let metadata = whole(load).map_err(damaged)?;
        let rows = |found: i64| u64::try_from(found).ok() == Some(manifest.rows);
        let groups = metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows);
        if !rows(metadata.metadata().file_metadata().num_rows()) || !rows(groups.fold(0, i64::saturating_add))
        {
            return Err(damaged("it has another number of rows than its artefact".to_owned()));
        }
        let schema = Arc::clone(metadata.schema());
        let mut wanted = Vec::new();
        for name in columns.unwrap_or_default() {
            let index = schema.index_of(name).map_err(|_| {
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                CacheError::invalid(format!(
                    "artefact {} of kind `{}` has no column `{name}`; it has {}",
                    manifest.id,
                    manifest.kind,
                    names.join(", ")
                ))
            })?;
            wanted.push(index);
        }
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
        if columns.is_some() {
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
            builder = builder.with_projection(mask);
        }
        let rows = usize::try_from(manifest.rows).unwrap_or(usize::MAX).clamp(1, 1 << 20);
        let read = move || -> Result<RecordBatch, arrow_schema::ArrowError> {
            let reader = builder.with_batch_size(rows).build()?;
            let projected = arrow_array::RecordBatchReader::schema(&reader);
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            let batch = match <[RecordBatch; 1]>::try_from(batches) {
                Ok([batch]) => batch,
                Err(batches) => concat_batches(&projected, &batches)?,
            };
            if columns.is_none() {
                return Ok(batch);
            }
            // The reader keeps the file's order.
            let mut present: Vec<usize> = wanted.clone();
            present.sort_unstable();
            present.dedup();
            let order: Vec<usize> =
                wanted.iter().filter_map(|index| present.binary_search(index).ok()).collect();
            batch.project(&order)
        };
        let batch = whole(read).map_err(damaged)?;
        if batch.num_rows() as u64 != manifest.rows {
            return Err(damaged("it has another number of rows than its artefact".to_owned()));
        }
        Ok(batch)
    }
}

/// Runs a reader of Parquet. What it does with bytes that contradict themselves is not ours to know: a panic in it is one more way to say no.
fn whole<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it is unreadable".to_owned()),
    }
}

/// Writes Parquet: Snappy, and dictionaries for texts only, so that floating-point bits pass unchanged.
fn encode(table: &RecordBatch) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let fields: Vec<Field> = table
        .schema()
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), true))
        .collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_created_by("sndpipe".to_owned());
    for field in &fields {
        if matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8) {
            properties =
                properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), true);
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let table = RecordBatch::try_new_with_options(
        Arc::clone(&schema),
        table.columns().to_vec(),
        &arrow_array::RecordBatchOptions::new().with_row_count(Some(table.num_rows())),
    )?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties.build()))?;
    writer.write(&table)?;
    writer.close()?;
    Ok(bytes)
}
