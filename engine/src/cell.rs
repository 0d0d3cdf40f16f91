//! Names of the cells of a pipeline, and what is read of them.

/// The position of an instance in [`Graph::instances`](crate::Graph::instances).
pub type InstanceId = usize;

/// The cell of an instance: axis name and label, in the order in which the file declares the axes.
pub type Axes = Vec<(String, String)>;

/// One artefact that an input reads.
#[derive(Debug, Clone)]
pub struct Item {
    /// The instance that writes it.
    pub from: InstanceId,
    /// The position of the output in [`BoundStage::outputs`](crate::BoundStage::outputs).
    pub output: usize,
    /// The collected axes with this cell's labels and values; empty where nothing is collected.
    pub axes: Axes,
}
