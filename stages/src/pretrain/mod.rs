//! `pretrain`: fits an encoder to features alone.

mod head;
mod method;
mod pairs;
mod params;
mod sampler;
mod stage;
mod unlabelled;

pub use head::HeadParams;
pub use method::{MethodParams, Methods, WeightedMethod};
pub use params::PretrainParams;
pub use sampler::{PairPatches, SamplerParams};
pub use stage::Pretrain;

pub(crate) use pairs::Pairs;
pub(crate) use sampler::{recipes, sampler_mistakes};
