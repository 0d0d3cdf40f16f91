//! Matrix products on one thread.

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;

/// A matrix inside a slice: rows, columns, and the distances between neighbours along each.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// From an element to that below it.
    pub row_stride: usize,
    /// From an element to that on its right.
    pub col_stride: usize,
}

impl Layout {
    /// Rows of `cols` neighbouring numbers.
    #[must_use]
    pub fn row_major(rows: usize, cols: usize) -> Layout {
        Layout { rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The same numbers, transposed.
    #[must_use]
    pub fn t(self) -> Layout {
        Layout { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// Numbers from the first to the last element, both included.
    fn span(&self) -> usize {
        if self.rows == 0 || self.cols == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }
}

/// `c = a b`, or `c += a b`, on the calling thread.
///
/// # Panics
/// Where the layouts do not fit each other or the slices; callers derive them from checked shapes.
pub fn matmul(a: (&[f32], Layout), b: (&[f32], Layout), c: (&mut [f32], Layout), accumulate: bool) {
    let (rows, inner, cols) = (a.1.rows, a.1.cols, b.1.cols);
    assert!(inner == b.1.rows && rows == c.1.rows && cols == c.1.cols);
    assert!(a.1.span() <= a.0.len() && b.1.span() <= b.0.len() && c.1.span() <= c.0.len());
    assert!(c.1.row_stride >= cols || c.1.col_stride >= rows || rows <= 1 || cols <= 1);
    // The kernels write columns.
    let (a, b, c) = if c.1.col_stride < c.1.row_stride {
        ((b.0, b.1.t()), (a.0, a.1.t()), (c.0, c.1.t()))
    } else {
        (a, b, c)
    };
    let (rows, cols) = (a.1.rows, b.1.cols);
    // SAFETY: every element the three layouts name lies in its slice (checked above), `c` is borrowed mutably and its
    // elements do not overlap.
    unsafe {
        get_gemm_fn()(
            rows,
            cols,
            inner,
            c.0.as_mut_ptr(),
            c.1.col_stride as isize,
            c.1.row_stride as isize,
            accumulate,
            a.0.as_ptr(),
            a.1.col_stride as isize,
            a.1.row_stride as isize,
            b.0.as_ptr(),
            b.1.col_stride as isize,
            b.1.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Slices whose lengths do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("inner products: expected lengths {expected:?}, found {found:?}")]
pub struct ShapeMismatch {
    /// The lengths of both operands and of the result that would fit.
    pub expected: [usize; 3],
    /// Those that were given.
    pub found: [usize; 3],
}

/// Inner products of every row of `a` with every row of `b`, on the calling thread.
///
/// # Shapes
/// `a` is `[m, size]`, `b` is `[n, size]`, `out` is `[m, n]`, all row-major.
///
/// # Errors
/// [`ShapeMismatch`] where a length is no multiple of `size`, or `out` has not `m * n` numbers.
pub fn inner_products(a: &[f32], b: &[f32], size: usize, out: &mut [f32]) -> Result<(), ShapeMismatch> {
    let (rows, cols) = (a.len() / size.max(1), b.len() / size.max(1));
    if a.len() != rows * size || b.len() != cols * size || out.len() != rows * cols {
        return Err(ShapeMismatch {
            expected: [rows * size, cols * size, rows * cols],
            found: [a.len(), b.len(), out.len()],
        });
    }
    let (a, b) = ((a, Layout::row_major(rows, size)), (b, Layout::row_major(cols, size).t()));
    matmul(a, b, (out, Layout::row_major(rows, cols)), false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to lie in memory, and sizes of nothing.
    #[test]
    fn layouts_do_not_change_products() {
        let value = |i: usize| (i * 7 % 11) as f32 - 5.0;
        for (rows, inner, cols) in
            [(3, 4, 5), (1, 4, 3), (5, 1, 2), (2, 3, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0)]
        {
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..rows * inner).map(value).collect(), (0..inner * cols).map(|i| value(i + 3)).collect());
            let at = |m: &[f32], layout: Layout, i: usize, j: usize| {
                m[i * layout.row_stride + j * layout.col_stride]
            };
            let ways = |rows, cols| [Layout::row_major(rows, cols), Layout::row_major(cols, rows).t()];
            for la in ways(rows, inner) {
                for lb in ways(inner, cols) {
                    for lc in ways(rows, cols) {
                        let mut c = vec![1.0; rows * cols];
                        matmul((&a, la), (&b, lb), (&mut c, lc), true);
                        for i in 0..rows {
                            for j in 0..cols {
                                let sum: f32 = (0..inner).map(|k| at(&a, la, i, k) * at(&b, lb, k, j)).sum();
                                assert_eq!(at(&c, lc, i, j), 1.0 + sum, "{rows} {inner} {cols}: {i}, {j}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_meets_every_row() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
        let mut out = [9.0; 6];
        inner_products(&a, &b, 2, &mut out).unwrap();
        assert_eq!(out, [1.0, 2.0, 0.0, 3.0, 4.0, 2.0]);
        for (a, out) in [(&a[..3], &mut [0.0; 6][..]), (&a, &mut [0.0; 5])] {
            let error = inner_products(a, &b, 2, out).unwrap_err().to_string();
            assert!(error.starts_with("inner products: expected lengths"), "{error}");
        }
    }
}
