//! The stage.

use sndpipe_artefacts::Labels;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_audio::augment::waveform::{self, Sounds};
use sndpipe_audio::augment::{Clips, check_steps};
use sndpipe_cache::Meta;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, Upstream};
use sndpipe_nn::InputShape;

use super::params::ViewsParams;
use super::picture::{Strip, svg};
use crate::model::patch_shape;
use crate::pretrain::{Cut, LABELS, Pairs, Partners, by_class, labels_port, labels_wiring, recipes};
use crate::train::frame_shape;

/// Draws views of clips.
pub struct ViewsStage;

impl Stage for ViewsStage {
    const NAME: &'static str = "views";
    const VERSION: u32 = 1;
    type Params = ViewsParams;

    fn check(params: &ViewsParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &ViewsParams) -> Vec<Port> {
        vec![
            Port::new("features", Kind::Features),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional(),
            labels_port(),
            waveform::port(),
        ]
    }

    fn check_wiring(params: &ViewsParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        let mut mistakes = labels_wiring(&[("samplers", by_class(&params.samplers))], upstream);
        mistakes.extend(waveform::miswired(&params.waveform, upstream));
        mistakes
    }

    fn outputs(_: &ViewsParams) -> Vec<Output> {
        vec![Output::new("picture", Kind::File)]
    }

    fn run(params: &ViewsParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let rows = io.open_rows("features")?;
        let positions: Vec<usize> = if io.has("split") {
            let split = Split::read(&io.table("split")?)?;
            split.of(Subset::Train).filter_map(|id| rows.position(id)).collect()
        } else {
            (0..rows.ids().len()).collect()
        };
        if positions.is_empty() {
            return Err(StageError::failed("no clip has features")
                .help("look at the split (`sndpipe show FILE split`), or leave it out"));
        }
        let features = io.meta("features")?.clone();
        let shape = frame_shape(&features, &rows, &positions)?;
        let input = InputShape { channels: shape.channels, frames: params.patch.frames, bands: shape.bands };
        let recipes = recipes(params.patches, &params.samplers);
        let steps = recipes.iter().flat_map(|recipe| &recipe.second);
        check_steps(params.views.iter().chain(steps), positions.len(), patch_shape(input))?;
        let ids = positions.iter().map(|&position| &rows.ids()[position]);
        let sounds = Sounds::open(&params.waveform, io, ids, shape, params.seed)?;
        let clips = Clips { rows: &rows, positions: &positions, input: patch_shape(input), sounds };
        let partners = if by_class(&params.samplers) {
            let labels = Labels::read(&io.table(LABELS)?, io.meta(LABELS)?)?;
            Some(Partners::new(&labels, positions.iter().map(|&position| &rows.ids()[position]))?)
        } else {
            None
        };
        let steps = (recipes.as_slice(), params.views.as_slice());
        let pairs = Pairs::new(clips, steps, partners.as_ref(), &features, 2, params.seed);
        let (count, mut strips) = (params.clips.min(positions.len()), Vec::new());
        let mut patch = vec![0.0; input.len()];
        for drawn in 0..count {
            let clip = drawn * positions.len() / count;
            for (item, sampler) in (clip * recipes.len()..).zip(0..recipes.len()) {
                let by = params.samplers.get(sampler).map_or("", |sampler| sampler.name());
                for view in 0..2 {
                    io.tick()?;
                    let (mut patches, mut cut) = (Vec::new(), "cut");
                    for (taken, step) in pairs.waveform().iter().enumerate() {
                        pairs.cut(params.epoch - 1, item, view, taken, &mut patch)?;
                        patches.push((cut.to_owned(), patch.clone()));
                        cut = step.name();
                    }
                    let Cut { clip, start } =
                        pairs.view(params.epoch - 1, item, view, &mut patch, &mut |step, values| {
                            let name = step.map_or(cut, |step| step.name());
                            patches.push((name.to_owned(), values.to_vec()));
                        })?;
                    let id = &rows.ids()[positions[clip]];
                    let by = if by.is_empty() { String::new() } else { format!(", {by}") };
                    let name = format!("{id}{by}, view {} from frame {start}", view + 1);
                    strips.push(Strip { name, patches });
                }
            }
        }
        io.write_blob("picture", Meta::new(), svg(&strips, input).as_bytes(), "svg")
    }
}
