//! The command line of sndpipe: arguments, progress, errors and exit codes. It holds no logic of its own.
#![forbid(unsafe_code)]

mod args;
mod command;
mod console;
mod exit;
mod export;
mod failure;
mod human;
mod interrupt;
mod out;
mod paint;
mod progress;
mod render;
mod results;
mod session;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    sndpipe_nn::keep_large_buffers();
    let cli = args::Cli::parse();
    console::log_to_stderr(cli.log);
    match command::dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}
