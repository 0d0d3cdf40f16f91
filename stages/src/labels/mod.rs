//! Labels: which classes a clip has, and how sure that is.

mod enhance;
mod merge;
mod ontology;
mod propagate;
mod subset;
mod table;

pub use enhance::{EnhanceParams, LabelsEnhance};
pub use merge::{LabelsMerge, MergeParams};
#[cfg(test)]
pub(crate) use merge::{fates, merge};
#[cfg(test)]
pub(crate) use ontology::Ontology;
pub use propagate::{LabelsPropagate, PropagateParams, Propagation};
#[cfg(test)]
pub(crate) use propagate::{by_ontology, by_pairs, propagate};
pub use subset::{LabelsSubset, SubsetParams};
pub use table::{Labels, State, table};
