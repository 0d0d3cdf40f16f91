//! `split.prune`: a training subset without the clips that a model does not believe.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

/// Drops the training clips with the largest losses; a training on the rest mostly starts from the model that gave the losses
/// (`init: all`).
///
/// The threshold is a percentile of the losses of the training clips, interpolated linearly between two neighbours; a clip stays if
/// its loss is not above it. Other subsets stay as they are, and so do training clips without a loss.
///
/// Inputs: `losses` (a table with `clip_id` and `loss`, such as that of `losses`) and `split`. Outputs: `split`, and `pruned` with a
/// row for each clip that was dropped: `clip_id, loss, threshold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneParams {
    /// The percentage of the training clips that about stay, `0..=100`.
    pub percentile: f64,
}

/// `split.prune`.
pub struct SplitPrune;

impl Stage for SplitPrune {
    const NAME: &'static str = "split.prune";
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Fonseca et al., Model-agnostic Approaches to Handling Noisy Labels When Training Sound Event \
                                  Classifiers, WASPAA 2019";
    type Params = PruneParams;

    fn check(params: &PruneParams) -> Vec<ParamError> {
        let wrong = !(0.0..=100.0).contains(&params.percentile);
        wrong
            .then(|| ParamError::new("percentile", format!("{} is outside 0..=100", params.percentile)))
            .into_iter()
            .collect()
    }

    fn inputs(_: &PruneParams) -> Vec<Port> {
        vec![
            Port::new("losses", Kind::Table).reading(&["clip_id", "loss"]),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS),
        ]
    }

    fn outputs(_: &PruneParams) -> Vec<Output> {
        vec![Output::new("split", Kind::Split), Output::new("pruned", Kind::Table)]
    }

    fn run(params: &PruneParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let table = io.table("losses")?;
        let (ids, losses) = (columns::text(&table, "clip_id")?, columns::number(&table, "loss")?);
        let mut all = BTreeMap::new();
        for (id, loss) in ids.into_iter().zip(losses) {
            let loss = loss.filter(|loss| loss.is_finite()).ok_or_else(|| {
                StageError::failed(format!("clip `{id}` has no finite loss in the table of losses"))
            })?;
            if all.insert(id.clone(), loss).is_some() {
                return Err(StageError::failed(format!("clip `{id}` is twice in the table of losses")));
            }
        }
        let split = Split::read(&io.table("split")?)?;
        let Pruned { split, dropped, threshold, unknown } = prune(params.percentile, &all, split)?;
        if unknown > 0 {
            io.remark(format!(
                "{} without a loss {}",
                counted(unknown, "training clip"),
                agree(unknown, "stays", "stay")
            ));
        }
        io.write_table("split", Meta::new(), &split.to_table()?)?;
        let table = columns::table(vec![
            ("clip_id", Values::Text(dropped.iter().map(|(id, _)| id.clone()).collect())),
            ("loss", Values::Number(dropped.iter().map(|(_, loss)| Some(*loss)).collect())),
            ("threshold", Values::Number(vec![Some(threshold); dropped.len()])),
        ])?;
        io.write_table("pruned", Meta::new(), &table)
    }
}

/// What is left, and what was dropped.
#[derive(Debug, PartialEq)]
struct Pruned {
    split: Split,
    /// Sorted by id.
    dropped: Vec<(String, f64)>,
    threshold: f64,
    /// Training clips without a loss.
    unknown: usize,
}

fn prune(percentile: f64, losses: &BTreeMap<String, f64>, mut split: Split) -> Result<Pruned, StageError> {
    let known: Vec<(String, f64)> =
        split.of(Subset::Train).filter_map(|id| losses.get(id).map(|&loss| (id.to_owned(), loss))).collect();
    if known.is_empty() {
        return Err(StageError::failed("no training clip of the split has a loss")
            .help("take the losses of the training clips: `losses` with `subset: train`"));
    }
    let unknown = split.of(Subset::Train).count() - known.len();
    let threshold = interpolated(known.iter().map(|(_, loss)| *loss).collect(), percentile);
    let dropped: Vec<(String, f64)> = known.into_iter().filter(|(_, loss)| *loss > threshold).collect();
    for (id, _) in &dropped {
        split.clips.remove(id);
    }
    Ok(Pruned { split, dropped, threshold, unknown })
}

/// A percentile of some numbers, at least one; linear between two neighbours.
fn interpolated(mut numbers: Vec<f64>, percentile: f64) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let place = percentile / 100.0 * (numbers.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    numbers[low] + (place - place.floor()) * (numbers[high] - numbers[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([1, 2, 4, 8, 16], ...) of its default method.
        let numbers = vec![8.0, 1.0, 16.0, 2.0, 4.0];
        for (percentile, expected) in
            [(0.0, 1.0), (10.0, 1.4), (50.0, 4.0), (97.0, 15.04), (98.5, 15.52), (100.0, 16.0)]
        {
            let found = interpolated(numbers.clone(), percentile);
            assert!((found - expected).abs() < 1e-12, "{percentile}: {found} instead of {expected}");
        }
        assert!((interpolated(vec![3.0], 97.0) - 3.0).abs() < 1e-12);
    }

    fn split(subsets: &[Subset]) -> Split {
        Split { clips: subsets.iter().enumerate().map(|(at, &subset)| (format!("c{at}"), subset)).collect() }
    }

    #[test]
    fn the_largest_losses_of_training_clips_are_dropped() {
        use Subset::{Test, Train, Val};

        let subsets = [Train, Train, Train, Train, Train, Val, Test, Train];
        // Validation and test have larger ones; the last clip has none.
        let losses = [0.1, 0.9, 0.5, 0.3, 0.9, 5.0, 6.0];
        let losses: BTreeMap<String, f64> =
            losses.into_iter().enumerate().map(|(at, loss)| (format!("c{at}"), loss)).collect();
        let pruned = prune(50.0, &losses, split(&subsets)).unwrap();
        assert_eq!((pruned.threshold, pruned.unknown), (0.5, 1));
        assert_eq!(pruned.dropped, [("c1".to_owned(), 0.9), ("c4".to_owned(), 0.9)]);
        let left: Vec<&str> = pruned.split.clips.keys().map(String::as_str).collect();
        assert_eq!(left, ["c0", "c2", "c3", "c5", "c6", "c7"]);
        // What is not above the threshold stays.
        assert_eq!(prune(75.0, &losses, split(&subsets)).unwrap().dropped, []);
        assert_eq!(prune(100.0, &losses, split(&subsets)).unwrap().dropped, []);
        let error = prune(50.0, &losses, split(&[Val, Test])).unwrap_err().to_string();
        assert_eq!(error, "no training clip of the split has a loss");
    }
}
