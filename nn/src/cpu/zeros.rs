//! Large buffers of zeros.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Numbers that a thread sets at a time.
const CHUNK: usize = 1 << 16;

/// A vector of `length` zeros; all threads write it.
pub(crate) fn zeros(length: usize) -> Vec<f32> {
    if length <= CHUNK {
        return vec![0.0; length];
    }
    filled(length, CHUNK, |_, _| ())
}

/// A vector of `length` zeros, handed to `fill` in chunks with their numbers. A thread clears a chunk just before it fills it,
/// while it is in its cache.
pub(crate) fn filled(length: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(length);
    numbers.spare_capacity_mut()[..length].par_chunks_mut(chunk).enumerate().for_each(|(i, chunk)| {
        chunk.fill(MaybeUninit::new(0.0));
        let (start, length) = (chunk.as_mut_ptr().cast::<f32>(), chunk.len());
        // SAFETY: the chunk's numbers were written above, and it is borrowed for as long as the slice lives.
        fill(i, unsafe { std::slice::from_raw_parts_mut(start, length) });
    });
    // SAFETY: every number up to `length` was written above.
    unsafe { numbers.set_len(length) };
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_any_size_are_zero() {
        for length in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
            // What a freed buffer held must not come back.
            drop(vec![1f32; length]);
            let all = zeros(length);
            assert_eq!(all.len(), length);
            assert!(all.iter().all(|&v| v == 0.0), "{length}");
        }
    }
}
