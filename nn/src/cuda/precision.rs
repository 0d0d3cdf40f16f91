//! Whether matrix products and convolutions may round their operands to TF32.

use std::cell::Cell;

thread_local! {
    static TF32: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with or without TF32 in the matrix products and convolutions that it starts on this thread.
pub(crate) fn with_tf32<R>(tf32: bool, f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            TF32.set(self.0);
        }
    }
    let _restore = Restore(TF32.replace(tf32));
    f()
}

/// Whether matrix products and convolutions may round their operands to TF32 here.
pub(super) fn tf32() -> bool {
    TF32.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_ends_where_it_began() {
        assert!(!tf32());
        with_tf32(true, || {
            assert!(tf32());
            with_tf32(false, || assert!(!tf32()));
            assert!(tf32());
        });
        assert!(!tf32());
    }
}
