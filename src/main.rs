//! The program: all stages of sndpipe behind its command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static HEAP: sndpipe::nn::Heap = sndpipe::nn::Heap;

fn main() -> ExitCode {
    sndpipe::main(sndpipe::stages::registry())
}
