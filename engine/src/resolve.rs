//! From declared files and known inputs to the key of an instance: the part that planning and running share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sndpipe_cache::{Digest, Store};

use crate::bound::BoundStage;
use crate::cell::{InstanceId, Item};
use crate::count::counted;
use crate::error::StageError;
use crate::graph::{Graph, Instance};
use crate::history::History;
use crate::key::{Face, Faces, InputPart, KeyParts, KeyWriter, PortPart, SourcesPart, flat};
use crate::port::Port;
use crate::record::{Record, read_sources};
use crate::scan::{SourceFile, SourceScan, title};
use crate::spec::{SpecError, SpecErrors};

/// The files outside the cache that a pipeline reads.
#[derive(Default)]
pub struct Sources {
    by_instance: BTreeMap<InstanceId, Declared>,
    /// Where each content lies.
    pub files: BTreeMap<Digest, PathBuf>,
}

/// The files of a stage, and what its key says of them.
#[derive(Clone)]
struct Declared {
    files: Arc<Vec<SourceFile>>,
    part: SourcesPart,
}

/// Why the declared files could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The data set or a path in the pipeline is wrong.
    #[error(transparent)]
    Spec(#[from] SpecErrors),
    /// The cache could not be used.
    #[error(transparent)]
    Cache(#[from] sndpipe_cache::CacheError),
}

impl Sources {
    /// Looks at the files of the instances `targets` (all if empty) and of what they need; stages with equal parameters are asked once.
    /// What is wrong with the data of other stages is nothing that stops these.
    ///
    /// # Errors
    /// [`ScanError::Spec`] with every data set that is wrong, at its place in the pipeline file.
    pub fn scan(graph: &Graph, store: &Store, targets: &[InstanceId]) -> Result<Self, ScanError> {
        let needed = graph.needed(targets);
        let mut seen: BTreeMap<usize, Declared> = BTreeMap::new();
        let mut sources = Self::default();
        let mut errors: Vec<SpecError> = Vec::new();
        for (id, instance) in graph.instances.iter().enumerate().filter(|(id, _)| needed[*id]) {
            let address = Arc::as_ptr(&instance.bound).cast::<()>() as usize;
            let declared = match seen.get(&address) {
                Some(declared) => declared.clone(),
                None => {
                    let mut scan = SourceScan::new(store);
                    let files = match instance.bound.sources(&mut scan) {
                        Ok(()) => Arc::new(scan.finish()),
                        Err(StageError::Cache(error)) => return Err(error.into()),
                        Err(
                            StageError::Failed { message, help } | StageError::Passing { message, help, .. },
                        ) => {
                            let message = format!("stage `{}`: {message}", instance.stage);
                            errors.push(graph.source.error("data", instance.span, message, help));
                            Arc::default()
                        }
                        Err(StageError::Interrupted | StageError::Elsewhere { .. }) => Arc::default(),
                    };
                    for file in files.iter().filter_map(SourceFile::file) {
                        sources.files.entry(file.digest).or_insert_with(|| file.path.clone());
                    }
                    let declared = Declared { part: SourcesPart::of(&files), files };
                    seen.insert(address, declared.clone());
                    declared
                }
            };
            if !declared.files.is_empty() {
                sources.by_instance.insert(id, declared);
            }
        }
        if errors.is_empty() { Ok(sources) } else { Err(SpecErrors::of(errors).into()) }
    }

    /// The declared files of an instance.
    #[must_use]
    pub fn of(&self, id: InstanceId) -> Option<&Arc<Vec<SourceFile>>> {
        self.by_instance.get(&id).map(|declared| &declared.files)
    }

    fn part(&self, id: InstanceId) -> Option<&SourcesPart> {
        self.by_instance.get(&id).map(|declared| &declared.part)
    }
}

/// The key of an instance, once every input is known: that of its [`key_parts`], without making them.
///
/// # Errors
/// As [`key_parts`].
pub fn key(
    graph: &Graph,
    id: InstanceId,
    faces: &[Option<Faces>],
    sources: &Sources,
) -> Result<Option<Digest>, String> {
    let instance = &graph.instances[id];
    let bound: &dyn BoundStage = &*instance.bound;
    let connected = instance.inputs.iter().filter(|input| !input.items.is_empty()).count();
    let mut writer = KeyWriter::new(bound.head(), connected);
    for (port, input) in bound.inputs().iter().zip(&instance.inputs).filter(|(_, i)| !i.items.is_empty()) {
        writer.port(&port.name, input.items.len());
        for item in &input.items {
            let Some(face) = face(faces, item) else { return Ok(None) };
            writer
                .face(port, &item.axes, face)
                .map_err(|column| lacking(graph, instance, port, item, &column))?;
        }
    }
    Ok(Some(writer.finish(sources.part(id))))
}

fn face<'f>(faces: &'f [Option<Faces>], item: &Item) -> Option<&'f Face> {
    faces[item.from].as_ref()?.get(item.output)
}

fn lacking(graph: &Graph, instance: &Instance, port: &Port, item: &Item, column: &str) -> String {
    let producer = &graph.instances[item.from].stage;
    format!(
        "`{producer}` has no column `{column}`, which the input `{}` of `{}` reads",
        port.name, instance.stage
    )
}

/// The parts of an instance's key, once every input is known.
///
/// # Errors
/// A message if an input lacks a column that the stage reads.
pub fn key_parts(
    graph: &Graph,
    id: InstanceId,
    faces: &[Option<Faces>],
    sources: &Sources,
) -> Result<Option<KeyParts>, String> {
    let instance = &graph.instances[id];
    let bound: &dyn BoundStage = &*instance.bound;
    let mut inputs = Vec::with_capacity(instance.inputs.len());
    for (port, input) in bound.inputs().iter().zip(&instance.inputs) {
        let mut items = Vec::with_capacity(input.items.len());
        for item in &input.items {
            let Some(face) = face(faces, item) else { return Ok(None) };
            let part = InputPart::of_face(port, item.axes.clone(), face);
            items.push(part.map_err(|column| lacking(graph, instance, port, item, &column))?);
        }
        // An input that is left out is no part of the key, so that a kind may get another one later.
        if !items.is_empty() {
            inputs.push(PortPart { port: port.name.clone(), items });
        }
    }
    Ok(Some(KeyParts {
        kind: bound.name().to_owned(),
        version: bound.version(),
        params: flat(bound.params()),
        inputs,
        sources: sources.part(id).copied(),
    }))
}

/// What changed since the last run of an instance: lines for people, the most telling first.
#[must_use]
pub fn changes(
    store: &Store,
    history: &History,
    name: &str,
    key: &Digest,
    now: &KeyParts,
    sources: Option<&[SourceFile]>,
) -> Vec<String> {
    let Some(last) = history.key(name) else { return vec!["never ran".to_owned()] };
    if last == key {
        return vec!["its result is no longer in the cache".to_owned()];
    }
    let Some(record) = Record::read(store, last) else {
        return vec!["the record of its last run is no longer in the cache".to_owned()];
    };
    let mut lines = Vec::new();
    for change in now.difference(&record.parts) {
        match &change {
            crate::key::Change::Files { old: Some(old), .. } => match (read_sources(store, old), sources) {
                (Some(old), Some(new)) => lines.extend(file_changes(&old, new)),
                _ => lines.push(change.to_string()),
            },
            _ => lines.push(change.to_string()),
        }
    }
    lines
}

fn file_changes(old: &BTreeMap<String, Digest>, new: &[SourceFile]) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut lines = Vec::new();
    let short = |digest: &Digest| digest.to_string()[..8].to_owned();
    let mut named: BTreeMap<&str, Digest> = BTreeMap::new();
    for source in new {
        named.insert(&source.label, source.digest());
        match old.get(&source.label) {
            None => lines.push(format!("{}: added", title(&source.label))),
            Some(before) if *before != source.digest() => {
                let (title, now) = (title(&source.label), short(&source.digest()));
                lines.push(format!("{title}: {} -> {now}", short(before)));
            }
            Some(_) => {}
        }
    }
    lines.extend(
        old.keys()
            .filter(|label| !named.contains_key(label.as_str()))
            .map(|label| format!("{}: removed", title(label))),
    );
    let more = lines.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.truncate(SHOWN);
        lines.push(format!("and {}", counted(more, "more file")));
    }
    lines
}
