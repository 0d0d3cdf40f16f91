//! What stands behind an encoder.

use dfdx::{shapes::HasShape as _, tensor::Tape};
use serde::{Deserialize, Serialize};

use super::{
    Pass,
    layer::{BatchNorm, Linear},
};
use crate::{
    Device, NnError,
    ops::{BatchNormSpec, try_l2_normalise, try_reshape},
    parameter::Parameters,
    tensor::{InputGrad, Tensor2},
};

/// The name of a projection in a network, before a dot.
pub(crate) const PROJECTION: &str = "head";

/// What a network makes of its features.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum HeadSpec {
    /// A linear layer, whose outputs are logits.
    #[default]
    Classifier,
    /// Linear layers, all but the last with batch norm and ReLU, whose outputs have length 1.
    Projection {
        /// Sizes of all layers but the last.
        hidden: Vec<usize>,
    },
    /// The features themselves, scaled to length 1.
    Unit,
}

impl HeadSpec {
    /// Whether what comes out is logits.
    pub fn is_classifier(&self) -> bool {
        *self == HeadSpec::Classifier
    }

    /// Checks the sizes of layers.
    pub(crate) fn check(&self) -> Result<(), NnError> {
        match self {
            HeadSpec::Projection { hidden } if hidden.iter().any(|&size| size == 0 || size > 1 << 20) => {
                Err(NnError::range("hidden", format!("{hidden:?}"), "sizes in 1 ..= 1048576"))
            }
            _ => Ok(()),
        }
    }
}

/// A head with its parameters.
#[derive(Debug, Clone)]
pub(super) enum Head {
    Classifier(Linear),
    Projection { hidden: Vec<(Linear, BatchNorm)>, last: Linear },
    Unit,
}

impl Head {
    /// Parameters of a projection are named as in PyTorch's `head = nn.Sequential(...)` of linear layers, batch norms and ReLUs.
    pub(super) fn new<D: Device>(
        p: &mut Parameters<D>,
        spec: &HeadSpec,
        classifier: &str,
        (features, outputs): (usize, usize),
        input_grad: InputGrad,
    ) -> Result<Head, NnError> {
        let hidden = match spec {
            HeadSpec::Classifier => {
                return Ok(Head::Classifier(Linear::new(p, classifier, features, outputs, input_grad)?));
            }
            HeadSpec::Unit => return Ok(Head::Unit),
            HeadSpec::Projection { hidden } => hidden,
        };
        let (mut layers, mut size, mut input_grad) = (Vec::new(), features, input_grad);
        for (i, &next) in hidden.iter().enumerate() {
            let linear = Linear::new(p, &format!("{PROJECTION}.{}", 3 * i), size, next, input_grad)?;
            let name = format!("{PROJECTION}.{}", 3 * i + 1);
            let norm = BatchNorm::new(p, &name, next, BatchNormSpec::default(), InputGrad::Set)?;
            layers.push((linear, norm));
            (size, input_grad) = (next, InputGrad::Set);
        }
        let last = Linear::new(p, &format!("{PROJECTION}.{}", 3 * hidden.len()), size, outputs, input_grad)?;
        Ok(Head::Projection { hidden: layers, last })
    }

    pub(super) fn forward<D: Device, T: Tape<f32, D>>(
        &self,
        p: &Parameters<D>,
        mut x: Tensor2<D, T>,
        pass: &mut Pass<D>,
    ) -> Result<Tensor2<D, T>, NnError> {
        let (hidden, last) = match self {
            Head::Classifier(linear) => return linear.forward(p, x),
            Head::Unit => return try_l2_normalise(x, InputGrad::Set),
            Head::Projection { hidden, last } => (hidden, last),
        };
        for (linear, norm) in hidden {
            let y = linear.forward(p, x)?;
            let (n, width) = *y.shape();
            let y = norm.forward(p, try_reshape(y, (n, 1, 1, width))?, pass)?;
            x = try_reshape(y, (n, width))?;
        }
        try_l2_normalise(last.forward(p, x)?, InputGrad::Set)
    }
}
