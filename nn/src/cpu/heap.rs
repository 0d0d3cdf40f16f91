//! The memory of the process: of buffers that come and go at every step, and of everything else.

use std::alloc::{GlobalAlloc, Layout, System};

use mimalloc::MiMalloc;

/// The allocator of a program that trains: `#[global_allocator] static HEAP: Heap = Heap;`.
///
/// Buffers go to the C library, whose single arena [`keep_large_buffers`] sets up. Everything smaller goes to mimalloc: threads that
/// fill maps and strings would wait for one another at that arena.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heap;

/// What is at least this large is a buffer, in bytes.
const BUFFER: usize = 64 << 10;

impl Heap {
    /// A block is freed where it was taken: this depends on its size alone, which its owner keeps.
    const fn is_buffer(size: usize) -> bool {
        size >= BUFFER
    }
}

// SAFETY: both allocators are sound, and each block goes back to the one that gave it, for `is_buffer` is asked with the size of the
// block's layout at both ends. A block that grows or shrinks past the bound is taken anew, copied and freed.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the allocator that is called.
        unsafe { if Self::is_buffer(layout.size()) { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            if Self::is_buffer(layout.size()) {
                System.alloc_zeroed(layout)
            } else {
                MiMalloc.alloc_zeroed(layout)
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from this allocator with this layout, hence from the one that is called.
        unsafe {
            if Self::is_buffer(layout.size()) {
                System.dealloc(block, layout)
            } else {
                MiMalloc.dealloc(block, layout)
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from this allocator with this layout; where it changes sides, the new one is valid for the
        // smaller of both sizes, does not overlap the old one, and the old one is freed once.
        unsafe {
            match (Self::is_buffer(layout.size()), Self::is_buffer(size)) {
                (true, true) => System.realloc(block, layout, size),
                (false, false) => MiMalloc.realloc(block, layout, size),
                _ => {
                    let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !new.is_null() {
                        new.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

/// Has the process keep large buffers that were freed for the next step: given back to the system, each would come back as
/// thousands of page faults, a fifth of the time of a step. Once is enough; it does nothing where the C library is not GNU's.
///
/// All threads share one arena, for a buffer that one of them frees is the next one's; a program that calls this before it
/// starts threads needs a quarter less memory in training.
pub fn keep_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: these are documented parameters with values in their ranges; the call takes the allocator's own lock.
            unsafe {
                libc::mallopt(libc::M_MMAP_MAX, 0);
                libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
                libc::mallopt(libc::M_ARENA_MAX, 1);
            }
        });
    }
}

/// Bytes that this process has freed and kept.
pub(crate) fn freed() -> u64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it only reads the allocator's counters, under its own lock.
        unsafe { libc::mallinfo2() }.fordblks as u64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_on_its_way_past_the_bound() {
        let sizes = [1, 100, BUFFER - 1, BUFFER, 5 * BUFFER, BUFFER, BUFFER - 1, 7, 3 * BUFFER];
        for align in [1, 16, 64, 4096] {
            let layout = |size| Layout::from_size_align(size, align).unwrap();
            // SAFETY: every block is used within its size and handed back with its layout.
            unsafe {
                let mut block = Heap.alloc_zeroed(layout(sizes[0]));
                assert_eq!(*block, 0);
                *block = 7;
                for pair in sizes.windows(2) {
                    block = Heap.realloc(block, layout(pair[0]), pair[1]);
                    assert_eq!(block.addr() % align, 0, "{pair:?} aligned to {align}");
                    assert_eq!(*block, 7, "{pair:?}");
                    block.add(pair[1] - 1).write(if pair[1] == 1 { 7 } else { 9 });
                }
                Heap.dealloc(block, layout(sizes[sizes.len() - 1]));
            }
        }
    }
}
