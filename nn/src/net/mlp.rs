//! Multi-layer perceptrons.

use dfdx::tensor::Tape;

use super::{InputShape, Pass, layer::Linear};
use crate::ops::{try_dropout, try_relu};
use crate::parameter::Parameters;
use crate::tensor::{InputGrad, Tensor2};
use crate::{Device, NnError};
use sndpipe_random::Stream;

/// Hidden layers with ReLU and dropout over the flattened patch.
#[derive(Debug, Clone)]
pub(super) struct Mlp {
    hidden: Vec<(Linear, Stream)>,
    dropout: f64,
    pub(super) features: usize,
}

impl Mlp {
    /// Parameters are named as in PyTorch's `body = nn.Sequential(...)` of linear layers, ReLUs and, where used, dropouts.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        hidden: &[usize],
        dropout: f64,
        input: InputShape,
        seed: u64,
    ) -> Result<Mlp, NnError> {
        let step = if dropout > 0.0 { 3 } else { 2 };
        let (mut layers, mut size, mut input_grad) = (Vec::new(), input.len(), InputGrad::Skip);
        for (i, &next) in hidden.iter().enumerate() {
            let name = format!("body.{}", step * i);
            let stream = Stream::new(seed, &format!("dropout of {name}"));
            layers.push((Linear::new(p, &name, size, next, input_grad)?, stream));
            (size, input_grad) = (next, InputGrad::Set);
        }
        Ok(Mlp { hidden: layers, dropout, features: size })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor2<D, T>,
        pass: &Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        for (layer, stream) in &self.hidden {
            x = try_relu(layer.forward(p, x)?, InputGrad::Set)?;
            if pass.training && self.dropout > 0.0 {
                x = try_dropout(x, self.dropout, stream, pass.step, InputGrad::Set)?;
            }
        }
        Ok(x)
    }
}
