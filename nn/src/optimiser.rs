//! Optimisers with the semantics of PyTorch, and gradient clipping.

use dfdx::tensor::{Cpu, Gradients, Storage};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Device, NnError,
    cpu::{self, elementwise::CHUNK, simd::multiversion},
    parameter::Parameters,
    tensor::{Buffer, Tensor1},
};

/// An optimiser by name, with its options; the learning rate comes with every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OptimiserSpec {
    /// Adam; weight decay is added to the gradient (L2).
    Adam {
        /// Decay rates of the first and second moment.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the square root of the second moment.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Factor of the parameter in the gradient.
        #[serde(default)]
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay.
    Adamw {
        /// Decay rates of the first and second moment.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the square root of the second moment.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// The parameter shrinks by this times the learning rate.
        #[serde(default = "decoupled")]
        weight_decay: f64,
    },
    /// Gradient descent with momentum; weight decay is added to the gradient.
    Sgd {
        /// Factor of the previous update; 0 for none.
        #[serde(default)]
        momentum: f64,
        /// Factor of the parameter in the gradient.
        #[serde(default)]
        weight_decay: f64,
        /// Nesterov's momentum.
        #[serde(default)]
        nesterov: bool,
    },
}

fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

fn epsilon() -> f64 {
    1e-8
}

fn decoupled() -> f64 {
    1e-2
}

impl Default for OptimiserSpec {
    fn default() -> Self {
        OptimiserSpec::Adam { betas: betas(), epsilon: epsilon(), weight_decay: 0.0 }
    }
}

impl OptimiserSpec {
    /// Checks the ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let unit = |name: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(NnError::range(name, value, "in [0, 1)"))
        };
        let decay = match *self {
            OptimiserSpec::Adam { betas, epsilon, weight_decay }
            | OptimiserSpec::Adamw { betas, epsilon, weight_decay } => {
                unit("betas", betas.0)?;
                unit("betas", betas.1)?;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    return Err(NnError::range("epsilon", epsilon, "positive"));
                }
                weight_decay
            }
            OptimiserSpec::Sgd { momentum, weight_decay, nesterov } => {
                unit("momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err(NnError::range("momentum", momentum, "positive with `nesterov`"));
                }
                weight_decay
            }
        };
        if !(decay >= 0.0 && decay.is_finite()) {
            return Err(NnError::range("weight_decay", decay, "not negative"));
        }
        Ok(())
    }

    /// Names of the state tensors that belong to each parameter.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            OptimiserSpec::Adam { .. } | OptimiserSpec::Adamw { .. } => &["exp_avg", "exp_avg_sq"],
            OptimiserSpec::Sgd { momentum, .. } if *momentum > 0.0 => &["momentum_buffer"],
            OptimiserSpec::Sgd { .. } => &[],
        }
    }
}

/// The numbers of one update; computed once a step, in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// What the gradient is multiplied by first (clipping).
    pub clip: f32,
    /// Learning rate over the bias correction of the first moment (Adam), or the learning rate (SGD).
    pub rate: f32,
    /// Added to the gradient as a multiple of the parameter.
    pub decay: f32,
    /// The parameter is multiplied by this first (decoupled decay).
    pub shrink: f32,
    /// Decay of the first moment, or the momentum.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// One over the square root of the bias correction of the second moment.
    pub root: f32,
    /// Added to the denominator.
    pub epsilon: f32,
    /// Whether this is the first step.
    pub first: bool,
    /// Nesterov's momentum.
    pub nesterov: bool,
}

/// Kernels of the optimisers, in place.
pub trait UpdateKernel: Storage<f32> {
    /// Adam and AdamW: moments, then the parameter.
    fn adam_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
    ) -> Result<(), Self::Err>;

    /// SGD: the momentum buffer (where there is one), then the parameter.
    fn sgd_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
    ) -> Result<(), Self::Err>;

    /// The sum of squares, in an order that does not depend on threads.
    fn sum_of_squares(&self, gradient: &Buffer<Self>) -> Result<f64, Self::Err>;
}

/// An optimiser with its state.
#[derive(Debug, Clone)]
pub struct Optimiser<D: Storage<f32>> {
    spec: OptimiserSpec,
    steps: u64,
    /// For each trained parameter, one tensor for each of `slots()`.
    state: Vec<Vec<Tensor1<D>>>,
}

impl<D: Device> Optimiser<D> {
    /// An optimiser of `parameters` at step 0, its state all zeros.
    pub fn new(spec: &OptimiserSpec, parameters: &Parameters<D>) -> Result<Self, NnError> {
        spec.check()?;
        let zeros = |length: usize| {
            parameters
                .device()
                .try_tensor_from_vec(vec![0.0; length], (length,))
                .map_err(NnError::kernel("optimiser"))
        };
        let trained = parameters.iter().filter(|p| p.trained);
        let state = trained
            .map(|p| {
                let length = p.shape.iter().product();
                spec.slots().iter().map(|_| zeros(length)).collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(Optimiser { spec: spec.clone(), steps: 0, state })
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// State tensors with their names (`exp_avg.body.0.weight`) and shapes.
    pub(crate) fn state<'a>(
        &'a mut self,
        parameters: &'a Parameters<D>,
    ) -> impl Iterator<Item = (String, &'a [usize], &'a mut Tensor1<D>)> {
        let slots = self.spec.slots();
        let trained = parameters.iter().filter(|p| p.trained);
        trained.zip(&mut self.state).flat_map(move |(p, state)| {
            let named = slots.iter().zip(state);
            named.map(move |(slot, t)| (format!("{slot}.{}", p.name), p.shape.as_slice(), t))
        })
    }

    /// The global norm of all gradients, in f64, parameter by parameter.
    pub fn gradient_norm(
        parameters: &Parameters<D>,
        gradients: &mut Gradients<f32, D>,
    ) -> Result<f64, NnError> {
        let device = parameters.device();
        let mut sum = 0.0;
        for p in parameters.iter().filter(|p| p.trained) {
            let gradient = gradients.get_or_alloc_mut(&p.value).map_err(NnError::kernel("gradient norm"))?;
            sum += device.sum_of_squares(gradient).map_err(NnError::kernel("gradient norm"))?;
        }
        Ok(sum.sqrt())
    }

    /// Changes the parameters by one step at `rate`, all gradients multiplied by `clip` before.
    pub fn step(
        &mut self,
        parameters: &mut Parameters<D>,
        gradients: &mut Gradients<f32, D>,
        rate: f64,
        clip: f64,
    ) -> Result<(), NnError> {
        let update = self.update(rate, clip);
        let device = parameters.device().clone();
        let trained = parameters.iter_mut().filter(|p| p.trained);
        for (p, moments) in trained.zip(&mut self.state) {
            let gradient = gradients.get_or_alloc_mut(&p.value).map_err(NnError::kernel("optimiser step"))?;
            match self.spec {
                OptimiserSpec::Adam { .. } | OptimiserSpec::Adamw { .. } => {
                    device.adam_update(&mut p.value, gradient, moments, &update)
                }
                OptimiserSpec::Sgd { .. } => device.sgd_update(&mut p.value, gradient, moments, &update),
            }
            .map_err(NnError::kernel("optimiser step"))?;
        }
        self.steps += 1;
        Ok(())
    }

    fn update(&self, rate: f64, clip: f64) -> Update {
        let step = (self.steps + 1) as f64;
        let plain = Update {
            clip: clip as f32,
            rate: rate as f32,
            decay: 0.0,
            shrink: 1.0,
            beta1: 0.0,
            beta2: 0.0,
            root: 1.0,
            epsilon: 0.0,
            first: self.steps == 0,
            nesterov: false,
        };
        let adam = |betas: (f64, f64), epsilon: f64| Update {
            rate: (rate / (1.0 - betas.0.powf(step))) as f32,
            beta1: betas.0 as f32,
            beta2: betas.1 as f32,
            root: (1.0 / (1.0 - betas.1.powf(step)).sqrt()) as f32,
            epsilon: epsilon as f32,
            ..plain
        };
        match self.spec {
            OptimiserSpec::Adam { betas, epsilon, weight_decay } => {
                Update { decay: weight_decay as f32, ..adam(betas, epsilon) }
            }
            OptimiserSpec::Adamw { betas, epsilon, weight_decay } => {
                Update { shrink: (1.0 - rate * weight_decay) as f32, ..adam(betas, epsilon) }
            }
            OptimiserSpec::Sgd { momentum, weight_decay, nesterov } => {
                Update { decay: weight_decay as f32, beta1: momentum as f32, nesterov, ..plain }
            }
        }
    }
}

multiversion! {
    fn adam_chunk(value: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], u: &Update) {
        let count = value.len();
        let (gradient, first, second) = (&gradient[..count], &mut first[..count], &mut second[..count]);
        for i in 0..count {
            let p = value[i] * u.shrink;
            let g = gradient[i] * u.clip + p * u.decay;
            let m = first[i] * u.beta1 + g * (1.0 - u.beta1);
            let v = second[i] * u.beta2 + g * g * (1.0 - u.beta2);
            first[i] = m;
            second[i] = v;
            value[i] = p - u.rate * (m / (v.sqrt() * u.root + u.epsilon));
        }
    }
}

multiversion! {
    fn sgd_chunk(value: &mut [f32], gradient: &[f32], u: &Update) {
        for (p, &g) in value.iter_mut().zip(gradient) {
            *p -= u.rate * (g * u.clip + *p * u.decay);
        }
    }
}

multiversion! {
    fn momentum_chunk(value: &mut [f32], gradient: &[f32], buffer: &mut [f32], u: &Update) {
        let count = value.len();
        let (gradient, buffer) = (&gradient[..count], &mut buffer[..count]);
        for i in 0..count {
            let g = gradient[i] * u.clip + value[i] * u.decay;
            let b = if u.first { g } else { buffer[i] * u.beta1 + g };
            buffer[i] = b;
            value[i] -= u.rate * if u.nesterov { g + u.beta1 * b } else { b };
        }
    }
}

impl UpdateKernel for Cpu {
    fn adam_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
    ) -> Result<(), Self::Err> {
        if let [first, second] = moments {
            cpu::data_mut(value)
                .par_chunks_mut(CHUNK)
                .zip(gradient.par_chunks(CHUNK))
                .zip(cpu::data_mut(first).par_chunks_mut(CHUNK))
                .zip(cpu::data_mut(second).par_chunks_mut(CHUNK))
                .for_each(|(((p, g), m), v)| adam_chunk(p, g, m, v, update));
        }
        Ok(())
    }

    fn sgd_update(
        &self,
        value: &mut Tensor1<Self>,
        gradient: &Buffer<Self>,
        moments: &mut [Tensor1<Self>],
        update: &Update,
    ) -> Result<(), Self::Err> {
        let chunks = cpu::data_mut(value).par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        match moments {
            [buffer] => chunks
                .zip(cpu::data_mut(buffer).par_chunks_mut(CHUNK))
                .for_each(|((p, g), b)| momentum_chunk(p, g, b, update)),
            _ => chunks.for_each(|(p, g)| sgd_chunk(p, g, update)),
        }
        Ok(())
    }

    fn sum_of_squares(&self, gradient: &Buffer<Self>) -> Result<f64, Self::Err> {
        Ok(cpu::elementwise::sum_of_squares(gradient))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::parameter::Init;

    /// Three steps on one parameter with gradients 1, -2, 0.5 at rate 0.1, from 1.
    #[track_caller]
    fn check(spec: OptimiserSpec, expected: [f64; 3]) {
        let mut parameters = Parameters::new(Cpu::default(), 0);
        let id = parameters.add("w".to_owned(), &[1], Init::Constant(1.0), true).unwrap();
        let mut optimiser = Optimiser::new(&spec, &parameters).unwrap();
        for (gradient, expected) in [1.0, -2.0, 0.5].into_iter().zip(expected) {
            let mut gradients = Gradients::<f32, Cpu>::leaky();
            gradients.get_or_alloc_mut(parameters.value(id)).unwrap()[0] = gradient;
            optimiser.step(&mut parameters, &mut gradients, 0.1, 1.0).unwrap();
            let found = f64::from(parameters.value(id).as_vec()[0]);
            assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
    }

    /// Adam as in its paper, in f64; decay in the gradient or beside it.
    fn adam(decay: f64, decoupled: bool) -> [f64; 3] {
        let (mut w, mut m, mut v) = (1.0f64, 0.0, 0.0);
        let mut step = 0;
        [1.0, -2.0, 0.5].map(|g| {
            step += 1;
            let g = if decoupled { g } else { g + decay * w };
            if decoupled {
                w -= 0.1 * decay * w;
            }
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(step)), v / (1.0 - 0.999f64.powi(step)));
            w -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            w
        })
    }

    #[test]
    fn adam_and_adamw_follow_their_papers() {
        for weight_decay in [0.0, 0.3] {
            let (betas, epsilon) = (betas(), epsilon());
            let spec = OptimiserSpec::Adam { betas, epsilon, weight_decay };
            check(spec, adam(weight_decay, false));
            let spec = OptimiserSpec::Adamw { betas, epsilon, weight_decay };
            check(spec, adam(weight_decay, true));
        }
        // The first step is the rate, whatever the gradient.
        assert!((adam(0.0, false)[0] - 0.9).abs() < 1e-8);
    }

    #[test]
    fn sgd_has_the_values_worked_out_by_hand() {
        let sgd = |momentum, weight_decay, nesterov| OptimiserSpec::Sgd { momentum, weight_decay, nesterov };
        check(sgd(0.0, 0.0, false), [0.9, 1.1, 1.05]);
        // Gradients 1 + 0.5, -2 + 0.425, 0.5 + 0.50375.
        check(sgd(0.0, 0.5, false), [0.85, 1.0075, 0.907_125]);
        // Buffers 1, -1.1, -0.49.
        check(sgd(0.9, 0.0, false), [0.9, 1.01, 1.059]);
        // Steps 1.9, -2.99, 0.059.
        check(sgd(0.9, 0.0, true), [0.81, 1.109, 1.1031]);
    }

    #[test]
    fn ranges_are_checked() {
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "adam", "betas": [1.0, 0.9]}"#).unwrap();
        assert_eq!(spec.check().unwrap_err().to_string(), "`betas` is 1, must be in [0, 1)");
        let spec: OptimiserSpec = serde_json::from_str(r#"{"name": "sgd", "nesterov": true}"#).unwrap();
        assert!(spec.check().unwrap_err().to_string().contains("`momentum` is 0"));
        assert!(serde_json::from_str::<OptimiserSpec>(r#"{"name": "sgd", "betas": [0, 0]}"#).is_err());
    }
}
