//! All that needs a network: training, use of models, and what is looked at through them.

pub mod consistency;
pub mod embed;
pub mod import;
pub mod losses;
pub mod model;
pub mod predict;
pub mod pretrain;
pub mod score;
pub mod train;
pub mod views;
