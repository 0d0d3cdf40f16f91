//! The stage kinds that a pipeline file can name, with their types erased.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use schemars::{JsonSchema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::bound::{BoundStage, StageKind, Upstream};
use crate::error::{ParamError, StageError};
use crate::io::StageIo;
use crate::key::KeyHead;
use crate::map;
use crate::misfit::{self, Misfit};
use crate::port::{Output, Port};
use crate::scan::SourceScan;
use crate::stage::{MapStage, Stage};

/// Every stage kind by name.
#[derive(Default, Clone)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn StageKind>>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage kind.
    #[must_use]
    pub fn with<S: Stage>(mut self) -> Self {
        self.kinds.insert(S::NAME, Arc::new(PlainKind::<S>(OnceLock::new(), Ports::default(), PhantomData)));
        self
    }

    /// Adds a stage kind that maps clips to rows.
    #[must_use]
    pub fn with_map<M: MapStage>(mut self) -> Self {
        self.kinds.insert(M::NAME, Arc::new(MapKind::<M>(OnceLock::new(), Ports::default(), PhantomData)));
        self
    }

    /// The kind of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn StageKind>> {
        self.kinds.get(name)
    }

    /// Every kind, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn StageKind>> {
        self.kinds.values()
    }
}

struct Bound<P> {
    typed: P,
    with: Box<str>,
    /// Made when somebody asks: few do, and there may be a hundred thousand sets of parameters.
    params: OnceLock<Value>,
    head: KeyHead,
    inputs: Arc<[Port]>,
    outputs: Arc<[Output]>,
}

/// The ports of the parameters that were bound last: most of a kind have the same, which they share.
#[derive(Default)]
struct Ports(Mutex<Shared>);

type Shared = (Arc<[Port]>, Arc<[Output]>);

impl Ports {
    fn of(&self, inputs: Vec<Port>, outputs: Vec<Output>) -> Shared {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last.0 != *inputs {
            last.0 = inputs.into();
        }
        if *last.1 != *outputs {
            last.1 = outputs.into();
        }
        last.clone()
    }
}

impl<P: Serialize> Bound<P> {
    fn params(&self) -> &Value {
        // They were made once already, for the head.
        self.params.get_or_init(|| serde_json::to_value(&self.typed).unwrap_or_default())
    }
}

struct PlainKind<S>(OnceLock<Value>, Ports, PhantomData<fn() -> S>);
struct PlainStage<S: Stage>(Bound<S::Params>);
struct MapKind<M>(OnceLock<Value>, Ports, PhantomData<fn() -> M>);
struct MappedStage<M: MapStage>(Bound<M::Params>);

impl<S: Stage> PlainStage<S> {
    fn new(typed: S::Params, with: &str, head: KeyHead, ports: &Ports) -> Self {
        let (inputs, outputs) = ports.of(S::inputs(&typed), S::outputs(&typed));
        Self(Bound { typed, with: with.into(), params: OnceLock::new(), head, inputs, outputs })
    }
}

impl<M: MapStage> MappedStage<M> {
    fn new(typed: M::Params, with: &str, head: KeyHead, ports: &Ports) -> Self {
        let mut inputs = vec![M::input(&typed)];
        inputs.extend(M::others(&typed));
        inputs.extend(M::selector(&typed).map(|selector| selector.port));
        let (inputs, outputs) = ports.of(inputs, vec![M::output(&typed)]);
        Self(Bound { typed, with: with.into(), params: OnceLock::new(), head, inputs, outputs })
    }
}

impl<S: Stage> StageKind for PlainKind<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }
    fn version(&self) -> u32 {
        S::VERSION
    }
    fn source(&self) -> &'static str {
        S::SOURCE
    }
    fn schema(&self) -> &Value {
        self.0.get_or_init(|| schema_for!(S::Params).to_value())
    }
    fn bind(&self, with: &Value) -> Result<Arc<dyn BoundStage>, Vec<ParamError>> {
        let (typed, params) = parse::<S::Params>(with, S::check)?;
        let head = KeyHead::new(S::NAME, S::VERSION, &params);
        Ok(Arc::new(PlainStage::<S>::new(typed, &with.to_string(), head, &self.1)))
    }
    fn bind_again(&self, with: &str, head: KeyHead) -> Option<Arc<dyn BoundStage>> {
        Some(Arc::new(PlainStage::<S>::new(again(with)?, with, head, &self.1)))
    }
}

impl<M: MapStage> StageKind for MapKind<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }
    fn version(&self) -> u32 {
        M::VERSION
    }
    fn source(&self) -> &'static str {
        M::SOURCE
    }
    fn schema(&self) -> &Value {
        self.0.get_or_init(|| schema_for!(M::Params).to_value())
    }
    fn bind(&self, with: &Value) -> Result<Arc<dyn BoundStage>, Vec<ParamError>> {
        let (typed, params) = parse::<M::Params>(with, M::check)?;
        let head = KeyHead::new(M::NAME, M::VERSION, &params);
        Ok(Arc::new(MappedStage::<M>::new(typed, &with.to_string(), head, &self.1)))
    }
    fn bind_again(&self, with: &str, head: KeyHead) -> Option<Arc<dyn BoundStage>> {
        Some(Arc::new(MappedStage::<M>::new(again(with)?, with, head, &self.1)))
    }
}

impl<S: Stage> BoundStage for PlainStage<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }
    fn version(&self) -> u32 {
        S::VERSION
    }
    fn params(&self) -> &Value {
        self.0.params()
    }
    fn with(&self) -> &str {
        &self.0.with
    }
    fn head(&self) -> &KeyHead {
        &self.0.head
    }
    fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }
    fn outputs(&self) -> &[Output] {
        &self.0.outputs
    }
    fn check_wiring(&self, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        S::check_wiring(&self.0.typed, upstream)
    }
    fn wants_accelerator(&self) -> bool {
        S::wants_accelerator(&self.0.typed)
    }
    fn sources(&self, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        S::sources(&self.0.typed, scan)
    }
    fn run(&self, io: &mut StageIo<'_>) -> Result<(), StageError> {
        S::run(&self.0.typed, io)
    }
}

impl<M: MapStage> BoundStage for MappedStage<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }
    fn version(&self) -> u32 {
        M::VERSION
    }
    fn params(&self) -> &Value {
        self.0.params()
    }
    fn with(&self) -> &str {
        &self.0.with
    }
    fn head(&self) -> &KeyHead {
        &self.0.head
    }
    fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }
    fn outputs(&self) -> &[Output] {
        &self.0.outputs
    }
    fn check_wiring(&self, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
        M::check_wiring(&self.0.typed, upstream)
    }
    fn wants_accelerator(&self) -> bool {
        M::wants_accelerator(&self.0.typed)
    }
    fn sources(&self, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        M::sources(&self.0.typed, scan)
    }
    fn run(&self, io: &mut StageIo<'_>) -> Result<(), StageError> {
        map::run::<M>(&self.0.typed, self.0.params(), io)
    }
}

/// Parses parameters that were parsed before.
fn again<P: DeserializeOwned>(with: &str) -> Option<P> {
    misfit::read(&serde_json::from_str(with).ok()?).ok()
}

/// How many values are parsed in the search for every mistake in the parameters of one stage: it begins anew behind each one.
const WORK: usize = 20_000_000;

/// Parses parameters. Gathers every mistake: after one was found its parameter is set aside and the rest is tried again.
fn parse<P>(with: &Value, check: fn(&P) -> Vec<ParamError>) -> Result<(P, Value), Vec<ParamError>>
where
    P: Serialize + DeserializeOwned + JsonSchema,
{
    if let Ok(typed) = misfit::read::<P>(with) {
        let errors = check(&typed);
        if !errors.is_empty() {
            return Err(errors);
        }
        let params =
            serde_json::to_value(&typed).map_err(|error| vec![ParamError::new("", error.to_string())])?;
        return Ok((typed, params));
    }
    let mut errors: Vec<ParamError> = Vec::new();
    let mut with = Cow::Borrowed(with);
    let (values, mut work) = (size(&with), 0);
    loop {
        if work > WORK {
            return Err(errors);
        }
        match misfit::read::<P>(&with) {
            Ok(typed) => {
                // What was set aside has its default here, about which nothing is to be said.
                let aside: Vec<String> = errors.iter().map(|error| first(&error.path).to_owned()).collect();
                errors.extend(
                    check(&typed)
                        .into_iter()
                        .filter(|error| !aside.iter().any(|aside| aside == first(&error.path))),
                );
                return Err(errors);
            }
            Err(Misfit { path, error }) => {
                let (path, message) = inside(path, &error.to_string());
                let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
                let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
                let at = match unknown.or(missing) {
                    Some(field) if !path.ends_with(field) && !path.is_empty() => format!("{path}.{field}"),
                    Some(field) if path.is_empty() => field.to_owned(),
                    _ => path,
                };
                if let Some(field) = missing {
                    // A field that was set aside above is missing for that reason only; either way nothing more can be parsed.
                    if errors.iter().all(|earlier| first(&earlier.path) != first(&at)) {
                        errors.push(ParamError::new(parent(&at), format!("`{field}` is missing")));
                    }
                    return Err(errors);
                }
                // A list is set aside whole: without one of its items the others would change their places.
                let aside = at.split('[').next().unwrap_or_default();
                if let Some(field) = unknown.filter(|_| aside == at) {
                    // Others that are as unknown are found here and not one by one.
                    let known: BTreeSet<String> =
                        message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
                    let map = (!known.is_empty()).then(|| lead(with.to_mut(), &parent(aside))).flatten();
                    for other in map.map(|map| strangers(map, field, &known)).unwrap_or_default() {
                        let message = message.replacen(field, &other, 1);
                        let at = at
                            .strip_suffix(field)
                            .map_or_else(|| other.clone(), |head| format!("{head}{other}"));
                        errors.push(ParamError::new(at, message));
                    }
                }
                work += behind(&mut with, aside, values.saturating_sub(errors.len()));
                let removed = remove(with.to_mut(), aside);
                errors.push(ParamError::new(at, message));
                if !removed {
                    return Err(errors);
                }
            }
        }
    }
}

/// The place and the message of an error that begins with where it is inside of a value: `item 2: ` for the second of a list, and a field
/// between backticks. The field `name` is at the value that it names.
fn inside(mut path: String, mut message: &str) -> (String, String) {
    loop {
        let item = message.strip_prefix("item ").and_then(|rest| rest.split_once(": "));
        let field = message.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
        if let Some((number, rest)) =
            item.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)))
        {
            path.push_str(&format!("[{}]", number.saturating_sub(1)));
            message = rest;
        } else if let Some((field, rest)) = field {
            if field != "name" {
                path.push_str(&format!(".{field}"));
            }
            message = rest;
        } else {
            return (path, message.to_owned());
        }
    }
}

/// The first step of a path.
fn first(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

fn parent(path: &str) -> String {
    path.rsplit_once('.').map_or(String::new(), |(head, _)| head.to_owned())
}

/// Removes what a path like `optimiser.rate` leads to.
fn remove(value: &mut Value, path: &str) -> bool {
    let (head, last) = path.rsplit_once('.').map_or(("", path), |(head, last)| (head, last));
    lead(value, head).is_some_and(|map| map.remove(last).is_some())
}

/// The map that a path leads to.
fn lead<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Map<String, Value>> {
    let mut steps = path.split('.').filter(|step| !step.is_empty());
    steps.try_fold(value, |at, step| at.as_object_mut()?.get_mut(step))?.as_object_mut()
}

/// Takes out the fields that are not known, but for one, and gives their names.
fn strangers(map: &mut Map<String, Value>, but: &str, known: &BTreeSet<String>) -> Vec<String> {
    let strange = map.keys().filter(|field| *field != but && !known.contains(*field));
    let strange: Vec<String> = strange.cloned().collect();
    strange.iter().for_each(|field| drop(map.remove(field)));
    strange
}

/// How many of so many values are parsed again until a mistake is reached: all but those behind it in its own map.
fn behind(with: &mut Cow<'_, Value>, path: &str, values: usize) -> usize {
    let (head, last) = path.rsplit_once('.').map_or(("", path), |(head, last)| (head, last));
    let map = lead(with.to_mut(), head);
    let behind = map.map_or(0, |map| map.len() - map.keys().take_while(|key| *key != last).count());
    values.saturating_sub(behind)
}

/// How many values a tree of them has.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}
