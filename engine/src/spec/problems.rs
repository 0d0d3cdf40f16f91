//! The mistakes that have been found so far, and what a search for likely meanings may still cost.

use std::cell::Cell;

use super::problem::Problem;
use super::suggest;

/// How many names are compared with misspelt ones, in all: thousands of mistakes in a file of thousands of names would take hours.
const COMPARISONS: usize = 1_000_000;

/// Mistakes in the order in which they were found.
pub(super) struct Problems {
    list: Vec<Problem>,
    comparisons: Cell<usize>,
}

impl Problems {
    pub fn new() -> Self {
        Self { list: Vec::new(), comparisons: Cell::new(COMPARISONS) }
    }

    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.list.extend(problems);
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.list
    }

    /// Whether so many names were compared that nobody looks any more for what was meant.
    pub fn is_exhausted(&self) -> bool {
        self.comparisons.get() == 0
    }

    /// The candidate that is closest to what was written, if one is close and there is time left to look.
    pub fn closest<'a>(&self, wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let left = self.comparisons.get();
        let mut used = 0;
        let found = suggest::closest(wanted, candidates.take(left).inspect(|_| used += 1));
        self.comparisons.set(left - used);
        found
    }

    /// "did you mean `x`?"; without a close candidate it lists what there is.
    pub fn hint<'a>(
        &self,
        wanted: &str,
        what: &str,
        candidates: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        if self.is_exhausted() {
            return None;
        }
        let found = self.closest(wanted, candidates.clone());
        found.map(|found| format!("did you mean `{found}`?")).or_else(|| suggest::list(what, candidates))
    }
}
