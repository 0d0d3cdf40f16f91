//! `evaluate.retrieval`: whether segments of one class are nearer to each other than to the rest.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::Embedded;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::split::place;
use sndpipe_artefacts::{Labels, State};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};
use sndpipe_linalg::inner_products;
use sndpipe_metrics::metric::{self, Measured};
use sndpipe_metrics::table::long_table;
use sndpipe_random::Stream;

/// Judges embeddings by query by example: pairs of segments of one class against pairs with a segment of another.
///
/// For each class so many clips that have it, and so many that do not, are drawn with the seed, of each one segment: a row's vector, or of
/// several one that is drawn. All pairs of two segments of the class are ranked against all pairs of one of the class and one of the rest,
/// the smallest angle first; the class has the average precision of that ranking. Inputs: `embeddings`, `labels` (any number of
/// classes a clip; ignored pairs are neither), and `split` where a subset is meant.
///
/// `metrics` has `retrieval_mAP`, the mean over classes, and `retrieval_prior`, what chance gives: the share of pairs that are of the class,
/// 4950 of 14950 for 100 and 100 segments; for each class `retrieval_AP` and `retrieval_prior`, of which `n` counts the pairs of the
/// class. A class with fewer than two clips, or without any other, is undefined and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalParams {
    /// Segments of a class, and as many without it, `2..=2000`; where there are fewer, all.
    pub segments: usize,
    /// Which clips: those of one subset, or all.
    pub subset: Scored,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for RetrievalParams {
    fn default() -> Self {
        Self { segments: 100, subset: Scored::Test, seed: 0 }
    }
}

/// `evaluate.retrieval`.
pub struct EvaluateRetrieval;

impl Stage for EvaluateRetrieval {
    const NAME: &'static str = "evaluate.retrieval";
    const VERSION: u32 = 2;
    const SOURCE: &'static str =
        "Jansen et al., Unsupervised Learning of Semantic Audio Representations, ICASSP 2018";
    type Params = RetrievalParams;

    fn check(params: &RetrievalParams) -> Vec<ParamError> {
        let wrong = !(2..=2000).contains(&params.segments);
        let error = || ParamError::new("segments", format!("{} is outside 2..=2000", params.segments));
        wrong.then(error).into_iter().collect()
    }

    fn inputs(params: &RetrievalParams) -> Vec<Port> {
        vec![
            Port::new("embeddings", Kind::Embeddings),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            params.subset.selector().port,
        ]
    }

    fn outputs(_: &RetrievalParams) -> Vec<Output> {
        vec![Output::new("metrics", Kind::Metrics)]
    }

    fn run(params: &RetrievalParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let rows = io.open_rows("embeddings")?;
        io.memory(Embedded::memory(io, "embeddings")?)?;
        io.note("simd", sndpipe_linalg::simd_level());
        let positions = params.subset.positions(&rows, "embeddings", io)?;
        let mut embedded = Embedded::read(&rows, io.meta("embeddings")?, positions, io)?;
        embedded.normalise();
        let judge = Judge { params, labels: &labels, embedded: &embedded, starts: starts(&embedded) };
        let found: Vec<Result<Found, StageError>> = (0..labels.classes.len())
            .into_par_iter()
            .map(|class| {
                io.tick()?;
                judge.class(class)
            })
            .collect();
        let found: Vec<Found> = found.into_iter().collect::<Result<_, _>>()?;
        let precisions: Vec<Measured> = found.iter().map(|of| of.precision).collect();
        let priors: Vec<Measured> = found.iter().map(|of| of.prior).collect();
        if precisions.iter().all(|of| of.value.is_none()) {
            return Err(StageError::failed("no class has two clips with embeddings, and others without it")
                .help("the embeddings, the labels and the split must be of the same clips"));
        }
        let named = |wanted: &dyn Fn(&Found) -> bool| -> Vec<&str> {
            labels
                .classes
                .iter()
                .zip(&found)
                .filter(|(_, of)| wanted(of))
                .map(|(class, _)| class.as_str())
                .collect()
        };
        let undefined = named(&|of| of.precision.value.is_none());
        if !undefined.is_empty() {
            io.remark(format!("classes without pairs, left out of means: {}", undefined.join(", ")));
        }
        let few = |of: &Found| of.segments.iter().any(|count| *count < params.segments);
        let fewer = named(&|of| of.precision.value.is_some() && few(of));
        if !fewer.is_empty() {
            io.log(&format!("classes with fewer than {} segments: {}", params.segments, fewer.join(", ")));
        }
        // What chance gives is neither good nor bad.
        let prior = Scale { better: None, ..Scale::FRACTION };
        let mut metrics = vec![
            ("retrieval_mAP", None, Measured::macro_mean(&precisions), Scale::FRACTION),
            ("retrieval_prior", None, Measured::macro_mean(&priors), prior.clone()),
        ];
        for (name, values, scale) in
            [("retrieval_AP", precisions, Scale::FRACTION), ("retrieval_prior", priors, prior)]
        {
            let of_class = |(class, value)| (name, Some(class), value, scale.clone());
            metrics.extend(values.into_iter().enumerate().map(of_class));
        }
        let meta = Meta::from([("classes".to_owned(), json!(labels.classes))]);
        io.write_table("metrics", meta, &long_table(&labels.classes, &metrics)?)
    }
}

/// The first vector of each clip, and the end.
fn starts(embedded: &Embedded) -> Vec<usize> {
    let mut starts = vec![0; embedded.ids.len() + 1];
    embedded.clips.iter().for_each(|&clip| starts[clip as usize + 1] += 1);
    for clip in 0..embedded.ids.len() {
        starts[clip + 1] += starts[clip];
    }
    starts
}

/// What was found for a class.
struct Found {
    precision: Measured,
    prior: Measured,
    /// With the class and without it.
    segments: [usize; 2],
}

struct Judge<'a> {
    params: &'a RetrievalParams,
    labels: &'a Labels,
    /// Of length 1.
    embedded: &'a Embedded,
    starts: Vec<usize>,
}

impl Judge<'_> {
    fn class(&self, class: usize) -> Result<Found, StageError> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (clip, id) in self.embedded.ids.iter().enumerate() {
            match self.labels.clips.get(id).and_then(|states| states.get(&class)) {
                Some(State::Present) => with.push(clip),
                Some(State::Ignored) => {}
                Some(State::ExplicitNegative) | None => without.push(clip),
            }
        }
        let targets = self.segments(class, "target", with);
        let rest = self.segments(class, "rest", without);
        let size = self.embedded.size;
        let count = targets.len() / size;
        let all = [targets.as_slice(), &rest].concat();
        let mut cosines = vec![0.0; count * (all.len() / size)];
        inner_products(&targets, &all, size, &mut cosines)
            .map_err(|error| StageError::failed(error.to_string()))?;
        let mut pairs = Vec::new();
        for (query, cosines) in cosines.chunks_exact((all.len() / size).max(1)).enumerate() {
            pairs.extend(cosines[query + 1..count].iter().map(|&cosine| (cosine + 0.0, true)));
            pairs.extend(cosines[count..].iter().map(|&cosine| (cosine + 0.0, false)));
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let positives = pairs.iter().filter(|(_, own)| *own).count();
        let segments = [count, rest.len() / size];
        let undefined = Measured { value: None, n: positives };
        if positives == 0 || positives == pairs.len() {
            return Ok(Found { precision: undefined, prior: undefined, segments });
        }
        let prior = Measured { value: Some(positives as f64 / pairs.len() as f64), n: positives };
        Ok(Found { precision: metric::area_under_precision(&pairs), prior, segments })
    }

    /// A vector of each of the clips that are drawn. What is drawn for a class depends on its name and its clips, not on others.
    fn segments(&self, class: usize, what: &str, mut clips: Vec<usize>) -> Vec<f32> {
        let name = &self.labels.classes[class];
        let stream =
            |of: &str| Stream::new(self.params.seed, &format!("evaluate.retrieval {what} {of} {name}"));
        let (order, patch) = (stream("clip"), stream("patch"));
        let (ids, size) = (&self.embedded.ids, self.embedded.size);
        clips.sort_by_cached_key(|&clip| (place(&order, &ids[clip]), clip));
        clips.truncate(self.params.segments);
        let mut values = Vec::with_capacity(clips.len() * size);
        for clip in clips {
            let (first, end) = (self.starts[clip], self.starts[clip + 1]);
            let at = first + (place(&patch, &ids[clip]) % (end - first).max(1) as u64) as usize;
            values.extend_from_slice(&self.embedded.values[at * size..(at + 1) * size]);
        }
        values
    }
}
