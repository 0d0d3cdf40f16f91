//! A run as a Chrome trace, which Perfetto and `chrome://tracing` show.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use sndpipe_engine::{Event, Graph, InstanceId, Observer, Outcome};

use crate::failure::Failure;

/// Writes what happens into a trace file, and hands it on.
///
/// The file is a JSON array of events, one a line. That of a run that was killed lacks the closing bracket, which viewers allow.
pub struct Trace<'a> {
    graph: &'a Graph,
    inner: &'a dyn Observer,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    file: BufWriter<fs_err::File>,
    /// The first error; nothing is written after it.
    broken: Option<io::Error>,
    /// A running stage has a line of its own in the picture, the first that is free.
    lanes: Vec<Option<InstanceId>>,
    /// Stages that wait for another process, since when.
    waiting: BTreeMap<InstanceId, f64>,
}

impl<'a> Trace<'a> {
    /// Begins a trace.
    pub fn create(path: &Path, graph: &'a Graph, inner: &'a dyn Observer) -> Result<Self, Failure> {
        let file = fs_err::File::create(path).map_err(|error| {
            Failure::usage(error.to_string()).help("`--trace FILE` needs a place that can be written to")
        })?;
        let mut state =
            State { file: BufWriter::new(file), broken: None, lanes: Vec::new(), waiting: BTreeMap::new() };
        let name = format!("sndpipe: {}", graph.name);
        let first = json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": name } });
        state.put("[\n", &first);
        Ok(Self { graph, inner, began: Instant::now(), state: Mutex::new(state) })
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// The first that any write met.
    pub fn finish(self) -> io::Result<()> {
        let State { mut file, broken, .. } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        broken.map_or_else(|| file.write_all(b"\n]\n").and_then(|()| file.flush()), Err)
    }

    fn started(&self, state: &mut State, now: f64, id: InstanceId, reason: &str) {
        let name = self.graph.instances[id].to_string();
        if let Some(since) = state.waiting.remove(&id) {
            let what = format!("{name} waited for another process");
            state.event(
                json!({ "ph": "X", "name": what, "cat": "wait", "ts": since, "dur": now - since, "tid": 0 }),
            );
        }
        let lane = state.lanes.iter().position(Option::is_none).unwrap_or(state.lanes.len());
        if lane == state.lanes.len() {
            state.lanes.push(None);
        }
        state.lanes[lane] = Some(id);
        let kind = self.graph.instances[id].bound.name();
        let args = json!({ "kind": kind, "reason": reason });
        state.event(
            json!({ "ph": "B", "name": name, "cat": "stage", "ts": now, "tid": lane + 1, "args": args }),
        );
        state.count(now);
    }

    fn finished(&self, state: &mut State, now: f64, id: InstanceId, outcome: &Outcome, key: Value) {
        state.waiting.remove(&id);
        let Some(lane) = state.lanes.iter().position(|lane| *lane == Some(id)) else { return };
        state.lanes[lane] = None;
        let mut args = json!({ "status": outcome.name(), "key": key });
        match outcome {
            Outcome::Ran { rows, usage, .. } => {
                args["rows"] = json!(rows);
                args["usage"] = json!(usage);
            }
            Outcome::Failed { message, usage, .. } => {
                args["error"] = json!(message);
                args["usage"] = json!(usage);
            }
            _ => {}
        }
        state.event(json!({ "ph": "E", "ts": now, "tid": lane + 1, "args": args }));
        state.count(now);
    }
}

impl State {
    /// Adds an event, which needs no `pid` of its own.
    fn event(&mut self, mut event: Value) {
        event["pid"] = json!(1);
        self.put(",\n", &event);
    }

    fn count(&mut self, now: f64) {
        let running = self.lanes.iter().flatten().count();
        self.event(json!({ "ph": "C", "name": "running stages", "ts": now, "args": { "stages": running } }));
    }

    fn put(&mut self, before: &str, event: &Value) {
        if self.broken.is_none()
            && let Err(error) = write!(self.file, "{before}{event}").and_then(|()| self.file.flush())
        {
            self.broken = Some(error);
        }
    }
}

impl Observer for Trace<'_> {
    fn event(&self, event: &Event<'_>) {
        // Microseconds, as the format wants.
        let now = self.began.elapsed().as_secs_f64() * 1e6;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { id, reason } => self.started(&mut state, now, *id, reason),
            Event::Waiting { id, .. } => drop(state.waiting.insert(*id, now)),
            Event::Finished { id, outcome, key } => {
                self.finished(&mut state, now, *id, outcome, json!(key));
            }
            Event::Warning { text } => {
                state.event(
                    json!({ "ph": "i", "name": text, "cat": "warning", "s": "p", "ts": now, "tid": 0 }),
                );
            }
            _ => {}
        }
        drop(state);
        self.inner.event(event);
    }
}
