//! Layers: operations with their parameters.

use dfdx::tensor::Tape;

use super::Pass;
use crate::{
    Device, NnError,
    ops::{
        BatchNormParameters, BatchNormSpec, Conv2dSpec, Normalisation, try_batch_norm, try_bias, try_conv2d,
        try_linear,
    },
    parameter::{Init, ParameterId, Parameters, RUNNING_VAR},
    tensor::{InputGrad, Tensor2, Tensor4},
};

/// How the weights of a network's convolutions start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ConvInit {
    /// PyTorch's default: Kaiming uniform with a = sqrt 5.
    Default,
    /// Kaiming normal over the outputs: what torchvision's ResNets do.
    KaimingOut,
    /// Kaiming normal over the inputs, also called He normal.
    KaimingIn,
    /// Normal with this standard deviation.
    Normal(f64),
}

impl ConvInit {
    fn of(self, spec: &Conv2dSpec) -> Init {
        let taps = spec.kernel.0 * spec.kernel.1;
        let fan = |channels: usize| (channels / spec.groups).max(1) * taps;
        match self {
            ConvInit::Default => Init::FanIn(fan(spec.inputs)),
            ConvInit::KaimingOut => Init::Normal((2.0 / (spec.outputs * taps) as f64).sqrt()),
            ConvInit::KaimingIn => Init::Normal((2.0 / fan(spec.inputs) as f64).sqrt()),
            ConvInit::Normal(deviation) => Init::Normal(deviation),
        }
    }
}

/// A convolution, with or without bias.
#[derive(Debug, Clone)]
pub(super) struct Conv2d {
    spec: Conv2dSpec,
    weight: ParameterId,
    bias: Option<ParameterId>,
    input_grad: InputGrad,
}

impl Conv2d {
    /// Without bias.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        spec: Conv2dSpec,
        init: ConvInit,
        input_grad: InputGrad,
    ) -> Result<Conv2d, NnError> {
        let weight = p.add(format!("{name}.weight"), &spec.weight_shape(), init.of(&spec), true)?;
        Ok(Conv2d { spec, weight, bias: None, input_grad })
    }

    /// The same with a bias that starts at zero.
    pub(super) fn with_bias<D: Device>(self, p: &mut Parameters<D>, name: &str) -> Result<Conv2d, NnError> {
        let bias = p.add(format!("{name}.bias"), &[self.spec.outputs], Init::Constant(0.0), true)?;
        Ok(Conv2d { bias: Some(bias), ..self })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
    ) -> Result<Tensor4<D, T>, NnError> {
        let y = try_conv2d(x, p.value(self.weight), &self.spec, self.input_grad)?;
        match self.bias {
            Some(bias) => try_bias(y, p.value(bias), InputGrad::Set),
            None => Ok(y),
        }
    }
}

/// Batch normalisation, with ReLU where its description says so.
#[derive(Debug, Clone)]
pub(super) struct BatchNorm {
    spec: BatchNormSpec,
    weight: ParameterId,
    bias: ParameterId,
    running_mean: ParameterId,
    running_var: ParameterId,
    input_grad: InputGrad,
}

impl BatchNorm {
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        channels: usize,
        spec: BatchNormSpec,
        input_grad: InputGrad,
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
            running_var: add(RUNNING_VAR, 1.0, false)?,
            input_grad,
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
        let training = pass.training && p.is_trained(self.weight);
        let statistics = if training { Normalisation::Batch } else { Normalisation::Running };
        let (y, running) = try_batch_norm(x, &parameters, &self.spec, &statistics, self.input_grad)?;
        if let Some(running) = running {
            pass.updates.push((self.running_mean, running.mean));
            pass.updates.push((self.running_var, running.variance));
        }
        Ok(y)
    }
}

/// A convolution without bias, then batch normalisation.
#[derive(Debug, Clone)]
pub(super) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    /// `names` are those of the convolution and of the normalisation.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        names: [&str; 2],
        spec: Conv2dSpec,
        init: ConvInit,
        norm: BatchNormSpec,
        input_grad: InputGrad,
    ) -> Result<ConvNorm, NnError> {
        Ok(ConvNorm {
            conv: Conv2d::new(p, names[0], spec, init, input_grad)?,
            norm: BatchNorm::new(p, names[1], spec.outputs, norm, InputGrad::Set)?,
        })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor4<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor4<D, T>, NnError> {
        self.norm.forward(p, self.conv.forward(p, x)?, pass)
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
