//! Any table comes back with exactly its values.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{Array, BooleanArray, Float64Array, Int32Array, RecordBatch, StringArray};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::kit::{Kit, meta};

type Line = (Option<i32>, Option<u64>, Option<String>, Option<bool>, Option<Vec<u32>>);

fn build(lines: &[Line]) -> RecordBatch {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for (.., list) in lines {
        lists.append_option(list.as_ref().map(|bits| bits.iter().map(|&bits| Some(f32::from_bits(bits)))));
    }
    RecordBatch::try_from_iter([
        ("int", Arc::new(lines.iter().map(|line| line.0).collect::<Int32Array>()) as _),
        (
            "real",
            Arc::new(lines.iter().map(|line| line.1.map(f64::from_bits)).collect::<Float64Array>()) as _,
        ),
        ("text", Arc::new(lines.iter().map(|line| line.2.as_deref()).collect::<StringArray>()) as _),
        ("flag", Arc::new(lines.iter().map(|line| line.3).collect::<BooleanArray>()) as _),
        ("list", Arc::new(lists.finish()) as _),
    ])
    .unwrap()
}

fn lines(batch: &RecordBatch) -> Vec<Line> {
    let column = |i: usize| batch.column(i);
    (0..batch.num_rows())
        .map(|i| {
            let list = column(4).as_list::<i32>();
            let bits = || {
                let items = list.value(i);
                items.as_primitive::<Float32Type>().values().iter().map(|x| x.to_bits()).collect()
            };
            (
                column(0).is_valid(i).then(|| column(0).as_primitive::<Int32Type>().value(i)),
                column(1).is_valid(i).then(|| column(1).as_primitive::<Float64Type>().value(i).to_bits()),
                column(2).is_valid(i).then(|| column(2).as_string::<i32>().value(i).to_owned()),
                column(3).is_valid(i).then(|| column(3).as_boolean().value(i)),
                list.is_valid(i).then(bits),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Every bit of every number, NaNs and negative zeros too, and every text.
    #[test]
    fn a_table_survives_the_store(
        given in vec((option::of(any::<i32>()), option::of(any::<u64>()), option::of(".{0,8}"),
            option::of(any::<bool>()), option::of(vec(any::<u32>(), 0..4))), 0..20)
    ) {
        let kit = Kit::new();
        let put = kit.store.put_table("t", meta(1), &build(&given)).unwrap();
        let read = kit.store.read_table(&put, None).unwrap();
        prop_assert_eq!(lines(&read), given.clone());
        prop_assert_eq!(&kit.store.put_table("t", meta(1), &read).unwrap(), &put);
        // One value changed is another content, in that column only.
        if let Some(first) = given.first() {
            let mut other = given.clone();
            other[0].0 = Some(first.0.map_or(0, |value| value ^ 1));
            let changed = kit.store.put_table("t", meta(1), &build(&other)).unwrap();
            prop_assert_ne!(changed.id, put.id);
            prop_assert_ne!(changed.column("int").unwrap().id, put.column("int").unwrap().id);
            prop_assert_eq!(changed.column("real").unwrap().id, put.column("real").unwrap().id);
        }
    }
}

#[test]
fn signed_zeros_and_nans_keep_their_bits() {
    let bits = [0.0f64.to_bits(), (-0.0f64).to_bits(), f64::NAN.to_bits(), 0x7ff8_dead_beef_0001, 0];
    let given: Vec<Line> = bits.iter().map(|&bits| (None, Some(bits), None, None, None)).collect();
    let kit = Kit::new();
    let put = kit.store.put_table("t", meta(1), &build(&given)).unwrap();
    assert_eq!(lines(&kit.store.read_table(&put, None).unwrap()), given);
}

#[test]
fn kind_and_metadata_are_content() {
    let kit = Kit::new();
    let table = build(&[(Some(1), None, None, None, None)]);
    let put = |kind: &str, rate| kit.store.put_table(kind, meta(rate), &table).unwrap();
    let first = put("t", 1);
    assert_ne!(first.id, put("u", 1).id);
    assert_ne!(first.id, put("t", 2).id);
    assert_eq!(first.columns, put("u", 2).columns);
    // 0.1 in the metadata comes back as the same number.
    assert_eq!(kit.store.manifest(&first.id).unwrap().meta, meta(1));
}
