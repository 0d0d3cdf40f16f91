//! The memory of buffers that come and go at every step.

/// Has the process keep large buffers that were freed for the next step: given back to the system, each would come back as
/// thousands of page faults, a fifth of the time of a step. Once is enough; it does nothing where the C library is not GNU's.
pub(crate) fn keep_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: both are documented parameters with values in their ranges; the call takes the allocator's own lock.
            unsafe {
                libc::mallopt(libc::M_MMAP_MAX, 0);
                libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            }
        });
    }
}
