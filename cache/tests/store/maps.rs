//! Row maps.

use half::f16;
use sndpipe_cache::{CacheError, Digest, Row, RowAt, RowOutcome, Values};

use crate::kit::{Kit, commit, key, meta, put, row};

#[test]
fn two_threads_commit_to_one_map() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let map = &map;
            scope.spawn(move || {
                for batch in 0..10 {
                    let from = thread * 100 + batch * 10;
                    commit(map, &(from..from + 10).collect::<Vec<_>>());
                }
            });
        }
    });
    let again = kit.store.row_map(&key(1)).unwrap();
    for map in [&map, &again] {
        assert_eq!(map.len(), 200);
        for seed in 0..200u32 {
            let Some(RowOutcome::Row(at, _)) = map.get(&key(seed.into())) else { panic!("row {seed}") };
            assert_eq!(at.hash, row(seed).hash());
        }
    }
    let index = (0..200u32).map(|seed| match again.get(&key(seed.into())) {
        Some(RowOutcome::Row(row, _)) => (format!("{seed:03}"), row),
        other => panic!("{other:?}"),
    });
    let put = put(&kit.store, "f", meta(1), index.collect(), vec![]).unwrap();
    let rows = kit.store.open_rows(&put).unwrap();
    for seed in 0..200 {
        assert_eq!(rows.row(seed).unwrap().to_row(), row(seed as u32));
    }
}

#[test]
fn commits_of_others_are_seen_after_a_refresh() {
    let kit = Kit::new();
    let (one, two) = (kit.store.row_map(&key(1)).unwrap(), kit.store.row_map(&key(1)).unwrap());
    commit(&one, &[1]);
    assert_eq!(two.get(&key(1)), None);
    two.refresh().unwrap();
    assert_eq!(two.get(&key(1)), one.get(&key(1)));
    assert!(two.get(&key(1)).is_some());
    assert_eq!(kit.store.row_map(&key(2)).unwrap().len(), 0);
}

#[test]
fn a_map_of_many_commits_stays_whole() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    for seed in 0..100u32 {
        if seed % 3 == 0 {
            map.commit(vec![], vec![], vec![(key(seed.into()), format!("reason {seed}"))]).unwrap();
        } else {
            commit(&map, &[seed]);
        }
    }
    // The first opening packs them, the second reads the pack.
    for _ in 0..2 {
        let again = kit.store.row_map(&key(1)).unwrap();
        assert_eq!(again.len(), 100);
        for seed in 0..100u32 {
            assert_eq!(again.get(&key(seed.into())), map.get(&key(seed.into())), "{seed}");
        }
    }
    let folder = kit.store.dir().join("rows-v3").join(key(1).to_string());
    assert_eq!(fs_err::read_dir(folder).unwrap().count(), 1);
    assert_eq!(kit.warned(), 0);
}

/// In the process that commits them, in one that opens the map, and after the commits were packed.
#[test]
fn remarks_stay_with_their_rows() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    for seed in 0..70u32 {
        let input = key(seed.into());
        // Inputs 0 and 1 give one row; the remark is of the first.
        let remarks = if seed % 2 == 0 { vec![(input, format!("remark {seed}"))] } else { vec![] };
        map.commit(vec![(input, row(seed / 2))], remarks, vec![]).unwrap();
    }
    for look in ["committed", "packed", "read"] {
        let map = if look == "committed" { &map } else { &kit.store.row_map(&key(1)).unwrap() };
        for seed in 0..70u32 {
            let Some(RowOutcome::Row(at, remark)) = map.get(&key(seed.into())) else { panic!("row {seed}") };
            let wanted = (seed % 2 == 0).then(|| format!("remark {seed}"));
            assert_eq!((at.hash, remark), (row(seed / 2).hash(), wanted), "{look} {seed}");
        }
    }
}

#[test]
fn equal_rows_are_stored_once_and_precisions_apart() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let half = Row { frames: 2, values: Values::F16(vec![f16::from_f32(1.5), f16::from_f32(-2.0)]) };
    let rows = vec![(key(1), row(7)), (key(2), row(7)), (key(3), half.clone())];
    let at: Vec<RowAt> = map.commit(rows, vec![], vec![]).unwrap().into_iter().map(|(_, at)| at).collect();
    assert_eq!(at[0], at[1]);
    assert_ne!(at[0].shard, at[2].shard);
    let clip = |clip_id: &str, row| (clip_id.to_owned(), row);
    let alone = put(&kit.store, "f", meta(1), vec![clip("h", at[2])], vec![]).unwrap();
    assert_eq!(alone.column("values").unwrap().data_type, "List<Float16>");
    assert_eq!(kit.store.open_rows(&alone).unwrap().row(0).unwrap().to_row(), half);
    let mixed = put(&kit.store, "f", meta(1), vec![clip("a", at[0]), clip("h", at[2])], vec![]);
    assert!(matches!(mixed, Err(CacheError::Invalid { .. })));
}

#[test]
fn impossible_rows_are_refused() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let index = commit(&map, &[1, 2]);
    let refused = |index, skipped| put(&kit.store, "f", meta(1), index, skipped).unwrap_err().to_string();
    let twice = vec![index[0].clone(), index[0].clone()];
    assert_eq!(refused(twice, vec![]), "clip `clip-0001` occurs twice in one artefact");
    let both = vec![("clip-0002".to_owned(), "why".to_owned())];
    assert_eq!(refused(index.clone(), both), "clip `clip-0002` occurs twice in one artefact");
    let mut beyond = index.clone();
    beyond[1].1.row = 2;
    assert!(refused(beyond, vec![]).ends_with("which has 2 rows"));
    let mut unknown = index;
    unknown[0].1.shard = Digest::of(b"nothing");
    assert!(refused(unknown, vec![]).ends_with("is damaged: it is missing"));
}

#[test]
fn empty_artefacts_and_empty_rows_are_fine() {
    let kit = Kit::new();
    let none = put(&kit.store, "f", meta(1), vec![], vec![]).unwrap();
    assert!(kit.store.open_rows(&none).unwrap().is_empty());
    let map = kit.store.row_map(&key(1)).unwrap();
    assert_eq!(map.commit(vec![], vec![], vec![]).unwrap(), []);
    let empty = Row { frames: 0, values: Values::F32(vec![]) };
    let at = map.commit(vec![(key(1), empty.clone())], vec![], vec![]).unwrap()[0].1;
    let put = put(&kit.store, "f", meta(1), vec![(String::new(), at)], vec![]).unwrap();
    assert_eq!(kit.store.open_rows(&put).unwrap().row(0).unwrap().to_row(), empty);
}
