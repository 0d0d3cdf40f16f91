//! The stage.

use sndpipe_artefacts::Labels;
use sndpipe_artefacts::{ModelCard, OutputKind};
use sndpipe_artefacts::{Split, Subset};
use sndpipe_audio::augment::waveform::{self, Sounds};
use sndpipe_audio::augment::{Clips, check_steps};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};
use sndpipe_nn::{HeadSpec, InputShape, PretrainerSpec};

use super::pairs::Pairs;
use super::params::PretrainParams;
use super::partners::{self, Partners};
use super::sampler::by_class;
use super::unlabelled::Unlabelled;
use super::watch::Watch;
use crate::model::patch_shape;
use crate::train::{Fit, device, fingerprint, fit_standardisation, frame_shape, left_out, workers};

/// Everything that a training reads.
const PORTS: [&str; 4] = ["features", "split", partners::PORT, waveform::PORT];

/// Fits an encoder to features alone.
pub struct Pretrain;

impl Stage for Pretrain {
    const NAME: &'static str = "pretrain";
    /// 2: `knn` in the history does not depend on the order of the classes where votes are tied.
    const VERSION: u32 = 2;
    type Params = PretrainParams;

    fn check(params: &PretrainParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &PretrainParams) -> Vec<Port> {
        vec![
            Port::new("features", Kind::Features),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
            partners::port(),
            waveform::port(),
        ]
    }

    fn outputs(_: &PretrainParams) -> Vec<Output> {
        vec![Output::new("model", Kind::Model), Output::new("history", Kind::History)]
    }

    fn wants_accelerator(_: &PretrainParams) -> bool {
        true
    }

    fn check_wiring(params: &PretrainParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let mut mistakes = partners::wiring(&params.readers(), upstream);
        mistakes.extend(params.knn.as_ref().and_then(|knn| knn.unsplit(upstream)));
        mistakes.extend(waveform::miswired(&params.waveform, upstream));
        mistakes
    }

    fn run(params: &PretrainParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let rows = io.open_rows("features")?;
        let split = match io.has("split") {
            true => Split::read(&io.table("split")?)?,
            false => Split { clips: rows.ids().iter().map(|id| (id.to_owned(), Subset::Train)).collect() },
        };
        let (mut positions, mut missing) = (Vec::new(), Vec::new());
        for id in split.of(Subset::Train) {
            match rows.position(id) {
                Some(position) => positions.push(position),
                None => missing.push(id.to_owned()),
            }
        }
        if positions.is_empty() {
            return Err(StageError::failed("no clip of the training subset has features")
                .help("look at the split (`sndpipe show FILE split`)"));
        }
        let features = io.meta("features")?.clone();
        let shape = frame_shape(&features, &rows, &positions)?;
        let input = InputShape { channels: shape.channels, frames: params.patch.frames, bands: shape.bands };
        let reads = params.readers().into_iter().any(|(_, reads)| reads);
        let labels =
            reads.then(|| Labels::read(&io.table(partners::PORT)?, io.meta(partners::PORT)?)).transpose()?;
        let trained = || positions.iter().map(|&position| &rows.ids()[position]);
        let partners = labels.as_ref().filter(|_| by_class(&params.samplers));
        let partners = partners.map(|labels| Partners::new(labels, trained())).transpose()?;
        let recipes = params.recipes();
        let steps = recipes.iter().flat_map(|recipe| &recipe.second);
        check_steps(params.views.iter().chain(steps), positions.len(), patch_shape(input))?;
        let tick = || io.tick();
        let standardisation =
            fit_standardisation((params.standardise, None), &rows, &positions, shape, &tick)?;
        let objectives = params.method.objectives();
        let reads_head = objectives.iter().any(|objective| objective.method.reads_head());
        let (head, outputs) = if reads_head { params.head.spec() } else { (HeadSpec::Unit, 1) };
        let spec = PretrainerSpec {
            network: params.network.spec(),
            input,
            head,
            outputs,
            objectives,
            items: positions.len(),
            optimiser: params.optimiser.clone(),
            clip_norm: params.clip_norm,
            device: device(io.device()),
            seed: params.seed,
        };
        let ids = positions.iter().map(|&position| &rows.ids()[position]);
        let sounds = Sounds::open(&params.waveform, io, ids, shape, params.seed)?;
        let clips = Clips { rows: &rows, positions: &positions, input: patch_shape(input), sounds };
        let (steps, views) = ((recipes.as_slice(), params.views.as_slice()), params.method.views());
        let pairs = Pairs::new(clips, steps, partners.as_ref(), &features, views, params.seed);
        let watched = params.knn.as_ref().zip(labels.as_ref());
        let watch = watched.map(|(knn, labels)| {
            let (read, patches) = ((&rows, &split, labels), (input, params.patch.hop()));
            Watch::new(knn, read, patches, &standardisation, &tick)
        });
        let watch = watch.transpose()?;
        let unseen = watch.as_ref().and_then(Watch::remark);
        let task = Unlabelled { params, pairs, standardisation: &standardisation, spec, watch };
        task.check_batches()?;
        let card = ModelCard {
            classes: Vec::new(),
            output: OutputKind::Sigmoid,
            standardisation: standardisation.clone(),
            hop: params.patch.hop(),
            features: features.clone(),
        };
        let fit = Fit {
            task,
            io,
            workers: workers(),
            card: serde_json::to_value(&card).map_err(|error| StageError::failed(error.to_string()))?,
            dir: io.work_dir()?,
            fingerprint: fingerprint(Self::VERSION, params, io, &PORTS)?,
        };
        let fitted = fit.run()?;
        io.note("simd", sndpipe_linalg::simd_level());
        let alone = partners.as_ref().and_then(Partners::remark);
        let missing = left_out("training", &[(&missing, "features")]);
        [missing, alone, unseen].into_iter().flatten().for_each(|text| io.remark(text));
        io.write_blob("model", Meta::new(), &fitted.weights, "safetensors")?;
        io.write_table("history", Meta::new(), &fitted.history.to_table()?)
    }
}
