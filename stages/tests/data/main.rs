//! Data sets, splits, front-ends and programs as stages, driven through pipeline files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod command;
mod dataset;
mod foreign;
mod import;
mod incremental;
mod labels;
mod lists;
mod noise;
mod official;
mod pipelines;
#[path = "../real/mod.rs"]
mod real;
mod sandbox;
mod scenes;
mod split;
mod sweep;
mod synth;
