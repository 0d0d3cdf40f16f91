//! Reading and writing safetensors.

use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::{Device, NnError, parameter::Parameters, tensor::Tensor1};

/// The one metadata key of a checkpoint; its value is JSON with sorted keys.
pub const METADATA_KEY: &str = "sndpipe";

/// JSON with the keys of every object sorted, so that equal values give equal bytes.
pub(crate) fn sorted_json(value: &Value) -> String {
    fn sort(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let sorted: BTreeMap<&String, Value> = map.iter().map(|(k, v)| (k, sort(v))).collect();
                sorted.into_iter().map(|(k, v)| (k.clone(), v)).collect()
            }
            Value::Array(items) => items.iter().map(sort).collect(),
            other => other.clone(),
        }
    }
    sort(value).to_string()
}

/// Named f32 tensors with a JSON value.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub(crate) metadata: Value,
}

impl Archive {
    /// The archive as safetensors; equal archives give equal bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, NnError> {
        let bytes: BTreeMap<&String, (&Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name, (shape, bytes))
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, (shape, bytes))| {
                TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|v| (name, v))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(format_error)?;
        let text = sorted_json(&self.metadata);
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
        safetensors::serialize(views, Some(metadata)).map_err(format_error)
    }

    /// Reads safetensors; all tensors must be floats except PyTorch's counters, which are left out.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Archive, NnError> {
        let file = open(bytes).map_err(format_error)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format_error)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let metadata = match text {
            None => Value::Null,
            Some(text) => serde_json::from_str(text).map_err(|e| NnError::Format {
                reason: format!("metadata `{METADATA_KEY}` is not JSON: {e}"),
            })?,
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter().filter(|(name, _)| !is_counter(name)) {
            let values = floats(name, &view).map_err(format_error)?;
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Archive { tensors, metadata })
    }

    /// Adds a tensor.
    pub(crate) fn put<D: Device>(&mut self, name: String, shape: &[usize], value: &Tensor1<D>) {
        self.tensors.insert(name, (shape.to_vec(), value.as_vec()));
    }

    /// Adds parameters and buffers, each name behind `prefix`.
    pub(crate) fn put_parameters<D: Device>(&mut self, prefix: &str, parameters: &Parameters<D>) {
        for p in parameters.iter() {
            self.put(format!("{prefix}{}", p.name), &p.shape, &p.value);
        }
    }

    /// Moves every tensor whose name starts with `prefix` out, under the rest of its name.
    pub(crate) fn take_prefix(&mut self, prefix: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let all = std::mem::take(&mut self.tensors);
        let mut taken = BTreeMap::new();
        for (name, tensor) in all {
            match name.strip_prefix(prefix) {
                Some(rest) => taken.insert(rest.to_owned(), tensor),
                None => self.tensors.insert(name, tensor),
            };
        }
        taken
    }
}

/// Reads the header of a safetensors file.
///
/// The offsets are checked here because the sum that the format's own crate makes of them may overflow.
pub(crate) fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it is shorter than the length of a header")?;
    let length = u64::from_le_bytes(*length);
    let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (header, data) =
        parts.ok_or_else(|| format!("its header is to have {length} bytes, and {} are there", rest.len()))?;
    let entries: BTreeMap<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object: {error}"))?;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "__metadata__") {
        let end = entry.get("data_offsets").and_then(|offsets| offsets.get(1)).and_then(Value::as_u64);
        if end.is_none_or(|end| end > data.len() as u64) {
            let end = end.map_or_else(|| "nowhere".to_owned(), |end| format!("at byte {end}"));
            return Err(format!("tensor `{name}` ends {end} of {}", data.len()));
        }
    }
    SafeTensors::deserialize(bytes).map_err(|error| error.to_string())
}

/// Whether a tensor is one of PyTorch's counters of batches, which nothing reads.
pub(crate) fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// The numbers of a tensor as f32.
///
/// # Errors
/// What is wrong, where they are no floats.
pub(crate) fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => {
            return Err(format!("tensor `{name}` is {other:?}, only F64, F32, F16 and BF16 can be read"));
        }
    })
}

fn format_error(error: impl std::fmt::Display) -> NnError {
    NnError::Format { reason: error.to_string() }
}

/// Fills the tensors named in `targets`, strictly: every one must be there, nothing else, with equal shapes.
/// Nothing is changed on failure.
pub(crate) fn load_strict<'a, D: Device>(
    device: &D,
    targets: impl Iterator<Item = (String, Vec<usize>, &'a mut Tensor1<D>)>,
    mut tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<(), NnError> {
    let (mut missing, mut mismatched, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    for (name, shape, target) in targets {
        match tensors.remove(&name) {
            None => missing.push(name),
            Some((found, _)) if found != shape => {
                mismatched.push(format!("{name}: network {shape:?}, file {found:?}"));
            }
            Some((_, values)) => ready.push((target, values)),
        }
    }
    let unexpected: Vec<String> = tensors.into_keys().collect();
    if !(missing.is_empty() && mismatched.is_empty() && unexpected.is_empty()) {
        return Err(NnError::Mismatch { missing, unexpected, mismatched });
    }
    for (target, values) in ready {
        let length = values.len();
        *target =
            device.try_tensor_from_vec(values, (length,)).map_err(NnError::kernel("loading a checkpoint"))?;
    }
    Ok(())
}

/// Fills a network's parameters and buffers; see [`load_strict`].
pub(crate) fn load_parameters<D: Device>(
    parameters: &mut Parameters<D>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<(), NnError> {
    let device = parameters.device().clone();
    let targets = parameters.iter_mut().map(|p| (p.name.clone(), p.shape.clone(), &mut p.value));
    load_strict(&device, targets, tensors)
}
