//! `table`: metrics of the cells of a matrix as one table.

mod aggregate;
mod beside;
mod cells;
mod claims;
mod paired;
mod paper;
mod params;
mod recovered;
mod stage;

pub(crate) use aggregate::{Summary, spread_axis, summarise};
pub(crate) use beside::miswired;
#[cfg(test)]
pub(crate) use cells::Metric;
pub(crate) use cells::{Cell, averaged, labels_of, scale_of, values_of};
pub use claims::{Claim, Claims, ClaimsParams};
pub use params::{Bootstrap, PaperValue, Recovered, TableParams};
pub use stage::Table;
