//! `command`: tables and rows of other programs.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray, Float16Array,
    Float64Array, Int8Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray,
    StructArray, Time64NanosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::sandbox::{Ran, Sandbox};

fn parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Vec<u8> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// A program that gives bytes as its output, beside a stage that needs nothing of it.
fn give(sandbox: &Sandbox, bytes: &[u8], kind: &str) -> Ran {
    sandbox.file("given", bytes);
    sandbox.try_run(&format!(
        "
stages:
  ours: {{ uses: command, with: {{ program: [cp, DIR/given, '{{out.y}}'], files: [DIR/given], outputs: {{ y: {kind} }} }} }}
  other: {{ uses: command, with: {{ program: [sh, -c, 'sleep 0.2; printf x > $SNDPIPE_OUT_R'], outputs: {{ r: report }} }} }}
"
    ))
}

/// What comes back of one column.
fn column(array: ArrayRef) -> ArrayRef {
    let sandbox = Sandbox::new();
    let ran = give(&sandbox, &parquet(vec![("x", array)], Compression::UNCOMPRESSED), "table");
    assert_eq!(ran.status("ours"), "ran");
    Arc::clone(ran.table("ours", 0).column(0))
}

#[test]
fn integers_keep_their_values() {
    let values = vec![Some(1), None, Some(1 << 63), Some(u64::MAX)];
    let got = column(Arc::new(UInt64Array::from(values.clone())));
    assert_eq!(got.as_primitive::<UInt64Type>().iter().collect::<Vec<_>>(), values);
    let got = column(Arc::new(UInt32Array::from(vec![u32::MAX])));
    assert_eq!(got.as_primitive::<Int64Type>().value(0), i64::from(u32::MAX));
    let got = column(Arc::new(Int8Array::from(vec![i8::MIN])));
    assert_eq!(got.as_primitive::<Int64Type>().value(0), i64::from(i8::MIN));
}

#[test]
fn dates_times_and_decimals_are_what_they_were() {
    let kept: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(vec![Some(19_723), None])),
        Arc::new(Time64NanosecondArray::from(vec![1])),
        Arc::new(TimestampNanosecondArray::from(vec![-1])),
        Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("Europe/Berlin")),
        Arc::new(DurationMillisecondArray::from(vec![-1500])),
        Arc::new(Decimal128Array::from(vec![Some(1_234), None]).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float16Array::from(vec![half::f16::from_f32(0.1)])),
    ];
    for array in kept {
        assert_eq!(&column(Arc::clone(&array)), &array, "{}", array.data_type());
    }
    let got = column(Arc::new(Float64Array::from(vec![Some(f64::NAN), None])));
    assert!(got.as_primitive::<arrow_array::types::Float64Type>().value(0).is_nan() && got.null_count() == 1);
}

#[test]
fn texts_are_texts_however_they_were_laid_out() {
    let texts = StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]);
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    dictionary.extend(texts.iter());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(LargeStringArray::from_iter(texts.iter())),
        Arc::new(StringViewArray::from_iter(texts.iter())),
        Arc::new(dictionary.finish()),
    ];
    for array in arrays {
        assert_eq!(column(Arc::clone(&array)).as_string::<i32>(), &texts, "{}", array.data_type());
    }
}

#[test]
fn a_column_that_is_not_stored_fails_its_stage_alone() {
    let field = Arc::new(Field::new("f", DataType::UInt64, true));
    let inner: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(field, inner)]));
    let text = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    for (columns, want) in [
        (
            vec![("ok", text()), ("s", structs)],
            "output `y` (table): column `s` holds structs, which is not stored / write a column for each",
        ),
        (
            vec![("n", Arc::new(NullArray::new(1)) as ArrayRef)],
            "output `y` (table): column `n` has no type, for all of its values are absent",
        ),
        (vec![("x", text()), ("x", text())], "output `y` (table): two columns are called `x` / rename"),
    ] {
        let sandbox = Sandbox::new();
        let ran = give(&sandbox, &parquet(columns, Compression::UNCOMPRESSED), "table");
        let said = ran.failure("ours");
        assert!(said.starts_with(want), "{said}");
        assert_eq!(ran.status("other"), "ran");
    }
}

#[test]
fn compressed_parquet_is_read_and_its_compression_does_not_count() {
    let numbers = || vec![("x", Arc::new(UInt64Array::from_iter_values(0..1000)) as ArrayRef)];
    let sandbox = Sandbox::new();
    let ids = |compression| {
        let ran = give(&sandbox, &parquet(numbers(), compression), "table");
        assert_eq!(ran.status("ours"), "ran", "{compression}");
        ran.ids("ours")
    };
    let plain = ids(Compression::UNCOMPRESSED);
    for compression in [
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        assert_eq!(ids(compression), plain, "{compression}");
    }
}

#[test]
fn feather_of_every_kind_is_read() {
    let mut values = ListBuilder::new(Float32Builder::new());
    values.append_value([Some(1.0), Some(2.0)]);
    let mut ids = StringDictionaryBuilder::<Int32Type>::new();
    ids.append_value("a");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("clip_id", Arc::new(ids.finish())), ("values", Arc::new(values.finish()))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let sandbox = Sandbox::new();
    let mut first = None;
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = || IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let (mut file, mut stream) = (Vec::new(), Vec::new());
        let mut writer = FileWriter::try_new_with_options(&mut file, &batch.schema(), options()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let mut writer = StreamWriter::try_new_with_options(&mut stream, &batch.schema(), options()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        for bytes in [file, stream] {
            let ran = give(&sandbox, &bytes, "embeddings");
            assert_eq!(ran.status("ours"), "ran", "{compression:?}");
            assert_eq!(&ran.ids("ours"), first.get_or_insert_with(|| ran.ids("ours")), "{compression:?}");
        }
    }
    let said = give(&sandbox, b"FEA1 and so on", "embeddings").failure("ours");
    assert!(said.contains("a Feather file of version 1 / write version 2"), "{said}");
    let said = give(&sandbox, b"no table at all", "table").failure("ours");
    assert!(said.contains("output `y` (table): not a Parquet file"), "{said}");
}
