//! A stage kind and a stage with their types erased: what the planner and the scheduler know of them.

use std::sync::Arc;

use serde_json::Value;

use crate::cell::Item;
use crate::error::{ParamError, StageError};
use crate::io::StageIo;
use crate::key::KeyHead;
use crate::port::{Output, Port};
use crate::scan::SourceScan;

/// A stage kind without its types.
pub trait StageKind: Send + Sync {
    /// What `uses:` says.
    fn name(&self) -> &'static str;
    /// See [`Stage::VERSION`](crate::Stage::VERSION).
    fn version(&self) -> u32;
    /// See [`Stage::SOURCE`](crate::Stage::SOURCE).
    fn source(&self) -> &'static str;
    /// JSON schema of the parameters; its description is the documentation of the stage.
    fn schema(&self) -> &Value;
    /// Checks parameters (references already replaced) and binds them.
    ///
    /// # Errors
    /// Every mistake, each with the path of its parameter.
    fn bind(&self, with: &Value) -> Result<Arc<dyn BoundStage>, Vec<ParamError>>;
    /// Binds parameters that this very program has bound before, from [`BoundStage::with`] and [`BoundStage::head`]; they are
    /// not checked again. `None` if they cannot be parsed.
    fn bind_again(&self, with: &str, head: KeyHead) -> Option<Arc<dyn BoundStage>>;
}

/// A stage kind with checked parameters: everything the planner and the scheduler need.
pub trait BoundStage: Send + Sync {
    /// What `uses:` says.
    fn name(&self) -> &'static str;
    /// See [`Stage::VERSION`](crate::Stage::VERSION).
    fn version(&self) -> u32;
    /// The parameters with their defaults, without paths: what is hashed.
    fn params(&self) -> &Value;
    /// What the file says, references replaced, as JSON: what it was bound from.
    fn with(&self) -> &str;
    /// Kind, version and parameters as the keys of all instances begin.
    fn head(&self) -> &KeyHead;
    /// The inputs.
    fn inputs(&self) -> &[Port];
    /// The outputs; the first is the default.
    fn outputs(&self) -> &[Output];
    /// See [`Stage::check_wiring`](crate::Stage::check_wiring).
    fn check_wiring(&self, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let _ = upstream;
        Vec::new()
    }
    /// See [`Stage::wants_accelerator`](crate::Stage::wants_accelerator).
    fn wants_accelerator(&self) -> bool;
    /// See [`Stage::sources`](crate::Stage::sources).
    ///
    /// # Errors
    /// As there.
    fn sources(&self, scan: &mut SourceScan<'_>) -> Result<(), StageError>;
    /// See [`Stage::run`](crate::Stage::run).
    ///
    /// # Errors
    /// As there.
    fn run(&self, io: &mut StageIo<'_>) -> Result<(), StageError>;
}

/// What is wired to a port: once for each port that is connected, for a port that collects once for each different stage behind it.
#[derive(Clone, Copy)]
pub struct Upstream<'a> {
    /// The port.
    pub port: &'a str,
    /// The stage behind it.
    pub stage: &'a dyn BoundStage,
    /// The output of that stage.
    pub output: &'a Output,
    /// Everything that the port reads, with the axes that it collects.
    pub items: &'a [Item],
}
