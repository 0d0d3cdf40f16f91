//! Small stages that count how often they run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, Registry, Retry,
    SourceScan, Stage, StageError, StageIo,
};

static COUNTS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// How often the stages with this tag ran (for `lengths`: how many rows were computed).
pub fn count(tag: &str) -> usize {
    COUNTS.lock().unwrap().get(tag).copied().unwrap_or(0)
}

fn counted(tag: &str) {
    *COUNTS.lock().unwrap().entry(tag.to_owned()).or_default() += 1;
}

pub fn registry() -> Registry {
    Registry::new()
        .with::<Number>()
        .with::<Sum>()
        .with::<Fail>()
        .with::<Flaky>()
        .with::<Hungry>()
        .with::<Files>()
        .with::<Touch>()
        .with::<Gather>()
        .with_map::<Lengths>()
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn values(table: &RecordBatch) -> Vec<i64> {
    table.column_by_name("value").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// Writes one number and a remark that nobody reads.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberParams {
    /// The number.
    value: i64,
    /// The remark.
    #[serde(default)]
    remark: String,
    /// For counting; not hashed.
    #[serde(default, skip_serializing)]
    tag: String,
}

pub struct Number;

impl Stage for Number {
    const NAME: &'static str = "number";
    const VERSION: u32 = 1;
    type Params = NumberParams;

    fn check(params: &NumberParams) -> Vec<ParamError> {
        if params.value < 0 {
            vec![ParamError::new("value", format!("{} is outside 0..", params.value))]
        } else {
            vec![]
        }
    }
    fn inputs(_: &NumberParams) -> Vec<Port> {
        vec![]
    }
    fn outputs(_: &NumberParams) -> Vec<Output> {
        vec![Output::new("number", Kind::Table)]
    }
    fn run(params: &NumberParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        counted(&params.tag);
        io.log("thinking of a number");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("value", Arc::new(Int64Array::from(vec![params.value]))),
            ("remark", Arc::new(StringArray::from(vec![params.remark.clone()]))),
        ];
        io.write_table("number", Meta::new(), &table(columns))
    }
}

/// Adds two numbers and a constant, modulo another.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SumParams {
    /// The constant.
    #[serde(default)]
    plus: i64,
    /// The modulus.
    #[serde(default = "large")]
    modulo: i64,
    /// For counting; not hashed.
    #[serde(default, skip_serializing)]
    tag: String,
}

fn large() -> i64 {
    1_000_000
}

pub struct Sum;

impl Stage for Sum {
    const NAME: &'static str = "sum";
    const VERSION: u32 = 1;
    type Params = SumParams;

    fn inputs(_: &SumParams) -> Vec<Port> {
        vec![
            Port::new("a", Kind::Table).reading(&["value"]),
            Port::new("b", Kind::Table).reading(&["value"]).optional(),
        ]
    }
    fn outputs(_: &SumParams) -> Vec<Output> {
        vec![Output::new("sum", Kind::Table), Output::new("double", Kind::Table)]
    }
    fn run(params: &SumParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        counted(&params.tag);
        let mut sum = values(&io.table("a")?)[0] + params.plus;
        if io.has("b") {
            sum += values(&io.table("b")?)[0];
        }
        sum %= params.modulo;
        let one = |value: i64| table(vec![("value", Arc::new(Int64Array::from(vec![value])) as ArrayRef)]);
        io.write_table("sum", Meta::new(), &one(sum))?;
        io.write_table("double", Meta::new(), &one(2 * sum))
    }
}

/// Gathers the cells of a repeated stage.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatherParams {}

pub struct Gather;

impl Stage for Gather {
    const NAME: &'static str = "gather";
    const VERSION: u32 = 1;
    type Params = GatherParams;

    fn inputs(_: &GatherParams) -> Vec<Port> {
        vec![Port::new("numbers", Kind::Table).collecting().reading(&["value"])]
    }
    fn outputs(_: &GatherParams) -> Vec<Output> {
        vec![Output::new("table", Kind::Table)]
    }
    fn run(_: &GatherParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (mut cells, mut numbers) = (Vec::new(), Vec::new());
        for (axes, table) in io.tables("numbers")? {
            cells.push(
                axes.iter().map(|(axis, label)| format!("{axis}={label}")).collect::<Vec<_>>().join(","),
            );
            numbers.push(values(&table)[0]);
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("cell", Arc::new(StringArray::from(cells))),
            ("value", Arc::new(Int64Array::from(numbers))),
        ];
        io.write_table("table", Meta::new(), &table(columns))
    }
}

/// Fails while `ok` is false, in one of several ways.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailParams {
    /// `error`, `panic`, `forget` or `wait`.
    how: String,
}

pub struct Fail;

/// Set once a stage of `how: wait` waits to be stopped.
pub static WAITS: AtomicBool = AtomicBool::new(false);

impl Stage for Fail {
    const NAME: &'static str = "fail";
    const VERSION: u32 = 1;
    type Params = FailParams;

    fn inputs(_: &FailParams) -> Vec<Port> {
        vec![Port::new("in", Kind::Table)]
    }
    fn outputs(_: &FailParams) -> Vec<Output> {
        vec![Output::new("out", Kind::Table)]
    }
    fn run(params: &FailParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        match params.how.as_str() {
            "error" => Err(StageError::failed("the glass is empty").help("fill it")),
            "panic" => panic!("the glass broke"),
            "wait" => loop {
                WAITS.store(true, Ordering::SeqCst);
                io.tick()?;
                std::thread::yield_now();
            },
            _ => Ok(()),
        }
    }
}

/// Fails in a way that may pass, a few times.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlakyParams {
    /// How often it fails.
    failures: usize,
    /// How often it may be tried again.
    times: u32,
    /// For counting; not hashed.
    #[serde(default, skip_serializing)]
    tag: String,
}

pub struct Flaky;

impl Stage for Flaky {
    const NAME: &'static str = "flaky";
    const VERSION: u32 = 1;
    type Params = FlakyParams;

    fn inputs(_: &FlakyParams) -> Vec<Port> {
        vec![]
    }
    fn outputs(_: &FlakyParams) -> Vec<Output> {
        vec![Output::new("number", Kind::Table)]
    }
    fn run(params: &FlakyParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        counted(&params.tag);
        let n = count(&params.tag);
        io.log(&format!("attempt {n}"));
        if n <= params.failures {
            let retry = Retry { times: params.times, wait: Duration::from_millis(1) };
            return Err(StageError::failed("the server is busy").passing(retry));
        }
        let columns: Vec<(&str, ArrayRef)> = vec![("value", Arc::new(Int64Array::from(vec![1])))];
        io.write_table("number", Meta::new(), &table(columns))
    }
}

/// Asks for memory and holds it for a moment.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HungryParams {
    /// Bytes.
    bytes: u64,
    /// Tells it from others of its kind.
    #[serde(default)]
    name: String,
}

/// What hungry stages hold together, and the most that they ever held.
pub static HELD: Mutex<(u64, u64)> = Mutex::new((0, 0));

pub struct Hungry;

impl Stage for Hungry {
    const NAME: &'static str = "hungry";
    const VERSION: u32 = 1;
    type Params = HungryParams;

    fn inputs(_: &HungryParams) -> Vec<Port> {
        vec![]
    }
    fn outputs(_: &HungryParams) -> Vec<Output> {
        vec![Output::new("number", Kind::Table)]
    }
    fn run(params: &HungryParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        io.memory(params.bytes)?;
        {
            let mut held = HELD.lock().unwrap();
            held.0 += params.bytes;
            held.1 = held.1.max(held.0);
        }
        std::thread::sleep(Duration::from_millis(30));
        HELD.lock().unwrap().0 -= params.bytes;
        let columns: Vec<(&str, ArrayRef)> = vec![("value", Arc::new(Int64Array::from(vec![1])))];
        io.write_table("number", Meta::new(), &table(columns))
    }
}

/// Declares every file of a folder as a clip.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesParams {
    /// The folder.
    #[serde(skip_serializing)]
    root: PathBuf,
    /// A column that `lengths` does not read.
    #[serde(default)]
    license: String,
}

pub struct Files;

impl Stage for Files {
    const NAME: &'static str = "files";
    const VERSION: u32 = 1;
    type Params = FilesParams;

    fn inputs(_: &FilesParams) -> Vec<Port> {
        vec![]
    }
    fn outputs(_: &FilesParams) -> Vec<Output> {
        vec![Output::new("clips", Kind::Clips)]
    }
    fn sources(params: &FilesParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&params.root)? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        scan.files(files)
    }
    fn run(params: &FilesParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let ids: Vec<String> = io.sources().iter().map(|source| source.label.clone()).collect();
        let digests: Vec<String> = io.sources().iter().map(|source| source.digest().to_string()).collect();
        let licenses = vec![params.license.clone(); ids.len()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("clip_id", Arc::new(StringArray::from(ids))),
            ("digest", Arc::new(StringArray::from(digests))),
            ("license", Arc::new(StringArray::from(licenses))),
        ];
        io.write_table("clips", Meta::new(), &table(columns))
    }
}

/// Changes a file that it declared, as a user might while a stage runs.
pub struct Touch;

impl Stage for Touch {
    const NAME: &'static str = "touch";
    const VERSION: u32 = 1;
    type Params = FilesParams;

    fn inputs(_: &FilesParams) -> Vec<Port> {
        vec![]
    }
    fn outputs(params: &FilesParams) -> Vec<Output> {
        Files::outputs(params)
    }
    fn sources(params: &FilesParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        Files::sources(params, scan)
    }
    fn run(params: &FilesParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        Files::run(params, io)?;
        let file = io.sources().iter().find_map(|source| source.file());
        fs_err::write(&file.expect("a file is declared").path, "something else")?;
        Ok(())
    }
}

/// The length of each file; files that start with `!` are unusable.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthsParams {
    /// What a byte counts.
    #[serde(default = "one")]
    scale: f32,
    /// Whether unusable files are left out.
    #[serde(default)]
    skip: bool,
    /// Whether odd files are unusable.
    #[serde(default)]
    refuse: bool,
    /// For counting; not hashed.
    #[serde(default, skip_serializing)]
    tag: String,
}

fn one() -> f32 {
    1.0
}

pub struct Lengths;

impl MapStage for Lengths {
    const NAME: &'static str = "lengths";
    const VERSION: u32 = 1;
    const REMARKED: [&'static str; 2] = ["is odd", "are odd"];
    const NOT_IN_ROWS: &'static [&'static str] = &["skip", "refuse"];
    type Params = LengthsParams;
    type Worker = (f32, String);

    fn input(_: &LengthsParams) -> Port {
        Port::any("clips", &[Kind::Clips, Kind::Features]).reading(&["clip_id", "digest"])
    }
    fn output(_: &LengthsParams) -> Output {
        Output::new("lengths", Kind::Features)
    }
    fn skips(params: &LengthsParams) -> bool {
        params.skip
    }
    fn refuses_remarks(params: &LengthsParams) -> bool {
        params.refuse
    }
    fn prepare(params: &LengthsParams, _: &StageIo<'_>) -> Result<(Self::Worker, Meta), StageError> {
        Ok((
            (params.scale, params.tag.clone()),
            Meta::from([("scale".to_owned(), f64::from(params.scale).into())]),
        ))
    }
    fn map(worker: &Self::Worker, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        counted(&worker.1);
        let length = match &input.content {
            MapContent::File(bytes) if bytes.starts_with(b"!") => {
                return Err(MapError::Unusable("it starts with `!`".to_owned()));
            }
            MapContent::File(bytes) => {
                assert!(!bytes.starts_with(b"?"), "a question broke the stage");
                bytes.len() as f32
            }
            MapContent::Row(row) => row.to_f32()[0],
        };
        let remark = match &input.content {
            MapContent::File(bytes) if bytes.starts_with(b"~") => Some(format!("at 0: `~` of {length}")),
            _ => None,
        };
        Ok(Mapped { row: Row { frames: 1, values: Values::F32(vec![length * worker.0]) }, remark })
    }
}
