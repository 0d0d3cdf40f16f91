//! The command line of sndpipe: arguments, progress, errors and exit codes. It holds no logic of its own.
#![forbid(unsafe_code)]

mod args;
mod command;
mod compare;
mod console;
mod exit;
mod export;
mod failure;
mod human;
mod interrupt;
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

#[global_allocator]
static HEAP: sndpipe_nn::Heap = sndpipe_nn::Heap;

fn main() -> ExitCode {
    sndpipe_nn::keep_large_buffers();
    let cli = args::Cli::parse();
    let done = console::log_to(cli.log, cli.log_file.as_deref()).and_then(|()| command::dispatch(cli));
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}
