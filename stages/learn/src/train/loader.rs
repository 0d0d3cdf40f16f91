//! Batches that are made ahead while the network computes.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use sndpipe_engine::StageError;

use super::task::Task;

/// Batches that a worker may be ahead.
const AHEAD: usize = 2;

/// Gives the batches of a training in their order, made by worker threads.
///
/// Batch `i` comes from worker `i mod n`, and what it holds is a function of its epoch and step alone, so that any number of
/// workers gives the same batches. Workers end when the loader is dropped.
pub(crate) struct Loader<B> {
    workers: Vec<Receiver<(Result<B, StageError>, Duration)>>,
    /// The batch that comes next, counted over all epochs.
    next: usize,
    /// What all workers took together to make the batches that were given.
    making: Duration,
    /// What was waited for them.
    waiting: Duration,
}

impl<B: Send> Loader<B> {
    /// Starts `workers` threads (at least one) that make the batches from number `next`, counted over all epochs, to the last
    /// of `epochs`.
    pub fn start<'scope, T: Task<Batch = B>>(
        scope: &'scope Scope<'scope, '_>,
        task: &'scope T,
        next: usize,
        epochs: u32,
        workers: usize,
    ) -> Self
    where
        B: 'scope,
    {
        let workers = workers.max(1);
        let end = task.steps() * epochs as usize;
        let spawn = |worker: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                let mut order = (None, Vec::new());
                let first = next + (worker + workers - next % workers) % workers;
                for batch in (first..end).step_by(workers) {
                    let (epoch, step) = ((batch / task.steps()) as u32, batch % task.steps());
                    let begin = Instant::now();
                    if order.0 != Some(epoch) {
                        order = (Some(epoch), task.order(epoch));
                    }
                    let made = task.batch(epoch, &order.1, step);
                    if sender.send((made, begin.elapsed())).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        let workers = (0..workers).map(spawn).collect();
        Self { workers, next, making: Duration::ZERO, waiting: Duration::ZERO }
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape, or there is no batch left.
    pub fn next(&mut self) -> Result<B, StageError> {
        let worker = &self.workers[self.next % self.workers.len()];
        self.next += 1;
        let begin = Instant::now();
        let (batch, making) =
            worker.recv().map_err(|_| StageError::failed("a thread that makes batches has ended"))?;
        self.waiting += begin.elapsed();
        self.making += making;
        batch
    }

    /// How fast `samples` were trained on in some time, beside how fast the workers can make them: whether the network waits for them.
    pub fn pace(&self, samples: usize, time: Duration) -> String {
        let rate = |seconds: f64| format!("{:.0}", samples as f64 / seconds.max(1e-9));
        let (time, making) = (time.as_secs_f64(), self.making.as_secs_f64());
        let made = rate(making / self.workers.len() as f64);
        let waited = 100.0 * self.waiting.as_secs_f64() / time.max(1e-9);
        let (trained, threads) = (rate(time), self.workers.len());
        format!(
            "{trained} samples a second; {threads} threads can make {made}; the network waited {waited:.1} % of the time"
        )
    }
}
