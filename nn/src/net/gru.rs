//! A recurrent layer.

use dfdx::tensor::Tape;

use crate::{
    Device, NnError,
    ops::{GruParameters, try_gru},
    parameter::{Init, ParameterId, Parameters},
    tensor::{InputGrad, Tensor3},
};

/// One layer of gated recurrent units, in one direction or both; see [`try_gru`].
#[derive(Debug, Clone)]
pub struct Gru {
    /// `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh` of each direction.
    directions: Vec<[ParameterId; 4]>,
    hidden: usize,
    input_grad: InputGrad,
}

impl Gru {
    /// Adds the parameters to `p`, named and started as those of `torch.nn.GRU`: `NAME.weight_ih_l0`, `NAME.weight_hh_l0`,
    /// `NAME.bias_ih_l0`, `NAME.bias_hh_l0`, then the same with `_reverse`; uniform in `(-1/sqrt(hidden), 1/sqrt(hidden))`.
    ///
    /// Fails where `inputs` or `hidden` is 0 or memory is out.
    pub fn new<D: Device>(
        p: &mut Parameters<D>,
        name: &str,
        (inputs, hidden): (usize, usize),
        bidirectional: bool,
        input_grad: InputGrad,
    ) -> Result<Gru, NnError> {
        for (field, value) in [("inputs", inputs), ("hidden", hidden)] {
            if value == 0 {
                return Err(NnError::range(field, value, "at least 1"));
            }
        }
        let suffixes = if bidirectional { &["", "_reverse"][..] } else { &[""] };
        let directions = suffixes
            .iter()
            .map(|suffix| {
                let mut add = |field: &str, shape: &[usize]| {
                    p.add(format!("{name}.{field}_l0{suffix}"), shape, Init::FanIn(hidden), true)
                };
                Ok([
                    add("weight_ih", &[3 * hidden, inputs])?,
                    add("weight_hh", &[3 * hidden, hidden])?,
                    add("bias_ih", &[3 * hidden])?,
                    add("bias_hh", &[3 * hidden])?,
                ])
            })
            .collect::<Result<_, NnError>>()?;
        Ok(Gru { directions, hidden, input_grad })
    }

    /// Features of the output: `hidden` for each direction.
    pub fn outputs(&self) -> usize {
        self.hidden * self.directions.len()
    }

    /// (n, steps, inputs) to (n, steps, outputs).
    pub fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        x: Tensor3<D, T>,
    ) -> Result<Tensor3<D, T>, NnError> {
        let of = |ids: &[ParameterId; 4]| {
            let [weight_ih, weight_hh, bias_ih, bias_hh] = ids.map(|id| p.value(id));
            GruParameters { weight_ih, weight_hh, bias_ih, bias_hh }
        };
        let reverse = self.directions.get(1).map(of);
        try_gru(x, &of(&self.directions[0]), reverse.as_ref(), self.input_grad)
    }
}
