//! A quadtree over points: forces between all of them, those far away taken together.

/// A point of the plane.
pub(super) type Point = [f64; 2];

/// Points that a cell keeps without being divided.
const FEW: usize = 4;
/// Levels below the root: points that are as near as that are equal.
const DEPTH: u32 = 48;

/// A square with points.
#[derive(Debug)]
struct Cell {
    side: f64,
    /// The mean of its points.
    centre: Point,
    /// Its points: a range of the order.
    from: u32,
    to: u32,
    /// Its quarters; none where its points are looked at one by one.
    quarters: Vec<u32>,
}

/// A quadtree; the same points give the same one.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    points: &'a [Point],
    /// Points cell by cell.
    order: Vec<u32>,
    cells: Vec<Cell>,
}

/// What repels a point.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Repulsion {
    /// The sum over other points of `q^2 (y - other)` with `q = 1 / (1 + distance^2)`.
    pub force: Point,
    /// The sum of `q`.
    pub sum: f64,
}

impl Repulsion {
    fn add(&mut self, y: Point, other: Point, count: f64) {
        let d = [y[0] - other[0], y[1] - other[1]];
        let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
        self.sum += count * q;
        let weight = count * q * q;
        self.force = [self.force[0] + weight * d[0], self.force[1] + weight * d[1]];
    }
}

impl<'a> Tree<'a> {
    /// The tree of finite points.
    pub fn new(points: &'a [Point]) -> Self {
        let range = |axis: usize| {
            let values = points.iter().map(|point| point[axis]);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let ((left, right), (bottom, top)) = (range(0), range(1));
        let side = (right - left).max(top - bottom);
        let mut tree = Self { points, order: (0..points.len() as u32).collect(), cells: Vec::new() };
        if !points.is_empty() {
            tree.divide(0, points.len(), [left, bottom], side, DEPTH);
        }
        tree
    }

    /// Makes the cell of a range of the order, whose square begins at a corner; gives its place.
    fn divide(&mut self, from: usize, to: usize, corner: Point, side: f64, depth: u32) -> u32 {
        let place = self.cells.len();
        let count = (to - from) as f64;
        let sum = self.order[from..to].iter().fold([0.0, 0.0], |sum, &at| {
            let point = self.points[at as usize];
            [sum[0] + point[0], sum[1] + point[1]]
        });
        let centre = [sum[0] / count, sum[1] / count];
        self.cells.push(Cell { side, centre, from: from as u32, to: to as u32, quarters: Vec::new() });
        if to - from <= FEW || depth == 0 {
            return place as u32;
        }
        let half = side / 2.0;
        let middle = [corner[0] + half, corner[1] + half];
        let points = self.points;
        let quarter = |at: u32| {
            let point = points[at as usize];
            usize::from(point[0] >= middle[0]) + 2 * usize::from(point[1] >= middle[1])
        };
        self.order[from..to].sort_by_key(|&at| quarter(at));
        let mut quarters = Vec::new();
        let mut first = from;
        while first < to {
            let own = quarter(self.order[first]);
            let count = self.order[first..to].iter().take_while(|&&at| quarter(at) == own).count();
            let corner = [
                if own % 2 == 1 { middle[0] } else { corner[0] },
                if own >= 2 { middle[1] } else { corner[1] },
            ];
            quarters.push(self.divide(first, first + count, corner, half, depth - 1));
            first += count;
        }
        self.cells[place].quarters = quarters;
        place as u32
    }

    /// What repels a point of the tree. A cell that is seen under an angle below `theta` (side over distance) counts as one point.
    pub fn repulsion(&self, of: usize, theta: f64, stack: &mut Vec<u32>) -> Repulsion {
        let y = self.points[of];
        let mut found = Repulsion::default();
        stack.clear();
        stack.push(0);
        while let Some(cell) = stack.pop() {
            let cell = &self.cells[cell as usize];
            let d = [y[0] - cell.centre[0], y[1] - cell.centre[1]];
            let (from, to) = (cell.from as usize, cell.to as usize);
            if cell.side * cell.side < theta * theta * (d[0] * d[0] + d[1] * d[1]) {
                found.add(y, cell.centre, (to - from) as f64);
            } else if cell.quarters.is_empty() {
                for &at in self.order[from..to].iter().filter(|&&at| at as usize != of) {
                    found.add(y, self.points[at as usize], 1.0);
                }
            } else {
                stack.extend_from_slice(&cell.quarters);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use sndpipe_random::Stream;

    use super::*;

    fn exact(points: &[Point], of: usize) -> Repulsion {
        let mut found = Repulsion::default();
        for (_, other) in points.iter().enumerate().filter(|(at, _)| *at != of) {
            found.add(points[of], *other, 1.0);
        }
        found
    }

    #[track_caller]
    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
    }

    #[test]
    fn forces_are_those_of_all_points() {
        let mut rng = Stream::new(2, "points").at(0, 0);
        let mut points: Vec<Point> = (0..500).map(|_| [10.0 * rng.normal(), rng.normal()]).collect();
        // Many in one place, which no division takes apart.
        points.extend([[3.0, 0.5]; 20]);
        let tree = Tree::new(&points);
        let mut stack = Vec::new();
        let mut sums = [0.0; 2];
        for of in 0..points.len() {
            let expected = exact(&points, of);
            let every = tree.repulsion(of, 0.0, &mut stack);
            near(every.sum, expected.sum, 1e-9);
            (0..2).for_each(|axis| near(every.force[axis], expected.force[axis], 1e-9));
            let rough = tree.repulsion(of, 0.5, &mut stack);
            near(rough.sum / expected.sum, 1.0, 0.1);
            sums = [sums[0] + rough.sum, sums[1] + expected.sum];
        }
        // What cells that are taken together cost is small in all.
        near(sums[0] / sums[1], 1.0, 0.015);
    }

    #[test]
    fn one_point_is_left_alone() {
        let tree = Tree::new(&[[1.0, 2.0]]);
        assert_eq!(tree.repulsion(0, 0.5, &mut Vec::new()), Repulsion::default());
    }
}
