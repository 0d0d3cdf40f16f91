//! The stage.

use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};
use sndpipe_nn::{HeadSpec, InputShape, PretrainerSpec};

use super::pairs::Pairs;
use super::params::PretrainParams;
use super::unlabelled::Unlabelled;
use crate::augment::waveform::{self, Sounds};
use crate::augment::{Clips, check_clips};
use crate::model::{ModelCard, OutputKind};
use crate::split::{Split, Subset};
use crate::train::{Fit, device, fingerprint, fit_standardisation, frame_shape, left_out, workers};

/// Everything that a training reads.
const PORTS: [&str; 3] = ["features", "split", waveform::PORT];

/// Fits an encoder to features alone.
pub struct Pretrain;

impl Stage for Pretrain {
    const NAME: &'static str = "pretrain";
    const VERSION: u32 = 1;
    type Params = PretrainParams;

    fn check(params: &PretrainParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &PretrainParams) -> Vec<Port> {
        vec![
            Port::new("features", Kind::Features),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS),
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
        waveform::miswired(&params.waveform, upstream).into_iter().collect()
    }

    fn run(params: &PretrainParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let rows = io.open_rows("features")?;
        let split = Split::read(&io.table("split")?)?;
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
        let recipes = params.recipes();
        let steps = recipes.iter().flat_map(|recipe| &recipe.second);
        check_clips(params.views.iter().chain(steps), positions.len())?;
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
            optimiser: params.optimiser.spec(),
            clip_norm: params.clip_norm,
            device: device(io.device()),
            seed: params.seed,
        };
        let ids = positions.iter().map(|&position| &rows.ids()[position]);
        let sounds = Sounds::open(&params.waveform, io, ids, shape, params.seed)?;
        let clips = Clips { rows: &rows, positions: &positions, input, sounds };
        let pairs =
            Pairs::new(clips, (&recipes, &params.views), &features, params.method.views(), params.seed);
        let task = Unlabelled { params, pairs, standardisation: &standardisation, spec };
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
        io.note("simd", sndpipe_nn::simd_level());
        left_out("training", &[(&missing, "features")]).into_iter().for_each(|text| io.remark(text));
        io.write_blob("model", Meta::new(), &fitted.weights, "safetensors")?;
        io.write_table("history", Meta::new(), &fitted.history.to_table()?)
    }
}
