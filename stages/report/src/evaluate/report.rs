//! The tables of an evaluation.

use arrow_array::RecordBatch;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_engine::StageError;
use sndpipe_metrics::dprime::d_prime;
use sndpipe_metrics::metric::{self, Judged, Measured};
use sndpipe_metrics::ranks;
use sndpipe_metrics::table::{Row, long_table};

use super::params::Task;

/// The metrics, and where some are undefined.
pub(crate) struct Metrics {
    pub table: RecordBatch,
    /// Classes without positives, of which hardly anything can be said.
    pub without_positives: Vec<String>,
    /// Classes without negatives, which have no AUC.
    pub without_negatives: Vec<String>,
    /// Classes with an AUC of 0 or 1, whose d' is infinite.
    pub infinite: Vec<String>,
}

/// A metric of one class.
type OfClass = fn(&[Judged], usize) -> Measured;

/// The table `metric, class, value, n, better, unit`.
pub(crate) fn metrics(classes: &[String], clips: &[Judged], task: Task) -> Result<Metrics, StageError> {
    let count = classes.len();
    let each = |of: OfClass| -> Vec<Measured> { (0..count).map(|class| of(clips, class)).collect() };
    let precisions = each(metric::average_precision);
    let areas = each(metric::area_under_roc);
    let sensitivities: Vec<Measured> = areas.iter().map(|&area| d_prime(area)).collect();
    let lwlrap = ranks::lwlrap(clips, count);
    let area = Measured::macro_mean(&areas);
    let share = |name, measured| (name, None, measured, Scale::FRACTION);
    let mut rows: Vec<Row<&str>> = Vec::new();
    let mut by_class: Vec<(&str, Vec<Measured>, Scale)> = Vec::new();
    if task != Task::MultiLabel {
        let recalls = each(metric::recall);
        let at_3 = ranks::precision_at_3(clips, count);
        rows.push(share("accuracy", metric::accuracy(clips)));
        rows.push(share("balanced_accuracy", Measured::macro_mean(&recalls)));
        rows.push(share("mAP@3", at_3.all));
        by_class.extend([("recall", recalls, Scale::FRACTION), ("mAP@3", at_3.by_class, Scale::FRACTION)]);
    }
    rows.extend([
        share("mAP", Measured::macro_mean(&precisions)),
        share("AUC", area),
        ("dprime_macro", None, Measured::macro_mean(&sensitivities), Scale::RISING),
        ("dprime_of_mean_auc", None, d_prime(area), Scale::RISING),
        share("lwlrap", lwlrap.all),
    ]);
    let named = |chosen: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..count).filter(|&class| chosen(class)).map(|class| classes[class].clone()).collect()
    };
    let without_positives = named(&|class| precisions[class].value.is_none());
    let without_negatives = named(&|class| precisions[class].value.is_some() && areas[class].value.is_none());
    let infinite = named(&|class| areas[class].value.is_some() && sensitivities[class].value.is_none());
    by_class.extend([
        ("average_precision", precisions, Scale::FRACTION),
        ("AUC", areas, Scale::FRACTION),
        ("dprime", sensitivities, Scale::RISING),
        ("lwlrap", lwlrap.by_class, Scale::FRACTION),
    ]);
    for (name, measured, scale) in &by_class {
        let of_class = |(class, &measured)| (*name, Some(class), measured, scale.clone());
        rows.extend(measured.iter().enumerate().map(of_class));
    }
    let table = long_table(classes, &rows)?;
    Ok(Metrics { table, without_positives, without_negatives, infinite })
}

/// The table `class, predicted, n, share`: every pair of classes; the share is of the clips of the class.
pub(crate) fn confusion(classes: &[String], clips: &[Judged]) -> Result<RecordBatch, StageError> {
    let count = classes.len();
    let mut counts = vec![0i64; count * count];
    for clip in clips {
        if let (Some(class), Some(predicted)) = (clip.present().next(), clip.predicted()) {
            counts[class * count + predicted] += 1;
        }
    }
    let share = |class: usize, n: i64| {
        let all: i64 = counts[class * count..(class + 1) * count].iter().sum();
        (all > 0).then(|| n as f64 / all as f64)
    };
    columns::table(vec![
        ("class", Values::Text((0..count * count).map(|pair| classes[pair / count].clone()).collect())),
        ("predicted", Values::Text((0..count * count).map(|pair| classes[pair % count].clone()).collect())),
        ("n", Values::Int(counts.clone())),
        (
            "share",
            Values::Number(counts.iter().enumerate().map(|(pair, &n)| share(pair / count, n)).collect()),
        ),
    ])
}

/// The table `class, n, tp, fp, fn, tn` at a threshold.
pub(crate) fn counts(
    classes: &[String],
    clips: &[Judged],
    threshold: f64,
) -> Result<RecordBatch, StageError> {
    let mut counts = vec![[0i64; 4]; classes.len()];
    for clip in clips {
        for ((counts, score), truth) in counts.iter_mut().zip(&clip.scores).zip(&clip.truth) {
            let Some(truth) = *truth else { continue };
            let predicted = f64::from(*score) >= threshold;
            counts[match (truth, predicted) {
                (true, true) => 0,
                (false, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
            }] += 1;
        }
    }
    let column = |of: fn(&[i64; 4]) -> i64| Values::Int(counts.iter().map(of).collect());
    columns::table(vec![
        ("class", Values::Text(classes.to_vec())),
        ("n", column(|c| c[0] + c[2])),
        ("tp", column(|c| c[0])),
        ("fp", column(|c| c[1])),
        ("fn", column(|c| c[2])),
        ("tn", column(|c| c[3])),
    ])
}

/// The table `clip_id, class, predicted, score, correct`; several classes are joined by commas.
pub(crate) fn predictions(classes: &[String], clips: &[Judged]) -> Result<RecordBatch, StageError> {
    let present = |clip: &Judged| {
        let names: Vec<&str> = clip.present().map(|class| classes[class].as_str()).collect();
        (!names.is_empty()).then(|| names.join(","))
    };
    let predicted: Vec<Option<usize>> = clips.iter().map(Judged::predicted).collect();
    let score = |(clip, class): (&Judged, &Option<usize>)| class.map(|class| f64::from(clip.scores[class]));
    columns::table(vec![
        ("clip_id", Values::Text(clips.iter().map(|clip| clip.id.clone()).collect())),
        ("class", Values::MaybeText(clips.iter().map(present).collect())),
        (
            "predicted",
            Values::MaybeText(
                predicted.iter().map(|class| class.map(|class| classes[class].clone())).collect(),
            ),
        ),
        ("score", Values::Number(clips.iter().zip(&predicted).map(score).collect())),
        ("correct", Values::Int(clips.iter().map(|clip| i64::from(clip.correct())).collect())),
    ])
}
