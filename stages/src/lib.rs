//! The stages of sndpipe: everything that a pipeline file can name.
//!
//! The crates below hold them; this one lists them and adds `command`.
#![deny(unsafe_code)]

pub mod command;
mod quantity;
mod registry;

pub use registry::registry;
pub use sndpipe_artefacts as artefacts;
pub use sndpipe_audio as audio;
pub use sndpipe_data as data;
pub use sndpipe_learn as learn;
pub use sndpipe_metrics as metrics;
pub use sndpipe_report as report;
