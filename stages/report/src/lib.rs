//! Evaluations, tables, claims and plots.

pub mod evaluate;
pub mod plot;
pub mod table;
pub mod tsne;
