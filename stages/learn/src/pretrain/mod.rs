//! `pretrain`: fits an encoder to features alone.

mod head;
mod method;
mod pairs;
mod params;
mod partners;
mod sampler;
mod stage;
mod unlabelled;
mod watch;

pub use head::HeadParams;
pub use method::{MethodParams, Methods, WeightedMethod};
pub use params::PretrainParams;
pub use sampler::{PairPatches, SamplerParams};
pub use stage::Pretrain;
pub use watch::KnnWatch;

pub(crate) use pairs::{Cut, Pairs};
pub(crate) use partners::{PORT as LABELS, Partners, port as labels_port, wiring as labels_wiring};
pub(crate) use sampler::{by_class, recipes, sampler_mistakes};
