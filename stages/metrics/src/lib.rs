//! Metrics of scores and truth, and the votes of neighbours.

pub mod dprime;
pub mod metric;
pub mod neighbours;
pub mod ranks;
pub mod table;
