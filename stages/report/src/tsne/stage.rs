//! The stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::Embedded;
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};

use super::affinity::Affinities;
use super::descent::Descent;

/// Iterations with larger affinities.
const EARLY: u32 = 250;

/// Gives embeddings places in the plane at which near ones are near: t-SNE by the Barnes-Hut algorithm.
///
/// Inputs: `embeddings`, and `split` where a subset is meant. `points` has a row for each vector: `clip_id, patch, x, y`; its metadata has
/// `kl_divergence` in nats, the smaller the better. Only neighbourhoods mean something: neither axes nor distances between groups do.
/// `scatter` draws the points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TsneParams {
    /// Neighbours that count, about: `1..=1000`, below the number of vectors.
    pub perplexity: f64,
    /// Whether vectors are scaled to length 1 first, so that angles count and not lengths.
    pub normalise: bool,
    /// Steps, `1..=100000`; the first 250 form groups.
    pub iterations: u32,
    /// Factor of affinities in the first 250 steps, `1..=1000`.
    pub exaggeration: f64,
    /// Step size, above 0. Absent: vectors over four times `exaggeration`, at least 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Groups of points that are seen under a smaller angle (side over distance) are taken together, `0..=1`; 0 is exact and slow.
    pub theta: f64,
    /// Which clips: those of one subset, or all.
    pub subset: Scored,
    /// Seed of the first places.
    pub seed: u64,
}

impl Default for TsneParams {
    fn default() -> Self {
        Self {
            perplexity: 30.0,
            normalise: false,
            iterations: 1000,
            exaggeration: 12.0,
            rate: None,
            theta: 0.5,
            subset: Scored::Test,
            seed: 0,
        }
    }
}

/// `tsne`.
pub struct Tsne;

impl Stage for Tsne {
    const NAME: &'static str = "tsne";
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Van der Maaten, Hinton, Visualizing Data using t-SNE, JMLR 2008; Van der Maaten, \
                                  Accelerating t-SNE using Tree-Based Algorithms, JMLR 2014";
    type Params = TsneParams;

    fn check(params: &TsneParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let mut refuse = |wrong: bool, path: &str, value: &dyn std::fmt::Display, range: &str| {
            if wrong {
                mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
            }
        };
        let outside = |value: f64, low: f64, high: f64| !(low..=high).contains(&value);
        refuse(outside(params.perplexity, 1.0, 1000.0), "perplexity", &params.perplexity, "1..=1000");
        refuse(!(1..=100_000).contains(&params.iterations), "iterations", &params.iterations, "1..=100000");
        refuse(outside(params.exaggeration, 1.0, 1000.0), "exaggeration", &params.exaggeration, "1..=1000");
        refuse(outside(params.theta, 0.0, 1.0), "theta", &params.theta, "0..=1");
        if let Some(rate) = params.rate {
            refuse(!(rate > 0.0 && rate.is_finite()), "rate", &rate, "the positive numbers");
        }
        mistakes
    }

    fn inputs(params: &TsneParams) -> Vec<Port> {
        vec![Port::new("embeddings", Kind::Embeddings), params.subset.selector().port]
    }

    fn outputs(_: &TsneParams) -> Vec<Output> {
        vec![Output::new("points", Kind::Table)]
    }

    fn run(params: &TsneParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let rows = io.open_rows("embeddings")?;
        // Of each vector also some hundred neighbours.
        let reach = (24.0 * 8.0 * params.perplexity) as u64;
        io.memory(Embedded::memory(io, "embeddings")? + reach * rows.len() as u64)?;
        io.note("simd", sndpipe_linalg::simd_level());
        let positions = params.subset.positions(&rows, "embeddings", io)?;
        let mut embedded = Embedded::read(&rows, io.meta("embeddings")?, positions, io)?;
        if embedded.len() as f64 <= params.perplexity {
            let (n, perplexity) = (embedded.len(), params.perplexity);
            return Err(StageError::failed(format!(
                "there are {n} vectors, and each would have {perplexity} neighbours"
            ))
            .help("take a smaller `perplexity`, or more clips"));
        }
        if params.normalise {
            embedded.normalise();
        }
        let affinities = Affinities::of(&embedded.values, embedded.size, params.perplexity, &|| io.tick())?;
        let descent = Descent {
            iterations: params.iterations,
            early: EARLY,
            exaggeration: params.exaggeration,
            rate: params.rate,
            theta: params.theta,
            seed: params.seed,
        };
        let rest = descent.run(&affinities, &|iteration| {
            if iteration.is_multiple_of(16) {
                io.progress(u64::from(iteration), u64::from(params.iterations), "steps", "");
            }
            io.tick()
        })?;
        let axis = |at: usize| Values::Number(rest.points.iter().map(|point| Some(point[at])).collect());
        let mut patches = vec![0i64; embedded.len()];
        for at in 1..embedded.len() {
            if embedded.clips[at] == embedded.clips[at - 1] {
                patches[at] = patches[at - 1] + 1;
            }
        }
        let ids = embedded.clips.iter().map(|&clip| embedded.ids[clip as usize].clone()).collect();
        let table = columns::table(vec![
            ("clip_id", Values::Text(ids)),
            ("patch", Values::Int(patches)),
            ("x", axis(0)),
            ("y", axis(1)),
        ])?;
        io.log(&format!("KL divergence {:.4}", rest.divergence));
        io.write_table("points", Meta::from([("kl_divergence".to_owned(), json!(rest.divergence))]), &table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let wrong =
            json!({ "perplexity": 0.5, "iterations": 0, "exaggeration": 0.1, "theta": 1.5, "rate": 0.0 });
        let params: TsneParams = serde_json::from_value(wrong).unwrap();
        let paths: Vec<String> = Tsne::check(&params).into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["perplexity", "iterations", "exaggeration", "theta", "rate"]);
        assert_eq!(Tsne::check(&TsneParams::default()), []);
    }
}
