//! Layers: operations with their parameters.

use dfdx::tensor::Tape;

use super::Pass;
use crate::{
    Device, NnError,
    ops::{
        BatchNormParameters, BatchNormSpec, Conv2dSpec, Normalisation, try_batch_norm, try_conv2d, try_linear,
    },
    parameter::{Init, ParameterId, Parameters},
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// A convolution without bias.
#[derive(Debug, Clone)]
pub(super) struct Conv2d {
    spec: Conv2dSpec,
    weight: ParameterId,
    input_grad: InputGrad,
}

impl Conv2d {
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        spec: Conv2dSpec,
        input_grad: InputGrad,
    ) -> Result<Conv2d, NnError> {
        let shape = spec.weight_shape();
        let fan_in = shape[1..].iter().product();
        Ok(Conv2d {
            spec,
            weight: p.add(format!("{name}.weight"), &shape, Init::FanIn(fan_in), true)?,
            input_grad,
        })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
    ) -> Result<Tensor4<D, T>, NnError> {
        try_conv2d(x, p.value(self.weight), &self.spec, self.input_grad)
    }
}

/// Batch normalisation with ReLU.
#[derive(Debug, Clone)]
pub(super) struct BatchNorm {
    spec: BatchNormSpec,
    weight: ParameterId,
    bias: ParameterId,
    running_mean: ParameterId,
    running_var: ParameterId,
}

impl BatchNorm {
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        channels: usize,
        spec: BatchNormSpec,
    ) -> Result<BatchNorm, NnError> {
        let mut add = |field: &str, value: f32, trained: bool| {
            let name = format!("{name}.{field}");
            p.add(name, &[channels], Init::Constant(value), trained)
        };
        Ok(BatchNorm {
            spec,
            weight: add("weight", 1.0, true)?,
            bias: add("bias", 0.0, true)?,
            running_mean: add("running_mean", 0.0, false)?,
            running_var: add("running_var", 1.0, false)?,
        })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let parameters = BatchNormParameters {
            weight: p.value(self.weight),
            bias: p.value(self.bias),
            running_mean: p.value(self.running_mean),
            running_var: p.value(self.running_var),
        };
        let statistics = if pass.training { Normalisation::Batch } else { Normalisation::Running };
        let (y, running) = try_batch_norm(x, &parameters, &self.spec, &statistics, InputGrad::Set)?;
        if let Some(running) = running {
            pass.updates.push((self.running_mean, running.mean));
            pass.updates.push((self.running_var, running.variance));
        }
        Ok(y)
    }
}

/// A fully connected layer with bias.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    weight: ParameterId,
    bias: ParameterId,
    input_grad: InputGrad,
}

impl Linear {
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        inputs: usize,
        outputs: usize,
        input_grad: InputGrad,
    ) -> Result<Linear, NnError> {
        let init = Init::FanIn(inputs);
        Ok(Linear {
            weight: p.add(format!("{name}.weight"), &[outputs, inputs], init, true)?,
            bias: p.add(format!("{name}.bias"), &[outputs], init, true)?,
            input_grad,
        })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor2<D, T>,
    ) -> Result<Tensor2<D, T>, NnError> {
        try_linear(x, p.value(self.weight), p.value(self.bias), self.input_grad)
    }
}
