//! What the stages of a run share: memory, threads, and the slots of those that only wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::StageError;

/// How often a stage that waits looks whether the run is to stop.
const STEP: Duration = Duration::from_millis(50);

/// Bounds what runs side by side.
pub struct Gate {
    limit: u64,
    taken: Mutex<u64>,
    freed: Condvar,
    threads: usize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    /// Threads that nobody uses now.
    idle: Mutex<Vec<ThreadPool>>,
}

/// Memory that a stage has asked for, until it ends.
pub(crate) struct Share<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl Gate {
    /// A run whose stages may take so many bytes and so many threads together.
    #[must_use]
    pub fn new(limit: u64, threads: usize) -> Self {
        Self {
            limit,
            taken: Mutex::default(),
            freed: Condvar::new(),
            threads,
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
        }
    }

    /// Counts a stage among those that run, until what this gives is dropped.
    pub(crate) fn enter(&self) -> Counted<'_> {
        Counted::new(&self.running)
    }

    /// Threads of each stage: all, divided among those that run and do not only wait.
    fn share(&self) -> usize {
        let busy = self.running.load(Ordering::Relaxed).saturating_sub(self.waiting());
        (self.threads / busy.max(1)).max(1)
    }

    /// Does some work on the share of threads that a stage has now: what it runs in parallel runs on these alone. Where none can be
    /// started, the threads that all share do it.
    pub(crate) fn spread<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let share = self.share();
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut idle = idle();
            idle.iter().position(|pool| pool.current_num_threads() == share).map(|at| idle.swap_remove(at))
        };
        let started = || ThreadPoolBuilder::new().num_threads(share).build().ok();
        let Some(pool) = known.or_else(started) else { return work() };
        let result = pool.install(work);
        idle().push(pool);
        result
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
            let _waits = Counted::new(&self.waiting);
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
        let _waits = Counted::new(&self.waiting);
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

/// One more, until it is dropped.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_divided_among_the_stages_that_run() {
        let gate = Gate::new(0, 6);
        let threads = || gate.spread(rayon::current_num_threads);
        let first = gate.enter();
        assert_eq!(threads(), 6);
        let others: Vec<_> = (0..3).map(|_| gate.enter()).collect();
        assert_eq!(threads(), 1);
        let waits = Counted::new(&gate.waiting);
        assert_eq!(threads(), 2);
        drop((others, waits));
        assert_eq!(threads(), 6);
        drop(first);
        // Each number of threads was started once and is kept.
        let mut idle: Vec<usize> =
            gate.idle.lock().unwrap().iter().map(ThreadPool::current_num_threads).collect();
        idle.sort_unstable();
        assert_eq!(idle, [1, 2, 6]);
    }

    #[test]
    fn a_stage_has_a_thread_however_many_run() {
        let gate = Gate::new(0, 2);
        let _stages: Vec<_> = (0..5).map(|_| gate.enter()).collect();
        assert_eq!(gate.spread(rayon::current_num_threads), 1);
    }
}
