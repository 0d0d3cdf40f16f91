//! Content ids and round trips.

use sndpipe_cache::{CacheError, Digest, Form, IndexBuilder, RowOutcome, Store};

use crate::kit::{Kit, commit, ids, key, meta, put, row, rows, table};

#[test]
fn a_table_comes_back_as_it_was() {
    let kit = Kit::new();
    let put = kit.store.put_table("clips", meta(1), &table()).unwrap();
    assert_eq!(kit.store.manifest(&put.id).as_ref(), Some(&put));
    assert!(kit.store.is_present(&put));
    let read = kit.store.read_table(&put, None).unwrap();
    assert_eq!(kit.store.put_table("clips", meta(1), &read).unwrap().id, put.id);
    let some = kit.store.read_table(&put, Some(&["x".into(), "clip_id".into()])).unwrap();
    assert_eq!(
        some.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
        ["x", "clip_id"]
    );
    assert_eq!(some.column(1).as_ref(), table().column(0).as_ref());
    let error = kit.store.read_table(&put, Some(&["y".into()])).unwrap_err();
    assert!(error.to_string().ends_with("has no column `y`; it has clip_id, n, x"), "{error}");
}

#[test]
fn rows_come_back_sorted_by_clip() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let mut index = commit(&map, &[3, 1, 2]);
    index.rotate_left(1);
    let put = put(&kit.store, "audio", meta(1), index, vec![("clip-0000".into(), "why".into())]).unwrap();
    let rows = kit.store.open_rows(&kit.store.manifest(&put.id).unwrap()).unwrap();
    assert_eq!(ids(&rows), ["clip-0001", "clip-0002", "clip-0003"]);
    for (i, seed) in [1, 2, 3].into_iter().enumerate() {
        assert_eq!(rows.row(i).unwrap().to_row(), row(seed));
        assert_eq!(rows.hash(i), row(seed).hash());
        assert_eq!(map.get(&key(seed.into())), Some(RowOutcome::Row(rows.at(i), None)));
    }
    assert_eq!(rows.position("clip-0002"), Some(1));
    assert_eq!(rows.position("clip-0000"), None);
    assert_eq!(rows.skipped(), [("clip-0000".to_owned(), "why".to_owned())]);
    assert!(matches!(rows.row(3), Err(CacheError::Invalid { .. })));
}

/// A remark is content; without one the content is the same as of an artefact that knows of none.
#[test]
fn remarks_are_part_of_the_content() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let clips = commit(&map, &[1, 2, 3]);
    let with = |remarks: &[(&str, &str)]| {
        let mut index = IndexBuilder::default();
        clips.iter().rev().for_each(|(id, row)| index.push(id, row));
        index.skip("clip-0000", "no samples");
        remarks.iter().for_each(|(id, remark)| index.remark(id, remark));
        kit.store.put_rows("audio", meta(1), index)
    };
    let skipped = vec![("clip-0000".to_owned(), "no samples".to_owned())];
    let plain = put(&kit.store, "audio", meta(1), clips.clone(), skipped.clone()).unwrap();
    assert_eq!((with(&[]).unwrap(), plain.remarked), (plain.clone(), 0));
    let one = with(&[("clip-0003", "cut"), ("clip-0001", "hole")]).unwrap();
    let other = with(&[("clip-0003", "cut"), ("clip-0001", "junk")]).unwrap();
    assert!(one.id != plain.id && one.id != other.id);
    let rows = kit.store.open_rows(&kit.store.manifest(&one.id).unwrap()).unwrap();
    assert_eq!(one.remarked, 2);
    assert_eq!(
        rows.remarks(),
        [("clip-0001", "hole"), ("clip-0003", "cut")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert_eq!((rows.skipped(), ids(&rows).len()), (&skipped[..], 3));
    let refused = |remarks: &[(&str, &str)]| with(remarks).unwrap_err().to_string();
    assert!(refused(&[("clip-0001", "a"), ("clip-0001", "b")]).ends_with("clip `clip-0001` has two remarks"));
    assert!(refused(&[("clip-0000", "a")]).ends_with("clip `clip-0000` has a remark but no row"));
}

#[test]
fn a_blob_is_one_column() {
    let kit = Kit::new();
    let put = kit.store.put_blob("model", meta(1), b"weights", "safetensors").unwrap();
    assert_eq!(put.column("bytes").unwrap().id, Digest::of(b"weights"));
    assert_eq!(kit.store.read_blob(&put).unwrap(), b"weights");
    assert!(matches!(kit.store.read_table(&put, None), Err(CacheError::Invalid { .. })));
    assert!(matches!(kit.store.put_blob("model", meta(1), b"", "../x"), Err(CacheError::Invalid { .. })));
}

#[test]
fn content_does_not_depend_on_shards() {
    let (one, two) = (Kit::new(), Kit::new());
    let map = one.store.row_map(&key(1)).unwrap();
    let together = put(&one.store, "f", meta(1), commit(&map, &[1, 2, 3]), vec![]).unwrap();
    let map = two.store.row_map(&key(2)).unwrap();
    let mut index = commit(&map, &[3]);
    index.extend(commit(&map, &[2, 1]));
    let apart = put(&two.store, "f", meta(1), index, vec![]).unwrap();
    let shards = |manifest: &sndpipe_cache::Manifest| match &manifest.form {
        Form::Rows { shards, .. } => shards.clone(),
        _ => panic!("not rows"),
    };
    assert_ne!(shards(&together), shards(&apart));
    assert_eq!(together.id, apart.id);
    assert_eq!(together.columns, apart.columns);
}

#[test]
fn a_row_is_reused_under_another_clip() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let index = commit(&map, &[1]);
    let at = index[0].1;
    let renamed = |id: &str| (id.to_owned(), at);
    let first = put(&kit.store, "f", meta(1), index, vec![]).unwrap();
    let second = put(&kit.store, "f", meta(1), vec![renamed("x"), renamed("y")], vec![]).unwrap();
    assert_ne!(first.id, second.id);
    let rows = kit.store.open_rows(&second).unwrap();
    assert_eq!(rows.row(0).unwrap(), rows.row(1).unwrap());
    assert_eq!(rows.row(0).unwrap().to_row(), row(1));
    // Two indices, one shard.
    assert_eq!(kit.files().iter().filter(|path| path.extension().is_some_and(|e| e == "arrow")).count(), 3);
}

#[test]
fn everything_is_there_for_the_next_process() {
    let kit = Kit::new();
    let put = rows(&kit.store);
    let again = Store::open(&kit.dir.path().join("cache")).unwrap();
    assert_eq!(again.manifest(&put.id), Some(put));
    assert_eq!(again.row_map(&key(1)).unwrap().len(), 5);
}
