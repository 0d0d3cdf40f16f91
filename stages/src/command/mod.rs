//! An external program as a stage.

mod child;
mod foreign;
mod hand_over;
mod params;
mod program;
mod stage;
mod strays;
mod take_back;

pub use child::is_ignored;
pub use params::CommandParams;
pub use stage::CommandStage;
