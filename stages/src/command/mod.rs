//! An external program as a stage.

mod child;
mod environment;
mod files;
mod folders;
mod foreign;
mod hand_over;
mod params;
mod placeholder;
mod stage;
mod strays;
mod take_back;
mod unlisted;

pub use child::is_ignored;
pub use params::CommandParams;
pub use stage::CommandStage;
