//! Times that a container gives its packets, and the sound that they show to be missing.

/// What a container says of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timing {
    /// When its samples start, in nanoseconds.
    pub nanoseconds: Option<i64>,
    /// How much of its end is not to be heard, in nanoseconds; negative for its start.
    pub discard: i64,
    /// Packets before it may be lost.
    pub loss: bool,
}

/// Compares the times of packets with the number of samples that they are decoded to.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// By how many seconds the last packet started after what was decoded before it.
    late: Option<f64>,
    /// A loss since then.
    loss: bool,
}

impl Clock {
    /// Seconds by which times may jump in a whole file: they are rounded, and those of live recordings depend on what else the machine did.
    const JITTER: f64 = 0.05;
    /// Seconds to which times are rounded.
    const ROUNDING: f64 = 0.002;

    /// Packets are lost.
    pub fn lose(&mut self) {
        self.loss = true;
    }

    /// A packet whose samples start at `nanoseconds` follows after `seconds` of sound; returns how many seconds are missing before it.
    pub fn tick(&mut self, nanoseconds: i64, seconds: f64) -> Option<f64> {
        let late = nanoseconds as f64 / 1e9 - seconds;
        let loss = std::mem::take(&mut self.loss);
        // What is lost before the first packet is counted from 0.
        let before = self.late.replace(late).or(loss.then_some(0.0))?;
        let least = if loss { Self::ROUNDING } else { Self::JITTER };
        Some(late - before).filter(|missing| *missing > least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_missing_sound_and_drift_is_not() {
        let mut clock = Clock::default();
        let mut tick = |milliseconds: i64, seconds: f64, lose: bool| {
            if lose {
                clock.lose();
            }
            clock.tick(milliseconds * 1_000_000, seconds).map(|missing| (missing * 1e3).round())
        };
        // Recordings may start anywhere; each packet of 20 ms is late by 1 ms more, which is another clock's second.
        for packet in 0..100 {
            assert_eq!(tick(5000 + 21 * packet, 0.02 * packet as f64, false), None);
        }
        assert_eq!(tick(7500, 2.0, false), Some(401.0));
        assert_eq!(tick(7520, 2.02, false), None);
        // After a known loss less counts.
        assert_eq!(tick(7560, 2.04, true), Some(20.0));
        assert_eq!(tick(7580, 2.06, true), None);
        // Times that go back, as in a second recording behind the first, are no loss.
        assert_eq!(tick(0, 2.08, false), None);
        let mut first = Clock::default();
        first.lose();
        assert_eq!(first.tick(1_000_000_000, 0.0), Some(1.0));
    }
}
