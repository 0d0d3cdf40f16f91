//! What is known to spoil evaluations: the same sound on two sides of an official split.

use std::collections::{BTreeMap, BTreeSet};

use sndpipe_engine::{agree, counted};

use super::listing::{Clip, Listing};
use super::sheet::SHOWN;

/// Columns that say which recording a clip was cut from.
const RECORDINGS: [&str; 2] = ["freesound_id", "src_file"];

/// Remarks on classes that are spelt alike, on clips with the same audio, and on recordings whose clips are in several folds or subsets.
pub(super) fn found(listing: &Listing, digests: &[String]) -> Vec<String> {
    let column = |name: &str| listing.texts.iter().position(|text| text == name);
    let subset = column("subset");
    let side = |clip: &Clip| {
        let subset = subset.and_then(|at| clip.texts[at].clone());
        subset.or_else(|| clip.fold.map(|fold| format!("fold {fold}"))).unwrap_or_default()
    };
    let sides = |clips: &[&Clip]| clips.iter().map(|clip| side(clip)).collect::<BTreeSet<_>>();

    let mut remarks = Vec::new();
    let mut spellings: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for class in &listing.classes {
        spellings.entry(class.to_lowercase()).or_default().push(class);
    }
    spellings.retain(|_, classes| classes.len() > 1);
    if !spellings.is_empty() {
        let named: Vec<String> =
            spellings.values().map(|classes| format!("`{}`", classes.join("` and `"))).collect();
        remarks.push(format!("classes that differ only in case: {}", few(&named)));
    }
    let mut same: BTreeMap<&str, Vec<&Clip>> = BTreeMap::new();
    for (clip, digest) in listing.clips.iter().zip(digests) {
        same.entry(digest).or_default().push(clip);
    }
    let mut same: Vec<Vec<&Clip>> = same.into_values().filter(|clips| clips.len() > 1).collect();
    same.sort_by(|a, b| a[0].id.cmp(&b[0].id));
    if !same.is_empty() {
        let across: Vec<String> = same
            .iter()
            .filter(|clips| sides(clips).len() > 1)
            .map(|clips| {
                let named = clips.iter().map(|clip| format!("{} ({})", clip.id, side(clip)));
                named.collect::<Vec<_>>().join(" and ")
            })
            .collect();
        let mut remark = format!(
            "{} of clips {} the same audio",
            counted(same.len(), "group"),
            agree(same.len(), "has", "have")
        );
        if !across.is_empty() {
            remark.push_str(&format!(", {} of them on several sides: {}", across.len(), few(&across)));
        }
        remarks.push(remark);
    }

    if let Some(at) = RECORDINGS.iter().find_map(|name| column(name)) {
        let mut cut: BTreeMap<&str, Vec<&Clip>> = BTreeMap::new();
        for clip in &listing.clips {
            clip.texts[at].iter().for_each(|recording| cut.entry(recording).or_default().push(clip));
        }
        let across: Vec<String> = cut
            .into_iter()
            .map(|(recording, clips)| (recording, sides(&clips)))
            .filter(|(_, sides)| sides.len() > 1)
            .map(|(recording, sides)| {
                format!("{recording} ({})", sides.into_iter().collect::<Vec<_>>().join(", "))
            })
            .collect();
        if !across.is_empty() {
            remarks.push(format!(
                "clips of {} are on several sides: {}",
                counted(across.len(), "recording"),
                few(&across)
            ));
        }
    }
    remarks
}

/// The first few of a list.
fn few(all: &[String]) -> String {
    let more = if all.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(SHOWN)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_differ_only_in_case_are_told() {
        let found = |classes: &[&str]| {
            let classes = classes.iter().map(|&class| class.to_owned()).collect();
            found(&Listing::new(Vec::new(), classes, false, Vec::new()).unwrap(), &[])
        };
        assert_eq!(
            found(&["Dog", "cat", "dog", "Ärger", "ärger"]),
            ["classes that differ only in case: `Dog` and `dog`, `Ärger` and `ärger`"]
        );
        assert!(found(&["Dog", "cat", "dogs"]).is_empty());
    }

    #[test]
    fn the_same_sound_on_two_sides_is_told() {
        let clip = |id: &str, fold: i64, recording: &str| Clip {
            id: id.to_owned(),
            path: id.to_owned(),
            line: None,
            fold: Some(fold),
            classes: Vec::new(),
            texts: vec![Some(recording.to_owned())],
        };
        let clips = vec![clip("a", 1, "x"), clip("b", 2, "x"), clip("c", 1, "y"), clip("d", 1, "y")];
        let listing = Listing::new(clips, Vec::new(), true, vec!["src_file".to_owned()]).unwrap();
        let digests = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let recordings = "clips of 1 recording are on several sides: x (fold 1, fold 2)";
        assert_eq!(found(&listing, &digests("1234")), [recordings]);
        assert_eq!(found(&listing, &digests("1233")), ["1 group of clips has the same audio", recordings]);
        assert_eq!(
            found(&listing, &digests("1133")),
            [
                "2 groups of clips have the same audio, 1 of them on several sides: a (fold 1) and b (fold 2)",
                recordings
            ]
        );
    }
}
