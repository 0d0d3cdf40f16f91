//! Garbage collection: what is needed stays, what is not goes, and every byte is accounted for.

use std::collections::BTreeSet;

use sndpipe_cache::{
    Bucket, Digest, Form, Freed, IndexBuilder, Manifest, Named, Part, Policy, RowAt, RowOutcome, Store,
};

use crate::kit::{Kit, commit, key, meta, put, row, table};

/// Records what a key led to, as a run does.
fn record(store: &Store, number: u64, outputs: &[&Manifest]) {
    let ids: Vec<Digest> = outputs.iter().map(|manifest| manifest.id).collect();
    store.hold(&[key(number)]).unwrap();
    store.put_document(Bucket::Records, &key(number).to_hex(), &serde_json::to_vec(&ids).unwrap()).unwrap();
}

fn names(record: &[u8]) -> Option<Named> {
    Some(Named { ids: serde_json::from_slice(record).ok()?, passing: false })
}

/// Keeps some keys and nothing else, however young.
fn only(keys: &[u64]) -> Policy {
    let keys: BTreeSet<Digest> = keys.iter().map(|&number| key(number)).collect();
    Policy { keys, since: u64::MAX, unrecorded_since: u64::MAX, ..Policy::default() }
}

fn bytes(kit: &Kit) -> u64 {
    kit.files().iter().map(|path| fs_err::metadata(path).unwrap().len()).sum()
}

/// Collects as another process would, after a dry run; both must tell the same, and it must be true.
#[track_caller]
fn collect(kit: &Kit, policy: &Policy) -> Freed {
    let other = Store::open(kit.store.dir()).unwrap();
    let before = bytes(kit);
    let said = other.collection().unwrap().unwrap().run(policy, &names, true).unwrap();
    assert_eq!(bytes(kit), before, "a dry run changed something");
    let freed = other.collection().unwrap().unwrap().run(policy, &names, false).unwrap();
    assert_eq!(said, freed);
    assert_eq!(freed.before, before);
    assert_eq!(before - bytes(kit), freed.bytes(), "{freed:?}");
    assert_eq!(other.verify(&|_, _| {}).unwrap(), []);
    freed
}

/// A kit whose own process has ended: it holds nothing.
pub fn ended(kit: Kit) -> Kit {
    let Kit { dir, store, warnings } = kit;
    let folder = store.dir().to_owned();
    drop(store);
    Kit { dir, store: Store::open(&folder).unwrap(), warnings }
}

#[test]
fn results_that_nothing_needs_go_with_their_files() {
    let kit = Kit::new();
    let one = kit.store.put_table("clips", meta(1), &table()).unwrap();
    let two = kit.store.put_blob("model", meta(1), b"weights", "bin").unwrap();
    let shared = kit.store.put_blob("file", meta(1), b"shared", "bin").unwrap();
    record(&kit.store, 1, &[&one, &shared]);
    record(&kit.store, 2, &[&two, &shared]);
    fs_err::write(kit.store.log_path(&key(1)), "said").unwrap();
    fs_err::write(kit.store.log_path(&key(2)), "said more").unwrap();
    kit.store.put_work(&key(2), "checkpoint", &[b"epoch 3"]).unwrap();
    let kit = ended(kit);
    let freed = collect(&kit, &only(&[1]));
    assert_eq!(freed.parts[&Part::Artefacts].count, 2, "a manifest and its file");
    assert_eq!(freed.parts[&Part::Results].count, 2, "a record and its log");
    assert_eq!((freed.parts[&Part::Checkpoints].count, freed.parts[&Part::Checkpoints].bytes), (1, 7));
    assert!(kit.store.is_present(&one) && kit.store.is_present(&shared));
    assert_eq!(kit.store.manifest(&two.id), None);
    assert_eq!(collect(&kit, &only(&[1])).bytes(), 0, "the second time there is nothing left");
}

#[test]
fn without_a_policy_only_what_nothing_refers_to_goes() {
    let kit = Kit::new();
    let one = kit.store.put_table("clips", meta(1), &table()).unwrap();
    record(&kit.store, 1, &[&one]);
    // Never recorded: an artefact; and rows, which the next run takes up.
    kit.store.put_blob("model", meta(1), b"weights", "bin").unwrap();
    commit(&kit.store.row_map(&key(7)).unwrap(), &[1, 2, 3]);
    kit.store.put_document(Bucket::Runs, "r", b"{}").unwrap();
    let bad = kit.store.dir().join("records-v1/ab");
    fs_err::create_dir_all(&bad).unwrap();
    fs_err::write(bad.join("abcd"), "no record").unwrap();
    fs_err::write(bad.join(".tmp-1-0-abc-XyZ"), "of a process that is gone").unwrap();
    fs_err::create_dir_all(kit.store.dir().join("locks-v1")).unwrap();
    let free = kit.store.dir().join("locks-v1").join(key(1).to_hex());
    fs_err::write(&free, "").unwrap();
    let kit = ended(kit);
    let lock = kit.store.try_lock(&key(2)).unwrap().unwrap();
    let freed = collect(&kit, &Policy::default());
    let counts: Vec<_> = freed.parts.iter().map(|(part, tally)| (*part, tally.count)).collect();
    assert_eq!(counts, [(Part::Artefacts, 2), (Part::Damaged, 1), (Part::Strays, 1)]);
    assert!(!free.exists(), "the file of a lock goes, too, which nobody misses");
    assert!(kit.store.is_present(&one));
    assert!(kit.store.row_map(&key(7)).unwrap().get(&key(2)).is_some());
    drop(lock);
}

/// A hundred rows, of which an artefact that stays has the first ten; the shard is written anew.
#[test]
fn sparse_shards_are_written_anew() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let index = commit(&map, &(0..100).collect::<Vec<_>>());
    let all = put(&kit.store, "features", meta(1), index.clone(), vec![]).unwrap();
    let skipped = vec![("bad".to_owned(), "no samples".to_owned())];
    let few = put(&kit.store, "features", meta(1), index[..10].to_vec(), skipped.clone()).unwrap();
    // The same rows under other names and metadata, and rows of a second shard in between.
    let more = commit(&map, &[200, 201]);
    let mixed: Vec<(String, RowAt)> = index[5..10].iter().chain(&more).cloned().collect();
    let mixed = put(&kit.store, "features", meta(2), mixed, vec![]).unwrap();
    map.commit(vec![], vec![], vec![(key(999), "silent".into())]).unwrap();
    // One with a remark, in a shard that is written anew.
    let hole = vec![(key(300), "a hole".to_owned())];
    let odd = (300..340).map(|seed| (key(seed.into()), row(seed))).collect();
    let odd = map.commit(odd, hole, vec![]).unwrap();
    let mut index = IndexBuilder::default();
    index.push("odd", &odd[0].1);
    index.remark("odd", "a hole");
    let odd = kit.store.put_rows("features", meta(1), index).unwrap();
    record(&kit.store, 1, &[&all]);
    record(&kit.store, 2, &[&few, &mixed, &odd]);
    drop(map);

    let kit = ended(kit);
    let freed = collect(&kit, &only(&[2]));
    assert_eq!(freed.parts[&Part::DeadRows].count, 90 + 39);
    assert!(freed.parts[&Part::DeadRows].bytes > 12_000, "{freed:?}");
    let store = &kit.store;
    for (manifest, seeds) in [(&few, (0..10).collect::<Vec<u32>>()), (&mixed, vec![5, 6, 7, 8, 9, 200, 201])]
    {
        let now = store.manifest(&manifest.id).unwrap();
        assert_ne!(now.form, manifest.form);
        assert_eq!(
            (&now.columns, now.rows, now.skipped),
            (&manifest.columns, manifest.rows, manifest.skipped)
        );
        let rows = store.open_rows(&now).unwrap();
        for (i, seed) in seeds.into_iter().enumerate() {
            assert_eq!(rows.row(i).unwrap().to_row(), row(seed));
        }
    }
    let rows = store.open_rows(&store.manifest(&few.id).unwrap()).unwrap();
    assert_eq!(rows.skipped(), skipped);
    let now = store.manifest(&odd.id).unwrap();
    assert_ne!(now.form, odd.form);
    let rows = store.open_rows(&now).unwrap();
    assert_eq!(rows.remarks(), [("odd".to_owned(), "a hole".to_owned())]);
    // The row map knows the rows that are left, at their new places, and what was skipped.
    let map = store.row_map(&key(1)).unwrap();
    let known = |seed: u32| map.get(&key(seed.into()));
    assert_eq!((0..100).filter(|&seed| known(seed).is_some()).count(), 10);
    assert_eq!(known(300), Some(RowOutcome::Row(rows.at(0), Some("a hole".into()))));
    assert_eq!(known(999), Some(RowOutcome::Skipped("silent".into())));
    let index = [3, 200].map(|seed| match known(seed) {
        Some(RowOutcome::Row(row, _)) => (format!("clip-{seed}"), row),
        other => panic!("{other:?}"),
    });
    let again = put(store, "features", meta(3), index.to_vec(), vec![]).unwrap();
    let rows = store.open_rows(&again).unwrap();
    assert_eq!((rows.row(0).unwrap().to_row(), rows.row(1).unwrap().to_row()), (row(200), row(3)));
}

#[test]
fn a_shard_with_few_dead_rows_is_left_alone() {
    let kit = Kit::new();
    let index = commit(&kit.store.row_map(&key(1)).unwrap(), &(0..10).collect::<Vec<_>>());
    let most = put(&kit.store, "features", meta(1), index[..8].to_vec(), vec![]).unwrap();
    record(&kit.store, 1, &[&most]);
    let kit = ended(kit);
    assert_eq!(collect(&kit, &only(&[1])).bytes(), 0);
    // A row that no artefact has is still known.
    assert!(kit.store.row_map(&key(1)).unwrap().get(&key(9)).is_some());
}

#[test]
fn a_damaged_shard_is_not_made_to_look_whole() {
    let kit = Kit::new();
    let index = commit(&kit.store.row_map(&key(1)).unwrap(), &(0..100).collect::<Vec<_>>());
    let few = put(&kit.store, "features", meta(1), index[..10].to_vec(), vec![]).unwrap();
    record(&kit.store, 1, &[&few]);
    let kit = ended(kit);
    let Form::Rows { shards, .. } = &few.form else { panic!("no rows") };
    let path = kit.store.file_path(&shards[0]);
    let mut bad = fs_err::read(&path).unwrap();
    // Row 3 begins with 3000.0.
    let at = bad.windows(4).position(|window| window == 3000f32.to_le_bytes()).unwrap();
    bad[at] ^= 1;
    fs_err::write(&path, bad).unwrap();
    let other = Store::open(kit.store.dir()).unwrap();
    let freed = other.collection().unwrap().unwrap().run(&only(&[1]), &names, false).unwrap();
    assert_eq!(freed.bytes(), 0);
    assert_eq!(kit.store.verify(&|_, _| {}).unwrap().len(), 1);
}

#[test]
fn what_another_process_holds_stays() {
    let kit = Kit::new();
    let index = commit(&kit.store.row_map(&key(1)).unwrap(), &(0..100).collect::<Vec<_>>());
    let few = put(&kit.store, "features", meta(1), index[..10].to_vec(), vec![]).unwrap();
    let kit = ended(kit);
    // Each way to hold it: by its key, by itself, by a map that is open, by writing it again.
    let holds: [&dyn Fn(&Store); 4] = [
        &|store| store.hold(&[key(1)]).unwrap(),
        &|store| store.hold(&[few.id]).unwrap(),
        &|store| drop(store.row_map(&key(1)).unwrap()),
        &|store| drop(put(store, "features", meta(1), index[..10].to_vec(), vec![]).unwrap()),
    ];
    for (number, hold) in holds.iter().enumerate() {
        // By a process that has ended since.
        record(&Store::open(kit.store.dir()).unwrap(), 1, &[&few]);
        let other = Store::open(kit.store.dir()).unwrap();
        hold(&other);
        let gone = only(if number == 2 { &[1] } else { &[] });
        let collector = Store::open(kit.store.dir()).unwrap();
        collector.collection().unwrap().unwrap().run(&gone, &names, false).unwrap();
        // Nothing was moved, either: the old places are what the other process knows.
        assert_eq!(other.manifest(&few.id).unwrap(), few, "hold {number}");
        assert!(other.is_present(&few), "hold {number}");
    }
    assert!(collect(&kit, &only(&[])).bytes() > 0);
    assert_eq!(kit.store.manifest(&few.id), None);
}

/// A process that finds an artefact, records it and ends, all between the listing of a collection and its removals.
#[test]
fn what_was_recorded_meanwhile_stays() {
    let kit = Kit::new();
    let found = kit.store.put_table("clips", meta(1), &table()).unwrap();
    let kit = ended(kit);
    let collector = Store::open(kit.store.dir()).unwrap();
    let collection = collector.collection().unwrap().unwrap();
    assert!(kit.store.collection().unwrap().is_none(), "one at a time");
    // The listing is made within `run`: `names` is called by it, so that is the moment.
    record(&kit.store, 9, &[]);
    let other = std::sync::Mutex::new(Some(Store::open(kit.store.dir()).unwrap()));
    let meanwhile = |record_bytes: &[u8]| {
        if let Some(other) = other.lock().unwrap().take() {
            let again = other.put_table("clips", meta(1), &table()).unwrap();
            record(&other, 1, &[&again]);
        }
        names(record_bytes)
    };
    collection.run(&only(&[9]), &meanwhile, false).unwrap();
    assert!(other.lock().unwrap().is_none());
    assert!(kit.store.is_present(&kit.store.manifest(&found.id).unwrap()));
    assert!(kit.store.document(Bucket::Records, &key(1).to_hex()).unwrap().is_some());
    // With the collection the memory of that process ends.
    let marks = fs_err::read_dir(kit.store.dir().join("writers-v1")).unwrap().count();
    assert_eq!(marks, 2, "the kit and the collector");
}

#[test]
fn the_least_recently_used_goes_first_until_it_fits() {
    let kit = Kit::new();
    let blob = |n: u8| kit.store.put_blob("model", meta(n.into()), &vec![n; 1000], "bin").unwrap();
    let all: Vec<Manifest> = (1..=4).map(blob).collect();
    for (number, manifest) in (1..).zip(&all) {
        record(&kit.store, number, &[manifest]);
    }
    let kit = ended(kit);
    let far = u64::MAX / 2;
    // Used in the order 3, 1, 4, 2; the third is pinned, say.
    let used = [(3, 1), (1, 2), (4, 3), (2, 4)].map(|(number, time)| (key(number), far + time)).into();
    let keys = BTreeSet::from([key(3)]);
    let most = bytes(&kit) - 1500;
    let policy = Policy { keys, used, max_bytes: Some(most), ..Policy::default() };
    let freed = collect(&kit, &policy);
    let there: Vec<bool> = all.iter().map(|manifest| kit.store.manifest(&manifest.id).is_some()).collect();
    assert_eq!(there, [false, true, true, false]);
    assert!(bytes(&kit) <= most && freed.over == 0);
    // The records stay: what read the models needs them no more.
    assert!((1..=4).all(|n| kit.store.document(Bucket::Records, &key(n).to_hex()).unwrap().is_some()));
    let freed = collect(&kit, &Policy { max_bytes: Some(100), ..policy });
    assert_eq!(
        freed.over,
        bytes(&kit) - 100,
        "what is pinned stays, and it is told how much that is too much"
    );
    assert!(kit.store.is_present(&all[2]));
}

/// A result whose record says that it only passes through: it goes, and the record stays.
#[test]
fn what_only_passes_through_stays_where_something_keeps_it() {
    let passing = |bytes: &[u8]| names(bytes).map(|named| Named { passing: named.ids.len() == 2, ..named });
    let collect = |policy: &Policy| {
        let kit = Kit::new();
        let clips = kit.store.put_table("clips", meta(1), &table()).unwrap();
        // Two names make a record passing here.
        record(&kit.store, 1, &[&clips, &clips]);
        let kit = ended(kit);
        let other = Store::open(kit.store.dir()).unwrap();
        other.collection().unwrap().unwrap().run(policy, &passing, false).unwrap();
        let recorded = kit.store.document(Bucket::Records, &key(1).to_hex()).unwrap().is_some();
        (recorded, kit.store.manifest(&clips.id).is_some())
    };
    let records = BTreeSet::from([key(1)]);
    // Young enough to be of a run that was killed; old; pinned; needed for its record only.
    assert_eq!(collect(&Policy::default()), (true, true));
    assert_eq!(collect(&Policy { unrecorded_since: u64::MAX, ..Policy::default() }), (true, false));
    assert_eq!(collect(&only(&[1])), (true, true));
    assert_eq!(collect(&Policy { records, ..only(&[]) }), (true, false));
    assert_eq!(collect(&only(&[])), (false, false));
}
