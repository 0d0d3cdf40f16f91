//! In which order things come that need each other, and the circles among them.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use petgraph::visit::DfsPostOrder;

/// What `needs` amount to: of each thing by its position, the things that it needs.
pub(super) struct Order {
    /// Everything, each thing after those that it needs, and otherwise as it was given.
    pub all: Vec<usize>,
    pub circles: Vec<Circle>,
}

/// Things each of which needs all others, if by others between; or one that needs itself.
pub(super) struct Circle {
    pub members: Vec<usize>,
    /// One way around, from its first member: each with the position of that need which leads to the next.
    pub way: Vec<(usize, usize)>,
}

impl Order {
    pub fn new(needs: &[Vec<usize>]) -> Self {
        let mut graph = DiGraph::<(), ()>::with_capacity(needs.len(), needs.iter().map(Vec::len).sum());
        let nodes: Vec<_> = needs.iter().map(|_| graph.add_node(())).collect();
        for (at, needs) in needs.iter().enumerate() {
            graph.extend_with_edges(needs.iter().map(|&needed| (nodes[at], nodes[needed])));
        }
        let mut all = Vec::with_capacity(needs.len());
        let mut walk = DfsPostOrder::empty(&graph);
        for &node in &nodes {
            walk.move_to(node);
            while let Some(node) = walk.next(&graph) {
                all.push(node.index());
            }
        }
        let mut circles: Vec<Circle> = kosaraju_scc(&graph)
            .into_iter()
            .map(|members| members.into_iter().map(|node| node.index()).collect::<Vec<usize>>())
            .filter(|members| members.len() > 1 || members.iter().any(|&only| needs[only].contains(&only)))
            .map(|members| Circle::new(members, needs))
            .collect();
        circles.sort_by_key(|circle| circle.members[0]);
        Self { all, circles }
    }
}

impl Circle {
    fn new(mut members: Vec<usize>, needs: &[Vec<usize>]) -> Self {
        members.sort_unstable();
        let is_member = |at: &usize| members.binary_search(at).is_ok();
        // Each member needs another one: going on must come around.
        let mut way: Vec<(usize, usize)> = Vec::new();
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let mut at = members[0];
        while !seen.contains_key(&at)
            && let Some(next) = needs[at].iter().position(is_member)
        {
            seen.insert(at, way.len());
            way.push((at, next));
            at = needs[at][next];
        }
        way.drain(..seen.get(&at).copied().unwrap_or(0));
        let first = (0..way.len()).min_by_key(|&index| way[index].0).unwrap_or(0);
        way.rotate_left(first);
        Self { members, way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of a circle, and its connections.
    type Expected<'a> = (&'a [usize], &'a [(usize, usize)]);

    #[track_caller]
    fn check(needs: &[&[usize]], all: &[usize], circles: &[Expected<'_>]) {
        let order = Order::new(&needs.iter().map(|needs| needs.to_vec()).collect::<Vec<_>>());
        assert_eq!(order.all, all);
        let found: Vec<_> =
            order.circles.iter().map(|circle| (&circle.members[..], &circle.way[..])).collect();
        assert_eq!(found, circles);
    }

    #[test]
    fn each_comes_after_what_it_needs() {
        check(&[], &[], &[]);
        check(&[&[], &[0], &[0, 1]], &[0, 1, 2], &[]);
        check(&[&[2, 1], &[3], &[], &[]], &[2, 3, 1, 0], &[]);
    }

    #[test]
    fn a_circle_is_told_from_its_first_member() {
        check(&[&[0]], &[0], &[(&[0], &[(0, 0)])]);
        // 1 leads to the circle, 4 hangs on it.
        check(&[&[], &[3], &[0, 3], &[2], &[2]], &[0, 2, 3, 1, 4], &[(&[2, 3], &[(2, 1), (3, 0)])]);
        // Two that share a member are one, of which one way around is told.
        check(&[&[1], &[0, 2], &[1]], &[2, 1, 0], &[(&[0, 1, 2], &[(0, 0), (1, 0)])]);
        check(
            &[&[1], &[0], &[3], &[2]],
            &[1, 0, 3, 2],
            &[(&[0, 1], &[(0, 0), (1, 0)]), (&[2, 3], &[(2, 0), (3, 0)])],
        );
    }
}
