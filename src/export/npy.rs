//! Rows as NumPy arrays.
//!
//! The format: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", version 1.0.

use std::io::Write as _;
use std::path::PathBuf;

use sndpipe_cache::{Manifest, RowRef, Rows, ValuesRef};
use sndpipe_engine::Kind;

use super::{Export, Names, file};
use crate::failure::Failure;

/// Writes `NAME.npy` with one more dimension for the clips and their ids in `NAME.clip_id.txt`; where clips differ in shape,
/// a folder with one array for each.
pub fn write(export: &Export<'_>, name: &str, manifest: &Manifest) -> Result<Vec<PathBuf>, Failure> {
    let rows = export.store.open_rows(manifest)?;
    let layout = Layout::of(manifest);
    let mut shapes = Vec::with_capacity(rows.len());
    for index in 0..rows.len() {
        shapes.push(layout.shape(&rows.row(index)?));
    }
    if shapes.windows(2).all(|pair| pair[0] == pair[1]) {
        return stacked(export, name, &rows, shapes.first().cloned().unwrap_or_default());
    }
    let folder = export.path(name)?;
    fs_err::create_dir_all(&folder).map_err(|error| Failure::failed(error.to_string()))?;
    let names = Names::new(rows.ids().iter());
    for (index, clip) in rows.ids().iter().enumerate() {
        let path = folder.join(format!("{}.npy", names.of(clip)));
        let row = rows.row(index)?;
        let mut bytes = header(is_half(&row), &shapes[index]);
        append(&mut bytes, &row);
        file::write(&path, &bytes)?;
    }
    Ok(vec![folder])
}

fn stacked(export: &Export<'_>, name: &str, rows: &Rows, shape: Vec<usize>) -> Result<Vec<PathBuf>, Failure> {
    let path = export.path(&format!("{name}.npy"))?;
    let ids = export.path(&format!("{name}.clip_id.txt"))?;
    let half = !rows.is_empty() && is_half(&rows.row(0)?);
    let whole: Vec<usize> = std::iter::once(rows.len()).chain(shape).collect();
    file::replace(&path, |file| {
        file.write_all(&header(half, &whole))?;
        let mut bytes = Vec::new();
        for index in 0..rows.len() {
            bytes.clear();
            append(&mut bytes, &rows.row(index)?);
            file.write_all(&bytes)?;
        }
        Ok(())
    })?;
    let mut lines = rows.ids().iter().collect::<Vec<_>>().join("\n");
    lines.push('\n');
    file::write(&ids, lines.as_bytes())?;
    Ok(vec![path, ids])
}

/// How the values of a row are laid out.
struct Layout {
    audio: bool,
    channels: usize,
}

impl Layout {
    fn of(manifest: &Manifest) -> Self {
        let channels = manifest
            .meta
            .get("channels")
            .and_then(serde_json::Value::as_u64)
            .and_then(|n| usize::try_from(n).ok());
        Self { audio: manifest.kind == Kind::Audio.name(), channels: channels.unwrap_or(1).max(1) }
    }

    /// `[samples]`, `[frames, bands]` or `[channels, frames, bands]`.
    fn shape(&self, row: &RowRef<'_>) -> Vec<usize> {
        let (values, frames) = (row.to_f32().len(), row.frames as usize);
        let per_frame = values.checked_div(frames).unwrap_or(0);
        if self.audio || per_frame * frames != values {
            vec![values]
        } else if self.channels > 1 && per_frame.is_multiple_of(self.channels) {
            vec![self.channels, frames, per_frame / self.channels]
        } else {
            vec![frames, per_frame]
        }
    }
}

fn is_half(row: &RowRef<'_>) -> bool {
    matches!(row.values, ValuesRef::F16(_))
}

fn append(bytes: &mut Vec<u8>, row: &RowRef<'_>) {
    match &row.values {
        ValuesRef::F32(values) => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
        ValuesRef::F16(values) => values.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
    }
}

/// Magic, version, and a description filled up to a multiple of 64 bytes.
fn header(half: bool, shape: &[usize]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let dtype = if half { "<f2" } else { "<f4" };
    let mut text =
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    let unpadded = 10 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `numpy.save` writes for `zeros((2, 3), 'f4')` and `zeros(5, 'f2')`.
    #[test]
    fn headers_are_those_of_numpy() {
        let expect = |text: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            bytes.extend(format!("{text:<117}\n").as_bytes());
            bytes
        };
        assert_eq!(
            header(false, &[2, 3]),
            expect("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
        );
        assert_eq!(header(true, &[5]), expect("{'descr': '<f2', 'fortran_order': False, 'shape': (5,), }"));
    }
}
