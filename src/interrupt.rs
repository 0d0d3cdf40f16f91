//! Ctrl-C and requests to terminate.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sndpipe_stages::command::is_ignored;

use crate::console;
use crate::exit::Exit;

/// Tells stages to stop. The engine sets it too, when the first failure ends a run.
pub static CANCEL: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal stops the run in good order and the second one ends the program at once.
///
/// A signal that whoever started the program has it ignore stays ignored, here and in the programs of stages: SIGHUP under `nohup`,
/// SIGINT of what a script starts with `&`. Where signals cannot be handled they end the program at once, which the cache survives.
pub fn listen() {
    let mut signals: Vec<c_int> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal)).collect();
    // While this one is ignored the system does not tell how a program ended.
    if is_ignored(SIGCHLD) {
        signals.push(SIGCHLD);
    }
    let listening = Signals::new(signals).and_then(|mut signals| {
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || signals.forever().filter(|&signal| signal != SIGCHLD).for_each(|_| stop()))
    });
    if let Err(error) = listening {
        tracing::debug!("signals are not handled: {error}");
    }
}

fn stop() {
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        std::process::exit(i32::from(Exit::Interrupted as u8));
    }
    CANCEL.store(true, Ordering::SeqCst);
    console::line("stopping; what is finished is kept (again to quit at once)");
}

/// Whether the user asked to stop.
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
