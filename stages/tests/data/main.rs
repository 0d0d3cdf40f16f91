//! Data sets, splits, front-ends and programs as stages, driven through pipeline files.

mod command;
mod dataset;
mod incremental;
mod sandbox;
mod split;
mod synth;
