//! "Did you mean …?"

/// Names of more bytes are no misspellings of anything.
const LONGEST: usize = 100;

/// The candidate that is closest to what was written, if one is close.
pub(super) fn closest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wanted.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.filter(|candidate| *candidate != wanted) {
        if wanted.len().max(candidate.len()) > LONGEST {
            continue;
        }
        let other = candidate.to_lowercase();
        let mut distance = strsim::damerau_levenshtein(&folded, &other);
        let close = wanted.chars().count().max(candidate.chars().count()) / 3;
        // `fold` for `folds.test`, `mel` for `log_mel`.
        if distance > close.max(1)
            && folded.len() >= 3
            && (other.contains(&folded) || folded.contains(&other) && other.len() >= 3)
        {
            distance = close.max(1);
        }
        // One letter for another says nothing about names of one letter.
        let shorter = wanted.chars().count().min(candidate.chars().count());
        if distance <= close.max(1) && distance < shorter && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// ": did you mean `x`?" for the closest candidate, or nothing.
#[must_use]
pub fn did_you_mean<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    closest(wanted, candidates).map_or_else(String::new, |found| format!(": did you mean `{found}`?"))
}

/// What there is, the first of many.
pub(super) fn list<'a>(what: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let all: Vec<String> = candidates.clone().take(12).map(|name| format!("`{name}`")).collect();
    let more = candidates.count().saturating_sub(12);
    match (all.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("{what}: {}", all.join(", "))),
        (false, more) => Some(format!("{what}: {} and {more} more", all.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let names = || ["decode", "spectrogram", "split.folds"].into_iter();
        assert_eq!(did_you_mean("spectogram", names()), ": did you mean `spectrogram`?");
        assert_eq!(did_you_mean("Decode", names()), ": did you mean `decode`?");
        assert_eq!(did_you_mean("folds", names()), ": did you mean `split.folds`?");
        assert_eq!(did_you_mean("qqqq", names()), "");
        assert_eq!(did_you_mean("3", ["1", "2"].into_iter()), "");
        assert_eq!(
            list("there are", names()).as_deref(),
            Some("there are: `decode`, `spectrogram`, `split.folds`")
        );
    }
}
