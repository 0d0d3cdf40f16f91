//! The cells of a stage: positions on its axes, and where its inputs find theirs.

use std::sync::Arc;

use super::interpolate::Template;
use super::matrix::Matrix;
use super::source::Span;
use crate::bound::BoundStage;
use crate::cell::Axes;

/// Marks a cell that does not exist.
pub(super) const NONE: u32 = u32::MAX;

/// The axes and cells of a stage.
#[derive(Default)]
pub(super) struct Layout {
    /// The axes, in the order of the file.
    pub axes: Vec<usize>,
    /// The dimensions of these axes, ascending.
    pub dims: Vec<usize>,
    /// The length of each dimension.
    pub lens: Vec<usize>,
    /// The cells that exist: the position in the product of the dimensions, and which of `bound`.
    pub cells: Vec<(u32, u32)>,
    /// The distinct parameter sets.
    pub bound: Vec<Arc<dyn BoundStage>>,
    /// For each position in the product, the cell.
    pub table: Vec<u32>,
    /// How each input finds its source's position on each of the source's dimensions.
    pub routes: Vec<Vec<Route>>,
    /// Something is wrong with it, which was reported.
    pub broken: bool,
}

/// Where a source's position on one of its dimensions comes from.
pub(super) enum Route {
    /// The reader's position on the dimension at this place in its list.
    Reader(usize),
    /// One position for all.
    Fixed(usize),
    /// The label of an axis, from the reader's cell.
    Chosen(usize, Template, Span),
    /// All positions.
    Collected,
}

impl Layout {
    /// The cell at a position in the product of the dimensions.
    pub fn cell(&self, dense: usize) -> Option<usize> {
        self.table.get(dense).copied().filter(|&cell| cell != NONE).map(|cell| cell as usize)
    }

    /// The position on each dimension.
    pub fn decode(&self, dense: u32, coords: &mut Vec<usize>) {
        coords.clear();
        coords.resize(self.dims.len(), 0);
        let mut rest = dense as usize;
        for slot in (0..self.dims.len()).rev() {
            coords[slot] = rest % self.lens[slot];
            rest /= self.lens[slot];
        }
    }

    /// The position in the product of the dimensions.
    pub fn encode(&self, coords: &[usize]) -> usize {
        coords.iter().zip(&self.lens).fold(0, |dense, (at, len)| dense * len + at)
    }

    /// The position on an axis.
    pub fn on_axis(&self, matrix: &Matrix<'_>, coords: &[usize], axis: usize) -> usize {
        self.dims.binary_search(&matrix.axes[axis].dim).map_or(0, |slot| coords[slot])
    }

    /// The labels of those axes that `which` accepts.
    pub fn labels(&self, matrix: &Matrix<'_>, coords: &[usize], which: impl Fn(usize) -> bool) -> Axes {
        let wanted = self.axes.iter().filter(|&&axis| which(axis));
        wanted
            .map(|&axis| {
                let def = &matrix.axes[axis];
                (def.name.clone(), def.values[self.on_axis(matrix, coords, axis)].label.clone())
            })
            .collect()
    }
}
