//! The stage.

use std::collections::BTreeSet;

use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::ModelCard;
use sndpipe_artefacts::patch::{self};
use sndpipe_artefacts::split;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_audio::augment::waveform::{self, Sounds};
use sndpipe_audio::augment::{Clips, Views, check_steps};
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{
    Device, Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream, agree, counted,
};
use sndpipe_nn::{DeviceKind, InputShape, NetworkSpec, TrainerSpec};

use super::batches::{Batches, Items};
use super::clean;
use super::fit::{Fit, fingerprint, workers};
use super::init::{self, Init};
use super::labelled::Labelled;
use super::loss::output_of;
use super::mixup::Pairing;
use super::params::{Standardise, TrainParams};
use super::samples::{Samples, left_out};
use super::standardise;
use super::validate::Validation;
use crate::model::patch_shape;

/// The way out where no clip validates.
const NEEDS_VALIDATION: &str =
    "give the split stage a `val`, or train all epochs and keep the last (`select: last`)";

/// Everything that a training reads.
const PORTS: [&str; 6] = ["features", "labels", "split", init::PORT, clean::PORT, waveform::PORT];

/// Fits a network to features and labels.
pub struct Train;

impl Stage for Train {
    const NAME: &'static str = "train";
    // 3: other convolution kernels, other last bits. 4: labels that are ignored are left out of validation with softmax, too.
    // 5: of classes that tie in validation the first name counts, not the first place.
    const VERSION: u32 = 5;
    type Params = TrainParams;

    fn check(params: &TrainParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(params: &TrainParams) -> Vec<Port> {
        vec![
            patch::port(),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS),
            Port::new(init::PORT, Kind::Model).optional(),
            clean::port(params.clean.as_ref()),
            waveform::port(),
        ]
    }

    fn outputs(_: &TrainParams) -> Vec<Output> {
        vec![Output::new("model", Kind::Model), Output::new("history", Kind::History)]
    }

    fn wants_accelerator(_: &TrainParams) -> bool {
        true
    }

    fn check_wiring(params: &TrainParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let mut mistakes = init::mistakes(params, upstream);
        mistakes.extend(clean::unconnected(params.clean.as_ref(), upstream));
        mistakes.extend(several_vectors(params, upstream));
        mistakes.extend(waveform::miswired(&params.waveform, upstream));
        let Some(place) = params.validates() else { return mistakes };
        let splits = upstream.iter().filter(|wired| wired.port == "split");
        for wired in splits.filter(|wired| split::has_validation(wired.stage) == Some(false)) {
            let message = format!(
                "a validation subset is needed, and the split keeps none (`val` of `{}`)",
                wired.stage.name()
            );
            mistakes.push(ParamError::new(place, message).help(NEEDS_VALIDATION));
        }
        mistakes
    }

    fn run(params: &TrainParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let rows = io.open_rows("features")?;
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let split = Split::read(&io.table("split")?)?;
        let training = Samples::new(split.of(Subset::Train), &rows, &labels, &params.loss)?;
        let validating = Samples::new(split.of(Subset::Val), &rows, &labels, &params.loss)?;
        check_subsets(params, &labels, &training, &validating)?;
        let training = match &params.clean {
            None => training,
            Some(clean) => {
                let ids = training.positions.iter().map(|&position| &rows.ids()[position]);
                let chosen = clean.read(ids, io)?;
                training.with_clean(&rows, &chosen)
            }
        };
        let testing = testing(params, &split, &rows, &labels)?;
        let remarks = [
            remark("training", &training),
            remark("validation", &validating),
            untrained(&labels.classes, &training),
        ];

        let features = io.meta("features")?.clone();
        let shape = frame_shape(&features, &rows, &training.positions)?;
        let input = InputShape { channels: shape.channels, frames: params.patch.frames, bands: shape.bands };
        let tick = || io.tick();
        let smoothing = params.smoothing.as_ref();
        let smoothing = smoothing.map(|smoothing| smoothing.epsilons(&labels.classes)).transpose()?;
        let items = Items::new(params.patches, &training, &rows, input, params.patch.hop(), &tick)?;
        check_batches(params, &items)?;
        check_steps(params.augment.iter(), training.len(), patch_shape(input))?;
        let ids = training.positions.iter().map(|&position| &rows.ids()[position]);
        let sounds = Sounds::open(&params.waveform, io, ids, shape, params.seed)?;
        let augment = Views::new(&params.augment, &features, params.seed, "augment");
        let init = Init::read(params, &labels.classes, io)?;
        let remarks = remarks.into_iter().chain([init.as_ref().and_then(|init| init.remark(&features))]);
        let given = init.as_ref().filter(|_| params.standardise == Standardise::Init);
        let given = given.map(|init| init.standardisation(shape)).transpose()?;
        let standardisation =
            standardise::fit((params.standardise, given), &rows, &training.positions, shape, &tick)?;
        let restandardised = init.as_ref().and_then(|init| init.restandardised(params, &standardisation));
        let classes = labels.classes.len();
        let card = ModelCard {
            classes: labels.classes.clone(),
            output: output_of(&params.loss),
            standardisation: standardisation.clone(),
            hop: params.patch.hop(),
            features,
        };
        let spec = TrainerSpec {
            network: params.network.spec(),
            input,
            outputs: classes,
            optimiser: params.optimiser.clone(),
            clip_norm: params.clip_norm,
            loss: params.loss,
            device: device(io.device()),
            seed: params.seed,
        };
        let measured = |samples| Validation {
            rows: &rows,
            samples,
            input,
            classes: &labels.classes,
            standardisation: &standardisation,
            hop: params.patch.hop(),
            loss: &params.loss,
        };
        let batches = Batches {
            samples: &training,
            clips: Clips { rows: &rows, positions: &training.positions, input: patch_shape(input), sounds },
            items,
            augment,
            classes,
            output: output_of(&params.loss),
            standardisation: &standardisation,
            seed: params.seed,
            batch: params.batch,
            drop_last: params.drop_last,
            smoothing,
            mixup: params.mixup.as_ref(),
        };
        let fit = Fit {
            task: Labelled {
                params,
                batches,
                validation: (validating.len() > 0).then(|| measured(&validating)),
                test: testing.as_ref().map(measured),
                spec,
                init,
            },
            io,
            workers: workers(),
            card: serde_json::to_value(&card).map_err(|error| StageError::failed(error.to_string()))?,
            dir: io.work_dir()?,
            fingerprint: fingerprint(Self::VERSION, params, io, &PORTS)?,
        };
        let (fitted, steps) = (fit.run()?, fit.task.batches.steps());
        io.note("simd", sndpipe_linalg::simd_level());
        io.log(&format!("the model has the weights of epoch {}", fitted.chosen));
        if fitted.epochs < params.epochs {
            let chosen = if fitted.chosen < fitted.epochs {
                format!(", epoch {} chosen", fitted.chosen)
            } else {
                String::new()
            };
            io.remark(format!("stopped early after {} of {} epochs{chosen}", fitted.epochs, params.epochs));
        }
        remarks.chain([restandardised]).flatten().for_each(|text| io.remark(text));
        if !io.has(init::PORT) {
            unsettled(&params.network.spec(), fitted.epochs as usize * steps)
                .into_iter()
                .for_each(|text| io.remark(text));
        }
        let meta = Meta::from([("classes".to_owned(), labels.classes.into())]);
        io.write_blob("model", meta, &fitted.weights, "safetensors")?;
        io.write_table("history", Meta::new(), &fitted.history.to_table()?)
    }
}

/// Patches of several vectors, where the features are embeddings.
fn several_vectors(params: &TrainParams, upstream: &[Upstream<'_>]) -> Option<ParamError> {
    let embedded =
        upstream.iter().any(|wired| wired.port == "features" && wired.output.kind == Kind::Embeddings);
    (embedded && params.patch.frames != 1).then(|| {
        let frames = params.patch.frames;
        let message = format!("the features are embeddings, and {frames} of them would be one patch");
        ParamError::new("patch.frames", message)
            .help("each vector is a frame of its own: `patch: { frames: 1 }`")
    })
}

/// Where the networks' crate is to compute.
pub(crate) fn device(device: Device) -> DeviceKind {
    match device {
        Device::Cpu => DeviceKind::Cpu,
        Device::Cuda { index, tf32 } => DeviceKind::Cuda { index, tf32 },
    }
}

/// The shape of the frames of the first of the given clips.
pub(crate) fn frame_shape(
    features: &Meta,
    rows: &Rows,
    positions: &[usize],
) -> Result<FrameShape, StageError> {
    let first = positions.first().copied().unwrap_or_default();
    let named = |error: StageError| StageError::failed(format!("clip `{}`: {error}", &rows.ids()[first]));
    FrameShape::of(features, rows.row(first)?).map_err(named)
}

fn check_subsets(
    params: &TrainParams,
    labels: &Labels,
    training: &Samples,
    validating: &Samples,
) -> Result<(), StageError> {
    if labels.classes.is_empty() {
        return Err(StageError::failed("the labels name no class"));
    }
    if training.len() == 0 {
        return Err(StageError::failed("no clip of the training subset has features and labels")
            .help("look at the split (`sndpipe show FILE split`) and at the labels"));
    }
    if let Some(place) = params.validates().filter(|_| validating.len() == 0) {
        let what = match place {
            "select" => "`select: best`",
            "schedule" => "`schedule: plateau`",
            _ => "`early_stopping`",
        };
        return Err(StageError::failed(format!("{what} needs a validation subset, and the split has none"))
            .help(NEEDS_VALIDATION));
    }
    Ok(())
}

/// The clips of the test subset, where a curve of it is asked for.
fn testing(
    params: &TrainParams,
    split: &Split,
    rows: &Rows,
    labels: &Labels,
) -> Result<Option<Samples>, StageError> {
    if !params.test_curve {
        return Ok(None);
    }
    let testing = Samples::new(split.of(Subset::Test), rows, labels, &params.loss)?;
    if testing.len() == 0 {
        return Err(StageError::failed(
            "`test_curve` needs a test subset, and no clip of it has features and labels",
        )
        .help("leave `test_curve` out"));
    }
    Ok(Some(testing))
}

/// What cannot be made batches of.
fn check_batches(params: &TrainParams, items: &Items) -> Result<(), StageError> {
    let (batch, count) = (params.batch, items.len());
    if params.drop_last && count < batch {
        let what = match items {
            Items::Samples(count) => format!("the training subset of {count}"),
            Items::Patches(patches) => format!("the training subset of {} patches", patches.len()),
        };
        return Err(StageError::failed(format!("a batch of {batch} is larger than {what}"))
            .help("take a smaller `batch`, or do not set `drop_last`"));
    }
    let single = count.div_ceil(batch) < 2 || (params.drop_last && count / batch < 2);
    if single && params.mixup.as_ref().is_some_and(|mixup| mixup.pairing == Pairing::Inter) {
        let message = "`mixup.pairing: inter` needs two batches an epoch, and there is one";
        return Err(StageError::failed(message).help("take a smaller `batch`, or `pairing: intra`"));
    }
    Ok(())
}

/// What the summary says where batch norms have not seen enough: with a small momentum, few steps leave much of the statistics that they
/// began with, and what is evaluated is another network than what was trained.
fn unsettled(network: &NetworkSpec, steps: usize) -> Option<String> {
    /// The most that may be left.
    const LEFT: f64 = 0.05;
    let kept = 1.0 - network.norm_momentum()?;
    let (left, enough) = (kept.powf(steps as f64), (LEFT.ln() / kept.ln()).ceil());
    (steps > 0 && left > LEFT).then(|| {
        let left = 100.0 * left;
        format!(
            "{steps} steps leave {left:.0} % of the statistics that the batch norms began with; \
             {enough:.0} steps leave little (more `epochs`, a smaller `batch`)"
        )
    })
}

/// What the summary says about classes that the training never sees: "1 class has no training clip: c".
fn untrained(classes: &[String], training: &Samples) -> Option<String> {
    const NAMED: usize = 5;
    let trained: BTreeSet<usize> = training.present.iter().flatten().copied().collect();
    let missing: Vec<&str> = (0..classes.len())
        .filter(|class| !trained.contains(class))
        .map(|class| classes[class].as_str())
        .collect();
    let (count, have) = (counted(missing.len(), "class"), agree(missing.len(), "has", "have"));
    let more = if missing.len() > NAMED { ", …" } else { "" };
    let named = missing.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    (!missing.is_empty()).then(|| format!("{count} {have} no training clip: {named}{more}"))
}

/// What the summary says about clips that are left out.
fn remark(subset: &str, samples: &Samples) -> Option<String> {
    left_out(subset, &[(&samples.without_features, "features"), (&samples.without_class, "a class")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_training_clips_are_told() {
        let classes: Vec<String> = "abcdefgh".chars().map(String::from).collect();
        let told = |present: &[&[usize]]| {
            let present = present.iter().map(|classes| classes.to_vec()).collect();
            untrained(&classes, &Samples { present, ..Samples::default() })
        };
        assert_eq!(told(&[&[0, 1, 2], &[3, 4], &[], &[5, 6, 7]]), None);
        assert_eq!(told(&[&[0, 1], &[3, 4], &[5, 6, 7]]).unwrap(), "1 class has no training clip: c");
        assert_eq!(told(&[&[1, 3]]).unwrap(), "6 classes have no training clip: a, c, e, f, g, …");
    }

    #[test]
    fn few_steps_for_slow_batch_norms_are_remarked() {
        let slow = NetworkSpec::NoisyCnn { dropout: 0.5 };
        let text = unsettled(&slow, 120).unwrap();
        assert!(
            text.starts_with("120 steps leave 30 % ") && text.contains("; 299 steps leave little"),
            "{text}"
        );
        assert_eq!(unsettled(&slow, 299), None);
        assert_eq!(unsettled(&slow, 0), None);
        assert_eq!(unsettled(&NetworkSpec::default(), 40), None);
        assert_eq!(unsettled(&NetworkSpec::Mlp { hidden: vec![], dropout: 0.0 }, 1), None);
    }
}
