//! Times of clusters, which nothing but their neighbours can prove wrong.

use std::collections::BTreeSet;

use super::block::Block;
use super::walk::Time;

/// Nanoseconds by which the times of a whole file may differ from what the blocks before them say.
const SLACK: i64 = 50_000_000;

/// The clusters whose time cannot be believed, of those that hold blocks of a track: where it cannot be read, and where the next cluster
/// starts as if it were another one.
pub(super) fn damaged(blocks: &[&Block<'_>], clusters: &[Time]) -> BTreeSet<usize> {
    let spans: Vec<&[&Block<'_>]> = blocks.chunk_by(|one, other| one.cluster == other.cluster).collect();
    let unread = |span: &[&Block<'_>]| clusters.get(span[0].cluster).is_none_or(|time| time.ticks.is_none());
    let mut damaged: BTreeSet<usize> =
        spans.iter().filter(|span| unread(span)).map(|span| span[0].cluster).collect();
    // How long it is from the first block to the end of the last, which is taken to be as long as the one before it.
    let length = |span: &[&Block<'_>]| match span {
        [.., before, last] => {
            let step = last.time.saturating_sub(before.time);
            last.time.saturating_sub(span[0].time).saturating_add(step)
        }
        [only] => only.duration.and_then(|n| i64::try_from(n).ok()).unwrap_or(0),
        [] => 0,
    };
    for three in spans.windows(3) {
        let [before, this, next] = [three[0], three[1], three[2]];
        let expected = before[0].time.saturating_add(length(before));
        let after = expected.saturating_add(length(this));
        let far = |one: i64, other: i64| one.abs_diff(other) > SLACK.unsigned_abs();
        if far(this[0].time, expected)
            && !far(next[0].time, after)
            && !damaged.contains(&before[0].cluster)
            && !damaged.contains(&next[0].cluster)
        {
            damaged.insert(this[0].cluster);
        }
    }
    damaged
}
