//! One JSON object a line, as design.md section 3 fixes them.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sndpipe_cache::Digest;
use sndpipe_engine::{Event, Graph, InstanceId, Observer, Outcome, RowCounts, RunReport};

use crate::console;

/// Writes what happens as JSON on standard output.
pub struct Json<'a> {
    graph: &'a Graph,
    out: Mutex<BufWriter<Stdout>>,
    seen: Mutex<BTreeSet<InstanceId>>,
    closed: AtomicBool,
}

impl<'a> Json<'a> {
    /// For one pipeline.
    pub fn new(graph: &'a Graph) -> Self {
        let out = Mutex::new(BufWriter::with_capacity(64 << 10, io::stdout()));
        Self { graph, out, seen: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Writes one object; once nobody reads them the rest is dropped and the run goes on.
    fn write(&self, value: &Value) {
        self.writing(|out| writeln!(out, "{value}"));
    }

    /// Hands over what was written: before the next object may be long in coming.
    fn flush(&self) {
        self.writing(BufWriter::flush);
    }

    fn writing(&self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        if write(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner)).is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    fn stage(&self, id: InstanceId, outcome: &Outcome, key: Option<Digest>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.write(&stage_line(self.graph, id, outcome, key));
    }

    /// Writes the objects of instances that the run did not come to, and the last one.
    pub fn done(&self, report: &RunReport) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (&id, outcome) in report.outcomes.iter().filter(|(id, _)| !seen.contains(id)) {
            self.stage(id, outcome, report.keys[id]);
        }
        self.write(&done_line(report));
        self.flush();
    }
}

impl Observer for Json<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Finished { id, outcome, key } => {
                self.stage(*id, outcome, *key);
                // Many cached stages come at once.
                if !matches!(outcome, Outcome::Cached { .. }) {
                    self.flush();
                }
            }
            Event::Started { .. } => self.flush(),
            Event::Waiting { id, rows } => {
                self.flush();
                let what = if *rows {
                    "rows that are being computed elsewhere"
                } else {
                    "another process that computes it"
                };
                console::line(&format!("{} waits for {what}", self.graph.instances[*id]));
            }
            Event::Warning { text } => console::line(&format!("warning: {text}")),
            _ => {}
        }
    }
}

/// The object of one instance. A run that was stopped counts its unfinished stages as skipped.
fn stage_line(graph: &Graph, id: InstanceId, outcome: &Outcome, key: Option<Digest>) -> Value {
    let instance = &graph.instances[id];
    let (mut status, mut seconds, mut rows, mut text) =
        (outcome.name(), 0.0, RowCounts::default(), String::new());
    match outcome {
        Outcome::Ran { wall, rows: counts, reason, .. } => {
            (seconds, rows) = (wall.as_secs_f64(), *counts);
            text.clone_from(reason);
        }
        Outcome::Cached { skipped, remarked } => (rows.skipped, rows.remarked) = (*skipped, *remarked),
        Outcome::Failed { message, .. } => text.clone_from(message),
        Outcome::Skipped { because } => text = format!("needs `{because}`, which failed"),
        Outcome::Interrupted => (status, text) = ("skipped", "interrupted".to_owned()),
    }
    let mut line = json!({
        "event": "stage",
        "stage": instance.stage,
        "axes": instance.axes_map(),
        "status": status,
        "seconds": rounded(seconds),
        "rows_computed": rows.computed,
        "rows_reused": rows.reused,
        "rows_skipped": rows.skipped,
        "rows_remarked": rows.remarked,
        "key": key,
        "reason": text,
    });
    match outcome {
        Outcome::Failed { help, log, wall, .. } => {
            line["seconds"] = json!(rounded(wall.as_secs_f64()));
            line["log"] = json!(log);
            if let Some(help) = help {
                line["help"] = json!(help);
            }
        }
        Outcome::Ran { remarks, .. } if !remarks.is_empty() => line["remarks"] = json!(remarks),
        _ => {}
    }
    line
}

/// The object at the end of a run.
fn done_line(report: &RunReport) -> Value {
    json!({
        "event": "done",
        "ran": report.count(|outcome| matches!(outcome, Outcome::Ran { .. })),
        "cached": report.count(|outcome| matches!(outcome, Outcome::Cached { .. })),
        "failed": report.count(|outcome| matches!(outcome, Outcome::Failed { .. })),
        "skipped": report.count(|outcome| matches!(outcome, Outcome::Skipped { .. } | Outcome::Interrupted)),
        "seconds": rounded(report.wall.as_secs_f64()),
        "run": report.id,
    })
}

/// To a tenth of a millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}
