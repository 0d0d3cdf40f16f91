//! One pass through a network.

use dfdx::tensor::Storage;

use crate::{parameter::ParameterId, tensor::Tensor1};

/// One pass through a network: its mode, and what it leaves behind.
#[derive(Debug)]
pub struct Pass<D: Storage<f32>> {
    pub(crate) training: bool,
    pub(crate) step: u64,
    pub(crate) updates: Vec<(ParameterId, Tensor1<D>)>,
}

impl<D: Storage<f32>> Pass<D> {
    /// A pass that changes nothing: running statistics, no dropout.
    pub fn evaluate() -> Self {
        Pass { training: false, step: 0, updates: Vec::new() }
    }

    /// The training pass of optimiser step `step`, from which dropout draws its masks.
    pub fn train(step: u64) -> Self {
        Pass { training: true, step, updates: Vec::new() }
    }
}
