//! What is recorded of a run when it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use sndpipe_cache::{CacheError, Digest, Store};

use super::scheduler::Run;
use crate::event::{Event, Outcome};
use crate::graph::Instance;
use crate::history::History;
use crate::job::host;
use crate::record::{Cached, RunRecord, RunStage};
use crate::utc::Utc;

impl Run<'_> {
    pub(super) fn record_run(
        &mut self,
        (started_ms, id): (u64, String),
        wall: Duration,
    ) -> Result<String, CacheError> {
        for (&id, outcome) in &self.outcomes {
            if let (Outcome::Ran { .. } | Outcome::Cached { .. }, Some(key)) = (outcome, self.keys[id])
                && !(self.as_surveyed[id] && self.keeps(id))
            {
                let name = self.graph.instances[id].to_string();
                if self.history.key(&name) != Some(&key) {
                    self.history.learn(name, key, None);
                    self.history_due.1 = true;
                }
            }
        }
        if self.history.len() > self.graph.instances.len() {
            let names: BTreeSet<String> = self.graph.instances.iter().map(ToString::to_string).collect();
            self.history_due.1 |= self.history.keep(|name| names.contains(name));
        }
        if self.history_due.1 && self.store.is_writable() {
            let written = self.history.write(self.store, self.graph);
            self.pass_over(written)?;
        }
        // It is large, and so is what follows.
        self.history = History::default();
        let mut cached = Cached::default();
        let mut stages = Vec::new();
        for (&id, outcome) in &self.outcomes {
            let instance = &self.graph.instances[id];
            match outcome {
                Outcome::Cached { .. } => cached.push(&instance.stage, &instance.axes, self.keys[id]),
                outcome => stages.push(stage(instance, outcome, self.keys[id])),
            }
        }
        let failed = self.outcomes.values().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let interrupted = self.outcomes.values().any(|outcome| matches!(outcome, Outcome::Interrupted));
        let record = RunRecord {
            id,
            pipeline: self.graph.name.clone(),
            file: self.graph.source.name().to_owned(),
            path: self.graph.source.path().display().to_string(),
            overrides: self.options.overrides.clone(),
            started_ms,
            seconds: wall.as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host(),
            status: if failed {
                "failed"
            } else if interrupted {
                "interrupted"
            } else {
                "done"
            }
            .to_owned(),
            stages,
        };
        let id = record.id.clone();
        if self.store.is_writable() {
            let written = record.write(&cached, self.store);
            self.pass_over(written)?;
        }
        Ok(id)
    }

    /// What only tells of this run stops nothing where its folder may not be written: every result is there.
    fn pass_over(&self, written: Result<(), CacheError>) -> Result<(), CacheError> {
        match written {
            Err(error @ CacheError::Unusable { .. }) => {
                self.observer.event(&Event::Warning { text: &format!("this run is not recorded: {error}") });
                Ok(())
            }
            other => other,
        }
    }
}

/// An instance as the run left it.
fn stage(instance: &Instance, outcome: &Outcome, key: Option<Digest>) -> RunStage {
    let mut stage = RunStage {
        stage: instance.stage.clone(),
        axes: instance.axes.clone(),
        status: outcome.name().to_owned(),
        key,
        ..RunStage::default()
    };
    match outcome {
        Outcome::Ran { wall, rows, reason, usage, .. } => {
            (stage.seconds, stage.usage) = (wall.as_secs_f64(), *usage);
            stage.rows = *rows;
            stage.reason.clone_from(reason);
        }
        Outcome::Failed { message, log, wall, usage, .. } => {
            (stage.seconds, stage.usage) = (wall.as_secs_f64(), *usage);
            stage.error = Some(message.clone());
            stage.log.clone_from(log);
        }
        Outcome::Skipped { because } => stage.error = Some(format!("needs `{because}`")),
        Outcome::Cached { .. } | Outcome::Interrupted => {}
    }
    stage
}

/// `20261121-214703-123-4f2a-17`: UTC time to the millisecond, the process and the number of the run, which counts when runs are sorted.
/// With the time in ms since 1970.
pub(super) fn run_id(store: &Store, started_ms: u64) -> Result<(u64, String), CacheError> {
    let number = RunRecord::next_number(store)?;
    let Utc { year, month, day, hour, minute, second, millisecond } = Utc::of_unix_ms(started_ms);
    let process = std::process::id() & 0xffff;
    let date = format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{millisecond:03}");
    Ok((started_ms, format!("{date}-{process:04x}-{number}")))
}
