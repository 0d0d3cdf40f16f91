//! The stage.

use serde_json::json;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::labels::class_names;
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, counted};
use sndpipe_metrics::metric::{Judged, TieOrder};

use super::params::{EvaluateParams, Task};
use super::report;
use super::truth::Truth;

/// Clips that a remark names.
const NAMED: usize = 5;

/// Judges scores by labels.
pub struct Evaluate;

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    /// 2: d', `mAP@3`, and lwlrap of each class and of clips with one class. 3: ties do not depend on the order of the classes.
    const VERSION: u32 = 4;
    type Params = EvaluateParams;

    fn check(params: &EvaluateParams) -> Vec<ParamError> {
        let wrong = !(0.0..=1.0).contains(&params.threshold);
        wrong
            .then(|| ParamError::new("threshold", format!("{} is outside 0..=1", params.threshold)))
            .into_iter()
            .collect()
    }

    fn inputs(_: &EvaluateParams) -> Vec<Port> {
        vec![Port::new("scores", Kind::Scores), Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS)]
    }

    fn outputs(_: &EvaluateParams) -> Vec<Output> {
        vec![
            Output::new("metrics", Kind::Metrics),
            Output::new("confusion", Kind::Table),
            Output::new("predictions", Kind::Table),
        ]
    }

    fn run(params: &EvaluateParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let classes = class_names(io.meta("scores")?).ok_or_else(|| {
            StageError::failed("the scores do not name their classes (`classes` in their metadata)")
        })?;
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let (mut clips, unlabelled) = judge(&classes, &labels, io)?;
        let task = decide(params.task, &clips)?;
        if task == Task::MultiLabel {
            clips.sort_by(|a, b| a.id.cmp(&b.id));
        } else {
            clips.retain(|clip| clip.present().next().is_some());
        }
        if clips.is_empty() {
            return Err(StageError::failed("none of the scored clips has a label")
                .help("evaluate with the labels of the data set that was scored"));
        }
        if !unlabelled.is_empty() {
            let more = if unlabelled.len() > NAMED { ", …" } else { "" };
            let named: Vec<&str> = unlabelled.iter().take(NAMED).map(String::as_str).collect();
            let fate = if task == Task::MultiLabel { "counted as having no class" } else { "left out" };
            io.remark(format!(
                "{} without a class, {fate}: {}{more}",
                counted(unlabelled.len(), "clip"),
                named.join(", ")
            ));
        }
        let found = report::metrics(&classes, &clips, task)?;
        for (what, classes) in
            [("positives", &found.without_positives), ("negatives", &found.without_negatives)]
        {
            if !classes.is_empty() {
                io.remark(format!("classes without {what}, left out of means: {}", classes.join(", ")));
            }
        }
        if !found.infinite.is_empty() {
            let classes = found.infinite.join(", ");
            io.log(&format!("classes with an AUC of 0 or 1, left out of the mean d': {classes}"));
        }
        let name = if task == Task::MultiLabel { "multi_label" } else { "multi_class" };
        let meta = Meta::from([("classes".to_owned(), json!(classes)), ("task".to_owned(), json!(name))]);
        io.write_table("metrics", meta.clone(), &found.table)?;
        let confusion = match task {
            Task::MultiLabel => report::counts(&classes, &clips, params.threshold)?,
            Task::Auto | Task::MultiClass => report::confusion(&classes, &clips)?,
        };
        io.write_table("confusion", meta, &confusion)?;
        io.write_table("predictions", Meta::new(), &report::predictions(&classes, &clips)?)
    }
}

/// Every scored clip with its truth, and the ids of those without a class.
fn judge(
    classes: &[String],
    labels: &Labels,
    io: &StageIo<'_>,
) -> Result<(Vec<Judged>, Vec<String>), StageError> {
    let rows = io.open_rows("scores")?;
    let (truth, ties) = (Truth::new(labels, classes), TieOrder::of(classes));
    let (mut clips, mut unlabelled) = (Vec::with_capacity(rows.len()), Vec::new());
    for (position, id) in rows.ids().iter().enumerate() {
        if position % 1024 == 0 {
            io.tick()?;
        }
        let scores = rows.row(position)?.to_f32().into_owned();
        if scores.len() != classes.len() {
            let (got, expected) = (scores.len(), classes.len());
            return Err(StageError::failed(format!(
                "clip `{id}` has {got} scores, and there are {expected} classes"
            )));
        }
        if let Some(class) = scores.iter().position(|score| !score.is_finite()) {
            let (score, class) = (scores[class], &classes[class]);
            return Err(StageError::failed(format!(
                "clip `{id}` has the score {score} for the class `{class}`"
            )));
        }
        let truth = truth.of(id)?.unwrap_or_else(|| vec![Some(false); classes.len()]);
        if !truth.contains(&Some(true)) {
            unlabelled.push(id.to_owned());
        }
        clips.push(Judged::new(id.to_owned(), scores, truth, &ties));
    }
    Ok((clips, unlabelled))
}

fn decide(task: Task, clips: &[Judged]) -> Result<Task, StageError> {
    let several = clips.iter().find(|clip| clip.present().nth(1).is_some());
    match (task, several) {
        (Task::MultiClass, Some(clip)) => {
            let message = format!(
                "clip `{}` has {} classes, and the task is `multi_class`",
                clip.id,
                clip.present().count()
            );
            Err(StageError::failed(message).help("set `task: multi_label`"))
        }
        (Task::Auto, Some(_)) => Ok(Task::MultiLabel),
        (Task::Auto, None) => Ok(Task::MultiClass),
        (task, _) => Ok(task),
    }
}
