//! Weights from elsewhere: safetensors files whose tensors have other names, types or shapes.

use std::collections::{BTreeMap, BTreeSet};

use dfdx::tensor::Cpu;
use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Device, NnError,
    checkpoint::{Archive, floats, is_counter, open},
    model::network_json,
    net::{InputShape, Network, NetworkSpec},
    parameter::{Parameters, RUNNING_VAR},
};

/// How the tensors of a file find the parameters of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loading {
    /// Tensors whose names in the file start with one of these are left out.
    pub drop: Vec<String>,
    /// Names that start with the first text have the second one in its place; of several that fit, the first counts.
    pub rename: Vec<(String, String)>,
    /// What may differ.
    pub partial: Partial,
}

/// How far a file and a network may differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partial {
    /// Not at all.
    #[default]
    None,
    /// What the file lacks keeps its initial value, what the network lacks is left out.
    Names,
    /// The same, and what has another shape keeps its initial value, too.
    Shapes,
}

/// What became of the tensors of a file; each list is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters and buffers of the network that the file has filled.
    pub loaded: Vec<String>,
    /// Those that keep their initial values.
    pub kept: Vec<String>,
    /// Tensors of the file, under their names there, that went nowhere.
    pub ignored: Vec<String>,
}

/// A safetensors file of any origin.
///
/// F64, F16 and BF16 are rounded to f32. PyTorch's counters `num_batches_tracked` are left out.
#[derive(Debug)]
pub struct WeightFile<'a>(SafeTensors<'a>);

/// A tensor with its name in the file.
type Found<'a> = (String, TensorView<'a>);

impl<'a> WeightFile<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// [`NnError::Weights`] where it is no safetensors file, or its header does not fit its size.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NnError> {
        open(bytes).map(WeightFile).map_err(|reason| NnError::Weights { reason })
    }

    /// Rows of the classifier's weight, by its name after renaming; none where the file has no such tensor.
    ///
    /// # Errors
    /// [`NnError::Weights`] where two tensors get one name.
    pub fn outputs(&self, network: &NetworkSpec, loading: &Loading) -> Result<Option<usize>, NnError> {
        let (found, _) = self.named(loading)?;
        let weight = found.get(&format!("{}.weight", network.classifier()));
        // A tensor without numbers may claim any number of rows.
        let rows =
            weight.filter(|(_, view)| !view.data().is_empty()).and_then(|(_, view)| view.shape().first());
        Ok(rows.copied())
    }

    /// The file as a model of a network, as safetensors that [`Model::load`](crate::Model::load) reads, with `meta` beside
    /// the network's description. What the file does not fill has initial values drawn from `seed`.
    ///
    /// # Errors
    /// [`NnError::Mismatch`] where file and network differ by more than `loading` allows, or have nothing in common;
    /// [`NnError::Weights`] where a tensor is not of floats, holds values that are not finite or negative variances, or two get one name;
    /// those of [`Network::new`].
    pub fn to_model(
        &self,
        network: &NetworkSpec,
        (input, outputs): (InputShape, usize),
        seed: u64,
        loading: &Loading,
        meta: &Value,
    ) -> Result<(Vec<u8>, LoadReport), NnError> {
        let mut network = Network::new(Cpu::default(), network, input, outputs, seed)?;
        let report = self.fill(network.parameters_mut(), loading)?;
        let mut archive = Archive { metadata: network_json(&network, meta), ..Archive::default() };
        archive.put_parameters("", network.parameters());
        Ok((archive.to_bytes()?, report))
    }

    /// The tensors by their new names, and the names of those that are dropped.
    fn named(&self, loading: &Loading) -> Result<(BTreeMap<String, Found<'a>>, Vec<String>), NnError> {
        let (mut found, mut dropped) = (BTreeMap::<String, Found<'a>>::new(), Vec::new());
        let tensors: BTreeMap<String, TensorView<'a>> = self.0.tensors().into_iter().collect();
        for (name, view) in tensors {
            if is_counter(&name) {
                continue;
            }
            if loading.drop.iter().any(|prefix| name.starts_with(prefix)) {
                dropped.push(name);
                continue;
            }
            let renamed = loading
                .rename
                .iter()
                .find_map(|(from, to)| name.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")));
            let new = renamed.unwrap_or_else(|| name.clone());
            if let Some((other, _)) = found.get(&new) {
                return Err(NnError::Weights {
                    reason: format!("`{other}` and `{name}` both become `{new}`"),
                });
            }
            found.insert(new, (name, view));
        }
        Ok((found, dropped))
    }

    /// Fills parameters and buffers; nothing is changed on failure.
    fn fill<D: Device>(
        &self,
        parameters: &mut Parameters<D>,
        loading: &Loading,
    ) -> Result<LoadReport, NnError> {
        let (mut found, mut ignored) = self.named(loading)?;
        let (mut missing, mut mismatched, mut ready) = (Vec::new(), BTreeMap::new(), Vec::new());
        let device = parameters.device().clone();
        for p in parameters.iter_mut() {
            match found.remove(&p.name) {
                None => missing.push(p.name.clone()),
                Some((name, view)) if view.shape() != p.shape => {
                    let shapes = format!("{}: network {:?}, file {:?}", p.name, p.shape, view.shape());
                    mismatched.insert(p.name.clone(), (name, shapes));
                }
                Some(tensor) => ready.push((p, tensor)),
            }
        }
        let strict = loading.partial == Partial::None;
        let unexpected: Vec<String> = found.into_values().map(|(name, _)| name).collect();
        let refused = if ready.is_empty() || strict {
            !(missing.is_empty() && unexpected.is_empty() && mismatched.is_empty())
        } else {
            loading.partial == Partial::Names && !mismatched.is_empty()
        };
        if refused {
            let all = ready.is_empty() || strict;
            let names = |names: Vec<String>| if all { names } else { Vec::new() };
            return Err(NnError::Mismatch {
                missing: names(missing),
                unexpected: names(unexpected),
                mismatched: mismatched.into_values().map(|(_, shapes)| shapes).collect(),
            });
        }
        let mut kept: BTreeSet<String> = missing.into_iter().collect();
        for (name, (file, _)) in mismatched {
            kept.insert(name);
            ignored.push(file);
        }
        ignored.extend(unexpected);
        ignored.sort();
        let ready = ready
            .into_iter()
            .map(|(p, (name, view))| {
                let values = floats(&name, &view).map_err(|reason| NnError::Weights { reason })?;
                match fault(&p.name, &values) {
                    None => Ok((p, values)),
                    Some(fault) => Err(NnError::Weights { reason: format!("tensor `{name}` holds {fault}") }),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut loaded = Vec::with_capacity(ready.len());
        for (p, values) in ready {
            let length = values.len();
            p.value =
                device.try_tensor_from_vec(values, (length,)).map_err(NnError::kernel("loading weights"))?;
            loaded.push(p.name.clone());
        }
        loaded.sort();
        Ok(LoadReport { loaded, kept: kept.into_iter().collect(), ignored })
    }
}

/// What no network can compute with, in the values of a parameter or a buffer.
fn fault(parameter: &str, values: &[f32]) -> Option<String> {
    if !values.iter().all(|value| value.is_finite()) {
        return Some("values that are NaN, infinite or too large for f32".to_owned());
    }
    let least = values.iter().copied().fold(0.0, f32::min);
    let variance = parameter == RUNNING_VAR || parameter.ends_with(&format!(".{RUNNING_VAR}"));
    (variance && least < 0.0).then(|| {
        let count = values.iter().filter(|value| **value < 0.0).count();
        format!("negative variances ({count} of {}, the least is {least})", values.len())
    })
}
