//! Nearest neighbours while an encoder learns: a curve that decides nothing.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Embedded;
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::Standardisation;
use sndpipe_artefacts::named;
use sndpipe_artefacts::patch::{self};
use sndpipe_artefacts::split;
use sndpipe_artefacts::{Split, Subset};
use sndpipe_cache::Rows;
use sndpipe_engine::{ParamError, StageError, Upstream};
use sndpipe_metrics::metric::{self, Measured, TieOrder};
use sndpipe_metrics::neighbours::{Classed, OneClass, Protocol};
use sndpipe_nn::{InputShape, Pretrainer};

use crate::embed::Of;
use crate::model::{self};
use crate::train::Watched;

/// Judges embeddings by the classes of nearest neighbours while they are learnt, as `evaluate.knn` judges those that `embed` gives with
/// `per: patch`. Nothing is learnt of it or decided by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KnnWatch {
    /// Epochs between two judgements, `1..=1000000`; the last epoch is judged, too.
    pub every: u32,
    /// How neighbours are found and counted, as in `evaluate.knn`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<Protocol>")]
    pub protocol: Protocol,
    /// Which clips of the split are judged; with `memory_bank` not `train`, among which their neighbours are.
    pub subset: Subset,
    /// What is compared: what the head gives, or the encoder.
    pub of: Of,
}

impl Default for KnnWatch {
    fn default() -> Self {
        Self { every: 10, protocol: Protocol::default(), subset: Subset::Val, of: Of::Head }
    }
}

impl KnnWatch {
    /// Every parameter out of its range.
    pub(super) fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if !(1..=1_000_000).contains(&self.every) {
            mistakes.push(ParamError::new("knn.every", format!("{} is outside 1..=1000000", self.every)));
        }
        mistakes.extend(self.protocol.mistakes("knn.", self.subset == Subset::Train));
        mistakes
    }

    /// A subset that the split does not have.
    pub(super) fn unsplit(&self, upstream: &[Upstream<'_>]) -> Option<ParamError> {
        let Some(split) = upstream.iter().find(|wired| wired.port == "split") else {
            let error =
                || ParamError::new("knn.subset", "without the input `split` all clips are training clips");
            return (self.subset != Subset::Train)
                .then(|| error().help("connect a split, or judge `train` with `leave_one_clip_out`"));
        };
        let none = self.subset == Subset::Val && split::has_validation(split.stage) == Some(false);
        none.then(|| {
            let message = format!("the split keeps no validation subset (`val` of `{}`)", split.stage.name());
            ParamError::new("knn.subset", message).help("judge `test`, or give the split stage a `val`")
        })
    }
}

/// The clips that are judged, and everything that their embeddings are made with.
pub(super) struct Watch<'a> {
    params: &'a KnnWatch,
    rows: &'a Rows,
    judged: OneClass,
    /// The training clips, where neighbours are looked for among them.
    bank: Option<OneClass>,
    ties: TieOrder,
    input: InputShape,
    hop: usize,
    standardisation: &'a Standardisation,
    /// Of all clips.
    patches: usize,
}

impl<'a> Watch<'a> {
    /// Chooses the clips that have features and a class.
    ///
    /// # Errors
    /// [`StageError::Failed`] if there is none or too few, one has several classes, or its features have another shape; those of `tick`.
    pub fn new(
        params: &'a KnnWatch,
        (rows, split, labels): (&'a Rows, &Split, &Labels),
        (input, hop): (InputShape, usize),
        standardisation: &'a Standardisation,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Self, StageError> {
        let choose = |subset: Subset| {
            let positions: Vec<usize> = split.of(subset).filter_map(|id| rows.position(id)).collect();
            OneClass::new(labels, rows, &positions, "features")
                .map_err(|error| error.at(&format!("`knn`: the subset {}", subset.name())))
        };
        let judged = choose(params.subset)?;
        let bank = params.protocol.reads_bank().then(|| choose(Subset::Train)).transpose()?;
        let shape = FrameShape { channels: input.channels, bands: input.bands };
        let count = |of: &OneClass| -> Result<Vec<usize>, StageError> {
            let patches = |&position: &usize| {
                tick()?;
                let frames = shape.frames(rows.row(position)?).map_err(|message| {
                    StageError::failed(format!("clip `{}`: {message}", &rows.ids()[position]))
                })?;
                Ok(patch::starts(frames, input.frames, hop).len())
            };
            of.positions.iter().map(patches).collect()
        };
        let of_judged = count(&judged)?;
        params.protocol.check_patches(&of_judged).map_err(|error| error.at("`knn`"))?;
        let of_bank = bank.as_ref().map(count).transpose()?.unwrap_or_default();
        let patches = of_judged.iter().chain(&of_bank).sum();
        let ties = TieOrder::of(&labels.classes);
        Ok(Self { params, rows, judged, bank, ties, input, hop, standardisation, patches })
    }

    /// What the summary says about clips that are not judged.
    pub fn remark(&self) -> Option<String> {
        let without = self.judged.without + self.bank.as_ref().map_or(0, |bank| bank.without);
        (without > 0).then(|| format!("clips without a class, left out of `knn`: {without}"))
    }

    const fn head(&self) -> bool {
        matches!(self.params.of, Of::Head)
    }

    /// Bytes that the embeddings of all clips take, made once and joined once.
    pub fn memory(&self, pretrainer: &Pretrainer) -> u64 {
        2 * (self.patches * pretrainer.embedding_size(self.head()) * size_of::<f32>()) as u64
    }

    /// Judges the weights after an epoch, where it is one that is judged.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming a clip whose embeddings are not finite; those of `tick`.
    pub fn look(
        &self,
        pretrainer: &Pretrainer,
        (epoch, epochs): (u32, u32),
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Vec<Watched>, StageError> {
        if !epoch.is_multiple_of(self.params.every) && epoch != epochs {
            return Ok(Vec::new());
        }
        let judged = self.embed(&self.judged, pretrainer, tick)?;
        let bank = || self.embed(self.bank.as_ref().unwrap_or(&self.judged), pretrainer, tick);
        let voted = self.params.protocol.vote(&judged, bank, &self.ties, tick)?;
        let clips = sndpipe_metrics::neighbours::judged(
            &judged.embedded.ids,
            voted.scores,
            &judged.classes,
            &self.ties,
        );
        let recalls: Vec<Measured> =
            (0..self.ties.classes().len()).map(|class| metric::recall(&clips, class)).collect();
        let subset = self.params.subset.name();
        Ok(vec![
            (subset, "knn_accuracy", metric::accuracy(&clips).value),
            (subset, "knn_balanced_accuracy", Measured::macro_mean(&recalls).value),
        ])
    }

    /// The embeddings of all patches, clip by clip: the same for any number of threads.
    fn embed(
        &self,
        chosen: &OneClass,
        pretrainer: &Pretrainer,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Classed, StageError> {
        let id = |position: usize| &self.rows.ids()[position];
        let network = |inputs: &[f32]| pretrainer.embed(inputs, self.head());
        let clips = chosen.positions.par_iter().map(|&position| {
            tick()?;
            let row = self.rows.row(position)?;
            model::clip_embeddings(row, self.input, self.hop, self.standardisation, &network)
                .map_err(|message| StageError::failed(format!("clip `{}`: {message}", id(position))))
        });
        // All are looked at, so that the first mistake is the same for any number of threads.
        let clips: Vec<Result<Vec<f32>, StageError>> = clips.collect();
        let mut embedded = Embedded::new(pretrainer.embedding_size(self.head()));
        for (&position, vectors) in chosen.positions.iter().zip(clips) {
            embedded.push(id(position), &vectors?);
        }
        Ok(Classed::new(embedded, chosen.classes.clone()))
    }
}
