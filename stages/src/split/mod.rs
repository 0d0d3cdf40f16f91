//! Splits: which clips train, validate and test.

mod table;

pub use table::{Split, Subset};
