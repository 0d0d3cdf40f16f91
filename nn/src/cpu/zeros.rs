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
    let mut zeros = Vec::with_capacity(length);
    zeros.spare_capacity_mut()[..length].par_chunks_mut(CHUNK).for_each(|chunk| {
        chunk.fill(MaybeUninit::new(0.0));
    });
    // SAFETY: every number up to `length` was written above.
    unsafe { zeros.set_len(length) };
    zeros
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
