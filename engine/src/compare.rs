//! Where two artefacts differ that should be the same.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use sndpipe_cache::{CacheError, Cell, Form, Manifest, Rows, Store, cell};

use crate::kind::Kind;

/// The first place where two artefacts differ.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Such as "row 3 (clip_id = a.wav), column `value`".
    pub place: String,
    /// What is cached there.
    pub cached: String,
    /// What the stage gives now.
    pub rerun: String,
}

/// An artefact and the cache that holds it.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The cache.
    pub store: &'a Store,
    /// The artefact.
    pub manifest: &'a Manifest,
}

/// The first difference of two artefacts; all of what is cached is read, also where both should be the same.
///
/// # Errors
/// [`CacheError`] if one of them cannot be read; a cached one that is damaged is a difference.
pub fn compare(cached: Side<'_>, rerun: Side<'_>) -> Result<Option<Difference>, CacheError> {
    match find(cached, rerun) {
        Err(CacheError::Damaged { path, artefact, what }) if artefact == cached.manifest.id => {
            Ok(Some(differ(format!("file {}", path.display()), what, "as it was written".to_owned())))
        }
        other => other,
    }
}

fn find(cached: Side<'_>, rerun: Side<'_>) -> Result<Option<Difference>, CacheError> {
    let content = match &cached.manifest.form {
        Form::Table { .. } => tables(cached, rerun)?,
        Form::Rows { .. } => rows(cached, rerun)?,
        Form::Blob { .. } => blobs(cached, rerun)?,
    };
    if cached.manifest.id == rerun.manifest.id {
        return Ok(content);
    }
    let unseen =
        || differ("content id".to_owned(), cached.manifest.id.to_string(), rerun.manifest.id.to_string());
    Ok(Some(meta(cached, rerun).or(content).unwrap_or_else(unseen)))
}

fn differ(place: String, cached: String, rerun: String) -> Difference {
    Difference { place, cached, rerun }
}

/// The first of two sequences' places where they differ; what one lacks is "nothing".
fn first<T: PartialEq>(
    what: &str,
    cached: &[T],
    rerun: &[T],
    show: impl Fn(&T) -> String,
) -> Option<Difference> {
    let shown = |side: &[T], at: usize| side.get(at).map_or_else(|| "nothing".to_owned(), &show);
    let length = cached.len().max(rerun.len());
    let at = (0..length).find(|&at| cached.get(at) != rerun.get(at))?;
    Some(differ(format!("{what} {at}"), shown(cached, at), shown(rerun, at)))
}

fn meta(cached: Side<'_>, rerun: Side<'_>) -> Option<Difference> {
    let names: BTreeSet<&String> = cached.manifest.meta.keys().chain(rerun.manifest.meta.keys()).collect();
    let shown = |side: Side<'_>, name: &str| {
        side.manifest.meta.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    names.into_iter().find_map(|name| {
        let (old, new) = (shown(cached, name), shown(rerun, name));
        (old != new).then(|| differ(format!("metadata `{name}`"), old, new))
    })
}

fn tables(cached: Side<'_>, rerun: Side<'_>) -> Result<Option<Difference>, CacheError> {
    let (old, new) =
        (cached.store.read_table(cached.manifest, None)?, rerun.store.read_table(rerun.manifest, None)?);
    let names = |manifest: &Manifest| -> Vec<(String, String)> {
        manifest.columns.iter().map(|column| (column.name.clone(), column.data_type.clone())).collect()
    };
    let shown = |(name, data_type): &(String, String)| format!("`{name}` ({data_type})");
    if let Some(found) = first("column", &names(cached.manifest), &names(rerun.manifest), shown) {
        return Ok(Some(found));
    }
    let hint = |row: usize| {
        let schema = old.schema();
        let text = schema.fields().iter().zip(old.columns()).find_map(|(field, column)| {
            match (row < old.num_rows()).then(|| cell(column, row))? {
                Cell::Text(text) => Some(format!(" ({} = {text})", field.name())),
                _ => None,
            }
        });
        text.unwrap_or_default()
    };
    let length = old.num_rows().max(new.num_rows());
    for row in 0..length {
        for (field, (old, new)) in old.schema().fields().iter().zip(old.columns().iter().zip(new.columns())) {
            let shown = |column: &dyn arrow_array::Array| {
                if row < column.len() { cell(column, row).exact() } else { "no such row".to_owned() }
            };
            let (old, new) = (shown(old), shown(new));
            if old != new {
                let place = format!("row {row}{}, column `{}`", hint(row), field.name());
                return Ok(Some(differ(place, old, new)));
            }
        }
    }
    Ok(None)
}

fn rows(cached: Side<'_>, rerun: Side<'_>) -> Result<Option<Difference>, CacheError> {
    let (old, new) = (cached.store.open_rows(cached.manifest)?, rerun.store.open_rows(rerun.manifest)?);
    let ids = |rows: &Rows| -> Vec<String> { rows.ids().iter().map(|id| format!("`{id}`")).collect() };
    if let Some(found) = first("clip", &ids(&old), &ids(&new), String::clone) {
        return Ok(Some(found));
    }
    let skipped = |(id, reason): &(String, String)| format!("`{id}`: {reason}");
    if let Some(found) = first("skipped clip", old.skipped(), new.skipped(), skipped) {
        return Ok(Some(found));
    }
    let remarked = |(id, remark): &(String, String)| format!("`{id}`: {remark}");
    if let Some(found) = first("remark", old.remarks(), new.remarks(), remarked) {
        return Ok(Some(found));
    }
    for at in 0..old.len() {
        // Compared with its hash by being read.
        old.row(at)?;
        if old.hash(at) != new.hash(at) {
            return row(&old, &new, at).map(Some);
        }
    }
    Ok(None)
}

fn row(old: &Rows, new: &Rows, at: usize) -> Result<Difference, CacheError> {
    let clip = format!("clip `{}`", &old.ids()[at]);
    let (old, new) = (old.row(at)?, new.row(at)?);
    if old.frames != new.frames {
        return Ok(differ(format!("{clip}, `frames`"), old.frames.to_string(), new.frames.to_string()));
    }
    // As bits, for a number that is none differs from itself.
    let bits = |row: &sndpipe_cache::RowRef<'_>| -> Vec<u32> {
        row.to_f32().iter().map(|value| value.to_bits()).collect()
    };
    let shown = |bits: &u32| f32::from_bits(*bits).to_string();
    let found = first(&format!("{clip}, `values`"), &bits(&old), &bits(&new), shown);
    Ok(found.unwrap_or_else(|| differ(format!("{clip}, `values`"), precision(&old), precision(&new))))
}

fn precision(row: &sndpipe_cache::RowRef<'_>) -> String {
    match row.values {
        sndpipe_cache::ValuesRef::F32(_) => "single precision".to_owned(),
        sndpipe_cache::ValuesRef::F16(_) => "half precision".to_owned(),
    }
}

fn blobs(cached: Side<'_>, rerun: Side<'_>) -> Result<Option<Difference>, CacheError> {
    let (old, new) = (cached.store.read_blob(cached.manifest)?, rerun.store.read_blob(rerun.manifest)?);
    if old == new {
        return Ok(None);
    }
    let tensors = (cached.manifest.kind == Kind::Model.name()).then(|| models(&old, &new)).flatten();
    Ok(tensors.or_else(|| first("byte", &old, &new, |byte| format!("{byte:#04x}"))))
}

fn models(old: &[u8], new: &[u8]) -> Option<Difference> {
    let header = |bytes: &[u8]| -> Option<Vec<(String, String)>> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        let sorted: BTreeMap<_, _> = metadata.metadata().clone()?.into_iter().collect();
        Some(sorted.into_iter().collect())
    };
    let shown = |(name, value): &(String, String)| format!("{name} = {value}");
    let headers = first("header", &header(old).unwrap_or_default(), &header(new).unwrap_or_default(), shown);
    let (old, new) = (SafeTensors::deserialize(old).ok()?, SafeTensors::deserialize(new).ok()?);
    let tensors = |tensors: &SafeTensors<'_>| -> Vec<(String, String)> {
        let mut all: Vec<_> = tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), format!("{:?} {:?}", view.dtype(), view.shape())))
            .collect();
        all.sort();
        all
    };
    let names = tensors(&old);
    let shown = |(name, shape): &(String, String)| format!("`{name}` {shape}");
    let shapes = first("tensor", &names, &tensors(&new), shown);
    let numbers = || {
        let named = |name: &String| number(name, &old.tensor(name).ok()?, &new.tensor(name).ok()?);
        names.iter().find_map(|(name, _)| named(name))
    };
    headers.or(shapes).or_else(numbers)
}

/// The first number in which two tensors of one shape differ.
fn number(name: &str, old: &TensorView<'_>, new: &TensorView<'_>) -> Option<Difference> {
    let byte = old.data().iter().zip(new.data()).position(|(old, new)| old != new)?;
    let size = (old.dtype().bitsize() / 8).max(1);
    let shown = |view: &TensorView<'_>| match (view.dtype(), view.data().chunks(size).nth(byte / size)) {
        (Dtype::F32, Some(&[a, b, c, d])) => f32::from_le_bytes([a, b, c, d]).to_string(),
        (Dtype::F16, Some(&[a, b])) => half::f16::from_le_bytes([a, b]).to_string(),
        (_, bytes) => bytes.into_iter().flatten().map(|byte| format!("{byte:02x}")).collect(),
    };
    Some(differ(format!("tensor `{name}`, number {}", byte / size), shown(old), shown(new)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, RecordBatch, StringArray};
    use sndpipe_cache::{Digest, IndexBuilder, Meta, Row, Values};

    use super::*;

    fn differs(make: impl Fn(&Store, bool) -> Manifest, place: &str, cached: &str, rerun: &str) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let [one, other] = [false, true].map(|other| make(&store, other));
        let side = |manifest| Side { store: &store, manifest };
        assert_eq!(compare(side(&one), side(&one)).unwrap(), None);
        let found = compare(side(&one), side(&other)).unwrap().unwrap();
        assert_eq!((&*found.place, &*found.cached, &*found.rerun), (place, cached, rerun));
    }

    fn table(store: &Store, values: &[f64]) -> Manifest {
        let names: Vec<String> = (0..values.len()).map(|n| format!("m{n}")).collect();
        let columns: Vec<(&str, arrow_array::ArrayRef)> = vec![
            ("metric", Arc::new(StringArray::from(names))),
            ("value", Arc::new(Float64Array::from(values.to_vec()))),
        ];
        store.put_table("metrics", Meta::new(), &RecordBatch::try_from_iter(columns).unwrap()).unwrap()
    }

    fn rows(store: &Store, rows: &[(&str, u32, Vec<f32>)]) -> Manifest {
        let map = store.row_map(&Digest::of(b"rows")).unwrap();
        let mut index = IndexBuilder::default();
        for (id, frames, values) in rows {
            let row = Row { frames: *frames, values: Values::F32(values.clone()) };
            let at = map.commit(vec![(row.hash(), row)], Vec::new(), Vec::new()).unwrap()[0].1;
            index.push(id, &at);
        }
        store.put_rows("features", Meta::new(), index).unwrap()
    }

    fn model(store: &Store, second: f32) -> Manifest {
        let bytes: Vec<u8> = [1.0, second].iter().flat_map(|value: &f32| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![2], &bytes).unwrap();
        let header = Some(std::collections::HashMap::from([("classes".to_owned(), "a".to_owned())]));
        let bytes = safetensors::serialize([("conv.weight", view)], header).unwrap();
        store.put_blob("model", Meta::new(), &bytes, "safetensors").unwrap()
    }

    #[test]
    fn the_first_row_and_column_that_differ_are_named() {
        let place = "row 1 (metric = m1), column `value`";
        differs(
            |store, other| table(store, if other { &[0.5, 0.75] } else { &[0.5, 0.25] }),
            place,
            "0.25",
            "0.75",
        );
        differs(
            |store, other| table(store, if other { &[0.5] } else { &[0.5, f64::NAN] }),
            "row 1 (metric = m1), column `metric`",
            "m1",
            "no such row",
        );
        let spoilt = |value: f32| vec![("a", 1, vec![1.0, 2.0]), ("b", 1, vec![1.0, value])];
        differs(
            |store, other| rows(store, &spoilt(if other { 2.5 } else { 2.0 })),
            "clip `b`, `values` 1",
            "2",
            "2.5",
        );
        differs(
            |store, other| rows(store, &[("a", if other { 2 } else { 1 }, vec![1.0, 2.0])]),
            "clip `a`, `frames`",
            "1",
            "2",
        );
        differs(
            |store, other| rows(store, &[(if other { "b" } else { "a" }, 1, vec![1.0])]),
            "clip 0",
            "`a`",
            "`b`",
        );
        differs(
            |store, other| model(store, if other { 3.5 } else { 3.0 }),
            "tensor `conv.weight`, number 1",
            "3",
            "3.5",
        );
        let text = |other| if other { b"hallo" } else { b"hello" };
        differs(
            |store, other| store.put_blob("file", Meta::new(), text(other), "txt").unwrap(),
            "byte 1",
            "0x65",
            "0x61",
        );
    }
}
