//! `evaluate.knn`: what the nearest neighbours of embeddings say about classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::Embedded;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::named;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, counted};
use sndpipe_metrics::metric::{self, Judged, Measured, TieOrder};
use sndpipe_metrics::neighbours::judged as judged_by;
use sndpipe_metrics::neighbours::{Classed, OneClass, Protocol, Voted};
use sndpipe_metrics::table::{Row, long_table};

use super::report;

/// The port of the embeddings.
const WHAT: &str = "embeddings";

/// Classes that count as the first ones.
const FIRST: usize = 3;

/// Judges embeddings by the classes of nearest neighbours: no classifier is trained.
///
/// Inputs: `embeddings`, of clips or of patches, `labels` with one class a clip, and `split` where a subset is meant. Vectors are scaled to
/// length 1, so that the nearest has the largest cosine; of equals the first counts, in the order of clips and patches. A clip without a
/// class is left out.
///
/// `metrics` has, over all clips, `accuracy`, `balanced_accuracy` (the mean over classes), `accuracy_top_3`, `balanced_accuracy_top_3` (whether
/// the class is among the three best), `accuracy_1nn` and `balanced_accuracy_1nn` (each patch has the class of its nearest neighbour, each
/// clip that of most patches), and for each class `recall`, `recall_top_3` and `recall_1nn`. `confusion` and `predictions` are as those of
/// `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KnnParams {
    /// How neighbours are found and counted: `leave_one_clip_out`, `memory_bank`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<Protocol>")]
    pub protocol: Protocol,
    /// Which clips are judged: those of one subset, or all.
    pub subset: Scored,
}

impl Default for KnnParams {
    fn default() -> Self {
        Self { protocol: Protocol::default(), subset: Scored::Test }
    }
}

/// `evaluate.knn`.
pub struct EvaluateKnn;

impl Stage for EvaluateKnn {
    const NAME: &'static str = "evaluate.knn";
    /// 2: ties do not depend on the order of the classes.
    const VERSION: u32 = 3;
    const SOURCE: &'static str = "Fonseca et al., Unsupervised Contrastive Learning of Sound Event Representations, ICASSP 2021 \
                                  (leave_one_clip_out); Wu et al., Unsupervised Feature Learning via Non-Parametric Instance \
                                  Discrimination, CVPR 2018 (memory_bank)";
    type Params = KnnParams;

    fn check(params: &KnnParams) -> Vec<ParamError> {
        params.protocol.mistakes("", matches!(params.subset, Scored::Train | Scored::All))
    }

    fn inputs(params: &KnnParams) -> Vec<Port> {
        vec![
            Port::new(WHAT, Kind::Embeddings),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            params.subset.selector().port,
        ]
    }

    fn outputs(_: &KnnParams) -> Vec<Output> {
        vec![
            Output::new("metrics", Kind::Metrics),
            Output::new("confusion", Kind::Table),
            Output::new("predictions", Kind::Table),
        ]
    }

    fn run(params: &KnnParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let rows = io.open_rows(WHAT)?;
        io.memory(Embedded::memory(io, WHAT)?)?;
        io.note("simd", sndpipe_linalg::simd_level());
        let judged = params.subset.positions(&rows, WHAT, io)?;
        let judged = OneClass::new(&labels, &rows, &judged, WHAT)?;
        if judged.without > 0 {
            io.remark(format!("{} without a class, left out", counted(judged.without, "clip")));
        }
        let judged = read(judged, &rows, io)?;
        let classes = labels.classes.len();
        let bank = || {
            let split = Split::read(&io.table("split")?)?;
            let bank: Vec<usize> = split.of(Subset::Train).filter_map(|id| rows.position(id)).collect();
            read(OneClass::new(&labels, &rows, &bank, WHAT)?, &rows, io)
        };
        let ties = TieOrder::of(&labels.classes);
        let voted = params.protocol.vote(&judged, bank, &ties, &|| io.tick())?;
        let Voted { scores, nearest } = voted;
        let clips = judged_by(&judged.embedded.ids, scores, &judged.classes, &ties);
        let nearest = judged_by(&judged.embedded.ids, nearest, &judged.classes, &ties);
        let meta = Meta::from([("classes".to_owned(), json!(labels.classes))]);
        let metrics = long_table(&labels.classes, &metrics(&clips, &nearest, classes))?;
        io.write_table("metrics", meta.clone(), &metrics)?;
        io.write_table("confusion", meta, &report::confusion(&labels.classes, &clips)?)?;
        io.write_table("predictions", Meta::new(), &report::predictions(&labels.classes, &clips)?)
    }
}

/// The embeddings of clips with a class.
fn read(chosen: OneClass, rows: &Rows, io: &StageIo<'_>) -> Result<Classed, StageError> {
    let embedded = Embedded::read(rows, io.meta(WHAT)?, chosen.positions, io)?;
    Ok(Classed::new(embedded, chosen.classes))
}

fn metrics(clips: &[Judged], nearest: &[Judged], classes: usize) -> Vec<Row<&'static str>> {
    let each = |of: &dyn Fn(usize) -> Measured| -> Vec<Measured> { (0..classes).map(of).collect() };
    let recall = each(&|class| metric::recall(clips, class));
    let within = each(&|class| metric::recall_within(clips, class, FIRST));
    let by_nearest = each(&|class| metric::recall(nearest, class));
    let share = |name, class, measured| (name, class, measured, Scale::FRACTION);
    let mut rows = vec![
        share("accuracy", None, metric::accuracy(clips)),
        share("balanced_accuracy", None, Measured::macro_mean(&recall)),
        share("accuracy_top_3", None, metric::accuracy_within(clips, FIRST)),
        share("balanced_accuracy_top_3", None, Measured::macro_mean(&within)),
        share("accuracy_1nn", None, metric::accuracy(nearest)),
        share("balanced_accuracy_1nn", None, Measured::macro_mean(&by_nearest)),
    ];
    for (name, values) in [("recall", recall), ("recall_top_3", within), ("recall_1nn", by_nearest)] {
        rows.extend(values.into_iter().enumerate().map(|(class, value)| share(name, Some(class), value)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: serde_json::Value, expected: &[&str]) {
        let params: KnnParams = serde_json::from_value(value).unwrap();
        let found: Vec<String> = EvaluateKnn::check(&params)
            .into_iter()
            .map(|error| format!("{} {}", error.path, error.message))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_are_named() {
        check(json!({}), &[]);
        check(json!({ "protocol": "memory_bank" }), &[]);
        check(
            json!({ "protocol": { "name": "leave_one_clip_out", "k": 0 }, "subset": "all" }),
            &["protocol.k 0 is outside 1..=1000000"],
        );
        check(
            json!({ "protocol": { "name": "memory_bank", "temperature": 0 }, "subset": "train" }),
            &[
                "protocol.temperature 0 is outside 0 (exclusive) ..=1000",
                "subset clips of the training subset would be judged by themselves",
            ],
        );
    }

    #[test]
    fn classes_without_votes_are_not_among_the_first() {
        let clips = judged_by(
            &["a".to_owned(), "b".to_owned()],
            vec![vec![0.0, 1.0, 0.0], vec![0.2, 1.0, 0.3]],
            &[0, 0],
            &TieOrder::of(&["a", "b", "c"].map(str::to_owned)),
        );
        assert_eq!(metric::accuracy_within(&clips, 3), Measured { value: Some(0.5), n: 2 });
        assert_eq!(metric::accuracy_within(&clips, 2), Measured { value: Some(0.0), n: 2 });
        assert_eq!(metric::recall_within(&clips, 0, 3), Measured { value: Some(0.5), n: 2 });
    }
}
