//! `plot`: a metric over an axis, as a drawing, and `scatter`: points of the plane.

mod canvas;
mod params;
mod points;
mod scatter;
mod stage;
mod svg;
mod ticks;

pub use params::PlotParams;
pub use scatter::{Scatter, ScatterParams};
pub use stage::Plot;
