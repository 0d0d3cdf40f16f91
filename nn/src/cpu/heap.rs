//! The memory of buffers that come and go at every step.

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
