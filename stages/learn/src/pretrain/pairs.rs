//! The batches that a training without labels makes of its clips.

use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Standardisation;
use sndpipe_artefacts::patch::{self};
use sndpipe_audio::augment::{At, Clips, StepParams, Views, WaveformParams};
use sndpipe_cache::Meta;
use sndpipe_engine::StageError;
use sndpipe_random::Stream;

use super::partners::Partners;
use super::sampler::{PairPatches, PairRecipe};

/// Makes pairs of views. An epoch goes over all clips with each recipe, in a random order. Everything random is a function of
/// (seed, epoch, item), an item being a clip with a recipe.
pub(crate) struct Pairs<'a> {
    clips: Clips<'a>,
    recipes: &'a [PairRecipe],
    /// Which clips share a class, where a recipe asks for it.
    partners: Option<&'a Partners>,
    /// The steps of both views, then those of the second alone, for each recipe.
    steps: Vec<[Views<'a>; 2]>,
    /// 1 where nothing needs the second one.
    views: usize,
    seed: u64,
}

/// Where a patch is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub clip: usize,
    /// Its first frame.
    pub start: usize,
}

/// What a step trains on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairBatch {
    /// First views, then second ones, each `[n, channels, frames, bands]`.
    pub inputs: Vec<f32>,
    /// The clip of each pair.
    pub clips: Vec<usize>,
}

impl<'a> Pairs<'a> {
    /// Pairs of some clips of features with some metadata.
    pub fn new(
        clips: Clips<'a>,
        (recipes, both): (&'a [PairRecipe], &'a [StepParams]),
        partners: Option<&'a Partners>,
        features: &Meta,
        views: usize,
        seed: u64,
    ) -> Self {
        let steps = recipes.iter().enumerate().map(|(i, recipe)| {
            [("both", both), ("second", recipe.second.as_slice())]
                .map(|(which, steps)| Views::new(steps, features, seed, format!("{which} of recipe {i}")))
        });
        Self { recipes, partners, steps: steps.collect(), clips, views, seed }
    }

    /// Whether two clips share a class and are no negatives of each other; never where nothing says so.
    pub fn alike(&self, one: usize, other: usize) -> bool {
        self.partners.is_some_and(|partners| partners.alike(one, other))
    }

    /// Items of an epoch.
    pub const fn len(&self) -> usize {
        self.clips.len() * self.recipes.len()
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: u32) -> Vec<usize> {
        Stream::new(self.seed, "order").at(epoch, 0).permutation(self.len())
    }

    /// The batch of some items in an epoch, standardised.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    pub fn batch(
        &self,
        epoch: u32,
        items: &[usize],
        standardisation: &Standardisation,
    ) -> Result<PairBatch, StageError> {
        let input = self.clips.input;
        let shape = FrameShape { channels: input.channels, bands: input.bands };
        let mut inputs = vec![0.0; self.views * items.len() * input.len()];
        for (row, patch) in inputs.chunks_exact_mut(input.len()).enumerate() {
            let (view, item) = (row / items.len(), items[row % items.len()]);
            self.view(epoch, item, view, patch, &mut |_, _| ())?;
            patch::standardise(patch, shape, standardisation);
        }
        Ok(PairBatch { inputs, clips: items.iter().map(|item| item / self.recipes.len()).collect() })
    }

    /// What a view of an item in an epoch is: one of its clip, or of another that shares a class with it.
    fn at(&self, epoch: u32, item: usize, view: usize) -> At {
        let (clip, recipe) = (item / self.recipes.len(), &self.recipes[item % self.recipes.len()]);
        let partners = self.partners.filter(|_| recipe.by_class && view > 0);
        let drawn = || Stream::new(self.seed, "partners").at(epoch, item as u64);
        let partner = partners.and_then(|partners| partners.draw(clip, &mut drawn()));
        At { epoch, item, view, clip: partner.unwrap_or(clip) }
    }

    /// Where the patch of a view starts, if it can start no later than at frame `room`. Of changed waveforms views have rooms of
    /// their own; patches that are to be the same then start at the same share of them.
    fn start(&self, at: At, room: usize) -> usize {
        let mut rng = Stream::new(self.seed, "patches of pairs").at(at.epoch, at.item as u64);
        let first = rng.index(room + 1);
        match self.recipes[at.item % self.recipes.len()].patches {
            _ if at.view == 0 => first,
            PairPatches::Same => first,
            PairPatches::Random => rng.index(room + 1),
            PairPatches::Near { frames } => {
                let (low, high) = (first.saturating_sub(frames), (first + frames).min(room));
                low + rng.index(high - low + 1)
            }
        }
    }

    /// The steps for waveforms.
    pub fn waveform(&self) -> &[WaveformParams] {
        self.clips.waveform()
    }

    /// Cuts the patch of a view of an item in an epoch after the first `taken` steps for its waveform.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    pub fn cut(
        &self,
        epoch: u32,
        item: usize,
        view: usize,
        taken: usize,
        patch: &mut [f32],
    ) -> Result<Cut, StageError> {
        let at = self.at(epoch, item, view);
        let start = self.clips.patch(at, taken, |room| self.start(at, room), patch)?;
        Ok(Cut { clip: at.clip, start })
    }

    /// Makes a view of an item in an epoch, as it is before standardisation; `seen` gets the patch as it is cut, without a step, and
    /// after each step.
    ///
    /// # Errors
    /// [`StageError`] if a row cannot be read or has another shape.
    pub fn view(
        &self,
        epoch: u32,
        item: usize,
        view: usize,
        patch: &mut [f32],
        seen: &mut dyn FnMut(Option<&StepParams>, &[f32]),
    ) -> Result<Cut, StageError> {
        let cut = self.cut(epoch, item, view, self.waveform().len(), patch)?;
        seen(None, patch);
        let [both, second] = &self.steps[item % self.recipes.len()];
        let at = At { epoch, item, view, clip: cut.clip };
        for views in [Some(both), (view == 1).then_some(second)].into_iter().flatten() {
            for (i, step) in views.steps().iter().enumerate() {
                views.apply_step(i, patch, at, &self.clips)?;
                seen(Some(step), patch);
            }
        }
        Ok(cut)
    }
}
