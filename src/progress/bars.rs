//! One line for each running stage at the bottom of the terminal.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use sndpipe_engine::{Event, InstanceId, Observer};

use super::Wording;
use crate::console;
use crate::human::{count, duration};
use crate::paint::Paint;
use crate::plain;

/// Draws a line for each running stage and one for the whole run.
pub struct Bars<'a> {
    wording: Wording<'a>,
    paint: Paint,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<InstanceId, ProgressBar>,
    whole: Option<ProgressBar>,
    stages: u64,
    settled: u64,
}

impl<'a> Bars<'a> {
    /// For one pipeline.
    pub fn new(wording: Wording<'a>, paint: Paint) -> Self {
        Self { wording, paint, state: Mutex::default() }
    }

    /// Takes every line off the terminal.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for bar in std::mem::take(&mut state.running).into_values().chain(state.whole.take()) {
            bar.finish_and_clear();
        }
    }

    fn started(&self, state: &mut State, id: InstanceId) {
        // Nothing is drawn before something runs: a run that finds everything cached leaves the terminal alone.
        let (stages, settled) = (state.stages, state.settled);
        let whole = state.whole.get_or_insert_with(|| {
            let bar = ProgressBar::new(stages)
                .with_style(style("{spinner} {pos}/{len} stages  {elapsed}", self.paint));
            let bar = console::bars().add(bar.with_position(settled));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let bar = ProgressBar::new_spinner()
            .with_style(style("{spinner} {prefix}  {elapsed:>8}  {msg}", self.paint));
        let bar = console::bars().insert_before(whole, bar.with_prefix(self.wording.name(id)));
        bar.enable_steady_tick(Duration::from_millis(120));
        state.running.insert(id, bar);
    }
}

/// A style; the templates are constants of this file, so a mistake in one shows in the first run as a plain line.
pub(super) fn style(template: &str, paint: Paint) -> ProgressStyle {
    let style = if template.contains("{bar") {
        ProgressStyle::default_bar()
    } else {
        ProgressStyle::default_spinner()
    };
    let style = style.template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let filled = if paint.is_on() { "━╸ " } else { "=> " };
    style
        .progress_chars(filled)
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .with_key("elapsed", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", duration(state.elapsed()));
        })
        .with_key("eta", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", duration(state.eta()));
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let rate = state.per_sec();
            let _ = if rate < 9.95 { write!(out, "{rate:.1}/s") } else { write!(out, "{rate:.0}/s") };
        })
        .with_key("count", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}/{}", count(state.pos()), count(state.len().unwrap_or(0)));
        })
}

impl Observer for Bars<'_> {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begin { stages } => state.stages = *stages as u64,
            Event::Started { id, .. } => self.started(&mut state, *id),
            Event::Progress { id, progress } => {
                let Some(bar) = state.running.get(id) else { return };
                if bar.length() != Some(progress.total) {
                    bar.set_length(progress.total);
                    let unit = progress.unit;
                    let template = format!(
                        "{{spinner}} {{prefix}}  {{elapsed:>8}}  {{bar:20.cyan}} {{count}} {unit}  {{rate}}  {{eta}} left  {{msg}}"
                    );
                    bar.set_style(style(&template, self.paint));
                    // A resumed stage does not begin at 0, which says nothing about its speed.
                    bar.set_position(progress.done);
                    bar.reset_eta();
                }
                bar.set_position(progress.done);
                if bar.message() != progress.note {
                    bar.set_message(plain::output(&progress.note).into_owned());
                }
            }
            Event::Waiting { id, rows } => {
                let line = self.wording.waiting(*id, *rows);
                drop(state);
                console::line(&line);
            }
            Event::Log { .. } => {}
            Event::Finished { id, outcome, .. } => {
                if let Some(bar) = state.running.remove(id) {
                    bar.finish_and_clear();
                    console::bars().remove(&bar);
                }
                state.settled += 1;
                if let Some(whole) = &state.whole {
                    whole.set_position(state.settled);
                }
                drop(state);
                if let Some(line) = self.wording.finished(*id, outcome) {
                    console::line(&line);
                }
            }
            Event::Warning { text } => {
                drop(state);
                console::line(&format!("{}: {}", self.paint.yellow("warning"), plain::output(text)));
            }
        }
    }
}
