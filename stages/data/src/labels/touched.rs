//! Which labels a stage changes.

use sndpipe_artefacts::split::place;
use sndpipe_artefacts::{Labels, State};
use sndpipe_artefacts::{Split, Subset};
use sndpipe_engine::{Kind, Port, StageError, StageIo};
use sndpipe_random::Stream;

/// The clips whose labels a stage changes: those of some subsets where a split is connected, else all.
pub(super) struct Touched {
    split: Option<Split>,
    subsets: Vec<Subset>,
}

impl Touched {
    /// The inputs of a stage that changes labels.
    pub fn inputs() -> Vec<Port> {
        let labels = Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS);
        vec![labels, Port::new("split", Kind::Split).reading(&Split::COLUMNS).optional()]
    }

    /// Reads the labels and, where it is connected, the split.
    ///
    /// # Errors
    /// [`StageError::Failed`] if no clip with a label is touched.
    pub fn read(subsets: &[Subset], io: &StageIo<'_>) -> Result<(Labels, Self), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let split = if io.has("split") { Some(Split::read(&io.table("split")?)?) } else { None };
        let touched = Self { split, subsets: subsets.to_vec() };
        if !labels.clips.keys().any(|id| touched.holds(id)) {
            let names: Vec<&str> = subsets.iter().map(|subset| subset.name()).collect();
            let message = format!("no clip of {} has a label", names.join(", "));
            return Err(StageError::failed(message).help("give a split of the data set that has the labels"));
        }
        Ok((labels, touched))
    }

    /// Whether a clip is touched.
    pub fn holds(&self, id: &str) -> bool {
        let subset = self.split.as_ref().map(|split| split.clips.get(id));
        subset.is_none_or(|subset| subset.is_some_and(|subset| self.subsets.contains(subset)))
    }

    /// For each class the touched clips that have it, in an order that is random but in which the place of a clip depends on seed,
    /// purpose, class and id alone: what is taken from its front for a small share is taken for a larger one, too.
    pub fn shuffled<'a>(&self, labels: &'a Labels, seed: u64, purpose: &str) -> Vec<Vec<&'a str>> {
        let order = |(class, name): (usize, &String)| {
            let stream = Stream::new(seed, &format!("{purpose} {name}"));
            let clips = labels.clips.iter().filter(|(id, _)| self.holds(id));
            let of_class = clips.filter(|(_, states)| states.get(&class) == Some(&State::Present));
            let mut order: Vec<(u64, &str)> =
                of_class.map(|(id, _)| (place(&stream, id), id.as_str())).collect();
            order.sort_unstable();
            order.into_iter().map(|(_, id)| id).collect()
        };
        labels.classes.iter().enumerate().map(order).collect()
    }
}

#[cfg(test)]
impl Touched {
    /// Every clip.
    pub fn all() -> Self {
        Self { split: None, subsets: Vec::new() }
    }

    /// The clips of one subset of a split.
    pub fn of(split: Split, subset: Subset) -> Self {
        Self { split: Some(split), subsets: vec![subset] }
    }
}

/// How many of `n` things a share is, rounded to the nearest, a half up.
pub(super) fn share_of(n: usize, share: f64) -> usize {
    ((share * n as f64 + 0.5).floor() as usize).min(n)
}

/// The default of a parameter `subsets`.
pub(super) fn train() -> Vec<Subset> {
    vec![Subset::Train]
}
