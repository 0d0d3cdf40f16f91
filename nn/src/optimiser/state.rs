//! An optimiser and what it remembers of each parameter.

use dfdx::tensor::{Gradients, Storage};

use super::{Found, OptimiserSpec, Update};
use crate::{Device, NnError, parameter::Parameters, tensor::Tensor1};

/// An optimiser with its state.
#[derive(Debug)]
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

    /// Changes the parameters by one step at `rate` and tells what was found; gradients with a global norm above `most` are
    /// scaled down to it.
    ///
    /// Where loss or norm are not finite nothing changes, and the step does not count. The device is waited for at the end
    /// alone.
    pub fn step(
        &mut self,
        parameters: &mut Parameters<D>,
        gradients: &mut Gradients<f32, D>,
        rate: f64,
        (mut verdict, most): (D::Verdict, Option<f64>),
    ) -> Result<Found, NnError> {
        let failed = NnError::kernel("optimiser step");
        let device = parameters.device().clone();
        let trained = parameters.iter().filter(|p| p.trained);
        let updates: Vec<Update> = trained.map(|p| self.update(rate * p.rate, p.decay)).collect();
        let mut all = || {
            for p in parameters.iter().filter(|p| p.trained) {
                device.verdict_add(&mut verdict, gradients.get_or_alloc_mut(&p.value)?)?;
            }
            device.verdict_end(&mut verdict, most)?;
            let trained = parameters.iter_mut().filter(|p| p.trained);
            for ((p, moments), update) in trained.zip(&mut self.state).zip(&updates) {
                let gradient = gradients.get_or_alloc_mut(&p.value)?;
                match self.spec {
                    OptimiserSpec::Adam { .. } | OptimiserSpec::Adamw { .. } => {
                        device.adam_update(&mut p.value, gradient, moments, update, &verdict)
                    }
                    OptimiserSpec::Sgd { .. } => {
                        device.sgd_update(&mut p.value, gradient, moments, update, &verdict)
                    }
                    OptimiserSpec::Lars { .. } => {
                        let plain = Update { decay: 0.0, trust: None, ..*update };
                        let update = if p.shape.len() > 1 { update } else { &plain };
                        device.lars_update(&mut p.value, gradient, moments, update, &verdict)
                    }
                }?;
            }
            device.verdict_read(&verdict)
        };
        let found = all().map_err(failed)?;
        if found.is_sound() {
            self.steps += 1;
        }
        Ok(found)
    }

    /// The numbers of this step for a parameter, with its own weight decay where it has one.
    fn update(&self, rate: f64, decay: Option<f64>) -> Update {
        let step = (self.steps + 1) as f64;
        let own = |common: f64| decay.unwrap_or(common);
        let plain = Update {
            rate: rate as f32,
            decay: 0.0,
            shrink: 1.0,
            beta1: 0.0,
            beta2: 0.0,
            root: 1.0,
            epsilon: 0.0,
            first: self.steps == 0,
            nesterov: false,
            trust: None,
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
                Update { decay: own(weight_decay) as f32, ..adam(betas, epsilon) }
            }
            OptimiserSpec::Adamw { betas, epsilon, weight_decay } => {
                Update { shrink: (1.0 - rate * own(weight_decay)) as f32, ..adam(betas, epsilon) }
            }
            OptimiserSpec::Sgd { momentum, weight_decay, nesterov } => {
                Update { decay: own(weight_decay) as f32, beta1: momentum as f32, nesterov, ..plain }
            }
            OptimiserSpec::Lars { momentum, weight_decay, trust } => {
                let decay = own(weight_decay) as f32;
                Update { decay, beta1: momentum as f32, trust: Some(trust), ..plain }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::{prelude::Cpu, tensor::TensorFromVec};

    use crate::{
        optimiser::{CpuVerdict, VerdictKernel as _},
        parameter::Init,
    };

    /// The verdict on a loss of 0.
    fn verdict() -> CpuVerdict {
        let device = Cpu::default();
        let row = device.try_tensor_from_vec(vec![0.0], (1, 1)).unwrap();
        let loss = device.try_tensor_from_vec(vec![0.0], ()).unwrap();
        device.verdict_begin(&loss, &row, &row, 1).unwrap()
    }

    /// Three steps on one parameter with gradients 1, -2, 0.5 at rate 0.1, from 1.
    #[track_caller]
    fn check(spec: OptimiserSpec, expected: [f64; 3]) {
        let mut parameters = Parameters::new(Cpu::default(), 0);
        let id = parameters.add("w".to_owned(), &[1], Init::Constant(1.0), true).unwrap();
        let mut optimiser = Optimiser::new(&spec, &parameters).unwrap();
        for (gradient, expected) in [1.0, -2.0, 0.5].into_iter().zip(expected) {
            let mut gradients = Gradients::<f32, Cpu>::leaky();
            gradients.get_or_alloc_mut(parameters.value(id)).unwrap()[0] = gradient;
            optimiser.step(&mut parameters, &mut gradients, 0.1, (verdict(), None)).unwrap();
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
            let (betas, epsilon) = ((0.9, 0.999), 1e-8);
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

    /// LARS as in its paper, in f64, from (3, 4) or, as a bias, without trust and decay.
    #[test]
    fn lars_follows_its_paper() {
        let (momentum, weight_decay, trust) = (0.9, 0.1, 0.02);
        let spec = OptimiserSpec::Lars { momentum, weight_decay, trust };
        let mut p = Parameters::new(Cpu::default(), 0);
        let ids = [
            p.add("weight".to_owned(), &[2, 1], Init::Constant(0.0), true).unwrap(),
            p.add("bias".to_owned(), &[2], Init::Constant(0.0), true).unwrap(),
        ];
        for id in ids {
            p.set(id, Cpu::default().try_tensor_from_vec(vec![3.0, 4.0], (2,)).unwrap());
        }
        let mut optimiser = Optimiser::new(&spec, &p).unwrap();
        let mut expected = [[3.0f64, 4.0]; 2];
        let mut velocity = [[0.0f64; 2]; 2];
        let norm = |v: [f64; 2]| v[0].hypot(v[1]);
        // The first step by hand: trust 0.02 * 5 / (5 + 0.1 * 5), gradient 3 + 0.3, rate 0.5.
        let mut first = Some(3.0 - 0.5 * 0.1 / 5.5 * 3.3);
        for (gradient, rate) in [([6.0f64, 8.0], 0.5), ([-1.0, 2.0], 0.5), ([0.0, 0.0], 0.25)] {
            let mut gradients = Gradients::<f32, Cpu>::leaky();
            for id in ids {
                let out = gradients.get_or_alloc_mut(p.value(id)).unwrap();
                out.copy_from_slice(&gradient.map(|g| g as f32));
            }
            // Clips to one half; both parameters have this gradient.
            let most = Some(0.5 * (2f64.sqrt() * norm(gradient) + 1e-6));
            optimiser.step(&mut p, &mut gradients, rate, (verdict(), most)).unwrap();
            if let Some(first) = first.take() {
                assert!((f64::from(p.value(ids[0]).as_vec()[0]) - first).abs() < 1e-6);
            }
            let clipped = gradient.map(|g| 0.5 * g);
            for (kind, (w, v)) in expected.iter_mut().zip(&mut velocity).enumerate() {
                let decay = if kind == 0 { weight_decay } else { 0.0 };
                let local = if kind == 0 && norm(clipped) > 0.0 {
                    trust * norm(*w) / (norm(clipped) + decay * norm(*w))
                } else {
                    1.0
                };
                for i in 0..2 {
                    v[i] = momentum * v[i] + rate * local * (clipped[i] + decay * w[i]);
                    w[i] -= v[i];
                }
                for (found, w) in p.value(ids[kind]).as_vec().iter().zip(w) {
                    assert!((f64::from(*found) - *w).abs() < 1e-6, "{found} instead of {w}");
                }
            }
        }
    }
}
