//! Labels: which classes a clip has, and how sure that is.

mod corrupt;
mod enhance;
mod hide;
mod merge;
mod noise;
mod ontology;
mod propagate;
mod subset;
mod touched;

pub use corrupt::LabelsCorrupt;
pub use enhance::{EnhanceParams, LabelsEnhance};
pub use hide::{HideParams, LabelsHide};
pub use merge::{LabelsMerge, MergeParams};
#[cfg(test)]
pub(crate) use merge::{fates, merge};
pub use noise::{CorruptParams, Noise};
#[cfg(test)]
pub(crate) use ontology::Ontology;
pub use propagate::{LabelsPropagate, PropagateParams, Propagation};
#[cfg(test)]
pub(crate) use propagate::{by_ontology, by_pairs, propagate};
pub use subset::{LabelsSubset, SubsetParams};

use sndpipe_engine::Registry;

/// Adds what is done to labels.
pub(crate) fn register(registry: Registry) -> Registry {
    registry
        .with::<LabelsCorrupt>()
        .with::<LabelsEnhance>()
        .with::<LabelsHide>()
        .with::<LabelsMerge>()
        .with::<LabelsPropagate>()
        .with::<LabelsSubset>()
}
