//! Weights from elsewhere, embeddings, and training that starts from them.
//!
//! `foreign.safetensors` is what `benches/peers/weights.py` has written with PyTorch.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use sndpipe_nn::{
    DeviceKind, Freeze, InputShape, LoadReport, Loading, LossSpec, Model, NetworkSpec, NnError,
    OptimiserSpec, Partial, Trainer, TrainerSpec, Tuning, WeightFile,
};
use sndpipe_random::Rng;

const INPUT: InputShape = InputShape { channels: 1, frames: 17, bands: 12 };

fn small() -> NetworkSpec {
    NetworkSpec::Vgg41Plain { width: 1.0 / 32.0 }
}

fn foreign() -> Vec<u8> {
    fs_err::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign.safetensors")).unwrap()
}

fn loading(drop: &[&str], rename: &[(&str, &str)], partial: Partial) -> Loading {
    Loading {
        drop: drop.iter().map(|&prefix| prefix.to_owned()).collect(),
        rename: rename.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect(),
        partial,
    }
}

fn import(
    bytes: &[u8],
    spec: &NetworkSpec,
    outputs: usize,
    loading: &Loading,
) -> Result<(Model, LoadReport), NnError> {
    let file = WeightFile::read(bytes)?;
    let (model, report) = file.to_model(spec, (INPUT, outputs), 0, loading, &Value::Null)?;
    Ok((Model::load(&model, DeviceKind::Cpu)?, report))
}

#[track_caller]
fn refused(bytes: &[u8], loading: &Loading, expected: &str) {
    let error = import(bytes, &small(), 3, loading).unwrap_err().to_string();
    assert_eq!(error, expected);
}

/// A file of tensors filled with one byte.
fn file(tensors: &[(String, Vec<usize>, Dtype)], byte: u8) -> Vec<u8> {
    let longest =
        tensors.iter().map(|(_, shape, dtype)| shape.iter().product::<usize>() * dtype.bitsize() / 8);
    let bytes = vec![byte; longest.max().unwrap_or(0)];
    let view = |(name, shape, dtype): &(String, Vec<usize>, Dtype)| {
        let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name.clone(), TensorView::new(*dtype, shape.clone(), &bytes[..length]).unwrap())
    };
    safetensors::serialize(tensors.iter().map(view), None).unwrap()
}

/// Numbers in (-1, 1) that no other test has.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed, "noise");
    (0..count).map(|_| rng.range(-1.0, 1.0) as f32).collect()
}

#[test]
fn a_file_of_pytorch_gives_the_logits_of_pytorch() {
    let bytes = foreign();
    let loading = loading(&["module.projector."], &[("module.", "")], Partial::None);
    let (model, report) = import(&bytes, &small(), 3, &loading).unwrap();
    assert_eq!(report.ignored, ["module.projector.weight"]);
    assert_eq!((report.loaded.len(), report.kept.len()), (8 * 5 + 2, 0));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let logits: Vec<f64> = serde_json::from_str(&header.metadata().as_ref().unwrap()["logits"]).unwrap();
    // The inputs of `networks.py`: its `noise` of the name `inputs`.
    let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let seed = b"inputs".iter().copied().fold(0x811C_9DC5, fnv);
    let input = |i: u32| {
        let mut z = i.wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B);
        z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
        (f64::from(z ^ (z >> 16)) / f64::from(2u32.pow(30)) - 2.0) as f32
    };
    let inputs: Vec<f32> = (0..2 * INPUT.len() as u32).map(input).collect();
    let found = model.logits(&inputs).unwrap();
    assert_eq!(found.len(), logits.len());
    for (found, expected) in found.iter().zip(logits) {
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} instead of {expected}");
    }
}

#[test]
fn what_does_not_fit_is_named_unless_it_may_differ() {
    let bytes = foreign();
    let rename = [("module.", "")];
    let none = loading(&[], &[], Partial::None);
    refused(
        &bytes,
        &none,
        "the weights do not fit the network: missing [\"body.0.weight\", \"body.1.weight\", \"body.1.bias\", \
         \"body.1.running_mean\", \"body.1.running_var\"] and 37 more, unexpected [\"module.body.0.weight\", \
         \"module.body.1.bias\", \"module.body.1.running_mean\", \"module.body.1.running_var\", \
         \"module.body.1.weight\"] and 38 more, other shape []",
    );
    // Nothing in common: partial loading is no way out.
    refused(
        &bytes,
        &loading(&[], &[], Partial::Shapes),
        &import(&bytes, &small(), 3, &none).unwrap_err().to_string(),
    );
    refused(
        &bytes,
        &loading(&[], &rename, Partial::None),
        "the weights do not fit the network: missing [], unexpected [\"module.projector.weight\"], other shape []",
    );
    let (_, report) =
        import(&bytes, &small(), 3, &loading(&["module.fc."], &rename, Partial::Names)).unwrap();
    assert_eq!(report.kept, ["fc.bias", "fc.weight"]);
    assert_eq!(report.ignored, ["module.fc.bias", "module.fc.weight", "module.projector.weight"]);
    // Another number of classes.
    let names = loading(&[], &rename, Partial::Names);
    let error = import(&bytes, &small(), 4, &names).unwrap_err().to_string();
    assert_eq!(
        error,
        "the weights do not fit the network: missing [], unexpected [], other shape \
         [\"fc.bias: network [4], file [3]\", \"fc.weight: network [4, 8], file [3, 8]\"]"
    );
    let (model, report) = import(&bytes, &small(), 4, &loading(&[], &rename, Partial::Shapes)).unwrap();
    assert_eq!((model.outputs(), report.kept), (4, vec!["fc.bias".to_owned(), "fc.weight".to_owned()]));
    assert_eq!(WeightFile::read(&bytes).unwrap().outputs(&small(), &names).unwrap(), Some(3));
    assert_eq!(WeightFile::read(&bytes).unwrap().outputs(&small(), &none).unwrap(), None);
}

#[test]
fn the_first_prefix_counts() {
    let bytes = foreign();
    let rename = [("module.body.", "body."), ("module.", "other."), ("other.", "")];
    let (_, report) = import(&bytes, &small(), 3, &loading(&[], &rename, Partial::Names)).unwrap();
    assert_eq!(report.kept, ["fc.bias", "fc.weight"]);
    refused(
        &file(
            &[("a.fc.bias".to_owned(), vec![3], Dtype::F32), ("fc.bias".to_owned(), vec![3], Dtype::F32)],
            0,
        ),
        &loading(&[], &[("a.", "")], Partial::Names),
        "the weights cannot be read: `a.fc.bias` and `fc.bias` both become `fc.bias`",
    );
}

#[test]
fn only_finite_floats_are_weights() {
    let names = loading(&[], &[], Partial::Names);
    let bias = |dtype, byte| file(&[("fc.bias".to_owned(), vec![3], dtype)], byte);
    refused(
        &bias(Dtype::I64, 0),
        &names,
        "the weights cannot be read: tensor `fc.bias` is I64, only F64, F32, F16 and BF16 can be read",
    );
    let finite = "the weights cannot be read: tensor `fc.bias` holds values that are NaN, infinite or too large for f32";
    refused(&bias(Dtype::F32, 0xFF), &names, finite);
    // 0x7F7F… is 1.4e306 in f64 and 3.4e38 in bf16.
    refused(&bias(Dtype::F64, 0x7F), &names, finite);
    import(&bias(Dtype::BF16, 0x7F), &small(), 3, &names).unwrap();
    // What goes nowhere may be of any type.
    let tensors = [("ids".to_owned(), vec![2], Dtype::I64), ("fc.bias".to_owned(), vec![3], Dtype::F16)];
    assert_eq!(import(&file(&tensors, 0), &small(), 3, &names).unwrap().1.ignored, ["ids"]);
}

#[test]
fn a_header_that_lies_is_refused() {
    let with = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let tensor = |shape: &str, from: &str, to: &str| {
        format!(r#"{{"fc.bias":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    let mut cases = vec![
        (b"short".to_vec(), "it is shorter than the length of a header"),
        (
            u64::MAX.to_le_bytes().to_vec(),
            "its header is to have 18446744073709551615 bytes, and 0 are there",
        ),
        (with("[]", 0), "its header is no JSON object"),
        (with(&"[".repeat(100_000), 0), "its header is no JSON object"),
        (with(r#"{"a":3}"#, 0), "tensor `a` ends nowhere of 0"),
        (with(&tensor("[3]", "0", "13"), 12), "tensor `fc.bias` ends at byte 13 of 12"),
        (with(&tensor("[3]", "0", "18446744073709551615"), 12), "tensor `fc.bias` ends at byte 184467"),
        (with(&tensor("[3]", "12", "0"), 12), "invalid offset for tensor `fc.bias`"),
        (with(&tensor("[4611686018427387904,4]", "0", "12"), 12), "overflow computing buffer size"),
        (with(&tensor("[4]", "0", "12"), 12), "invalid shape, data type, or offset"),
        (with(&tensor("[3]", "0", "12"), 13), "incomplete metadata"),
        (with(&tensor("[-3]", "0", "12"), 12), "invalid JSON in header"),
    ];
    // Offsets that add up to more than 64 bits.
    let part = |i: u64| {
        let (from, to) = (i << 60, (i + 1) << 60);
        format!(r#""t{i:02}":{{"dtype":"U8","shape":[{}],"data_offsets":[{from},{to}]}}"#, 1u64 << 60)
    };
    let parts: Vec<String> = (0..15).map(part).collect();
    cases.push((
        with(&format!("{{{}}}", parts.join(",")), 0),
        "tensor `t00` ends at byte 1152921504606846976 of 0",
    ));
    for (bytes, expected) in cases {
        let error = WeightFile::read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the weights cannot be read: {expected}")), "{error}");
        let error = Model::load(&bytes, DeviceKind::Cpu).unwrap_err().to_string();
        assert!(error.starts_with(&format!("not a checkpoint of sndpipe: {expected}")), "{error}");
    }
    // A tensor without numbers may have any number of rows, which are no classes.
    let empty = with(&tensor("[1152921504606846976,0]", "0", "0").replace("fc.bias", "fc.weight"), 0);
    let file = WeightFile::read(&empty).unwrap();
    assert_eq!(file.outputs(&small(), &Loading::default()).unwrap(), None);
}

/// Names and shapes of torchvision's ResNets (`torchvision/models/resnet.py`), with its counters of batches.
fn torchvision(
    blocks: [usize; 4],
    bottleneck: bool,
    channels: usize,
    classes: usize,
) -> Vec<(String, Vec<usize>, Dtype)> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, dtype| tensors.push((name, shape, dtype));
    let norm = |add: &mut dyn FnMut(String, Vec<usize>, Dtype), name: String, size: usize| {
        for field in ["weight", "bias", "running_mean", "running_var"] {
            add(format!("{name}.{field}"), vec![size], Dtype::F16);
        }
        add(format!("{name}.num_batches_tracked"), vec![], Dtype::I64);
    };
    add("conv1.weight".to_owned(), vec![64, channels, 7, 7], Dtype::F16);
    norm(&mut add, "bn1".to_owned(), 64);
    let expansion = if bottleneck { 4 } else { 1 };
    let mut inputs = 64;
    for (stage, count) in blocks.into_iter().enumerate() {
        let width = 64 << stage;
        for block in 0..count {
            let name = format!("layer{}.{block}", stage + 1);
            let sizes: &[usize] = if bottleneck { &[1, 3, 1] } else { &[3, 3] };
            let mut last = inputs;
            for (i, &size) in sizes.iter().enumerate() {
                let outputs = if bottleneck && i == 2 { width * 4 } else { width };
                add(format!("{name}.conv{}.weight", i + 1), vec![outputs, last, size, size], Dtype::F16);
                norm(&mut add, format!("{name}.bn{}", i + 1), outputs);
                last = outputs;
            }
            if block == 0 && (stage > 0 || bottleneck) {
                add(format!("{name}.downsample.0.weight"), vec![last, inputs, 1, 1], Dtype::F16);
                norm(&mut add, format!("{name}.downsample.1"), last);
            }
            inputs = last;
        }
    }
    add("fc.weight".to_owned(), vec![classes, 512 * expansion], Dtype::F16);
    add("fc.bias".to_owned(), vec![classes], Dtype::F16);
    tensors
}

#[test]
fn resnets_have_the_names_of_torchvision() {
    let deep = NetworkSpec::Resnet50 { attention: false, stereo: false };
    for (spec, blocks, bottleneck) in [(NetworkSpec::Resnet18, [2; 4], false), (deep, [3, 4, 6, 3], true)] {
        let bytes = file(&torchvision(blocks, bottleneck, 1, 10), 0);
        let weights = WeightFile::read(&bytes).unwrap();
        assert_eq!(weights.outputs(&spec, &Loading::default()).unwrap(), Some(10));
        let input = InputShape { channels: 1, frames: 33, bands: 32 };
        let (_, report) = weights.to_model(&spec, (input, 10), 0, &Loading::default(), &Value::Null).unwrap();
        assert_eq!((report.kept.len(), report.ignored.len()), (0, 0));
    }
}

fn spec(network: NetworkSpec) -> TrainerSpec {
    TrainerSpec {
        network,
        input: INPUT,
        outputs: 3,
        optimiser: OptimiserSpec::Adamw { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 },
        clip_norm: Some(1.0),
        loss: LossSpec::Cce,
        device: DeviceKind::Cpu,
        seed: 7,
    }
}

fn train(trainer: &mut Trainer, steps: std::ops::Range<u64>) {
    for step in steps {
        let inputs = noise(4 * INPUT.len(), step);
        let mut targets = vec![0.0; 12];
        (0..4).for_each(|i| targets[3 * i + i % 3] = 1.0);
        trainer.step(&inputs, &targets, 0.01).unwrap();
    }
}

fn values(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

/// The tensors that two trainings do not share.
fn differing(one: &Trainer, other: &Trainer) -> Vec<String> {
    let weights = |trainer: &Trainer| values(&trainer.save_weights(&Value::Null).unwrap());
    let (one, other) = (weights(one), weights(other));
    one.into_iter().filter(|(name, value)| other[name] != *value).map(|(name, _)| name).collect()
}

#[test]
fn the_classifier_of_embeddings_gives_the_logits() {
    for network in
        [small(), NetworkSpec::VggLike { hidden: 5 }, NetworkSpec::Mlp { hidden: vec![6], dropout: 0.5 }]
    {
        let mut trainer = Trainer::new(spec(network)).unwrap();
        train(&mut trainer, 0..2);
        let bytes = trainer.save_weights(&Value::Null).unwrap();
        let model = Model::load(&bytes, DeviceKind::Cpu).unwrap();
        // More samples than a batch holds.
        let inputs = noise(40 * INPUT.len(), 3);
        let (features, logits) = (model.embed(&inputs).unwrap(), model.logits(&inputs).unwrap());
        assert_eq!(features.len(), 40 * model.features());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let numbers = |name: &str| -> Vec<f32> {
            file.tensor(name).unwrap().data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        };
        let (weight, bias) = (numbers("fc.weight"), numbers("fc.bias"));
        for (features, logits) in features.chunks(model.features()).zip(logits.chunks(3)) {
            for (class, logit) in logits.iter().enumerate() {
                let row = &weight[class * features.len()..(class + 1) * features.len()];
                let sum: f64 = row.iter().zip(features).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                assert!((sum + f64::from(bias[class]) - f64::from(*logit)).abs() < 1e-5);
            }
        }
        let error = model.embed(&inputs[1..]).unwrap_err().to_string();
        assert_eq!(error, "inputs, a multiple of the sample's size: expected shape [204], found [8159]");
    }
}

#[test]
fn an_encoder_goes_from_one_training_to_another() {
    let mut first = Trainer::new(spec(small())).unwrap();
    train(&mut first, 0..2);
    let bytes = first.save_weights(&Value::Null).unwrap();
    let mut second = Trainer::new(TrainerSpec { seed: 8, outputs: 4, ..spec(small()) }).unwrap();
    second.load_encoder(&bytes).unwrap();
    let (from, to) = (values(&bytes), values(&second.save_weights(&Value::Null).unwrap()));
    let same = from.iter().filter(|(name, value)| to[*name] == **value);
    assert_eq!(same.count(), 8 * 5);
    let wider = Trainer::new(spec(NetworkSpec::Vgg41Plain { width: 1.0 / 16.0 })).unwrap();
    let error = second.load_encoder(&wider.save_weights(&Value::Null).unwrap()).unwrap_err().to_string();
    assert!(error.contains("missing [], unexpected []"), "{error}");
    assert!(error.contains("body.0.weight: network [1, 1, 3, 3], file [2, 1, 3, 3]"), "{error}");
}

#[test]
fn what_is_frozen_stays() {
    let new = |freeze: Freeze| {
        let tuning = Tuning { freeze, ..Tuning::default() };
        Trainer::new(spec(small())).unwrap().with_tuning(&tuning).unwrap()
    };
    let start = new(Freeze::None);
    let mut encoder = new(Freeze::Encoder);
    assert_eq!(encoder.parameter_count(), 3 * 8 + 3);
    train(&mut encoder, 0..3);
    assert_eq!(differing(&encoder, &start), ["fc.bias", "fc.weight"]);
    // A prefix; running statistics behind a batch norm that is trained go on.
    let mut prefix = new(Freeze::Prefixes(vec!["body.0.".to_owned(), "body.1.".to_owned()]));
    train(&mut prefix, 0..3);
    let changed = differing(&prefix, &start);
    assert_eq!(changed.len(), 7 * 5 + 2);
    assert!(changed.contains(&"body.4.running_mean".to_owned()), "{changed:?}");
    // Without frozen parameters the training is the plain one.
    let (mut none, mut plain) = (new(Freeze::None), Trainer::new(spec(small())).unwrap());
    train(&mut none, 0..3);
    train(&mut plain, 0..3);
    assert!(none.checkpoint(&Value::Null).unwrap() == plain.checkpoint(&Value::Null).unwrap());
}

#[test]
fn a_frozen_encoder_makes_training_that_of_its_classifier() {
    let mut whole =
        Trainer::new(TrainerSpec { optimiser: OptimiserSpec::default(), ..spec(small()) }).unwrap();
    train(&mut whole, 0..2);
    let bytes = whole.save_weights(&Value::Null).unwrap();
    let model = Model::load(&bytes, DeviceKind::Cpu).unwrap();
    let tuning = Tuning { freeze: Freeze::Encoder, ..Tuning::default() };
    let mut frozen = Trainer::new(spec(small())).unwrap().with_tuning(&tuning).unwrap();
    frozen.load_weights(&bytes).unwrap();
    // A linear model on the features, from the same classifier.
    let input = InputShape { channels: 1, frames: 1, bands: model.features() };
    let linear = NetworkSpec::Mlp { hidden: vec![], dropout: 0.0 };
    let mut linear = Trainer::new(TrainerSpec { input, ..spec(linear) }).unwrap();
    let classifier = loading(&["body."], &[], Partial::None);
    let network = linear.spec().network.clone();
    let start = WeightFile::read(&bytes).unwrap();
    let (start, _) = start.to_model(&network, (input, 3), 0, &classifier, &Value::Null).unwrap();
    linear.load_weights(&start).unwrap();
    let targets = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    for step in 0..4 {
        let inputs = noise(3 * INPUT.len(), 50 + step);
        let features = model.embed(&inputs).unwrap();
        assert_eq!(
            frozen.step(&inputs, &targets, 0.01).unwrap(),
            linear.step(&features, &targets, 0.01).unwrap()
        );
    }
}

#[test]
fn rates_scale_steps() {
    let plain = OptimiserSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let moved = |rates: &[(&str, f64)]| {
        let rates = rates.iter().map(|&(prefix, rate)| (prefix.to_owned(), rate)).collect();
        let tuning = Tuning { rates, ..Tuning::default() };
        let spec = TrainerSpec {
            optimiser: plain.clone(),
            ..spec(NetworkSpec::Mlp { hidden: vec![4], dropout: 0.0 })
        };
        let mut trainer = Trainer::new(spec).unwrap().with_tuning(&tuning).unwrap();
        let numbers = |trainer: &Trainer| {
            let bytes = values(&trainer.save_weights(&Value::Null).unwrap());
            let sum = |name: &str| -> f64 {
                bytes[name].as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).sum()
            };
            ["body.0.bias", "body.0.weight", "fc.bias"].map(sum)
        };
        let before = numbers(&trainer);
        train(&mut trainer, 0..1);
        let after = numbers(&trainer);
        [0, 1, 2].map(|i| after[i] - before[i])
    };
    let (whole, scaled) = (moved(&[]), moved(&[("body.", 0.5), ("body.0.bias", 0.25)]));
    for (i, factor) in [0.25, 0.5, 1.0].into_iter().enumerate() {
        assert!((scaled[i] - factor * whole[i]).abs() < 1e-6, "{scaled:?} from {whole:?}");
    }
}

#[test]
fn a_weight_decay_of_its_own_takes_the_place_of_the_optimisers() {
    let network = || NetworkSpec::Mlp { hidden: vec![4], dropout: 0.0 };
    let moved = |optimiser: OptimiserSpec, decays: &[(&str, f64)]| {
        let decays = decays.iter().map(|&(prefix, decay)| (prefix.to_owned(), decay)).collect();
        let tuning = Tuning { decays, ..Tuning::default() };
        let mut trainer = Trainer::new(TrainerSpec { optimiser, ..spec(network()) }).unwrap();
        trainer = trainer.with_tuning(&tuning).unwrap();
        train(&mut trainer, 0..3);
        values(&trainer.save_weights(&Value::Null).unwrap())
    };
    let optimisers: [fn(f64) -> OptimiserSpec; 3] = [
        |weight_decay| OptimiserSpec::Sgd { momentum: 0.5, weight_decay, nesterov: false },
        |weight_decay| OptimiserSpec::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay },
        |weight_decay| OptimiserSpec::Adamw { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay },
    ];
    for optimiser in optimisers {
        // The decay of all, of each and of all but what has none.
        let all = moved(optimiser(0.3), &[]);
        assert!(all == moved(optimiser(0.0), &[("", 0.3)]));
        assert!(all == moved(optimiser(0.1), &[("body.", 0.3), ("fc.", 0.3)]));
        let none = moved(optimiser(0.0), &[]);
        assert!(none != all);
        assert!(none == moved(optimiser(0.3), &[("", 0.0)]));
        // The longest prefix counts.
        assert!(none == moved(optimiser(0.0), &[("body.0.", 0.0), ("fc", 0.0)]));
        assert!(all == moved(optimiser(0.0), &[("", 0.5), ("body.", 0.3), ("fc.", 0.3)]));
    }
}

#[test]
fn a_resumed_tuning_changes_no_bit() {
    let tuning = Tuning {
        freeze: Freeze::Prefixes(vec!["body.0.".to_owned()]),
        rates: BTreeMap::from([("body.".to_owned(), 0.1), ("fc.".to_owned(), 1.0 / 3.0)]),
        decays: BTreeMap::from([("fc.weight".to_owned(), 0.1)]),
    };
    let new = || Trainer::new(spec(small())).unwrap().with_tuning(&tuning).unwrap();
    let mut whole = new();
    train(&mut whole, 0..6);
    let mut first = new();
    train(&mut first, 0..3);
    let (mut second, _) = Trainer::resume(&first.checkpoint(&json!(null)).unwrap()).unwrap();
    train(&mut second, 3..6);
    assert!(whole.checkpoint(&json!(null)).unwrap() == second.checkpoint(&json!(null)).unwrap());
}

#[test]
fn a_tuning_that_fits_nothing_is_refused() {
    let refused = |freeze: Freeze, rates: &[(&str, f64)], expected: &str| {
        let rates = rates.iter().map(|&(prefix, rate)| (prefix.to_owned(), rate)).collect();
        let error = Trainer::new(spec(small()))
            .unwrap()
            .with_tuning(&Tuning { freeze, rates, ..Tuning::default() })
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let prefixes = |list: &[&str]| Freeze::Prefixes(list.iter().map(|&prefix| prefix.to_owned()).collect());
    let start = "must be the start of a parameter's name, such as `body.0.weight`";
    refused(prefixes(&["fc.", "layer1."]), &[], &format!("`freeze` is `layer1.`, {start}"));
    refused(Freeze::None, &[("layer1.", 0.5)], &format!("`rates` is `layer1.`, {start}"));
    refused(Freeze::None, &[("fc.", -0.5)], "`rates` is -0.5 for `fc.`, must be factors in 0..=1000");
    for (decays, expected) in [
        (("layer1.", 0.5), format!("`decays` is `layer1.`, {start}")),
        (("fc.", -0.5), "`decays` is -0.5 for `fc.`, must be numbers from 0".to_owned()),
    ] {
        let decays = BTreeMap::from([(decays.0.to_owned(), decays.1)]);
        let tuning = Tuning { decays, ..Tuning::default() };
        let error = Trainer::new(spec(small())).unwrap().with_tuning(&tuning).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    refused(
        prefixes(&["body.", "fc."]),
        &[],
        "`freeze` is [\"body.\", \"fc.\"], must be such that something is left to train",
    );
}

#[test]
fn freezing_is_written_as_a_word_or_a_list() {
    let read = |value: Value| serde_json::from_value::<Freeze>(value).map_err(|error| error.to_string());
    for (value, freeze) in [
        (json!("none"), Freeze::None),
        (json!("encoder"), Freeze::Encoder),
        (json!(["layer1."]), Freeze::Prefixes(vec!["layer1.".to_owned()])),
    ] {
        assert_eq!(serde_json::to_value(&freeze).unwrap(), value);
        assert_eq!(read(value).unwrap(), freeze);
    }
    let expected = "expected `none`, `encoder` or a list of the starts of parameters' names";
    assert_eq!(read(json!("all")).unwrap_err(), format!("invalid value: string \"all\", {expected}"));
    assert_eq!(read(json!(3)).unwrap_err(), format!("invalid type: integer `3`, {expected}"));
}
