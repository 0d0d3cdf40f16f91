//! The command line of sndpipe.

fn main() {}
