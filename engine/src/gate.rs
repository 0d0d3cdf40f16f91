//! What the stages of a run share: memory, and the slots of those that only wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::stage::StageError;

/// How often a stage that waits looks whether the run is to stop.
const STEP: Duration = Duration::from_millis(50);

/// Bounds what runs side by side.
pub struct Gate {
    limit: u64,
    taken: Mutex<u64>,
    freed: Condvar,
    waiting: AtomicUsize,
}

/// Memory that a stage has asked for, until it ends.
pub(crate) struct Share<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl Gate {
    /// A run whose stages may take so many bytes together.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, taken: Mutex::new(0), freed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// How many running stages only wait and leave their slot to others.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes memory for a stage; waits while others have too much of it.
    ///
    /// # Errors
    /// [`StageError::Failed`] for more than the run may ever take; [`StageError::Interrupted`] from `tick`.
    pub(crate) fn take(
        &self,
        bytes: u64,
        tick: impl Fn() -> Result<(), StageError>,
    ) -> Result<Share<'_>, StageError> {
        if bytes > self.limit {
            let message = format!(
                "it takes about {} of memory, and the stages of this run may take {}",
                size(bytes),
                size(self.limit)
            );
            return Err(StageError::failed(message).help(
                "raise `--memory`, or give the stage less to hold at once, such as a smaller `batch`",
            ));
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken + bytes > self.limit {
            let _waits = Waiting::new(&self.waiting);
            while *taken + bytes > self.limit {
                tick()?;
                taken = self.freed.wait_timeout(taken, STEP).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        *taken += bytes;
        Ok(Share { gate: self, bytes })
    }

    /// Lets time pass without a slot.
    ///
    /// # Errors
    /// [`StageError::Interrupted`] from `tick`.
    pub(crate) fn pause(
        &self,
        time: Duration,
        tick: impl Fn() -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let _waits = Waiting::new(&self.waiting);
        let end = Instant::now() + time;
        loop {
            tick()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.gate.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.gate.freed.notify_all();
    }
}

/// Counts a stage among those that wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `120 B`, `4.2 MB`, `3.0 GB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn size(bytes: u64) -> String {
    let units = [("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)];
    let fits = |(_, unit): &&(&str, f64)| bytes as f64 >= *unit;
    let (name, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    let decimals = usize::from(*unit > 1.0);
    format!("{:.decimals$} {name}", bytes as f64 / unit)
}
