//! A plain log, for files and pipes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sndpipe_engine::{Event, InstanceId, Observer, Progress};

use super::Wording;
use crate::console;
use crate::human::{count, duration};
use crate::plain;

/// How often a running stage says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// Writes a line when a stage starts, now and then while it runs, and when it ends.
pub struct Lines<'a> {
    wording: Wording<'a>,
    running: Mutex<BTreeMap<InstanceId, Running>>,
}

struct Running {
    said: Instant,
    /// When the stage first told how far it was, and how far: a resumed one does not begin at 0.
    first: Option<(Instant, u64)>,
}

impl<'a> Lines<'a> {
    /// For one pipeline.
    pub fn new(wording: Wording<'a>) -> Self {
        Self { wording, running: Mutex::default() }
    }

    fn progress(&self, id: InstanceId, progress: &Progress) {
        let now = Instant::now();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.get_mut(&id) else { return };
        let (since, before) = *running.first.get_or_insert((now, progress.done));
        if now - running.said < EVERY || progress.done >= progress.total {
            return;
        }
        running.said = now;
        console::line(&format!("  {}  {}", self.wording.name(id), how_far(progress, before, now - since)));
    }
}

impl Observer for Lines<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started { id, reason } => {
                let now = Instant::now();
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                running.insert(*id, Running { said: now, first: None });
                drop(running);
                console::line(format!("> {}  {reason}", self.wording.name(*id)).trim_end());
            }
            Event::Progress { id, progress } => self.progress(*id, progress),
            Event::Waiting { id, rows } => console::line(&self.wording.waiting(*id, *rows)),
            Event::Finished { id, outcome, .. } => {
                self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                if let Some(line) = self.wording.finished(*id, outcome) {
                    console::line(&line);
                }
            }
            Event::Warning { text } => console::line(&format!("warning: {}", plain::output(text))),
            _ => {}
        }
    }
}

/// `120/400 clips, 30 %, 61/s, 5 s left, loss 0.31`; `elapsed` is the time since `before` units were done.
fn how_far(progress: &Progress, before: u64, elapsed: Duration) -> String {
    let Progress { done, total, unit, note } = progress;
    let mut parts = vec![format!("{}/{} {unit}", count(*done), count(*total))];
    if let Some(percent) = (done * 100).checked_div(*total) {
        parts.push(format!("{percent} %"));
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rate = done.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(1e-3);
    if rate > 0.0 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let left = total.saturating_sub(*done) as f64 / rate;
        parts.push(format!("{}/s", rate_text(rate)));
        parts.push(format!("{} left", duration(Duration::try_from_secs_f64(left).unwrap_or_default())));
    }
    if !note.is_empty() {
        parts.push(note.clone());
    }
    parts.join(", ")
}

/// Two or three digits.
fn rate_text(rate: f64) -> String {
    if rate < 0.995 {
        format!("{rate:.2}")
    } else if rate < 9.95 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_stage_says_how_fast_it_is() {
        let progress = Progress { done: 120, total: 400, unit: "clips", note: "loss 0.31".to_owned() };
        assert_eq!(
            how_far(&progress, 0, Duration::from_secs(2)),
            "120/400 clips, 30 %, 60/s, 4.7 s left, loss 0.31"
        );
        // What an earlier run had done says nothing about the speed of this one.
        assert_eq!(
            how_far(&progress, 100, Duration::from_secs(2)),
            "120/400 clips, 30 %, 10/s, 28 s left, loss 0.31"
        );
        let none = Progress { done: 0, total: 0, unit: "epochs", note: String::new() };
        assert_eq!(how_far(&none, 0, Duration::ZERO), "0/0 epochs");
    }
}
