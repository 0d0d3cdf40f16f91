//! What is true of the clips that were scored.

use std::collections::BTreeMap;

use sndpipe_artefacts::{Labels, State};
use sndpipe_engine::StageError;

/// Labels, seen in the order of the classes that scores have.
pub(crate) struct Truth<'a> {
    labels: &'a Labels,
    /// For each class of the labels its place among the scores.
    places: Vec<Option<usize>>,
    classes: usize,
}

impl<'a> Truth<'a> {
    /// Labels for scores of the given classes.
    pub fn new(labels: &'a Labels, classes: &[String]) -> Self {
        let index: BTreeMap<&str, usize> =
            classes.iter().enumerate().map(|(i, class)| (class.as_str(), i)).collect();
        let places = labels.classes.iter().map(|class| index.get(class.as_str()).copied()).collect();
        Self { labels, places, classes: classes.len() }
    }

    /// Whether the clip has each class; `None` where that is to be ignored. No answer for a clip without any label.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the clip has a class that there is no score of.
    pub fn of(&self, clip_id: &str) -> Result<Option<Vec<Option<bool>>>, StageError> {
        let Some(labels) = self.labels.clips.get(clip_id) else { return Ok(None) };
        let mut truth = vec![Some(false); self.classes];
        for (&class, state) in labels {
            match (self.places[class], state) {
                (Some(place), State::Present) => truth[place] = Some(true),
                (Some(place), State::Ignored) => truth[place] = None,
                (None, State::Present) => {
                    let name = &self.labels.classes[class];
                    let message =
                        format!("clip `{clip_id}` has the class `{name}`, which there is no score of");
                    return Err(StageError::failed(message)
                        .help("evaluate with the labels that the model was trained on"));
                }
                (_, State::ExplicitNegative) | (None, State::Ignored) => {}
            }
        }
        Ok(Some(truth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_name() {
        let labels = Labels {
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            clips: BTreeMap::from([
                ("1".to_owned(), BTreeMap::from([(1, State::Present), (2, State::Ignored)])),
                ("2".to_owned(), BTreeMap::from([(0, State::Present)])),
            ]),
        };
        let truth = Truth::new(&labels, &["c".to_owned(), "b".to_owned()]);
        assert_eq!(truth.of("1").unwrap(), Some(vec![None, Some(true)]));
        assert_eq!(truth.of("3").unwrap(), None);
        assert_eq!(
            truth.of("2").unwrap_err().to_string(),
            "clip `2` has the class `a`, which there is no score of"
        );
    }
}
