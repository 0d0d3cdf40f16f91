//! Windows that slide over images: padding, and which positions a window sees.

use std::ops::Range;

/// Rows and columns put around an image; each operation says what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows before the first.
    pub top: usize,
    /// Rows after the last.
    pub bottom: usize,
    /// Columns before the first.
    pub left: usize,
    /// Columns after the last.
    pub right: usize,
}

impl Padding {
    /// Nothing around the image ("valid").
    pub const NONE: Padding = Padding { top: 0, bottom: 0, left: 0, right: 0 };

    /// As many rows above as below and columns to the left as to the right, as PyTorch pads.
    pub const fn symmetric(rows: usize, columns: usize) -> Padding {
        Padding { top: rows, bottom: rows, left: columns, right: columns }
    }

    /// TensorFlow's `SAME`: the output has `ceil(n / stride)` positions along an axis of `n`.
    ///
    /// The whole padding is `max((ceil(n / stride) - 1) stride + (kernel - 1) dilation + 1 - n, 0)`; where it is odd
    /// the larger half is at the bottom or right. All pairs are (rows, columns). A stride of 0 counts as 1, and a
    /// kernel of 0 as 1; operations refuse both.
    pub fn same(
        image: (usize, usize),
        kernel: (usize, usize),
        stride: (usize, usize),
        dilation: (usize, usize),
    ) -> Padding {
        let axis = |length: usize, kernel: usize, stride: usize, dilation: usize| {
            let stride = stride.max(1);
            let last = length.div_ceil(stride).saturating_sub(1) * stride;
            let total = (last + kernel.saturating_sub(1) * dilation + 1).saturating_sub(length);
            (total / 2, total - total / 2)
        };
        let (top, bottom) = axis(image.0, kernel.0, stride.0, dilation.0);
        let (left, right) = axis(image.1, kernel.1, stride.1, dilation.1);
        Padding { top, bottom, left, right }
    }
}

/// What one position of a pooling's output sees along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolWindow {
    /// Positions inside the image, at least one.
    pub inside: Range<usize>,
    /// Positions that an average divides by.
    pub count: usize,
}

/// The windows of a pooling of one image size; each pair of a row's and a column's window gives one output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolWindows {
    /// Windows along the rows.
    pub rows: Vec<PoolWindow>,
    /// Windows along the columns.
    pub columns: Vec<PoolWindow>,
}

/// A window of `kernel` taps, `dilation` apart, that slides along one axis in steps of `stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slide {
    /// Positions of the axis, without padding.
    pub(crate) length: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// Padding before the first position.
    pub(crate) before: usize,
    /// Padding after the last position.
    pub(crate) after: usize,
}

impl Slide {
    /// Positions from the first to the last tap, both included.
    pub(crate) fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Positions of the output; the padded axis has at least the window's extent.
    pub(crate) fn output(&self) -> usize {
        (self.length + self.before + self.after - self.extent()) / self.stride + 1
    }

    /// Where tap `tap` of output position `output` looks; a tap of [`Slide::taps`] looks inside the axis.
    pub(crate) fn source(&self, output: usize, tap: usize) -> usize {
        (output * self.stride + tap * self.dilation).wrapping_sub(self.before)
    }

    /// The taps of output position `output` that look inside the axis.
    pub(crate) fn taps(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        // The first tap at or behind a position of the padded axis.
        let first = |position: usize| position.saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        first(self.before)..first(self.before + self.length)
    }

    /// The output positions of which tap `tap` looks inside the axis.
    pub(crate) fn outputs(&self, tap: usize) -> Range<usize> {
        let start = tap * self.dilation;
        let first = |position: usize| position.saturating_sub(start).div_ceil(self.stride).min(self.output());
        first(self.before)..first(self.before + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_that_of_tensorflow() {
        let same = |n: usize, k: usize, s: usize| {
            let p = Padding::same((n, 1), (k, 1), (s, 1), (1, 1));
            assert_eq!((p.left, p.right), (0, 0));
            (p.top, p.bottom)
        };
        // Worked out by hand from max((ceil(n/s) - 1) s + k - n, 0).
        assert_eq!(same(5, 3, 1), (1, 1));
        assert_eq!(same(5, 2, 1), (0, 1));
        assert_eq!(same(6, 3, 2), (0, 1));
        assert_eq!(same(7, 3, 2), (1, 1));
        assert_eq!(same(224, 7, 2), (2, 3));
        assert_eq!(same(6, 1, 3), (0, 0));
        let dilated = Padding::same((9, 9), (3, 3), (1, 1), (2, 3));
        assert_eq!(dilated, Padding::symmetric(2, 3));
    }

    #[test]
    fn taps_and_outputs_are_those_inside_the_axis() {
        for kernel in 1..5 {
            for (stride, dilation) in [(1, 1), (2, 1), (3, 2), (1, 3)] {
                for (before, after) in [(0, 0), (1, 2), (4, 0), (5, 5)] {
                    let slide = Slide { length: 13, kernel, stride, dilation, before, after };
                    let inside = |o, t| slide.source(o, t) < 13;
                    for o in 0..slide.output() {
                        let taps: Vec<usize> = (0..kernel).filter(|&t| inside(o, t)).collect();
                        assert_eq!(slide.taps(o).collect::<Vec<_>>(), taps, "{slide:?} at {o}");
                    }
                    for t in 0..kernel {
                        let outputs: Vec<usize> = (0..slide.output()).filter(|&o| inside(o, t)).collect();
                        assert_eq!(slide.outputs(t).collect::<Vec<_>>(), outputs, "{slide:?} of {t}");
                    }
                }
            }
        }
    }
}
