//! A checked graph, remembered under everything that it was made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, Digest, FileVersion, Store};

use super::error::SpecErrors;
use super::load::load;
use super::overrides;
use super::source::{Source, Span};
use crate::bound::BoundStage;
use crate::cell::{Axes, Item};
use crate::graph::{Graph, Input, Instance};
use crate::key::KeyHead;
use crate::registry::Registry;

/// A graph with fewer sets of parameters is checked anew in less time than it takes to store it.
const MANY: usize = 1000;

/// As [`load`]; a large graph is kept in the cache, and not parsed and checked again as long as its files, `--set` and this program
/// are the same.
///
/// # Errors
/// As [`load`].
pub fn load_remembered(
    path: &Path,
    overrides: &[(String, String)],
    registry: &Registry,
    store: &Store,
) -> Result<Graph, SpecErrors> {
    let Some(program) = program() else { return load(path, overrides, registry) };
    let name = Digest::of(format!("graph 2\n{}", path.display()).as_bytes()).to_string();
    if let Ok(Some(bytes)) = store.document(Bucket::Pipelines, &name)
        && let Some(graph) = recall(&bytes, &program, overrides, registry)
    {
        return Ok(graph);
    }
    let graph = load(path, overrides, registry)?;
    if store.is_writable()
        && let Some(bytes) = remember(&graph, program, overrides)
        && let Err(error) = store.put_document(Bucket::Pipelines, &name, &bytes)
    {
        // It costs time, never correctness.
        tracing::warn!("the graph of {} could not be remembered: {error}", path.display());
    }
    Ok(graph)
}

/// The version of this program's file; `None` where it is told from that of another one by nothing.
fn program() -> Option<FileVersion> {
    let version = FileVersion::of_file(&std::env::current_exe().ok()?).ok()?;
    version.volume.is_some().then_some(version)
}

/// What a graph was made of.
#[derive(Serialize, Deserialize)]
struct Origin {
    program: FileVersion,
    overrides: Vec<(String, String)>,
    files: Vec<File>,
}

/// A pipeline file.
#[derive(Serialize, Deserialize)]
struct File {
    path: PathBuf,
    name: String,
    bytes: u64,
    digest: Digest,
}

impl File {
    /// The text, if it is what it was.
    fn read(&self) -> Option<String> {
        let same = fs_err::metadata(&self.path).is_ok_and(|file| file.len() == self.bytes);
        let text = same.then(|| fs_err::read_to_string(&self.path).ok())??;
        (Digest::of(text.as_bytes()) == self.digest).then_some(text)
    }
}

/// A graph in which every text and every set of parameters stands once.
#[derive(Serialize, Deserialize)]
struct Memory<'m> {
    name: &'m str,
    #[serde(borrow)]
    words: Vec<&'m str>,
    bound: Vec<Bound<'m>>,
    /// Name, first instance and number of instances.
    stages: Vec<(u32, usize, usize)>,
    instances: Vec<Cell>,
}

#[derive(Serialize, Deserialize)]
struct Bound<'m> {
    kind: &'m str,
    with: &'m str,
    #[serde(borrow)]
    head: &'m [u8],
}

/// Positions in `words`, in pairs of axis and label.
type Labels = Vec<(u32, u32)>;

#[derive(Serialize, Deserialize)]
struct Cell {
    stage: u32,
    axes: Labels,
    bound: u32,
    keep: bool,
    span: Span,
    inputs: Vec<Wired>,
}

/// The port's name, its place, and of each item the instance, the output and the cell.
type Wired = (u32, Span, Vec<(usize, usize, Labels)>);

fn remember(graph: &Graph, program: FileVersion, overrides: &[(String, String)]) -> Option<Vec<u8>> {
    let mut words = Words::default();
    let mut bound: Vec<Bound<'_>> = Vec::new();
    let mut known: BTreeMap<usize, u32> = BTreeMap::new();
    let mut cells = Vec::with_capacity(graph.instances.len());
    for instance in &graph.instances {
        let number = *known.entry(Arc::as_ptr(&instance.bound).cast::<()>() as usize).or_insert_with(|| {
            let stage = &*instance.bound;
            bound.push(Bound { kind: stage.name(), with: stage.with(), head: stage.head().as_bytes() });
            u32::try_from(bound.len() - 1).unwrap_or(u32::MAX)
        });
        let inputs = instance.inputs.iter().map(|input| words.port(input)).collect();
        let (stage, axes) = (words.of(&instance.stage), words.labels(&instance.axes));
        cells.push(Cell { stage, axes, bound: number, keep: instance.keep, span: instance.span, inputs });
    }
    if bound.len() < MANY {
        return None;
    }
    let stages =
        graph.stages.iter().map(|(name, ids)| (words.of(name), ids.first().copied().unwrap_or(0), ids.len()));
    let stages = stages.collect();
    let files = graph.source.on_disk().map(|(path, name, text)| File {
        path: path.to_owned(),
        name: name.to_owned(),
        bytes: text.len() as u64,
        digest: Digest::of(text.as_bytes()),
    });
    let origin = Origin { program, overrides: overrides.to_vec(), files: files.collect() };
    let memory = Memory { name: &graph.name, words: words.all, bound, stages, instances: cells };
    let origin = postcard::to_allocvec(&origin).ok()?;
    postcard::to_extend(&memory, origin).ok()
}

fn recall(
    bytes: &[u8],
    program: &FileVersion,
    overrides: &[(String, String)],
    registry: &Registry,
) -> Option<Graph> {
    let (origin, rest) = postcard::take_from_bytes::<Origin>(bytes).ok()?;
    if origin.program != *program || origin.overrides != overrides {
        return None;
    }
    let mut source = Source::default();
    for file in &origin.files {
        source.add_file(&file.path, &file.name, file.read()?);
    }
    overrides::add(overrides, &mut source);
    let Memory { name, words, bound, stages, instances } = postcard::from_bytes(rest).ok()?;
    let bind = |Bound { kind, with, head }: &Bound<'_>| {
        registry.get(kind)?.bind_again(with, KeyHead::from_bytes(head))
    };
    let bound: Vec<Arc<dyn BoundStage>> =
        bound.par_iter().with_min_len(64).map(bind).collect::<Option<_>>()?;
    let word = |at: u32| Some((*words.get(at as usize)?).to_owned());
    let labels = |labels: Labels| {
        labels.into_iter().map(|(axis, label)| Some((word(axis)?, word(label)?))).collect::<Option<Axes>>()
    };
    let instance = |cell: Cell| {
        let input = |(port, span, items): Wired| {
            let item = |(from, output, axes)| Some(Item { from, output, axes: labels(axes)? });
            Some(Input {
                port: word(port)?,
                items: items.into_iter().map(item).collect::<Option<_>>()?,
                span,
            })
        };
        Some(Instance {
            stage: word(cell.stage)?,
            axes: labels(cell.axes)?,
            bound: Arc::clone(bound.get(cell.bound as usize)?),
            inputs: cell.inputs.into_iter().map(input).collect::<Option<_>>()?,
            keep: cell.keep,
            span: cell.span,
        })
    };
    Some(Graph {
        name: name.to_owned(),
        source: Arc::new(source),
        instances: instances.into_iter().map(instance).collect::<Option<_>>()?,
        stages: stages
            .into_iter()
            .map(|(name, first, count)| Some((word(name)?, (first..first + count).collect())))
            .collect::<Option<_>>()?,
    })
}

/// Texts by number.
#[derive(Default)]
struct Words<'m> {
    all: Vec<&'m str>,
    index: BTreeMap<&'m str, u32>,
}

impl<'m> Words<'m> {
    fn of(&mut self, text: &'m str) -> u32 {
        *self.index.entry(text).or_insert_with(|| {
            self.all.push(text);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn port(&mut self, input: &'m Input) -> Wired {
        let items = input.items.iter().map(|item| (item.from, item.output, self.labels(&item.axes)));
        let items = items.collect();
        (self.of(&input.port), input.span, items)
    }

    fn labels(&mut self, axes: &'m Axes) -> Labels {
        axes.iter().map(|(axis, label)| (self.of(axis), self.of(label))).collect()
    }
}
