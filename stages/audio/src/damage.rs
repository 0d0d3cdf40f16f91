//! Damage inside a sound that can be decoded nevertheless.

/// A place where a file is damaged, although the sound around it can be decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Damage {
    /// Where in the decoded sound, in seconds from its start.
    pub seconds: f64,
    /// What is missing or out of place, such as "Ogg page 3 of 6 is missing".
    pub detail: String,
}

impl Damage {
    /// Says of a sound where it is damaged, the first places in full; nothing of a whole one.
    pub fn told(places: &[Damage]) -> Option<String> {
        const SHOWN: usize = 3;
        let first: Vec<String> = places.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = places.len().saturating_sub(SHOWN);
        let more = match more {
            0 => String::new(),
            1 => "; and 1 more place".to_owned(),
            more => format!("; and {more} more places"),
        };
        (!first.is_empty()).then(|| first.join("; ") + &more)
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {:.3} s: {}", self.seconds, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_places_are_told_and_the_others_counted() {
        let places = |count: u32| -> Vec<Damage> {
            (1..=count)
                .map(|n| Damage { seconds: f64::from(n) / 8.0, detail: format!("Ogg page {n} is missing") })
                .collect()
        };
        let told = |count| Damage::told(&places(count));
        assert_eq!(told(0), None);
        assert_eq!(told(1).unwrap(), "at 0.125 s: Ogg page 1 is missing");
        assert_eq!(
            told(3).unwrap(),
            "at 0.125 s: Ogg page 1 is missing; at 0.250 s: Ogg page 2 is missing; at 0.375 s: Ogg page 3 is missing"
        );
        assert!(told(4).unwrap().ends_with("page 3 is missing; and 1 more place"));
        assert!(told(5).unwrap().ends_with("page 3 is missing; and 2 more places"));
    }
}
