//! Checks that several operations share.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::Storage,
};

use crate::{NnError, tensor::Tensor1};

/// Length of the innermost axis; 0 where there is none.
pub(super) fn last_axis<S: Shape>(shape: &S) -> usize {
    if S::NUM_DIMS == 0 {
        return 0;
    }
    shape.concrete()[S::NUM_DIMS - 1]
}

/// Fails unless `weight` and `bias` of a normalisation have `length` numbers, at least one, and `epsilon` is positive.
pub(super) fn check_affine<D: Storage<f32>>(
    what: &str,
    weight: &Tensor1<D>,
    bias: &Tensor1<D>,
    length: usize,
    epsilon: f64,
) -> Result<(), NnError> {
    for (name, found) in [("weight", weight.shape().0), ("bias", bias.shape().0)] {
        if length == 0 || found != length {
            return Err(NnError::shape(format!("{name} of {what}"), &[length.max(1)], &[found]));
        }
    }
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(NnError::range("epsilon", epsilon, "positive"));
    }
    Ok(())
}

/// Fails where an index is not below `rows`.
pub(super) fn check_indices(name: &str, indices: &[usize], rows: usize) -> Result<(), NnError> {
    match indices.iter().find(|&&i| i >= rows) {
        None => Ok(()),
        Some(index) => Err(NnError::range(name, index, &format!("below {rows}"))),
    }
}
