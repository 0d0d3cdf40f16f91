//! Labels where pairs are made of clips of one class, and what else reads labels.

use sndpipe_artefacts::Labels;
use sndpipe_audio::augment::other_clip;
use sndpipe_engine::{Kind, ParamError, Port, StageError, Upstream};
use sndpipe_random::Rng;

/// The port of the labels.
pub(crate) const PORT: &str = "labels";

/// The input that says which classes clips have.
pub(crate) fn port() -> Port {
    Port::new(PORT, Kind::Labels).reading(&Labels::COLUMNS).optional()
}

/// What the wiring of labels shows to be wrong; `readers` are the parameters that may read them, and whether they do.
pub(crate) fn wiring(readers: &[(&str, bool)], upstream: &[Upstream<'_>]) -> Vec<ParamError> {
    let reading = readers.iter().filter(|(_, reads)| *reads).map(|(path, _)| *path);
    if !upstream.iter().any(|wired| wired.port == PORT) {
        let unconnected = |path| {
            ParamError::new(path, "nothing is connected to the input `labels`")
                .help("connect the labels of the data set: `in: { labels: clips.labels }`")
        };
        return reading.map(unconnected).collect();
    }
    if reading.count() > 0 {
        return Vec::new();
    }
    let ways: Vec<String> = readers.iter().map(|(path, _)| format!("`{path}`")).collect();
    let (first, _) = readers.first().copied().unwrap_or_default();
    let error = ParamError::new(first, "the input `labels` is connected, and nothing reads it");
    vec![error.help(format!("take the input away, or say what it is for by {}", ways.join(" or ")))]
}

/// Which clips of a training share a class.
pub(crate) struct Partners {
    /// The classes of each clip.
    classes: Vec<Vec<usize>>,
    /// The clips that have each class, in order.
    clips: Vec<Vec<usize>>,
}

impl Partners {
    /// Those among the clips with some ids, counted from 0 in their order.
    ///
    /// # Errors
    /// [`StageError::Failed`] if no two of them share a class.
    pub fn new<'a>(labels: &Labels, ids: impl Iterator<Item = &'a str>) -> Result<Self, StageError> {
        let classes: Vec<Vec<usize>> = ids.map(|id| labels.present(id).collect()).collect();
        let mut clips = vec![Vec::new(); labels.classes.len()];
        for (clip, of) in classes.iter().enumerate() {
            of.iter().for_each(|&class| clips[class].push(clip));
        }
        if clips.iter().all(|of: &Vec<usize>| of.len() < 2) {
            return Err(StageError::failed(
                "no two training clips share a class, and `same_class` pairs them",
            )
            .help("give the labels of these clips, or take a sampler that needs none"));
        }
        Ok(Self { classes, clips })
    }

    /// The classes of a clip that another one has, too.
    fn shared(&self, clip: usize) -> impl Iterator<Item = &Vec<usize>> {
        self.classes[clip].iter().map(move |&class| &self.clips[class]).filter(|clips| clips.len() > 1)
    }

    /// A class of the clip that others have, and one of these, each with the same probability; none where there is no such class.
    pub fn draw(&self, clip: usize, rng: &mut Rng) -> Option<usize> {
        let shared: Vec<&Vec<usize>> = self.shared(clip).collect();
        let clips = *shared.get(rng.index(shared.len().max(1)))?;
        let own = clips.binary_search(&clip).ok()?;
        Some(clips[other_clip(clips.len(), &[own], rng)])
    }

    /// Whether two clips share a class.
    pub fn alike(&self, one: usize, other: usize) -> bool {
        self.classes[one].iter().any(|class| self.classes[other].contains(class))
    }

    /// What the summary says about clips without a partner.
    pub fn remark(&self) -> Option<String> {
        let alone = (0..self.classes.len()).filter(|&clip| self.shared(clip).next().is_none()).count();
        (alone > 0).then(|| {
            format!("training clips that share a class with no other, paired with themselves: {alone}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sndpipe_artefacts::State;

    use super::*;

    /// Two clips of class 0, one of both, one that is alone, one without a class.
    fn labels() -> Labels {
        let clips = [("a", vec![0]), ("b", vec![0]), ("c", vec![0, 1]), ("d", vec![2]), ("e", vec![])];
        let present = |of: Vec<usize>| of.into_iter().map(|class| (class, State::Present)).collect();
        Labels {
            classes: ["x", "y", "z"].map(str::to_owned).to_vec(),
            clips: clips
                .into_iter()
                .map(|(id, of)| (id.to_owned(), present(of)))
                .collect::<BTreeMap<_, BTreeMap<_, _>>>(),
        }
    }

    #[test]
    fn partners_share_a_class() {
        let partners = Partners::new(&labels(), ["a", "b", "c", "d", "e"].into_iter()).unwrap();
        let mut rng = Rng::new(1, "partners");
        let mut counts = [[0; 5]; 5];
        for (clip, counts) in counts.iter_mut().enumerate() {
            for _ in 0..1000 {
                let drawn = partners.draw(clip, &mut rng);
                assert!(drawn.is_none_or(|drawn| drawn != clip && partners.alike(clip, drawn)));
                drawn.into_iter().for_each(|drawn| counts[drawn] += 1);
            }
        }
        // Half of 1000 each, five standard deviations being 79.
        for (clip, [one, other]) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
            assert_eq!(counts[clip][one] + counts[clip][other], 1000);
            assert!(i32::abs_diff(counts[clip][one], 500) < 79, "{counts:?}");
        }
        assert_eq!(counts[3..], [[0; 5]; 2], "there is nobody to pair them with");
        assert!(!partners.alike(2, 3) && !partners.alike(4, 4) && partners.alike(0, 2));
        let said = partners.remark().unwrap();
        assert_eq!(said, "training clips that share a class with no other, paired with themselves: 2");
        let error = Partners::new(&labels(), ["a", "d", "e"].into_iter()).err().unwrap().to_string();
        assert_eq!(error, "no two training clips share a class, and `same_class` pairs them");
    }
}
