//! How outcomes are worded, the same on a terminal and in a log.

use std::sync::atomic::{AtomicUsize, Ordering};

use sndpipe_engine::{Graph, InstanceId, Outcome, RowCounts, RunReport};

use crate::human::{count, duration, plural};
use crate::paint::Paint;
use crate::plain;

/// So many skipped stages, and in the end so many failures, are told; a matrix may have a hundred thousand.
const MOST: usize = 20;
/// How many skipped stages were told.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Words for one pipeline.
#[derive(Clone, Copy)]
pub struct Wording<'a> {
    graph: &'a Graph,
    /// The pipeline file as it was given.
    file: &'a str,
    paint: Paint,
    width: usize,
}

impl<'a> Wording<'a> {
    /// For the instances `ids` of a pipeline.
    pub fn new(graph: &'a Graph, file: &'a str, paint: Paint) -> Self {
        const WIDEST: usize = 32;
        let mut width = 0;
        for instance in &graph.instances {
            width = width.max(instance.to_string().chars().count()).min(WIDEST);
            if width == WIDEST {
                break;
            }
        }
        Self { graph, file, paint, width }
    }

    /// The name, filled up so that what follows lines up.
    pub fn name(&self, id: InstanceId) -> String {
        format!("{:<width$}", self.graph.instances[id].to_string(), width = self.width)
    }

    /// The line of an instance that another process, or whoever computes its rows, keeps waiting.
    pub fn waiting(&self, id: InstanceId, rows: bool) -> String {
        let what = if rows {
            "for rows that are being computed elsewhere"
        } else {
            "for another process that computes it"
        };
        format!("  {}  waits {what}", self.name(id))
    }

    /// The line of an instance that is done, or nothing where it is only counted.
    pub fn finished(&self, id: InstanceId, outcome: &Outcome) -> Option<String> {
        if matches!(outcome, Outcome::Cached { .. }) {
            return None;
        }
        let (name, paint) = (self.name(id), self.paint);
        match outcome {
            Outcome::Ran { wall, rows, reason, remarks, .. } => {
                let time = format!("{:>8}", duration(*wall));
                let mut line = format!("{} {name}  {time}", paint.green("✓"));
                for part in [rows_text(*rows), (!reason.is_empty()).then(|| paint.dim(plain::output(reason)))]
                    .into_iter()
                    .flatten()
                {
                    line.push_str("  ");
                    line.push_str(&part);
                }
                for remark in remarks {
                    line.push_str(&format!("\n  {} {}", paint.yellow("!"), plain::output(remark)));
                }
                Some(line)
            }
            Outcome::Cached { .. } => None,
            Outcome::Failed { message, help, log, .. } => {
                Some(self.failed(id, message, log, help.as_deref()))
            }
            Outcome::Skipped { because } => match SKIPPED.fetch_add(1, Ordering::Relaxed) {
                ..MOST => Some(format!(
                    "{} {name}  {}",
                    paint.yellow("-"),
                    paint.dim(format!("skipped: needs `{because}`, which failed"))
                )),
                MOST => Some(format!("{} {}", paint.yellow("-"), paint.dim("further ones are only counted"))),
                _ => None,
            },
            Outcome::Interrupted => Some(format!("{} {name}  {}", paint.yellow("-"), paint.dim("stopped"))),
        }
    }

    /// A failure with the last lines of its log, its way out and where to read more.
    fn failed(&self, id: InstanceId, message: &str, log: &[String], help: Option<&str>) -> String {
        const LINES: usize = 10;
        let paint = self.paint;
        let instance = self.graph.instances[id].to_string();
        let message = plain::output(message).replace('\n', "\n    ");
        let mut text = format!("{} {}  {message}", paint.red("×"), paint.bold(&instance));
        // What the message says is not said twice.
        let log = log.iter().map(|line| plain::output(line));
        let new: Vec<_> = log.filter(|line| !message.contains(&**line)).collect();
        for line in &new[new.len().saturating_sub(LINES)..] {
            text.push_str(&format!("\n    {} {line}", paint.dim("|")));
        }
        if let Some(help) = help {
            text.push_str(&format!(
                "\n    {} {}",
                paint.cyan("help:"),
                plain::output(help).replace('\n', "\n          ")
            ));
        }
        let quoted = if instance.contains('[') { format!("'{instance}'") } else { instance };
        text.push_str(&format!("\n    {}", paint.dim(format!("log: sndpipe logs {} {quoted}", self.file))));
        text
    }
}

/// `10 computed, 390 reused`; nothing for a stage that maps no clips.
pub fn rows_text(rows: RowCounts) -> Option<String> {
    let RowCounts { computed, reused, skipped, .. } = rows;
    if computed + reused + skipped == 0 {
        return None;
    }
    let mut parts = vec![format!("{} computed", count(computed))];
    if reused > 0 {
        parts.push(format!("{} reused", count(reused)));
    }
    if skipped > 0 {
        parts.push(format!("{} skipped", count(skipped)));
    }
    Some(parts.join(", "))
}

/// Every failure once more, for the end of a run.
pub fn failure(wording: &Wording<'_>, report: &RunReport) -> Option<String> {
    let failed = report.outcomes.iter().filter_map(|(&id, outcome)| match outcome {
        Outcome::Failed { message, help, log, .. } => Some(wording.failed(id, message, log, help.as_deref())),
        _ => None,
    });
    let mut failed: Vec<String> = failed.collect();
    if failed.len() > MOST {
        let more = plural((failed.len() - MOST) as u64, "more failure");
        failed.truncate(MOST);
        failed.push(format!("and {more}, in the record of run {}", report.id));
    }
    (!failed.is_empty()).then(|| failed.join("\n"))
}

/// `9 stages: 3 ran, 6 cached (1.9 s)`.
pub fn summary(report: &RunReport, paint: Paint) -> String {
    let of = |matches| report.count(matches) as u64;
    let (ran, cached) =
        (of(|o| matches!(o, Outcome::Ran { .. })), of(|o| matches!(o, Outcome::Cached { .. })));
    let failed = of(|o| matches!(o, Outcome::Failed { .. }));
    let skipped = of(|o| matches!(o, Outcome::Skipped { .. }));
    let stopped = of(|o| matches!(o, Outcome::Interrupted));
    let mut parts = vec![format!("{} ran", count(ran)), format!("{} cached", count(cached))];
    if failed > 0 {
        parts.push(paint.red(format!("{} failed", count(failed))));
    }
    if skipped > 0 {
        parts.push(paint.yellow(format!("{} skipped", count(skipped))));
    }
    if stopped > 0 {
        parts.push(paint.yellow(format!("{} not finished", count(stopped))));
    }
    let total = plural(report.outcomes.len() as u64, "stage");
    format!("{}: {} ({})", paint.bold(total), parts.join(", "), duration(report.wall))
}
