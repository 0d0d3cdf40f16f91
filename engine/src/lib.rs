//! The engine of sndpipe: from a pipeline file to a checked graph, keys, plans and runs. It knows no audio and no tensors.
#![forbid(unsafe_code)]

mod count;
pub mod declared;
mod device;
mod event;
mod gate;
mod graph;
mod history;
mod io;
mod job;
mod keep;
mod key;
mod kind;
mod log;
mod map;
pub mod misfit;
mod panic;
mod plan;
pub mod program;
mod quantity;
mod record;
mod registry;
mod rerun;
mod resolve;
mod retry;
mod run;
mod scan;
mod spec;
mod stage;
mod survey;
mod usage;
mod utc;
mod watch;

pub use count::{agree, counted};
pub use device::Device;
pub use event::{Event, Observer, Outcome, Progress, RowCounts, Silent};
pub use gate::Gate;
pub use graph::{Axes, Graph, Input, Instance, InstanceId, Item};
pub use history::History;
pub use io::{IoItem, IoPort, StageIo, Surroundings, Written};
pub use keep::{Keep, Needed, Pin, keys_needed};
pub use key::{
    Change, Face, Faces, InputPart, KeyHead, KeyParts, PortPart, SourcesPart, canonical, meta_digest,
};
pub use kind::{FormKind, Kind};
pub use log::StageLog;
pub use plan::{Plan, PlanItem, PlanStatus};
pub use quantity::{parse_bytes, parse_duration};
pub use record::{Provenance, Record, RunRecord, RunStage, read_sources};
pub use registry::{BoundStage, Registry, StageKind};
pub use rerun::{RerunOptions, rerun};
pub use resolve::{ScanError, Sources};
pub use retry::Retry;
pub use run::{RunOptions, RunReport, run};
pub use scan::{Content, SourceFile, SourceScan};
pub use spec::{Source, Span, SpecError, SpecErrors, did_you_mean, load, load_remembered, schema};
pub use stage::{
    MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, Selector, Stage, StageError,
    Upstream,
};
pub use usage::Usage;
pub use utc::Utc;
