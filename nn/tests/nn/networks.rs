//! Every network against the same network in PyTorch: names, sizes, logits, gradients and training.
//!
//! `networks.json` holds what `benches/peers/networks.py` has computed in f64. Parameters and inputs come from the formulas of
//! [`noise`] and [`value_of`], which that script has too.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use dfdx::tensor::Cpu;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use serde_json::json;
use sndpipe_nn::{
    DeviceKind, InputShape, LossSpec, Model, Network, NetworkSpec, OptimiserSpec, Trainer, TrainerSpec,
};

const BATCH: usize = 4;
/// The feature `test-cuda` takes these tests to the first GPU.
#[cfg(not(feature = "test-cuda"))]
const DEVICE: DeviceKind = DeviceKind::Cpu;
#[cfg(feature = "test-cuda")]
const DEVICE: DeviceKind = DeviceKind::Cuda { index: 0, tf32: false };

#[derive(Deserialize)]
struct Fixture {
    counts: Vec<Count>,
    cases: Vec<Case>,
}

/// How many numbers a network has.
#[derive(Deserialize)]
struct Count {
    network: NetworkSpec,
    input: InputShape,
    outputs: usize,
    /// What is trained.
    parameters: usize,
    /// That and the running statistics.
    numbers: usize,
}

/// What a network gives, and how it trains.
#[derive(Deserialize)]
struct Case {
    network: NetworkSpec,
    input: InputShape,
    outputs: usize,
    parameters: usize,
    rate: f64,
    logits: Vec<f64>,
    losses: Vec<f64>,
    logits_after: Vec<f64>,
    /// How far one step at rate 1 moves each tensor: the norm of its gradient, or the change of running statistics.
    moved: BTreeMap<String, f64>,
}

/// A file beside this one, also where the program runs on another machine than the one it was built on.
fn path(name: &str) -> PathBuf {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&folder).join("tests").join(name)
}

fn fixture() -> Fixture {
    serde_json::from_str(&fs_err::read_to_string(path("networks.json")).unwrap()).unwrap()
}

fn trainer(network: &NetworkSpec, input: InputShape, outputs: usize) -> Trainer {
    Trainer::new(TrainerSpec {
        network: network.clone(),
        input,
        outputs,
        optimiser: OptimiserSpec::Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false },
        clip_norm: None,
        loss: LossSpec::Bce,
        device: DEVICE,
        seed: 1,
    })
    .unwrap()
}

/// Numbers in [0, 1): the FNV-1a hash of the name, mixed with each index by MurmurHash3's finaliser.
fn noise(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let seed = name.bytes().fold(0x811C_9DC5, fnv);
    (0..count as u32).map(move |i| {
        let mut z = i.wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B);
        z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
        f64::from(z ^ (z >> 16)) / f64::from(2u32.pow(31)) / 2.0
    })
}

/// The value of a parameter or buffer.
fn value_of(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in: usize = shape.iter().skip(1).product();
    let bound = (6.0 / fan_in as f64).sqrt();
    let value = |u: f64| {
        if name.ends_with("running_var") {
            0.5 + u
        } else if shape.len() > 1 {
            (2.0 * u - 1.0) * bound
        } else if name.ends_with("bn3.weight") {
            0.2 + 0.1 * u
        } else if name.ends_with("weight") {
            0.75 + 0.5 * u
        } else {
            0.2 * u - 0.1
        }
    };
    noise(name, shape.iter().product()).map(|u| value(u) as f32).collect()
}

fn samples(count: usize, input: InputShape) -> Vec<f32> {
    noise("inputs", count * input.len()).map(|u| (4.0 * u - 2.0) as f32).collect()
}

/// Shapes and values of all tensors.
fn tensors(trainer: &Trainer) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = trainer.save_weights(&json!(null)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    file.iter().map(|(name, t)| (name.to_owned(), (t.shape().to_vec(), values(t.data())))).collect()
}

/// Gives all tensors the values of the formula.
fn put_back(trainer: &mut Trainer, shapes: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) {
    let bytes = shapes.iter().map(|(name, (shape, _))| {
        let bytes: Vec<u8> = value_of(name, shape).into_iter().flat_map(f32::to_le_bytes).collect();
        (name, shape, bytes)
    });
    let bytes: Vec<_> = bytes.collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    trainer.load_weights(&safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The largest difference over the largest expected magnitude.
fn far(ours: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(ours.len(), expected.len());
    let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
    let off = ours.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs());
    off.fold(0f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v) }) / largest
}

/// Every way in which the network differs.
fn differences(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    let x = samples(BATCH, case.input);
    let targets: Vec<f32> =
        noise("targets", BATCH * case.outputs).map(|u| if u < 0.4 { 1.0 } else { 0.0 }).collect();

    let mut trainer = trainer(&case.network, case.input, case.outputs);
    let random = tensors(&trainer);
    let names = |part: Vec<&String>, other: BTreeSet<&String>| -> Vec<String> {
        part.into_iter().filter(|name| !other.contains(name)).cloned().collect()
    };
    let missing = names(case.moved.keys().collect(), random.keys().collect());
    let unexpected = names(random.keys().collect(), case.moved.keys().collect());
    if !(missing.is_empty() && unexpected.is_empty()) {
        return vec![format!("tensors missing: {missing:?}, unexpected: {unexpected:?}")];
    }
    put_back(&mut trainer, &random);
    if trainer.parameter_count() != case.parameters {
        found.push(format!("{} parameters instead of {}", trainer.parameter_count(), case.parameters));
    }
    trainer.step(&x, &targets, 1.0).unwrap();
    let largest = case.moved.values().fold(0f64, |m, &v| m.max(v));
    for (name, (shape, after)) in tensors(&trainer) {
        let steps = after.iter().zip(value_of(&name, &shape)).map(|(a, b)| f64::from(a - b).powi(2));
        let (moved, expected) = (steps.sum::<f64>().sqrt(), case.moved[&name]);
        let close = (moved - expected).abs() <= 3e-2 * expected + 3e-5 * largest;
        if !close {
            found.push(format!("{name} moves by {moved:.6e} instead of {expected:.6e}"));
        }
    }

    // The optimiser keeps its momentum.
    put_back(&mut trainer, &random);
    let two = &x[..2 * case.input.len()];
    let mut check = |what: &str, ours: &[f32], expected: &[f64], tolerance: f64| {
        let far = far(ours, expected);
        if far.is_nan() || far > tolerance {
            found.push(format!("{what} off by {far:.1e}: {ours:?} instead of {expected:?}"));
        }
    };
    check("logits", &trainer.predict(two).unwrap(), &case.logits, 1e-4);
    let losses = case.losses.iter().map(|_| trainer.step(&x, &targets, case.rate).unwrap().loss);
    let losses: Vec<f32> = losses.collect();
    check("losses", &losses, &case.losses, 1e-3);
    check("logits after training", &trainer.predict(two).unwrap(), &case.logits_after, 1e-3);
    found
}

#[test]
fn networks_agree_with_pytorch() {
    let mut wrong = String::new();
    for case in fixture().cases {
        let found = differences(&case);
        if !found.is_empty() {
            wrong += &format!("{:?}:\n  {}\n", case.network, found.join("\n  "));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn networks_have_as_many_numbers_as_in_pytorch() {
    for Count { network, input, outputs, parameters, numbers } in fixture().counts {
        let ours = Network::new(Cpu::default(), &network, input, outputs, 1).unwrap();
        assert_eq!(ours.parameters().count(), parameters, "{network:?}");
        let all: usize = ours.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum();
        assert_eq!(all, numbers, "{network:?}");
    }
}

/// The file was written by PyTorch's `safetensors`, with counters of batches, and holds the logits it gave there.
#[test]
fn weights_of_pytorch_can_be_read() {
    let bytes = fs_err::read(path("networks.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(file.names().iter().any(|name| name.ends_with(".num_batches_tracked")));
    let model = Model::load(&bytes, DEVICE).unwrap();
    let expected: Vec<f64> = serde_json::from_value(model.meta()["logits"].clone()).unwrap();
    let logits = model.logits(&samples(2, model.input())).unwrap();
    assert!(far(&logits, &expected) < 1e-5, "{logits:?} instead of {expected:?}");
}
