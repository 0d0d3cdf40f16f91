//! Separating a subset by uploader: what one person made of one class stays together.

use std::collections::BTreeMap;

use petgraph::unionfind::UnionFind;
use sndpipe_artefacts::split::place;
use sndpipe_random::Stream;

use super::clip_facts::ClipFacts;

/// Chooses clips for a subset so that no (uploader, class) pair is on both sides, with about a share of every class.
///
/// Clips of one uploader that have a class in common, directly or through others, are a unit, which is never divided; clips of
/// unknown uploaders are units of their own. Classes are served from the rarest to the most frequent, each until less than half a
/// clip is missing. Its units come in a random order that depends on the seed and on ids; one is taken if all classes together come
/// nearer to their targets by it, each counted relative to its target.
///
/// Returns for each of `positions` whether it is chosen.
///
/// # Source
/// The goal is that of Fonseca et al., *FSD50K: an Open Dataset of Human-Labeled Sound Events*; its algorithm is not published.
pub(super) fn separate(facts: &ClipFacts, positions: &[usize], share: f64, seed: u64) -> Vec<bool> {
    // One more class for clips without any.
    let blank = facts.vocabulary.len();
    let classes = |place: usize| {
        let classes = facts.classes_of(positions[place]);
        if classes.is_empty() { std::slice::from_ref(&blank) } else { classes }
    };
    let units = units(facts, positions, seed);
    let mut counts: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); units.len()];
    let (mut totals, mut of_class) = (vec![0.0; blank + 1], vec![Vec::new(); blank + 1]);
    for (unit, places) in units.iter().enumerate() {
        for &class in places.iter().flat_map(|&place| classes(place)) {
            *counts[unit].entry(class).or_default() += 1.0;
            totals[class] += 1.0;
        }
        counts[unit].keys().for_each(|&class| of_class[class].push(unit));
    }
    let targets: Vec<f64> = totals.iter().map(|total| share * total).collect();
    let mut reached = vec![0.0; blank + 1];
    let mut taken = vec![false; units.len()];
    let mut order: Vec<usize> = (0..=blank).filter(|&class| totals[class] > 0.0).collect();
    order.sort_by(|&a, &b| totals[a].total_cmp(&totals[b]).then(a.cmp(&b)));
    for class in order {
        for &unit in &of_class[class] {
            if targets[class] - reached[class] < 0.5 {
                break;
            }
            let nearer: f64 = counts[unit]
                .iter()
                .map(|(&class, n)| {
                    let missing: f64 = targets[class] - reached[class];
                    (missing.abs() - (missing - n).abs()) / targets[class]
                })
                .sum();
            if !taken[unit] && nearer > 0.0 {
                taken[unit] = true;
                counts[unit].iter().for_each(|(&class, n)| reached[class] += n);
            }
        }
    }
    let mut chosen = vec![false; positions.len()];
    for (places, _) in units.iter().zip(taken).filter(|(_, taken)| *taken) {
        places.iter().for_each(|&place| chosen[place] = true);
    }
    chosen
}

/// The units, as places in `positions`, in random order.
fn units(facts: &ClipFacts, positions: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut sets = UnionFind::new(positions.len());
    let mut first: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (place, &at) in positions.iter().enumerate() {
        let Some(uploader) = facts.uploader_of(at) else { continue };
        for &class in facts.classes_of(at) {
            let other = *first.entry((uploader, class)).or_insert(place);
            sets.union(other, place);
        }
    }
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..positions.len() {
        units.entry(sets.find(place)).or_default().push(place);
    }
    let stream = Stream::new(seed, "separate");
    // A unit is named after the first of its clips in the order of ids.
    let name = |unit: &Vec<usize>| unit.iter().map(|&place| facts.ids[positions[place]].as_str()).min();
    let mut units: Vec<_> = units
        .into_values()
        .map(|unit| {
            let name = name(&unit).unwrap_or_default();
            ((place(&stream, name), name), unit)
        })
        .collect();
    units.sort_unstable();
    units.into_iter().map(|(_, unit)| unit).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Clips given by uploader and classes.
    fn facts(clips: &[(usize, Vec<usize>)], classes: usize) -> ClipFacts {
        ClipFacts {
            ids: (0..clips.len()).map(|n| format!("c{n:05}")).collect(),
            uploaders: Some(clips.iter().map(|(person, _)| Some(format!("p{person}"))).collect()),
            classes: Some(clips.iter().map(|(_, classes)| classes.clone()).collect()),
            vocabulary: (0..classes).map(|class| format!("class {class}")).collect(),
        }
    }

    /// A hundred people, each with four clips of one class and one of another.
    fn plain() -> ClipFacts {
        let clips = (0..500).map(|n| (n / 5, vec![if n % 5 == 4 { n / 5 % 10 } else { n / 50 }]));
        facts(&clips.collect::<Vec<_>>(), 10)
    }

    #[test]
    fn every_class_has_its_share_and_no_pair_is_divided() {
        let facts = plain();
        let all: Vec<usize> = (0..500).collect();
        let chosen = separate(&facts, &all, 0.2, 7);
        let chosen = &chosen;
        let on = |side: bool| all.iter().copied().filter(move |&at| chosen[at] == side);
        for (class, &n) in facts.class_counts(on(true)).iter().enumerate() {
            assert!((8..=12).contains(&n), "class {class}: {n} of 50");
        }
        let pairs = |side: bool| {
            let pair = |at: usize| (facts.uploader_of(at).unwrap(), facts.classes_of(at)[0]);
            on(side).map(pair).collect::<BTreeSet<_>>()
        };
        assert!(pairs(true).is_disjoint(&pairs(false)));
        assert_ne!(separate(&facts, &all, 0.2, 8), separate(&facts, &all, 0.2, 7), "the seed counts");
    }

    #[test]
    fn only_the_given_clips_count_and_their_order_does_not() {
        let facts = plain();
        let some: Vec<usize> = (0..500).filter(|n| n % 3 != 0).collect();
        let turned: Vec<usize> = some.iter().rev().copied().collect();
        let mut back = separate(&facts, &turned, 0.1, 0);
        back.reverse();
        assert_eq!(back, separate(&facts, &some, 0.1, 0));
    }

    proptest! {
        /// Whatever the clips are, no pair of uploader and class is on both sides.
        #[test]
        fn no_pair_is_divided(
            clips in prop::collection::vec((0usize..6, prop::collection::vec(0usize..5, 0..4)), 1..60),
            share in 0.05f64..0.6,
        ) {
            let facts = facts(&clips, 5);
            let all: Vec<usize> = (0..clips.len()).collect();
            let chosen = separate(&facts, &all, share, 1);
            for (a, (person, classes)) in clips.iter().enumerate() {
                for (b, (other, others)) in clips.iter().enumerate() {
                    let common = person == other && classes.iter().any(|class| others.contains(class));
                    prop_assert!(!common || chosen[a] == chosen[b], "{a} and {b}");
                }
            }
        }
    }
}
