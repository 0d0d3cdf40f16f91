//! `evaluate.knn`: what the nearest neighbours of embeddings say about classes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};

use super::metric::{self, Judged, Measured};
use super::report;
use crate::embed::Embedded;
use crate::labels::Labels;
use crate::named;
use crate::neighbours::{self, Voted};
use crate::score::Scored;
use crate::split::Split;

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
        Self { protocol: Protocol::LeaveOneClipOut { k: k() }, subset: Scored::Test }
    }
}

/// A protocol with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Protocol {
    /// Neighbours are the patches of the other clips of the subset. A patch has the class of most of its neighbours, a clip that of most
    /// of its patches; of equals the first class. Classes that no patch has are ranked by neighbours.
    LeaveOneClipOut {
        /// Neighbours of a patch, `1..=1000000`.
        #[serde(default = "k")]
        k: usize,
    },
    /// Neighbours are the patches of the training subset. A class has the share of its neighbours in the sum of `exp(cos / temperature)`, the
    /// mean over the patches of a clip.
    MemoryBank {
        /// Neighbours of a patch, `1..=1000000`.
        #[serde(default = "k")]
        k: usize,
        /// Above 0, at most 1000.
        #[serde(default = "temperature")]
        temperature: f64,
    },
}

const fn k() -> usize {
    200
}

const fn temperature() -> f64 {
    0.07
}

impl Protocol {
    const fn k(&self) -> usize {
        let (Self::LeaveOneClipOut { k } | Self::MemoryBank { k, .. }) = self;
        *k
    }
}

/// `evaluate.knn`.
pub struct EvaluateKnn;

impl Stage for EvaluateKnn {
    const NAME: &'static str = "evaluate.knn";
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Fonseca et al., Unsupervised Contrastive Learning of Sound Event Representations, ICASSP 2021 \
                                  (leave_one_clip_out); Wu et al., Unsupervised Feature Learning via Non-Parametric Instance \
                                  Discrimination, CVPR 2018 (memory_bank)";
    type Params = KnnParams;

    fn check(params: &KnnParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let k = params.protocol.k();
        if !(1..=1_000_000).contains(&k) {
            mistakes.push(ParamError::new("protocol.k", format!("{k} is outside 1..=1000000")));
        }
        if let Protocol::MemoryBank { temperature, .. } = params.protocol {
            if !(temperature > 0.0 && temperature <= 1e3) {
                let message = format!("{temperature} is outside 0 (exclusive) ..=1000");
                mistakes.push(ParamError::new("protocol.temperature", message));
            }
            if matches!(params.subset, Scored::Train | Scored::All) {
                let error =
                    ParamError::new("subset", "clips of the training subset would be judged by themselves");
                mistakes.push(error.help("judge `test` or `val`, or take `protocol: leave_one_clip_out`"));
            }
        }
        mistakes
    }

    fn inputs(params: &KnnParams) -> Vec<Port> {
        vec![
            Port::new("embeddings", Kind::Embeddings),
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
        let rows = io.open_rows("embeddings")?;
        io.memory(Embedded::memory(io, "embeddings")?)?;
        io.note("simd", sndpipe_nn::simd_level());
        let judged = params.subset.positions(&rows, "embeddings", io)?;
        let judged = Set::read(&labels, &rows, &judged, io)?;
        let classes = labels.classes.len();
        let tick = || io.tick();
        let voted = match params.protocol {
            Protocol::LeaveOneClipOut { k } => {
                let vectors = judged.embedded.vectors();
                neighbours::leave_one_clip_out(vectors, &judged.classes, classes, k, &tick)?
            }
            Protocol::MemoryBank { k, temperature } => {
                let split = Split::read(&io.table("split")?)?;
                let bank: Vec<usize> =
                    split.of(crate::split::Subset::Train).filter_map(|id| rows.position(id)).collect();
                let bank =
                    Set::read(&labels, &rows, &bank, io).map_err(|error| error.at("the training subset"))?;
                let queries = (judged.embedded.vectors(), judged.classes.len());
                let bank = (bank.embedded.vectors(), bank.classes.as_slice());
                neighbours::memory_bank(queries, bank, classes, (k, temperature), &tick)?
            }
        };
        if judged.without > 0 {
            io.remark(format!("{} clips without a class, left out", judged.without));
        }
        let Voted { scores, nearest } = voted;
        let clips = self::judged(&judged.embedded.ids, scores, &judged.classes, classes);
        let nearest = self::judged(&judged.embedded.ids, nearest, &judged.classes, classes);
        let meta = Meta::from([("classes".to_owned(), json!(labels.classes))]);
        let metrics = report::long_table(&labels.classes, &metrics(&clips, &nearest, classes))?;
        io.write_table("metrics", meta.clone(), &metrics)?;
        io.write_table("confusion", meta, &report::confusion(&labels.classes, &clips)?)?;
        io.write_table("predictions", Meta::new(), &report::predictions(&labels.classes, &clips)?)
    }
}

/// Clips with one class.
struct Set {
    /// Of length 1.
    embedded: Embedded,
    /// The class of each clip.
    classes: Vec<u32>,
    /// Clips that have none.
    without: usize,
}

impl Set {
    fn read(labels: &Labels, rows: &Rows, positions: &[usize], io: &StageIo<'_>) -> Result<Self, StageError> {
        let (mut chosen, mut classes, mut without) = (Vec::new(), Vec::new(), 0);
        for &position in positions {
            let id = &rows.ids()[position];
            let mut present = labels.present(id);
            let Some(class) = present.next() else {
                without += 1;
                continue;
            };
            let more = present.count();
            if more > 0 {
                let message = format!("clip `{id}` has {} classes, and a neighbour stands for one", more + 1);
                return Err(StageError::failed(message)
                    .help("give labels with one class a clip, or judge by `evaluate.retrieval`"));
            }
            chosen.push(position);
            classes.push(class as u32);
        }
        if chosen.is_empty() {
            return Err(StageError::failed("no clip has embeddings and a class")
                .help("the embeddings, the labels and the split must be of the same clips"));
        }
        let mut embedded = Embedded::read(rows, io.meta("embeddings")?, chosen, io)?;
        embedded.normalise();
        Ok(Self { embedded, classes, without })
    }
}

/// Clips with the scores of their classes and the class that each has.
#[must_use]
pub fn judged(ids: &[String], scores: Vec<Vec<f32>>, class_of: &[u32], classes: usize) -> Vec<Judged> {
    let truth = |own: u32| (0..classes).map(|class| Some(class as u32 == own)).collect();
    let clips = ids.iter().zip(scores).zip(class_of);
    clips.map(|((id, scores), &class)| Judged { id: id.clone(), scores, truth: truth(class) }).collect()
}

/// A metric with its class, where it is of one.
type Row = (&'static str, Option<usize>, Measured);

fn metrics(clips: &[Judged], nearest: &[Judged], classes: usize) -> Vec<Row> {
    let each = |of: &dyn Fn(usize) -> Measured| -> Vec<Measured> { (0..classes).map(of).collect() };
    let recall = each(&|class| metric::recall(clips, class));
    let within = each(&|class| metric::recall_within(clips, class, FIRST));
    let by_nearest = each(&|class| metric::recall(nearest, class));
    let mut rows: Vec<Row> = vec![
        ("accuracy", None, metric::accuracy(clips)),
        ("balanced_accuracy", None, Measured::macro_mean(&recall)),
        ("accuracy_top_3", None, metric::accuracy_within(clips, FIRST)),
        ("balanced_accuracy_top_3", None, Measured::macro_mean(&within)),
        ("accuracy_1nn", None, metric::accuracy(nearest)),
        ("balanced_accuracy_1nn", None, Measured::macro_mean(&by_nearest)),
    ];
    for (name, values) in [("recall", recall), ("recall_top_3", within), ("recall_1nn", by_nearest)] {
        rows.extend(values.into_iter().enumerate().map(|(class, value)| (name, Some(class), value)));
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
        let clips = judged(
            &["a".to_owned(), "b".to_owned()],
            vec![vec![0.0, 1.0, 0.0], vec![0.2, 1.0, 0.3]],
            &[0, 0],
            3,
        );
        assert_eq!(metric::accuracy_within(&clips, 3), Measured { value: Some(0.5), n: 2 });
        assert_eq!(metric::accuracy_within(&clips, 2), Measured { value: Some(0.0), n: 2 });
        assert_eq!(metric::recall_within(&clips, 0, 3), Measured { value: Some(0.5), n: 2 });
    }
}
