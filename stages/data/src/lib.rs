//! Data sets, splits, labels and synthesised sounds.

pub mod dataset;
pub mod labels;
#[cfg(test)]
#[path = "../../tests/real/mod.rs"]
mod real;
pub mod scenes;
pub mod split;
pub mod synth;

use sndpipe_engine::Registry;

/// Adds the stages of this crate.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    [dataset::register, labels::register, split::register]
        .into_iter()
        .fold(registry.with::<scenes::Scenes>(), |registry, register| register(registry))
}
