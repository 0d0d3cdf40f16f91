//! A program of one's own: sndpipe with a stage and a metric more. Everything else, from the checks of the pipeline file to the cache and the
//! tables, is as in `sndpipe`.
//!
//! ```sh
//! cargo run --release --example custom_stage -- stages evaluate.errors
//! cargo run --release --example custom_stage -- run my.yaml
//! ```
//!
//! ```yaml
//! errors: { uses: evaluate.errors, in: { scores: scores, labels: clips.labels }, with: { above: 0.5 } }
//! ```

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe::cache::Meta;
use sndpipe::engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo};
use sndpipe::stages::artefacts::labels::class_names;
use sndpipe::stages::artefacts::{Better, FRACTION, Labels, Scale, State};
use sndpipe::stages::metrics::metric::Measured;
use sndpipe::stages::metrics::table::long_table;

/// The share of wrong decisions, of each class and of all together: a decision for each clip and class, by a threshold.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ErrorParams {
    /// The score from which on a clip is said to have the class, 0..=1.
    #[serde(default = "half")]
    above: f64,
}

const fn half() -> f64 {
    0.5
}

struct EvaluateErrors;

impl Stage for EvaluateErrors {
    const NAME: &'static str = "evaluate.errors";
    const VERSION: u32 = 1;
    type Params = ErrorParams;

    fn check(params: &ErrorParams) -> Vec<ParamError> {
        let wrong = !(0.0..=1.0).contains(&params.above);
        wrong
            .then(|| ParamError::new("above", format!("{} is outside 0..=1", params.above)))
            .into_iter()
            .collect()
    }

    fn inputs(_: &ErrorParams) -> Vec<Port> {
        vec![Port::new("scores", Kind::Scores), Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS)]
    }

    fn outputs(_: &ErrorParams) -> Vec<Output> {
        vec![Output::new("metrics", Kind::Metrics)]
    }

    fn run(params: &ErrorParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let classes = class_names(io.meta("scores")?)
            .ok_or_else(|| StageError::failed("the scores do not name their classes"))?;
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        if labels.classes != classes {
            let error = StageError::failed("the scores and the labels have other classes");
            return Err(error.help("give the labels that the model was trained on"));
        }
        let rows = io.open_rows("scores")?;
        let mut wrong = vec![0usize; classes.len()];
        for (position, id) in rows.ids().iter().enumerate() {
            io.tick()?;
            let has: Vec<usize> = labels.of_state(id, State::Present).collect();
            for (class, &score) in rows.row(position)?.to_f32().iter().enumerate() {
                wrong[class] += usize::from((f64::from(score) >= params.above) != has.contains(&class));
            }
        }
        // Fewer errors are better, and they are a share: tables show them in percent and judge them the right way round.
        let scale = Scale { better: Some(Better::Lower), unit: Some(FRACTION.into()) };
        let share = |wrong: usize, n: usize| Measured { value: (n > 0).then(|| wrong as f64 / n as f64), n };
        let all = share(wrong.iter().sum(), rows.len() * classes.len());
        let mut metrics = vec![("error_rate", None, all, scale.clone())];
        let of_class = |(class, &wrong)| ("error_rate", Some(class), share(wrong, rows.len()), scale.clone());
        metrics.extend(wrong.iter().enumerate().map(of_class));
        io.write_table("metrics", Meta::new(), &long_table(&classes, &metrics)?)
    }
}

fn main() -> ExitCode {
    sndpipe::main(sndpipe::stages::registry().with::<EvaluateErrors>())
}
