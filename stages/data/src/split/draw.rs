//! Drawing subsets by share, stratified by class.

use std::collections::BTreeMap;

use sndpipe_artefacts::split::place;
use sndpipe_random::Stream;

/// Distributes clips over subsets with the given shares (which sum to 1), so that every class is spread by those shares, too.
///
/// Classes are served from the rarest to the most frequent; each clip of a class goes where that class is short by most, then where clips
/// are short by most. For one class a clip this is exact stratified sampling up to rounding. Where rounding leaves a subset without any clip,
/// for no class has enough to be divided, what is left of a class after its whole clips goes where all clips are short by most, relative to
/// the share. The order of clips is random but
/// each clip's place in it depends on the seed and its id alone, so the order of `clips` does not matter.
///
/// `clips`: id and class indices of each. Returns the subset of each, in order.
///
/// # Source
/// Sechidis, Tsoumakas, Vlahavas, *On the Stratification of Multi-Label Data*, ECML PKDD 2011.
pub(super) fn draw(clips: &[(&str, Vec<usize>)], shares: &[f64], seed: u64) -> Vec<usize> {
    let by_class = drawn(clips, shares, seed, Rounding::OfEachClass);
    let lacks = |(subset, share): (usize, &f64)| {
        (share * clips.len() as f64).round() >= 1.0 && !by_class.contains(&subset)
    };
    if shares.iter().enumerate().any(lacks) {
        return drawn(clips, shares, seed, Rounding::OfAllClips);
    }
    by_class
}

/// Where the last clips of a class go, of which no subset lacks a whole one.
#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    /// Where the class is short by most.
    OfEachClass,
    /// Where all clips are.
    OfAllClips,
}

fn drawn(clips: &[(&str, Vec<usize>)], shares: &[f64], seed: u64, rounding: Rounding) -> Vec<usize> {
    let stream = Stream::new(seed, "split");
    let mut order: Vec<(u64, &str, usize)> =
        clips.iter().enumerate().map(|(position, (id, _))| (place(&stream, id), *id, position)).collect();
    order.sort_unstable();

    let mut turns = vec![0; clips.len()];
    order.iter().enumerate().for_each(|(turn, &(.., position))| turns[position] = turn);

    // Clips without a class are one more group, served last.
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(.., position) in &order {
        let classes = &clips[position].1;
        if classes.is_empty() {
            groups.entry(usize::MAX).or_default().push(position);
        }
        for &class in classes {
            groups.entry(class).or_default().push(position);
        }
    }
    let wanted = |n: usize| shares.iter().map(|share| share * n as f64).collect::<Vec<f64>>();
    let mut short: BTreeMap<usize, Vec<f64>> =
        groups.iter().map(|(&class, members)| (class, wanted(members.len()))).collect();
    let mut short_of_clips = wanted(clips.len());
    let mut left: BTreeMap<usize, usize> =
        groups.iter().map(|(&class, members)| (class, members.len())).collect();
    // Where classes share what none can divide, equally rare ones are served in random order, too.
    let turn = |class: usize| match rounding {
        Rounding::OfEachClass => class,
        Rounding::OfAllClips => groups[&class].first().map_or(0, |first| turns[*first]),
    };
    let mut subset = vec![usize::MAX; clips.len()];
    while let Some(class) = left
        .iter()
        .filter(|(_, n)| **n > 0)
        .min_by_key(|(class, n)| (**class == usize::MAX, **n, turn(**class)))
        .map(|(&class, _)| class)
    {
        for &position in &groups[&class] {
            if subset[position] != usize::MAX {
                continue;
            }
            let of_class = &short[&class];
            // Sums of shares are off by a little.
            let open = |at: usize| shares[at] > 0.0 && of_class[at] > 1e-9;
            let whole = of_class.iter().any(|short| *short > 1.0 - 1e-9);
            let best = if rounding == Rounding::OfAllClips && !whole {
                let relative = |at: usize| short_of_clips[at] / shares[at];
                let open = (0..shares.len()).filter(|&at| open(at));
                open.reduce(|best, at| if relative(at) > relative(best) { at } else { best })
            } else {
                (0..shares.len()).filter(|&at| shares[at] > 0.0).reduce(|best, at| {
                    let better = of_class[at]
                        .total_cmp(&of_class[best])
                        .then(short_of_clips[at].total_cmp(&short_of_clips[best]));
                    if better.is_gt() { at } else { best }
                })
            };
            let best = best.unwrap_or(0);
            subset[position] = best;
            short_of_clips[best] -= 1.0;
            let classes = &clips[position].1;
            let classes = if classes.is_empty() { &[usize::MAX][..] } else { classes };
            for class in classes {
                if let Some(short) = short.get_mut(class) {
                    short[best] -= 1.0;
                }
                if let Some(left) = left.get_mut(class) {
                    *left -= 1;
                }
            }
        }
        left.remove(&class);
    }
    subset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(names: &[String], classes: usize) -> Vec<(&str, Vec<usize>)> {
        names.iter().enumerate().map(|(index, name)| (name.as_str(), vec![index % classes])).collect()
    }

    #[test]
    fn every_class_has_its_share() {
        let names: Vec<String> = (0..200).map(|n| format!("clip-{n}")).collect();
        let clips = clips(&names, 4);
        let subsets = draw(&clips, &[0.7, 0.1, 0.2], 3);
        for class in 0..4 {
            let count = |wanted| (0..200).filter(|&at| at % 4 == class && subsets[at] == wanted).count();
            assert_eq!([count(0), count(1), count(2)], [35, 5, 10], "class {class}");
        }
        assert_ne!(subsets, draw(&clips, &[0.7, 0.1, 0.2], 4), "the seed counts");
    }

    #[test]
    fn classes_of_few_clips_share_what_none_can_divide() {
        // 1,500 classes of one clip; 100 of four, of which one in ten is less than half a clip; 40 of two in three subsets.
        for (clips_of_all, classes, shares) in
            [(1500, 1500, &[0.7, 0.3][..]), (400, 100, &[0.9, 0.1]), (80, 40, &[0.8, 0.1, 0.1])]
        {
            let names: Vec<String> = (0..clips_of_all).map(|n| format!("clip-{n}")).collect();
            let clips = clips(&names, classes);
            let subsets = draw(&clips, shares, 3);
            for (subset, share) in shares.iter().enumerate() {
                let count = subsets.iter().filter(|of| **of == subset).count() as f64;
                let wanted = share * clips_of_all as f64;
                assert!((count - wanted).abs() <= 1.0, "{classes} classes: {count} instead of {wanted}");
            }
            assert_ne!(subsets, draw(&clips, shares, 4), "the seed counts");
            let turned: Vec<_> = clips.iter().rev().cloned().collect();
            let mut back = draw(&turned, shares, 3);
            back.reverse();
            assert_eq!(subsets, back, "the order of clips does not");
        }
    }

    #[test]
    fn the_order_of_clips_does_not_count() {
        let names: Vec<String> = (0..50).map(|n| format!("clip-{n}")).collect();
        let clips = clips(&names, 3);
        let mut turned = clips.clone();
        turned.reverse();
        let mut subsets = draw(&turned, &[0.8, 0.2], 1);
        subsets.reverse();
        assert_eq!(subsets, draw(&clips, &[0.8, 0.2], 1));
    }

    #[test]
    fn several_classes_a_clip_and_none_are_spread_too() {
        let names: Vec<String> = (0..120).map(|n| format!("clip-{n}")).collect();
        // Class 0: every second clip; class 1: every third; the rest has none.
        let clips: Vec<(&str, Vec<usize>)> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                (
                    name.as_str(),
                    [(2, 0), (3, 1)].iter().filter(|(by, _)| n % by == 0).map(|&(_, c)| c).collect(),
                )
            })
            .collect();
        let subsets = draw(&clips, &[0.75, 0.25], 0);
        let second = |test: &dyn Fn(usize) -> bool| (0..120).filter(|&n| test(n) && subsets[n] == 1).count();
        assert_eq!((second(&|_| true), second(&|n| n % 2 == 0), second(&|n| n % 3 == 0)), (30, 15, 10));
    }
}
