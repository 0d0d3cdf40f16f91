//! Ctrl-C and requests to terminate.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::console;
use crate::exit::Exit;

/// Tells stages to stop. The engine sets it too, when the first failure ends a run.
pub static CANCEL: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal stops the run in good order and the second one ends the program at once.
///
/// Where signals cannot be handled they end the program at once, which the cache survives.
pub fn listen() {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(Exit::Interrupted as u8));
        }
        CANCEL.store(true, Ordering::SeqCst);
        console::line("stopping; what is finished is kept (again to quit at once)");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!("signals are not handled: {error}");
    }
}

/// Whether the user asked to stop.
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
