//! `plot`: a metric over an axis, as a drawing.

mod params;
mod points;
mod stage;
mod svg;
mod ticks;

pub use params::PlotParams;
pub use stage::Plot;
pub(crate) use svg::escaped;
