//! Values with dfdx's `Cuda` device inside, in any thread.

use std::ops::{Deref, DerefMut};

/// A value that any thread may use.
#[derive(Debug)]
pub(crate) struct Shared<T>(T);

impl<T> Shared<T> {
    /// `value` is made of `Cuda` tensors and of what may be shared anyway.
    pub(crate) fn new(value: T) -> Self {
        Shared(value)
    }
}

// SAFETY: a `Cuda` device is neither `Send` nor `Sync` for its second stream alone, a handle of the driver that any thread
// may use and that nothing here uses; memory and the device are counted atomically.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
