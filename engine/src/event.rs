//! What happens during a run, for whoever shows it.

use std::time::Duration;

use sndpipe_cache::Digest;

use crate::cell::InstanceId;
use crate::usage::Usage;

/// Rows of a stage that maps clips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowCounts {
    /// Rows that were computed.
    pub computed: u64,
    /// Rows that were already known.
    pub reused: u64,
    /// Clips without a row, with their reason in the artefact.
    pub skipped: u64,
    /// Clips whose row has a remark in the artefact, such as what is damaged in the file.
    #[serde(default)]
    pub remarked: u64,
}

/// How far a running stage is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// What is counted: `clips`, `epochs`.
    pub unit: &'static str,
    /// The latest loss or metric.
    pub note: String,
}

/// The end of a stage in this run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It ran.
    Ran {
        /// Wall time.
        wall: Duration,
        /// Rows, where it maps clips.
        rows: RowCounts,
        /// What reached it.
        reason: String,
        /// Remarks for the summary, such as skipped clips.
        remarks: Vec<String>,
        /// What it took.
        usage: Usage,
    },
    /// Its outputs were there.
    Cached {
        /// Clips that it had left out.
        skipped: u64,
        /// Clips with a remark.
        remarked: u64,
    },
    /// It failed.
    Failed {
        /// What happened.
        message: String,
        /// A way out.
        help: Option<String>,
        /// The last lines of its log.
        log: Vec<String>,
        /// Wall time.
        wall: Duration,
        /// What it took.
        usage: Usage,
    },
    /// It needs a stage that failed.
    Skipped {
        /// The stage that failed.
        because: String,
    },
    /// The run was stopped before or while it ran.
    Interrupted,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The run starts: how many instances it looks at.
    Begin {
        /// Instances.
        stages: usize,
    },
    /// A stage starts to run.
    Started {
        /// The instance.
        id: InstanceId,
        /// What reached it.
        reason: &'a str,
    },
    /// A running stage got further.
    Progress {
        /// The instance.
        id: InstanceId,
        /// How far.
        progress: &'a Progress,
    },
    /// Another process computes this stage, or others compute rows that it needs; it is waited for.
    Waiting {
        /// The instance.
        id: InstanceId,
        /// Whether it is about rows.
        rows: bool,
    },
    /// A stage said something.
    Log {
        /// The instance.
        id: InstanceId,
        /// One line.
        line: &'a str,
    },
    /// A stage is done, one way or another.
    Finished {
        /// The instance.
        id: InstanceId,
        /// How.
        outcome: &'a Outcome,
        /// Its key, where its inputs are known.
        key: Option<Digest>,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// One line.
        text: &'a str,
    },
}

/// Shows events; called from several threads.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Shows nothing.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}

impl Outcome {
    /// A failure of a stage that did not come to run.
    pub(crate) fn failed(message: impl Into<String>, help: Option<String>) -> Self {
        let (log, wall, usage) = (Vec::new(), Duration::ZERO, Usage::default());
        Self::Failed { message: message.into(), help, log, wall, usage }
    }

    /// The word in summaries and JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ran { .. } => "ran",
            Self::Cached { .. } => "cached",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}
