//! Keys: what a stage's result is stored under, and why it changed.
//!
//! | part | hashed | why |
//! | --- | --- | --- |
//! | stage kind and `VERSION` | yes | another program gives other bytes |
//! | parameters, with defaults, sorted | yes | |
//! | parameters that are paths | no | what they lead to is hashed |
//! | kind and metadata of each input | yes | classes, sample rate, recipe |
//! | columns of an input that the stage reads | yes | a changed licence retrains nothing |
//! | other columns of an input | no | |
//! | an optional input that is left out | no | a kind may get another input later |
//! | axis names and labels of a collected input | yes | a table prints them |
//! | labels and digests of declared files | yes | |
//! | device, threads, host, time, place of the files | no | kept beside the result as provenance |
//! | the stage's name, comments, order of keys in the file | no | |
//!
//! The same [`KeyParts`] that are hashed are stored with the result; [`KeyParts::difference`] compares two of them, so an
//! explanation cannot disagree with the key. Most keys are computed without making their parts, by the same [`KeyWriter`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sndpipe_cache::{Digest, Hasher, Manifest, Meta};

use crate::cell::Axes;
use crate::port::{Port, column_name, columns_read, reads};
use crate::scan::SourceFile;
use crate::word::Word;

/// Everything that a key is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyParts {
    /// The stage kind.
    pub kind: String,
    /// Its version.
    pub version: u32,
    /// Its parameters, flattened: `optimiser.rate` -> canonical JSON.
    pub params: BTreeMap<String, String>,
    /// Its inputs in port order.
    pub inputs: Vec<PortPart>,
    /// Its declared files.
    pub sources: Option<SourcesPart>,
}

/// One input port of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortPart {
    /// The port.
    pub port: String,
    /// What it reads; several where it collects.
    pub items: Vec<InputPart>,
}

/// One artefact of a key: the part of it that the stage reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPart {
    /// The cell, where the port collects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Axes,
    /// The artefact's kind.
    pub kind: String,
    /// Hash of its metadata.
    pub meta: Digest,
    /// The columns that are read, each with the hash of its values.
    pub columns: Vec<(Word, Digest)>,
}

/// The declared files of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesPart {
    /// How many there are.
    pub files: u64,
    /// Hash of their labels and digests; the list itself is a document of this name.
    pub digest: Digest,
}

/// The faces of a stage's outputs, in their order; many hold them.
pub type Faces = Arc<[Face]>;

/// What an artefact shows of itself to the keys of its readers: enough to compute them without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Content id.
    pub id: Digest,
    /// Kind.
    pub kind: Word,
    /// Hash of the metadata.
    pub meta: Digest,
    /// Columns with the hash of their values.
    pub columns: Box<[(Word, Digest)]>,
    /// Rows.
    pub rows: u64,
    /// Clips left out.
    #[serde(default)]
    pub skipped: u64,
    /// Rows with a remark.
    #[serde(default)]
    pub remarked: u64,
}

impl Face {
    /// The face of an artefact.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id,
            kind: manifest.kind.as_str().into(),
            meta: meta_digest(&manifest.meta),
            columns: manifest.columns.iter().map(|column| (column.name.as_str().into(), column.id)).collect(),
            rows: manifest.rows,
            skipped: manifest.skipped,
            remarked: manifest.remarked,
        }
    }
}

/// The columns of an artefact that a port reads.
///
/// # Errors
/// The name of a column that the artefact lacks.
fn columns_of<'f>(port: &Port, face: &'f Face) -> Result<Cow<'f, [(Word, Digest)]>, String> {
    let Some(reads) = reads(port, &face.kind) else { return Ok(Cow::Borrowed(&face.columns)) };
    let mut columns = Vec::with_capacity(reads.len());
    for name in reads {
        let (name, optional) = column_name(name);
        match face.columns.iter().find(|(column, _)| **column == *name) {
            Some(column) => columns.push(column.clone()),
            None if optional => {}
            None => return Err(name.to_owned()),
        }
    }
    Ok(Cow::Owned(columns))
}

impl InputPart {
    /// The part of an artefact that a port reads.
    ///
    /// # Errors
    /// The name of a column that the artefact lacks.
    pub fn of_face(port: &Port, axes: Axes, face: &Face) -> Result<Self, String> {
        let columns = columns_of(port, face)?.into_owned();
        Ok(Self { axes, kind: face.kind.to_string(), meta: face.meta, columns })
    }

    /// The same from a manifest.
    ///
    /// # Errors
    /// As [`InputPart::of_face`].
    pub fn of_manifest(port: &Port, axes: Axes, manifest: &Manifest) -> Result<Self, String> {
        columns_read(port, manifest)?;
        Self::of_face(port, axes, &Face::of(manifest))
    }

    pub(crate) fn hash(&self, hasher: &mut Hasher) {
        hasher.u64(self.axes.len() as u64);
        for (axis, label) in &self.axes {
            hasher.str(axis).str(label);
        }
        hasher.str(&self.kind).digest(&self.meta).u64(self.columns.len() as u64);
        for (name, id) in &self.columns {
            hasher.str(name).digest(id);
        }
    }
}

/// What a key says of a stage itself: kind, version and parameters, laid out once for all instances that have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHead(Box<[u8]>);

impl KeyHead {
    /// The head of a stage kind with these parameters.
    #[must_use]
    pub fn new(kind: &str, version: u32, params: &Value) -> Self {
        Self::of(kind, version, &flat(params))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    fn of(kind: &str, version: u32, params: &BTreeMap<String, String>) -> Self {
        let mut writer = KeyWriter(Vec::with_capacity(32 * (params.len() + 2)));
        writer.str("key").str(kind).u64(u64::from(version)).u64(params.len() as u64);
        for (name, value) in params {
            writer.str(name).str(value);
        }
        Self(writer.0.into())
    }
}

/// Lays the parts of a key out one after the other, as [`Hasher`] does; their hash is the key.
pub(crate) struct KeyWriter(Vec<u8>);

impl KeyWriter {
    /// Begins with the stage itself and the number of its ports that are connected.
    pub fn new(head: &KeyHead, ports: usize) -> Self {
        let mut bytes = Vec::with_capacity(head.0.len() + 256);
        bytes.extend_from_slice(&head.0);
        let mut writer = Self(bytes);
        writer.u64(ports as u64);
        writer
    }

    /// A connected port; so many items follow.
    pub fn port(&mut self, name: &str, items: usize) {
        self.str(name).u64(items as u64);
    }

    /// The part of an artefact that the port reads.
    ///
    /// # Errors
    /// The name of a column that the artefact lacks.
    pub fn face(&mut self, port: &Port, axes: &Axes, face: &Face) -> Result<(), String> {
        self.item(axes, &face.kind, &face.meta, &columns_of(port, face)?);
        Ok(())
    }

    fn item(&mut self, axes: &Axes, kind: &str, meta: &Digest, columns: &[(Word, Digest)]) {
        self.u64(axes.len() as u64);
        for (axis, label) in axes {
            self.str(axis).str(label);
        }
        self.str(kind).digest(meta).u64(columns.len() as u64);
        for (name, id) in columns {
            self.str(name).digest(id);
        }
    }

    /// Ends with the declared files.
    pub fn finish(mut self, sources: Option<&SourcesPart>) -> Digest {
        match sources {
            None => self.u64(0),
            Some(sources) => self.u64(1).u64(sources.files).digest(&sources.digest),
        };
        Digest::of(&self.0)
    }

    fn str(&mut self, text: &str) -> &mut Self {
        self.u64(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.extend_from_slice(digest.as_bytes());
        self
    }
}

impl KeyParts {
    /// The key.
    #[must_use]
    pub fn key(&self) -> Digest {
        let head = KeyHead::of(&self.kind, self.version, &self.params);
        let mut writer = KeyWriter::new(&head, self.inputs.len());
        for port in &self.inputs {
            writer.port(&port.port, port.items.len());
            for item in &port.items {
                writer.item(&item.axes, &item.kind, &item.meta, &item.columns);
            }
        }
        writer.finish(self.sources.as_ref())
    }

    /// Everything in which `self` (now) differs from `old` (then). Empty if and only if the keys are equal.
    #[must_use]
    pub fn difference(&self, old: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.kind != old.kind {
            changes.push(Change::Kind { old: old.kind.clone(), new: self.kind.clone() });
        }
        if self.version != old.version {
            changes.push(Change::Version { old: old.version, new: self.version });
        }
        for (name, new) in &self.params {
            if old.params.get(name) != Some(new) {
                changes.push(Change::Param {
                    name: name.clone(),
                    old: old.params.get(name).cloned(),
                    new: Some(new.clone()),
                });
            }
        }
        for (name, value) in &old.params {
            if !self.params.contains_key(name) {
                changes.push(Change::Param { name: name.clone(), old: Some(value.clone()), new: None });
            }
        }
        for port in &self.inputs {
            match old.inputs.iter().find(|before| before.port == port.port) {
                Some(before) if before == port => {}
                Some(before) => changes.push(port.change(before)),
                None => changes
                    .push(Change::Input { port: port.port.clone(), what: "newly connected".to_owned() }),
            }
        }
        for before in &old.inputs {
            if !self.inputs.iter().any(|port| port.port == before.port) {
                changes.push(Change::Input {
                    port: before.port.clone(),
                    what: "no longer connected".to_owned(),
                });
            }
        }
        if self.sources != old.sources {
            changes.push(Change::Files {
                old: old.sources.as_ref().map(|sources| sources.digest),
                new: self.sources.as_ref().map(|sources| sources.digest),
            });
        }
        if changes.is_empty() && self != old {
            changes.push(Change::Input { port: "in".to_owned(), what: "another order of inputs".to_owned() });
        }
        changes
    }
}

impl PortPart {
    fn change(&self, old: &Self) -> Change {
        let what = match (&self.items[..], &old.items[..]) {
            ([], _) => "no longer connected".to_owned(),
            (_, []) => "newly connected".to_owned(),
            ([new], [old]) if new.axes == old.axes => new.change(old),
            (new, old) => {
                let cells =
                    |items: &[InputPart]| items.iter().map(|item| item.axes.clone()).collect::<Vec<_>>();
                let changed = new.iter().filter(|item| !old.contains(item)).count();
                if cells(new) == cells(old) {
                    format!("{changed} of {} collected items changed", new.len())
                } else {
                    format!(
                        "{} collected items instead of {}, {changed} of them new or changed",
                        new.len(),
                        old.len()
                    )
                }
            }
        };
        Change::Input { port: self.port.clone(), what }
    }
}

impl InputPart {
    fn change(&self, old: &Self) -> String {
        if self.kind != old.kind {
            return format!("{} instead of {}", self.kind, old.kind);
        }
        let changed: Vec<&str> = self
            .columns
            .iter()
            .filter(|column| !old.columns.contains(column))
            .map(|(name, _)| &**name)
            .collect();
        let gone: Vec<&str> = old
            .columns
            .iter()
            .filter(|(name, _)| !self.columns.iter().any(|(column, _)| column == name))
            .map(|(name, _)| &**name)
            .collect();
        let mut parts = Vec::new();
        if !changed.is_empty() {
            parts.push(format!("{} changed", changed.join(", ")));
        }
        if !gone.is_empty() {
            parts.push(format!("{} gone", gone.join(", ")));
        }
        if self.meta != old.meta {
            parts.push("metadata changed".to_owned());
        }
        if parts.is_empty() { "another order of columns".to_owned() } else { parts.join(", ") }
    }
}

/// One reason why a key is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Another stage kind.
    Kind {
        /// Then.
        old: String,
        /// Now.
        new: String,
    },
    /// Another version of the stage's code.
    Version {
        /// Then.
        old: u32,
        /// Now.
        new: u32,
    },
    /// Another value of a parameter.
    Param {
        /// The parameter.
        name: String,
        /// Then; `None` if it was not there.
        old: Option<String>,
        /// Now; `None` if it is no longer there.
        new: Option<String>,
    },
    /// Another input.
    Input {
        /// The port.
        port: String,
        /// In what it differs.
        what: String,
    },
    /// Other declared files.
    Files {
        /// The list then.
        old: Option<Digest>,
        /// The list now.
        new: Option<Digest>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { old, new } => write!(f, "stage kind: {old} -> {new}"),
            Self::Version { old, new } => write!(f, "code version: {old} -> {new}"),
            Self::Param { name, old, new } => {
                let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
                write!(f, "{name}: {} -> {}", show(old), show(new))
            }
            Self::Input { port, what } => write!(f, "input {port}: {what}"),
            Self::Files { .. } => f.write_str("source files changed"),
        }
    }
}

/// JSON with sorted keys and no white space.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => drop(write!(out, "{number}")),
        Value::String(text) => write_text(text, out),
    }
}

/// A JSON string.
fn write_text(text: &str, out: &mut String) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.reserve(text.len() + 2);
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// Parameters by path: `optimiser.rate` -> canonical JSON.
pub(crate) fn flat(params: &Value) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    flatten("", params, &mut flat);
    flat
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, into);
            }
        }
        Value::Object(_) if prefix.is_empty() => {}
        other => drop(into.insert(prefix.to_owned(), canonical(other))),
    }
}

/// Hash of an artefact's metadata.
#[must_use]
pub fn meta_digest(meta: &Meta) -> Digest {
    let mut hasher = Hasher::new("meta");
    for (name, value) in meta {
        hasher.str(name).str(&canonical(value));
    }
    hasher.finish()
}

impl SourcesPart {
    /// The part of these files, which are sorted by label.
    #[must_use]
    pub fn of(files: &[SourceFile]) -> Self {
        let mut hasher = Hasher::new("sources");
        for source in files {
            hasher.str(&source.label).digest(&source.digest());
        }
        Self { files: files.len() as u64, digest: hasher.finish() }
    }
}
