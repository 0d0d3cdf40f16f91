//! How far the hashing of source files is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many files of those to be hashed, and how many of their bytes, are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing {
    /// Files that are hashed.
    pub files: u64,
    /// Files to hash.
    pub of_files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes to read.
    pub of_bytes: u64,
}

impl Hashing {
    /// Whether nothing is left to hash.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.files == self.of_files
    }
}

/// Is told a few times a second, and once at the end.
pub type HashingHook = Box<dyn Fn(Hashing) + Send + Sync>;

/// The hook, if somebody wants to know.
#[derive(Default)]
pub(crate) struct HashingWatch(Mutex<Option<HashingHook>>);

impl HashingWatch {
    pub fn set(&self, hook: HashingHook) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }
}

/// Counts what is hashed for one list of files.
pub(crate) struct Tally<'s> {
    watch: &'s HashingWatch,
    of: (u64, u64),
    files: AtomicU64,
    bytes: AtomicU64,
    begun: Instant,
    /// When the hook is told next, in ms after the beginning.
    due: AtomicU64,
}

impl<'s> Tally<'s> {
    const EVERY: Duration = Duration::from_millis(100);

    pub fn new(watch: &'s HashingWatch, files: u64, bytes: u64) -> Self {
        Self {
            watch,
            of: (files, bytes),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            begun: Instant::now(),
            due: AtomicU64::new(millis(Self::EVERY)),
        }
    }

    pub fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
        let (now, due) = (millis(self.begun.elapsed()), self.due.load(Ordering::Relaxed));
        let next = now + millis(Self::EVERY);
        if now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.tell();
        }
    }

    pub fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells that all is done, where something was told before.
    pub fn end(&self) {
        if self.due.load(Ordering::Relaxed) > millis(Self::EVERY) {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(hook) = &*self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) {
            hook(Hashing {
                files: self.files.load(Ordering::Relaxed),
                of_files: self.of.0,
                bytes: self.bytes.load(Ordering::Relaxed),
                of_bytes: self.of.1,
            });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
