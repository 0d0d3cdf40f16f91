//! How the grids of a poly-phase down-sampling are compared.

use serde::{Deserialize, Serialize};

/// The norm by which [`try_polyphase`](crate::ops::try_polyphase) compares the grids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolyphaseNorm {
    /// The norm of the matrix (positions, channels) that the l1 norm induces: the largest sum of magnitudes over
    /// positions that a channel has. Published as "l1".
    L1Induced,
    /// The sum of all magnitudes.
    L1Flat,
    /// The square root of the sum of all squares.
    L2,
    /// The largest magnitude.
    LInf,
}
