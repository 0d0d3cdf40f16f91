//! Every stage kind that a pipeline file can name.

use sndpipe_engine::Registry;

use crate::command::CommandStage;

/// The registry of all stages.
#[must_use]
pub fn registry() -> Registry {
    [sndpipe_data::register, sndpipe_audio::register, sndpipe_learn::register, sndpipe_report::register]
        .into_iter()
        .fold(Registry::new().with::<CommandStage>(), |registry, register| register(registry))
}
