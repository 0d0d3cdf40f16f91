//! Data sets, splits, front-ends and programs as stages, driven through pipeline files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod command;
mod dataset;
mod import;
mod incremental;
mod noise;
mod pipelines;
#[path = "../real/mod.rs"]
mod real;
mod sandbox;
mod scenes;
mod split;
mod synth;
