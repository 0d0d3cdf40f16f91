//! Whether two samples belong together.

use dfdx::{
    shapes::HasShape as _,
    tensor::{PutTape as _, SplitTape as _, Tape},
};

use super::layer::Linear;
use crate::{
    Device, NnError,
    ops::{try_add_relu, try_gather},
    parameter::Parameters,
    tensor::{InputGrad, Tensor2},
};

/// A hidden layer with ReLU over the features of two samples behind each other, then one logit.
///
/// The hidden layer is kept as two, one for each of both: what they give is computed once a sample and added once a pair.
/// Source: Jansen et al. 2020.
#[derive(Debug, Clone)]
pub(crate) struct Coincidence {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Coincidence {
    /// The start of its parameters' names.
    pub(crate) const PREFIX: &str = "coincidence.";

    pub(crate) fn new<D: Device>(
        p: &mut Parameters<D>,
        features: usize,
        hidden: usize,
    ) -> Result<Coincidence, NnError> {
        let mut linear = |name: &str, inputs, outputs| {
            Linear::new(p, &format!("{}{name}", Self::PREFIX), inputs, outputs, InputGrad::Set)
        };
        Ok(Coincidence {
            first: linear("first", features, hidden)?,
            second: linear("second", features, hidden)?,
            last: linear("last", hidden, 1)?,
        })
    }

    /// A logit for each pair of a sample of the first half of `h` (2n, features) and one of the second half: (n n, 1), the
    /// pairs of one of the first half behind each other.
    ///
    /// `h` gets its gradients as `input_grad` says and, before that, by addition.
    pub(crate) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        h: Tensor2<D, T>,
        input_grad: InputGrad,
    ) -> Result<Tensor2<D, T>, NnError> {
        let n = h.shape().0 / 2;
        let (halves, pairs) = ((0..n).collect::<Vec<_>>(), 0..n * n);
        let (h, tape) = h.split_tape();
        let x = try_gather(h.clone().put_tape(tape), &halves, InputGrad::Add)?;
        let places: Vec<usize> = pairs.clone().map(|pair| pair / n).collect();
        let (first, tape) = try_gather(self.first.forward(p, x)?, &places, InputGrad::Set)?.split_tape();
        let halves: Vec<usize> = halves.iter().map(|row| n + row).collect();
        let x = try_gather(h.put_tape(tape), &halves, input_grad)?;
        let places: Vec<usize> = pairs.map(|pair| pair % n).collect();
        let second = try_gather(self.second.forward(p, x)?, &places, InputGrad::Set)?;
        self.last.forward(p, try_add_relu(second, &first, [InputGrad::Set, InputGrad::Set])?)
    }
}

#[cfg(test)]
mod tests {
    use dfdx::tensor::{Cpu, NoneTape, TensorFromVec as _};

    use super::*;
    use sndpipe_random::Rng;

    /// The two layers are one over both features behind each other.
    #[test]
    fn logits_are_those_of_the_definition() {
        let (n, features, hidden) = (3, 4, 5);
        let device = Cpu::default();
        let mut p = Parameters::new(device.clone(), 3);
        let head = Coincidence::new(&mut p, features, hidden).unwrap();
        let mut rng = Rng::new(1, "features");
        let h: Vec<f32> = (0..2 * n * features).map(|_| rng.normal() as f32).collect();
        let x = device.tensor_from_vec(h.clone(), (2 * n, features));
        let logits = head.forward::<_, NoneTape>(&p, x, InputGrad::Set).unwrap().as_vec();
        let value = |name: &str| {
            let p = p.iter().find(|p| p.name == format!("coincidence.{name}")).unwrap();
            p.value.as_vec()
        };
        let [w1, b1, w2, b2, w, b] =
            ["first.weight", "first.bias", "second.weight", "second.bias", "last.weight", "last.bias"]
                .map(value);
        let row = |row: usize| &h[row * features..(row + 1) * features];
        let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for i in 0..n {
            for j in 0..n {
                let units = (0..hidden).map(|u| {
                    let weights = u * features..(u + 1) * features;
                    let sum =
                        dot(&w1[weights.clone()], row(i)) + dot(&w2[weights], row(n + j)) + b1[u] + b2[u];
                    w[u] * sum.max(0.0)
                });
                let expected = units.sum::<f32>() + b[0];
                assert!((logits[i * n + j] - expected).abs() < 1e-5, "{i}, {j}: {logits:?}");
            }
        }
    }
}
