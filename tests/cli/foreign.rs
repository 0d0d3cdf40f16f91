//! What programs of others write and print, as it is shown.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::sandbox::Sandbox;

fn parquet(table: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(table).unwrap();
    writer.close().unwrap();
    bytes
}

/// A table that a program of the pipeline gives.
fn given(table: &RecordBatch) -> Sandbox {
    let bytes = parquet(table);
    let sandbox = Sandbox::new().file(
        "given.yaml",
        "version: 1\nname: given\nstages:\n  t: { uses: command, with: { program: [cp, t.parquet, '{out.t}'], files: [t.parquet], outputs: { t: table } } }\n",
    );
    sandbox.write("t.parquet", bytes);
    sandbox.ok("run given.yaml");
    sandbox
}

#[test]
fn values_of_every_type_are_shown_and_exported_exactly() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("hash", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("day", Arc::new(Date32Array::from(vec![19_723, 0]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_704_067_200_000_001, 0])
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        ("price", Arc::new(Decimal128Array::from(vec![12_340, -5]).with_precision_and_scale(10, 3).unwrap())),
    ];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let sandbox = given(&table);
    let csv = sandbox.ok("table given.yaml t --format csv").stdout;
    assert_eq!(
        csv,
        "hash,day,at,price\n\
         18446744073709551615,2024-01-01,2024-01-01T00:00:00.000001Z,12.340\n\
         ,1970-01-01,1970-01-01T00:00:00Z,-0.005\n"
    );
    let line = &sandbox.ok("table given.yaml t --format json").json()[0];
    assert_eq!(line["hash"].as_u64(), Some(u64::MAX), "{line}");
    assert_eq!(line["price"], "12.340");
    let shown = sandbox.ok("show given.yaml t").stdout;
    assert!(shown.contains("price: Decimal128<10, 3>") && shown.contains("18446744073709551615"), "{shown}");
    sandbox.ok("show given.yaml t --export out");
    let file = fs_err::File::open(sandbox.path("out/t.parquet")).unwrap().into_parts().0;
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(reader.next().unwrap().unwrap().columns(), table.columns());
}

#[test]
fn control_sequences_of_programs_stay_in_the_log_file() {
    let sandbox = Sandbox::new().file(
        "loud.yaml",
        r#"version: 1
name: loud
stages:
  c: { uses: command, with: { program: [sh, -c, "printf '\\033]0;title\\007\\033[31mred\\033[0m\\n10%%\\r100%%\\n'; exit $CODE"], outputs: { r: report }, env: { CODE: "3" } } }
"#,
    );
    let failed = sandbox.ends("run loud.yaml", 1);
    assert!(failed.stderr.contains("| red\n") && failed.stderr.contains("| 100%\n"), "{failed}");
    assert!(!failed.stderr.contains(['\u{1b}', '\u{7}', '\r']), "{failed}");
    let logs = sandbox.ok("logs loud.yaml c").stdout;
    assert!(logs.starts_with("red\n100%\n"), "{logs:?}");
    assert!(!sandbox.ok("runs show last").stdout.contains('\u{1b}'));
    let raw = sandbox.ok("logs loud.yaml c --raw").stdout;
    assert!(raw.starts_with("\u{1b}]0;title\u{7}\u{1b}[31mred\u{1b}[0m\n10%\r100%\n"), "{raw:?}");
}

/// Two systems on six folds; `error_rate` and `instance_f1` are both 0.1 larger in `new`.
fn measured(columns: &[(&str, [Option<&str>; 2])]) -> Sandbox {
    let sandbox = Sandbox::new().file(
        "own.yaml",
        "version: 1
name: own
matrix: { fold: [1, 2, 3, 4, 5, 6], system: [old, new] }
stages:
  own: { uses: command, with: { program: [cp, '${system}${fold}.parquet', '{out.m}'], files: ['${system}${fold}.parquet'], outputs: { m: metrics } } }
  table:
    uses: table
    in: { metrics: { from: own, collect: [fold, system] } }
    with: { rows: system, over: [fold], metric: [error_rate, instance_f1], baseline: old }
",
    );
    for fold in 1..=6 {
        for (system, gain) in [("old", 0.0), ("new", 0.1)] {
            let value = f64::from(fold) / 20.0 + gain;
            let mut all: Vec<(&str, ArrayRef)> = vec![
                ("metric", Arc::new(StringArray::from(vec!["error_rate", "instance_f1"]))),
                ("class", Arc::new(StringArray::from(vec![None::<&str>; 2]))),
                ("value", Arc::new(Float64Array::from(vec![value; 2]))),
            ];
            for (name, values) in columns {
                all.push((name, Arc::new(StringArray::from(values.to_vec()))));
            }
            let table = RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(n, a)| (n, a, true)));
            sandbox.write(&format!("{system}{fold}.parquet"), parquet(&table.unwrap()));
        }
    }
    sandbox
}

#[test]
fn a_metric_of_a_program_says_which_values_are_better() {
    let sandbox = measured(&[
        ("better", [Some("lower"), Some("higher")]),
        ("unit", [Some("fraction"), Some("fraction")]),
    ]);
    let run = sandbox.ok("run own.yaml");
    assert!(!run.stderr.contains("known whether"), "{run}");
    let rows = sandbox.ok("table own.yaml table --format json").json();
    let verdict = |metric: &str| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row["metric"] == metric && row["system"] == "new").unwrap();
        row["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!([verdict("error_rate"), verdict("instance_f1")], ["worse", "better"]);
    assert!(sandbox.ok("table own.yaml table").stdout.contains("(%)"), "fractions are shown in percent");
}

#[test]
fn a_metric_of_a_program_that_says_nothing_gets_no_verdict() {
    let sandbox = measured(&[]);
    let run = sandbox.ok("run own.yaml");
    let told = "of error_rate, instance_f1 is not known whether more or less is better";
    assert!(run.stderr.contains(told), "{run}");
    let rows = sandbox.ok("table own.yaml table --format json").json();
    let verdicts: Vec<&str> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["baseline", "differs", "baseline", "differs"]);
    let wrong = measured(&[("better", [Some("lowest"), None])]).ends("run own.yaml", 1);
    assert!(wrong.stderr.contains("`lowest` is neither `higher` nor `lower`"), "{wrong}");
}

#[test]
fn names_cannot_break_a_table() {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["two\nlines", "\u{1b}[2Jclear"]));
    let sandbox = given(&RecordBatch::try_from_iter([("name", names)]).unwrap());
    let text = sandbox.ok("table given.yaml t").stdout;
    assert!(text.contains("two\\nlines\n") && text.contains("\\u{1b}[2Jclear\n"), "{text}");
    // What programs read is exact.
    assert_eq!(sandbox.ok("table given.yaml t --format json").json()[1]["name"], "\u{1b}[2Jclear");
}
