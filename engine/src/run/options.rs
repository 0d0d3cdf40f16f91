//! How to run.

use std::sync::atomic::AtomicBool;

use crate::cell::InstanceId;
use crate::device::Device;

/// How to run.
pub struct RunOptions<'a> {
    /// What to bring up to date; empty: everything.
    pub targets: Vec<InstanceId>,
    /// Instances that run even if their result is there.
    pub force: Vec<InstanceId>,
    /// Instances whose results are read when the run has ended: what is damaged of them is made again before.
    pub read: Vec<InstanceId>,
    /// CPU slots.
    pub jobs: usize,
    /// Bytes of memory that stages may ask for together.
    pub memory: u64,
    /// Where stages that want an accelerator run.
    pub device: Device,
    /// Whether the first failure stops the run.
    pub fail_fast: bool,
    /// `--set`, for the record of the run.
    pub overrides: Vec<(String, String)>,
    /// Set from outside to stop the run.
    pub cancel: &'a AtomicBool,
}
