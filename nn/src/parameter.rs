//! Named parameters and buffers of a network.

use dfdx::{shapes::HasShape, tensor::Storage};

use crate::tensor::Tensor1;
use crate::{Device, NnError, cpu, memory};
use sndpipe_random::Rng;

/// What the running variance of a batch norm is called, at the end of its name.
pub(crate) const RUNNING_VAR: &str = "running_var";

/// A parameter's place in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterId(usize);

/// A trained parameter or a buffer (running statistics), stored flat in PyTorch's order.
#[derive(Debug)]
pub struct Parameter<D: Storage<f32>> {
    /// The name that PyTorch would give it, such as `body.0.weight`.
    pub name: String,
    /// Its shape in PyTorch.
    pub shape: Vec<usize>,
    /// Its values.
    pub value: Tensor1<D>,
    /// Whether the optimiser changes it.
    pub trained: bool,
    /// Factor of the learning rate.
    pub rate: f64,
    /// Weight decay in place of the optimiser's.
    pub decay: Option<f64>,
}

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// The same number everywhere.
    Constant(f32),
    /// Uniform in `(-1/sqrt(fan_in), 1/sqrt(fan_in))`: PyTorch's default for linear and convolution layers.
    FanIn(usize),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

impl Init {
    fn values(self, rng: &Rng, name: &str, shape: &[usize]) -> Result<Vec<f32>, NnError> {
        let length = shape.iter().fold(1_usize, |all, &size| all.saturating_mul(size));
        memory::check(|| format!("`{name}` of the network"), length.saturating_mul(size_of::<f32>()) as u64)?;
        Ok(match self {
            Init::Constant(value) => vec![value; length],
            // A normal number takes four words of the generator, a uniform one two.
            Init::Normal(deviation) => drawn(rng, length, 4, |rng| deviation * rng.normal()),
            Init::FanIn(fan_in) => {
                let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
                drawn(rng, length, 2, |rng| rng.range(-bound, bound))
            }
        })
    }
}

/// All parameters and buffers of a network, in the order of its layers.
#[derive(Debug)]
pub struct Parameters<D: Storage<f32>> {
    device: D,
    /// What initial values are drawn from; none where they come from a file.
    seed: Option<u64>,
    items: Vec<Parameter<D>>,
}

impl<D: Device> Parameters<D> {
    /// An empty set; initial values are drawn from (`seed`, name), so their order does not matter.
    pub fn new(device: D, seed: u64) -> Self {
        Parameters { device, seed: Some(seed), items: Vec::new() }
    }

    /// An empty set whose parameters hold no values until they are loaded, so that a description takes no memory before the file proves it.
    pub(crate) fn unfilled(device: D) -> Self {
        Parameters { device, seed: None, items: Vec::new() }
    }

    /// The device that holds the values.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Adds a parameter, or a buffer where `trained` is false.
    pub fn add(
        &mut self,
        name: String,
        shape: &[usize],
        init: Init,
        trained: bool,
    ) -> Result<ParameterId, NnError> {
        let values = match self.seed {
            Some(seed) => init.values(&Rng::new(seed, &name), &name, shape)?,
            None => Vec::new(),
        };
        let length = values.len();
        let value =
            self.device.try_tensor_from_vec(values, (length,)).map_err(NnError::kernel("parameter"))?;
        self.items.push(Parameter { name, shape: shape.to_vec(), value, trained, rate: 1.0, decay: None });
        Ok(ParameterId(self.items.len() - 1))
    }

    /// The values of a parameter.
    pub fn value(&self, id: ParameterId) -> &Tensor1<D> {
        &self.items[id.0].value
    }

    /// Whether the optimiser changes a parameter.
    pub(crate) fn is_trained(&self, id: ParameterId) -> bool {
        self.items[id.0].trained
    }

    /// Replaces the values of a buffer.
    pub(crate) fn set(&mut self, id: ParameterId, value: Tensor1<D>) {
        self.items[id.0].value = value;
    }

    /// All parameters and buffers.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter<D>> {
        self.items.iter()
    }

    /// All parameters and buffers, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Parameter<D>> {
        self.items.iter_mut()
    }

    /// The same values once more, shared with nothing.
    pub(crate) fn try_copy(&self) -> Result<Self, NnError> {
        let copy = |p: &Parameter<D>| {
            let value = self.device.try_tensor_from_vec(p.value.as_vec(), *p.value.shape());
            let value = value.map_err(NnError::kernel("copy of parameters"))?;
            let (name, shape) = (p.name.clone(), p.shape.clone());
            Ok(Parameter { name, shape, value, trained: p.trained, rate: p.rate, decay: p.decay })
        };
        let items = self.items.iter().map(copy).collect::<Result<_, NnError>>()?;
        Ok(Parameters { device: self.device.clone(), seed: self.seed, items })
    }

    /// How many numbers are trained: what is usually called the number of parameters.
    pub fn count(&self) -> usize {
        let trained = self.items.iter().filter(|p| p.trained);
        trained.map(|p| p.shape.iter().product::<usize>()).sum()
    }
}

/// Numbers that a thread draws at a time.
const DRAWN: usize = 1 << 14;

/// `length` numbers drawn one after the other from `rng`, each from as many of its `words`.
fn drawn(rng: &Rng, length: usize, words: u64, draw: impl Fn(&mut Rng) -> f64 + Sync) -> Vec<f32> {
    cpu::zeros::filled(length, DRAWN, |chunk, out| {
        let mut rng = rng.skipped(words * (chunk * DRAWN) as u64);
        out.iter_mut().for_each(|out| *out = draw(&mut rng) as f32);
    })
}
