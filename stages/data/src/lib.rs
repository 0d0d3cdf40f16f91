//! Data sets, splits, labels and synthesised sounds.

pub mod dataset;
pub mod labels;
#[cfg(test)]
#[path = "../../tests/real/mod.rs"]
mod real;
pub mod scenes;
pub mod split;
pub mod synth;
