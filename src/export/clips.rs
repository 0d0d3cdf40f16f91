//! Rows as an Arrow IPC file, audio as wav files.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{Float16Builder, Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use sndpipe_cache::{CacheError, Manifest, Rows, ValuesRef};
use sndpipe_engine::Kind;

use super::{Export, Names, file, table};
use crate::failure::Failure;

/// A batch ends when it holds this many numbers, far below what the offsets of a list can count.
const BATCH: usize = 1 << 24;

/// Writes one Arrow IPC file: `clip_id` and `samples` for audio, `clip_id`, `frames` and `values` for all else.
pub fn arrow(export: &Export<'_>, name: &str, manifest: &Manifest) -> Result<PathBuf, Failure> {
    let rows = export.store.open_rows(manifest)?;
    let half = !rows.is_empty() && matches!(rows.row(0)?.values, ValuesRef::F16(_));
    let audio = manifest.kind == Kind::Audio.name();
    let schema = Arc::new(schema(audio, half).with_metadata(table::schema_metadata(&manifest.meta)));
    let path = export.path(&format!("{name}.arrow"))?;
    let failed =
        |error: &dyn std::fmt::Display| Failure::failed(format!("cannot write {}: {error}", path.display()));
    file::replace(&path, |file| {
        let mut writer = FileWriter::try_new(file, &schema).map_err(|error| failed(&error))?;
        let mut start = 0;
        while start < rows.len() {
            let (columns, end) = batch(&rows, start, audio, half)?;
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| failed(&error))?;
            writer.write(&batch).map_err(|error| failed(&error))?;
            start = end;
        }
        writer.finish().map_err(|error| failed(&error))
    })?;
    Ok(path)
}

fn schema(audio: bool, half: bool) -> Schema {
    let item = Field::new_list_field(if half { DataType::Float16 } else { DataType::Float32 }, true);
    let list = DataType::List(Arc::new(item));
    let clip = Field::new("clip_id", DataType::Utf8, false);
    if audio {
        return Schema::new(vec![clip, Field::new("samples", list, false)]);
    }
    Schema::new(vec![clip, Field::new("frames", DataType::UInt32, false), Field::new("values", list, false)])
}

/// The columns from row `start` on, and the first row that is not among them.
fn batch(rows: &Rows, start: usize, audio: bool, half: bool) -> Result<(Vec<ArrayRef>, usize), CacheError> {
    let mut singles = ListBuilder::new(Float32Builder::new());
    let mut halves = ListBuilder::new(Float16Builder::new());
    let (mut frames, mut numbers, mut end) = (Vec::new(), 0, start);
    while end < rows.len() && numbers < BATCH {
        let row = rows.row(end)?;
        frames.push(row.frames);
        match row.values {
            ValuesRef::F16(values) if half => {
                numbers += values.len();
                halves.values().append_slice(values);
                halves.append(true);
            }
            _ => {
                let values = row.to_f32();
                numbers += values.len();
                if half {
                    values.iter().for_each(|&value| halves.values().append_value(half::f16::from_f32(value)));
                    halves.append(true);
                } else {
                    singles.values().append_slice(&values);
                    singles.append(true);
                }
            }
        }
        end += 1;
    }
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((start..end).map(|row| &rows.ids()[row])));
    let values: ArrayRef = if half { Arc::new(halves.finish()) } else { Arc::new(singles.finish()) };
    let columns =
        if audio { vec![ids, values] } else { vec![ids, Arc::new(UInt32Array::from(frames)), values] };
    Ok((columns, end))
}

/// A clip id without the extension that its file gets anyway.
fn stem(clip: &str) -> &str {
    clip.strip_suffix(".wav").unwrap_or(clip)
}

/// Writes a folder of wav files, single precision, one for each clip.
pub fn wav(export: &Export<'_>, name: &str, manifest: &Manifest) -> Result<PathBuf, Failure> {
    let rate = manifest
        .meta
        .get("sample_rate")
        .and_then(serde_json::Value::as_f64)
        .filter(|rate| *rate >= 1.0 && *rate < 1e9);
    let rate = rate.ok_or_else(|| Failure::failed("the artefact does not say its sample rate"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let sample_rate = rate.round() as u32;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let rows = export.store.open_rows(manifest)?;
    let folder = export.path(name)?;
    fs_err::create_dir_all(&folder).map_err(|error| Failure::failed(error.to_string()))?;
    let names = Names::new(rows.ids().iter().map(stem));
    for (index, clip) in rows.ids().iter().enumerate() {
        let path = folder.join(format!("{}.wav", names.of_short(stem(clip), clip)));
        let failed =
            |error: hound::Error| Failure::failed(format!("cannot write {}: {error}", path.display()));
        let row = rows.row(index)?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).map_err(failed)?;
        for &sample in row.to_f32().iter() {
            writer.write_sample(sample).map_err(failed)?;
        }
        writer.finalize().map_err(failed)?;
        file::write(&path, bytes.get_ref())?;
    }
    Ok(folder)
}
