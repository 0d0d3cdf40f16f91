//! sndpipe as a library: the whole command line, for a program that adds stages of its own.
//!
//! ```no_run
//! # use sndpipe::stages;
//! fn main() -> std::process::ExitCode {
//!     sndpipe::main(stages::registry())
//! }
//! ```
//!
//! The stages are in [`stages`], the traits that they implement in [`engine`], networks in [`nn`].
#![forbid(unsafe_code)]

mod args;
mod command;
mod console;
mod exit;
mod export;
mod failure;
mod human;
mod interrupt;
mod logging;
mod machine;
mod out;
mod paint;
mod plain;
mod progress;
mod render;
mod results;
mod session;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;
pub use {sndpipe_cache as cache, sndpipe_engine as engine, sndpipe_nn as nn, sndpipe_stages as stages};

/// Does what the arguments of the process say, with the stages of a registry, and reports what went wrong.
///
/// A program that trains is faster with [`nn::Heap`] as its `#[global_allocator]`.
#[must_use]
pub fn main(registry: engine::Registry) -> ExitCode {
    nn::keep_large_buffers();
    let cli = args::Cli::parse();
    let done =
        logging::log_to(cli.log, cli.log_file.as_deref()).and_then(|()| command::dispatch(cli, &registry));
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}
