//! What a stage cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell::InstanceId;

/// What a stage took of the machine, beside time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in seconds: its programs' own, and of this process's an equal share where stages ran side by side.
    pub cpu_seconds: f64,
    /// The most memory in bytes that this process was seen to hold while the stage ran (looked at once a second, at its start and at its
    /// end; a new maximum of the process is always seen), or one of its programs if that was more.
    pub peak_bytes: u64,
    /// Bytes of cached files that it read or mapped.
    pub read_bytes: u64,
    /// Bytes that it wrote into the cache.
    pub written_bytes: u64,
}

impl Usage {
    /// Adds what a program of the stage took.
    pub(crate) fn add(&mut self, cpu_seconds: f64, peak_bytes: u64) {
        self.cpu_seconds += cpu_seconds;
        self.peak_bytes = self.peak_bytes.max(peak_bytes);
    }
}

/// Shares what the process takes among the stages that run.
pub(crate) struct Meter {
    /// CPU time of the process when it was last shared out.
    cpu: f64,
    /// The most memory that the process has held so far.
    most: u64,
    running: BTreeMap<InstanceId, Usage>,
}

impl Meter {
    pub fn new() -> Self {
        Self { cpu: cpu_seconds(), most: 0, running: BTreeMap::new() }
    }

    /// A stage starts.
    pub fn start(&mut self, id: InstanceId) {
        self.share_out();
        self.running.insert(id, Usage::default());
        self.share_out();
    }

    /// A stage ended; what it measured itself is added.
    pub fn end(&mut self, id: InstanceId, own: Usage) -> Usage {
        self.share_out();
        let mut usage = self.running.remove(&id).unwrap_or_default();
        usage.add(own.cpu_seconds, own.peak_bytes);
        Usage { read_bytes: own.read_bytes, written_bytes: own.written_bytes, ..usage }
    }

    /// Shares out what was taken since the last call; to be called now and then.
    #[expect(clippy::cast_precision_loss, reason = "few stages run at once")]
    pub fn share_out(&mut self) {
        let now = cpu_seconds();
        let share = (now - self.cpu) / self.running.len().max(1) as f64;
        self.cpu = now;
        // The system's own maximum is not reset, which would take it from whoever watches this process.
        let (held, most) = memory();
        let peak = if most > self.most { most } else { held };
        self.most = most;
        self.running.values_mut().for_each(|usage| usage.add(share, peak));
    }
}

/// CPU time of this process and its threads.
#[expect(clippy::cast_precision_loss, reason = "a clock")]
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The bytes that this process holds, and the most that it ever held; 0 where the system does not say.
fn memory() -> (u64, u64) {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    (number("VmRSS:").unwrap_or(0) * 1024, number("VmHWM:").unwrap_or(0) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn() -> u64 {
        (0..20_000_000_u64).fold(1, |a, b| std::hint::black_box(a ^ b.wrapping_mul(31)))
    }

    #[test]
    fn what_the_process_takes_is_shared_by_those_that_run() {
        let mut meter = Meter::new();
        meter.start(1);
        burn();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        drop(block);
        meter.start(2);
        burn();
        let second = meter.end(2, Usage::default());
        let first =
            meter.end(1, Usage { cpu_seconds: 5.0, peak_bytes: 1 << 60, read_bytes: 3, written_bytes: 4 });
        assert!(second.cpu_seconds > 0.0 && second.peak_bytes > 1 << 20, "{second:?}");
        assert!(second.peak_bytes < 64 << 20, "what was held before it ran is not its own: {second:?}");
        assert!(first.cpu_seconds > 5.0 + second.cpu_seconds, "{first:?} {second:?}");
        assert_eq!((first.peak_bytes, first.read_bytes, first.written_bytes), (1 << 60, 3, 4));
    }
}
