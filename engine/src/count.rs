//! Numbers of things in sentences.

/// `1 clip`, `9 clips`, `2 classes`.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

/// What is said of one thing, or of any other number of them: `is`, `are`.
#[must_use]
pub const fn agree<'w>(number: usize, one: &'w str, other: &'w str) -> &'w str {
    if number == 1 { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_others_are_plural() {
        let said = |number| format!("{} {} left out", counted(number, "class"), agree(number, "is", "are"));
        assert_eq!(
            [0, 1, 2].map(said),
            ["0 classes are left out", "1 class is left out", "2 classes are left out"]
        );
        assert_eq!(counted(3, "clip"), "3 clips");
    }
}
