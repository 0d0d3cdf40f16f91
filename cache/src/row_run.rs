//! Entries of a row map in memory, sorted, with a table that leads to each.

use crate::Digest;
use crate::row_file::Entry;

/// Entries sorted by input. An input is found with one look into a table: inputs are hashes, so their leading bits spread them evenly.
pub(crate) struct Run {
    entries: Vec<Entry>,
    /// Where the entries begin whose leading bits are `i`, and where the last end.
    starts: Vec<u32>,
    /// Leading bits that are not looked at.
    shift: u32,
}

impl Run {
    /// Sorts entries; of equal ones one is kept.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Run {
        // The sort is stable because that one merges the sorted runs that entries come in.
        entries.sort_by(Entry::order);
        entries.dedup();
        let shift = ((entries.len() as u64).leading_zeros() + 1).clamp(32, 63);
        let buckets = usize::try_from(u64::MAX >> shift).unwrap_or(0) + 1;
        let mut starts = Vec::with_capacity(buckets + 1);
        for (at, entry) in (0..).zip(&entries) {
            while starts.len() <= bucket(&entry.input, shift) {
                starts.push(at);
            }
        }
        starts.resize(buckets + 1, entries.len() as u32);
        Run { entries, starts, shift }
    }

    /// Puts two runs into one.
    pub(crate) fn merge(self, other: Run) -> Run {
        let mut entries = self.entries;
        entries.reserve_exact(other.entries.len());
        entries.extend(other.entries);
        Run::new(entries)
    }

    /// Returns what is known of an input: rows before skips, then in any fixed order.
    pub(crate) fn of(&self, input: &Digest) -> &[Entry] {
        let at = bucket(input, self.shift);
        let (from, to) = (self.starts[at] as usize, self.starts[at + 1] as usize);
        let near = &self.entries[from..to];
        let from = near.partition_point(|entry| entry.input < *input);
        let same = near[from..].iter().take_while(|entry| entry.input == *input).count();
        &near[from..from + same]
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// The leading bits of an input.
fn bucket(input: &Digest, shift: u32) -> usize {
    (input.leading() >> shift) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(input: Digest, row: u32) -> Entry {
        Entry { input, hash: Digest([0; 32]), shard: 0, row }
    }

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        for count in [0u32, 1, 2, 3, 100, 1023, 1024, 5000] {
            let digest = |i: u32| Digest::of(&i.to_le_bytes());
            let (even, odd): (Vec<u32>, Vec<u32>) = (0..count).partition(|i| i % 2 == 0);
            let run = |of: Vec<u32>| Run::new(of.into_iter().map(|i| entry(digest(i), i)).collect());
            let run = run(even).merge(run(odd));
            assert!(run.entries().is_sorted_by(|a, b| a.input < b.input));
            for i in 0..count {
                assert_eq!(run.of(&digest(i)), [entry(digest(i), i)]);
            }
            for i in count..count + 1000 {
                assert_eq!(run.of(&digest(i)), []);
            }
        }
    }

    #[test]
    fn inputs_that_begin_alike_and_equal_ones_are_told_apart() {
        let near = |last: u8| {
            let mut input = [0xff; 32];
            input[31] = last;
            Digest(input)
        };
        let mut entries: Vec<Entry> = (0..200).map(|i| entry(near(i), 0)).collect();
        entries.extend([entry(near(7), 1), entry(near(7), 1), entry(near(7), 0)]);
        let run = Run::new(entries);
        assert_eq!(run.of(&near(7)), [entry(near(7), 0), entry(near(7), 1)]);
        assert_eq!(run.of(&near(8)), [entry(near(8), 0)]);
        assert_eq!(run.of(&near(200)), []);
        assert_eq!(run.of(&Digest([0; 32])), []);
    }
}
