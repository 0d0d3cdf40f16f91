//! Everything that can go wrong in this crate.

use thiserror::Error;

/// Why a network could not be built, trained, saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NnError {
    /// A tensor or slice has not the shape that the operation needs.
    #[error("{what}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Which operand of which operation.
        what: String,
        /// The shape that was needed.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A parameter of a network, loss, optimiser or schedule is out of range.
    #[error("`{name}` is {value}, must be {range}")]
    Range {
        /// Name of the parameter.
        name: String,
        /// The value given.
        value: String,
        /// What is allowed.
        range: String,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss is {loss} at step {step}: lower the learning rate, clip gradients, or look for non-finite inputs"
    )]
    NonFiniteLoss {
        /// The loss found.
        loss: f32,
        /// Optimiser steps done before this one.
        step: u64,
    },
    /// The norm of all gradients became NaN or infinite.
    #[error("the gradient norm is {norm} at step {step}: lower the learning rate or clip gradients")]
    NonFiniteGradient {
        /// The norm found.
        norm: f64,
        /// Optimiser steps done before this one.
        step: u64,
    },
    /// A checkpoint is not readable at all.
    #[error("not a checkpoint of sndpipe: {reason}")]
    Format {
        /// What is wrong with the bytes.
        reason: String,
    },
    /// A file of weights is not readable, or holds what cannot be weights.
    #[error("the weights cannot be read: {reason}")]
    Weights {
        /// What is wrong with the file.
        reason: String,
    },
    /// Weights are of another network.
    #[error(
        "the weights do not fit the network: missing {}, unexpected {}, other shape {}",
        first(missing),
        first(unexpected),
        first(mismatched)
    )]
    Mismatch {
        /// Tensors of the network that the file lacks.
        missing: Vec<String>,
        /// Tensors of the file that the network lacks.
        unexpected: Vec<String>,
        /// Tensors with another shape: `name: network [..], file [..]`.
        mismatched: Vec<String>,
    },
    /// The device cannot be used.
    #[error("device `{device}` cannot be used: {reason}")]
    Device {
        /// The device asked for.
        device: String,
        /// Why not.
        reason: String,
    },
    /// More memory is needed than there is.
    #[error(
        "{what} needs about {} of memory, and {} are free: take a smaller batch, shorter patches or a narrower network",
        gib(*.needed), gib(*.available)
    )]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that can be had.
        available: u64,
    },
    /// The tensor library failed, mostly out of memory.
    #[error("{op} failed on the device: {reason}")]
    Kernel {
        /// The operation.
        op: &'static str,
        /// The device's own message.
        reason: String,
    },
}

/// The first names of a list that may be long.
fn first(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{:?}{more}", &names[..names.len().min(SHOWN)])
}

impl NnError {
    /// Wraps an error of the tensor library, naming the operation `op`.
    pub(crate) fn kernel<E: std::fmt::Display>(op: &'static str) -> impl FnOnce(E) -> NnError {
        move |e| NnError::Kernel { op, reason: e.to_string() }
    }

    /// A shape error.
    pub(crate) fn shape(what: impl Into<String>, expected: &[usize], found: &[usize]) -> NnError {
        NnError::Shape { what: what.into(), expected: expected.to_vec(), found: found.to_vec() }
    }

    /// A range error.
    pub(crate) fn range(name: &str, value: impl ToString, range: &str) -> NnError {
        NnError::Range { name: name.to_owned(), value: value.to_string(), range: range.to_owned() }
    }
}

/// Bytes in GiB, for people.
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
