//! What a stage is: typed parameters, ports, and a function from inputs to outputs.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use sndpipe_cache::{Meta, Row};

use crate::bound::Upstream;
use crate::error::{ParamError, StageError};
use crate::io::StageIo;
use crate::port::{Output, Port};
use crate::scan::SourceScan;

/// A stage kind: what `uses:` names. Its output is a pure function of parameters, inputs and declared files.
///
/// The documentation of the parameter struct is what `sndpipe stages NAME` prints.
pub trait Stage: Send + Sync + 'static {
    /// What `uses:` says.
    const NAME: &'static str;
    /// Raised when the same inputs give other bytes.
    const VERSION: u32;
    /// The paper or standard that the stage follows, where there is one.
    const SOURCE: &'static str = "";
    /// What `with:` says. Fields that are paths carry `#[serde(skip_serializing)]`: not the path is hashed but what it leads to.
    /// A field added later carries `skip_serializing_if` for its default, so that old keys stay valid.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// Checks ranges and combinations; returns every mistake.
    fn check(params: &Self::Params) -> Vec<ParamError> {
        let _ = params;
        Vec::new()
    }

    /// The inputs under these parameters.
    fn inputs(params: &Self::Params) -> Vec<Port>;

    /// The outputs under these parameters; the first is the default.
    fn outputs(params: &Self::Params) -> Vec<Output>;

    /// Checks what is wired to the inputs, for combinations that parameters alone do not show; kinds were checked already.
    fn check_wiring(params: &Self::Params, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let _ = (params, upstream);
        Vec::new()
    }

    /// Whether a run of it wants the accelerator when one was asked for.
    fn wants_accelerator(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// Declares the files outside the cache that the stage reads. Runs at every plan, before anything else: what is wrong with
    /// the data set is found here.
    ///
    /// # Errors
    /// [`StageError::Failed`] where the data set is unusable.
    fn sources(params: &Self::Params, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let _ = (params, scan);
        Ok(())
    }

    /// Computes every output.
    ///
    /// # Errors
    /// [`StageError::Failed`] with what is wrong; [`StageError::Interrupted`] from [`StageIo::tick`].
    fn run(params: &Self::Params, io: &mut StageIo<'_>) -> Result<(), StageError>;
}

/// One clip as a [`MapStage`] sees it.
pub struct MapInput<'a> {
    /// What the row holds.
    pub content: MapContent<'a>,
    /// Metadata of the mapped artefact.
    pub meta: &'a Meta,
}

/// The content of one clip.
pub enum MapContent<'a> {
    /// A source file: the bytes, verified against the clip's digest.
    File(&'a [u8]),
    /// A row of an artefact.
    Row(sndpipe_cache::RowRef<'a>),
}

/// The output row of one clip.
#[derive(Debug)]
pub struct Mapped {
    /// The row.
    pub row: Row,
    /// What the user should know about it, such as what is damaged in the input. It is part of the artefact and kept with the row
    /// wherever that is reused.
    pub remark: Option<String>,
}

impl From<Row> for Mapped {
    fn from(row: Row) -> Self {
        Self { row, remark: None }
    }
}

/// Why a clip has no output row.
#[derive(Debug)]
pub enum MapError {
    /// The content of the clip is at fault: remembered with its reason. Whether it fails the stage is the stage's `skips`.
    Unusable(String),
    /// Anything else: fails the stage and is never remembered.
    Failed(StageError),
}

impl From<StageError> for MapError {
    fn from(error: StageError) -> Self {
        Self::Failed(error)
    }
}

/// A stage that maps each clip to at most one row, independently of all others. The engine keeps which input row has which
/// output row, so that ten clips added to a million compute ten.
pub trait MapStage: Send + Sync + 'static {
    /// What `uses:` says.
    const NAME: &'static str;
    /// Raised when the same inputs give other bytes.
    const VERSION: u32;
    /// The paper or standard that the stage follows, where there is one.
    const SOURCE: &'static str = "";
    /// What rows are called in the progress line.
    const UNIT: &'static str = "clips";
    /// What is said of one clip that has a remark, and of several: "2 of 400 clips …".
    const REMARKED: [&'static str; 2] = ["has a remark", "have remarks"];
    /// Parameters that say what happens to a clip without a row or with a remark, never what a row holds: rows are reused when they change.
    const NOT_IN_ROWS: &'static [&'static str] = &[];
    /// What `with:` says; see [`Stage::Params`].
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What one run shares between its rows: plans, filters, a network.
    type Worker: Send + Sync;

    /// Checks ranges and combinations; returns every mistake.
    fn check(params: &Self::Params) -> Vec<ParamError> {
        let _ = params;
        Vec::new()
    }

    /// The mapped input: `clips` (the digest of each file is what counts) or a kind stored as rows.
    fn input(params: &Self::Params) -> Port;

    /// The other inputs, read whole; they are part of what a row is remembered under.
    fn others(params: &Self::Params) -> Vec<Port> {
        let _ = params;
        Vec::new()
    }

    /// An optional input that selects the clips to map; it decides which rows there are, never what they hold.
    /// Gives the port and, from its table, whether a row of it selects its clip.
    fn selector(params: &Self::Params) -> Option<Selector> {
        let _ = params;
        None
    }

    /// The one output.
    fn output(params: &Self::Params) -> Output;

    /// See [`Stage::check_wiring`].
    fn check_wiring(params: &Self::Params, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let _ = (params, upstream);
        Vec::new()
    }

    /// Whether an unusable clip is left out (with its reason in the artefact) rather than failing the stage.
    fn skips(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// Whether a clip with a remark counts as unusable, with the remark as the reason. The row is kept for when this changes.
    fn refuses_remarks(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// See [`Stage::sources`]; what is declared is also part of what a row is remembered under.
    ///
    /// # Errors
    /// As those of [`Stage::sources`].
    fn sources(params: &Self::Params, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        let _ = (params, scan);
        Ok(())
    }

    /// Whether a run of it wants the accelerator when one was asked for.
    fn wants_accelerator(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// Memory in bytes that the worker will hold. The engine asks for it before [`prepare`](Self::prepare), together with that of the rows.
    ///
    /// # Errors
    /// As those of [`StageIo`].
    fn memory(params: &Self::Params, io: &StageIo<'_>) -> Result<u64, StageError> {
        let _ = (params, io);
        Ok(0)
    }

    /// Prepares a run and gives the metadata of the output, which may depend on the parameters and the metadata of inputs only.
    ///
    /// # Errors
    /// [`StageError::Failed`] where an input does not fit.
    fn prepare(params: &Self::Params, io: &StageIo<'_>) -> Result<(Self::Worker, Meta), StageError>;

    /// What the summary should say about the run, whatever its clips are.
    fn remarks(worker: &Self::Worker) -> Vec<String> {
        let _ = worker;
        Vec::new()
    }

    /// Maps one clip. Called from several threads.
    ///
    /// # Errors
    /// [`MapError::Unusable`] if and only if the content of the clip determines the failure.
    fn map(worker: &Self::Worker, input: &MapInput<'_>) -> Result<Mapped, MapError>;
}

/// An input that chooses which clips a [`MapStage`] maps.
#[derive(Debug, Clone)]
pub struct Selector {
    /// The port; a table with `clip_id` and `column`.
    pub port: Port,
    /// The column that is compared.
    pub column: String,
    /// The values that select a clip.
    pub values: Vec<String>,
}
