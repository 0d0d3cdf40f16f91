//! A pipeline as text: in one file, or as a base and what a file that extends it says otherwise.

use std::fmt::Write as _;

/// The parameters of a stage, as written.
type With = Vec<(String, String)>;

/// A stage of a pipeline file.
pub struct StageText {
    pub name: &'static str,
    uses: &'static str,
    inputs: &'static str,
    keep: bool,
    with: With,
}

impl StageText {
    pub fn new(name: &'static str, uses: &'static str, inputs: &'static str) -> Self {
        Self { name, uses, inputs, keep: true, with: Vec::new() }
    }

    pub fn with(mut self, more: &[(&str, &str)]) -> Self {
        self.with.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self
    }

    pub fn keep(self, keep: bool) -> Self {
        Self { keep, ..self }
    }

    /// `name: { … }` with these parts.
    fn line(&self, keep: Option<bool>, with: &[(String, String)], whole: bool) -> String {
        let mut parts = Vec::new();
        if whole {
            parts.push(format!("uses: {}", self.uses));
            if !self.inputs.is_empty() {
                parts.push(format!("in: {}", self.inputs));
            }
        }
        parts.extend(keep.map(|keep| format!("keep: {keep}")));
        if !with.is_empty() {
            let pairs: Vec<String> = with.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            parts.push(format!("with: {{ {} }}", pairs.join(", ")));
        }
        format!("  {}: {{ {} }}\n", self.name, parts.join(", "))
    }

    /// What the base says and what is laid over it: keys that only one of them has, numbers that differ, maps that are put together
    /// and maps that are replaced.
    fn divided(&self) -> (With, With) {
        let (mut base, mut over) = (Vec::new(), Vec::new());
        for (at, (key, value)) in self.with.iter().enumerate() {
            let pair = |value: &str| (key.clone(), value.to_owned());
            match (key.as_str(), at % 3) {
                ("network", _) => {
                    base.push(pair("{ name: vgg41_plain, width: 0.25 }"));
                    over.push(pair(value));
                }
                ("env", _) => {
                    base.push(pair("{ name: other, MORE: me }"));
                    over.push(pair("{ name: sa }"));
                }
                (_, 0) => base.push(pair(value)),
                (_, 1) => over.push(pair(value)),
                _ => {
                    base.push(if value.parse::<u32>().is_ok() { pair("7") } else { pair(value) });
                    over.push(pair(value));
                }
            }
        }
        (base, over)
    }
}

/// A pipeline file.
pub struct Pipeline {
    pub comment: u64,
    pub folds: u64,
    pub stages: Vec<StageText>,
}

impl Pipeline {
    fn head(&self) -> String {
        let mut text = String::new();
        let folds = if self.folds == 1 { "[1]" } else { "[1, 2]" };
        let _ = writeln!(
            text,
            "version: 1 # {}\nname: chaos\nmatrix: {{ fold: {folds} }}\nstages:",
            self.comment
        );
        text
    }

    /// The whole pipeline in one file.
    pub fn text(&self) -> String {
        let keep = |stage: &StageText| (!stage.keep).then_some(false);
        self.stages.iter().fold(self.head(), |text, stage| text + &stage.line(keep(stage), &stage.with, true))
    }

    /// A file that says something else in many places, with a stage more.
    pub fn base(&self) -> String {
        let more = "  unwanted: { uses: command, with: { program: ['false'], outputs: { r: report } } }\n";
        let stages = self.stages.iter().map(|stage| stage.line(Some(!stage.keep), &stage.divided().0, true));
        stages.fold(self.head() + more, |text, stage| text + &stage)
    }

    /// What makes the base the same as [`Pipeline::text`].
    pub fn overlay(&self, base: &str) -> String {
        let stages = self.stages.iter().map(|stage| stage.line(Some(stage.keep), &stage.divided().1, false));
        let head = format!("extends: {base}\n{}  unwanted: null\n", self.head());
        stages.fold(head, |text, stage| text + &stage)
    }
}
