//! The inputs and outputs of a stage, and what is read of an artefact behind an input.

use sndpipe_cache::Manifest;

use crate::kind::{FormKind, Kind};

/// An input of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The name under `in:`.
    pub name: String,
    /// The kinds that fit; never empty.
    pub accepts: Vec<Kind>,
    /// Whether the pipeline may leave it out.
    pub optional: bool,
    /// Whether the port gathers a repeated stage (`collect:`).
    pub collects: bool,
    /// The columns of a table that the stage reads; only they enter the key and only they are handed out. `None`: all.
    /// A column ending in `?` may be absent.
    pub reads: Option<Vec<String>>,
}

impl Port {
    /// A required input of one kind, read whole.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self::any(name, &[kind])
    }

    /// A required input that accepts several kinds.
    #[must_use]
    pub fn any(name: &str, accepts: &[Kind]) -> Self {
        Self {
            name: name.to_owned(),
            accepts: accepts.to_vec(),
            optional: false,
            collects: false,
            reads: None,
        }
    }

    /// The same, and the pipeline may leave it out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, and it gathers all cells of a repeated stage.
    #[must_use]
    pub fn collecting(mut self) -> Self {
        self.collects = true;
        self
    }

    /// The same, reading only the named columns of a table.
    #[must_use]
    pub fn reading(mut self, columns: &[&str]) -> Self {
        self.reads = Some(columns.iter().map(|&column| column.to_owned()).collect());
        self
    }
}

/// An output of a stage; the first one is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The name after the dot: `model.history`.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

impl Output {
    /// An output of a kind.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

/// The columns that a port reads of an artefact of this kind; `None`: all. Artefacts stored as rows are always read whole.
pub(crate) fn reads<'a>(port: &'a Port, kind: &str) -> Option<&'a [String]> {
    let rows = kind.parse::<Kind>().is_ok_and(|kind| kind.form() == FormKind::Rows);
    if rows { None } else { port.reads.as_deref() }
}

/// The name of a declared column, and whether it may be absent (`fold?`).
pub(crate) fn column_name(declared: &str) -> (&str, bool) {
    declared.strip_suffix('?').map_or((declared, false), |name| (name, true))
}

/// The columns of an artefact that a port reads, in the port's order.
///
/// # Errors
/// The name of a required column that is missing.
pub(crate) fn columns_read(port: &Port, manifest: &Manifest) -> Result<Vec<String>, String> {
    let Some(declared) = reads(port, &manifest.kind) else {
        return Ok(manifest.columns.iter().map(|column| column.name.clone()).collect());
    };
    let mut columns = Vec::new();
    for declared in declared {
        let (name, optional) = column_name(declared);
        if manifest.column(name).is_some() {
            columns.push(name.to_owned());
        } else if !optional {
            return Err(name.to_owned());
        }
    }
    Ok(columns)
}
