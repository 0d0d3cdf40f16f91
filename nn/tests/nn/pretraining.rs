//! Training without labels through the public interface: what is learnt, that losses add up, and that every bit is the same
//! however it is run.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use safetensors::SafeTensors;
use serde_json::json;
use sndpipe_nn::{
    DeviceKind, HeadSpec, METADATA_KEY, MethodSpec, Model, Negatives, NetworkSpec, NnError, Objective,
    OptimiserSpec, Pretrainer, PretrainerSpec, Trainer, TrainerSpec,
};
use sndpipe_random::Rng;

/// The feature `test-cuda` takes these tests to the first GPU.
#[cfg(not(feature = "test-cuda"))]
const DEVICE: DeviceKind = DeviceKind::Cpu;
#[cfg(feature = "test-cuda")]
const DEVICE: DeviceKind = DeviceKind::Cuda { index: 0, tf32: false };

/// Items of the made-up data set, and of a batch.
const ITEMS: usize = 24;
const BATCH: usize = 8;

const CONTRASTIVE: MethodSpec = MethodSpec::Contrastive { temperature: 0.2 };
const SOFTMAX: MethodSpec = MethodSpec::Instance { temperature: 0.1, negatives: 0, momentum: 0.5 };
const NCE: MethodSpec = MethodSpec::Instance { temperature: 0.1, negatives: 12, momentum: 0.5 };
const TRIPLET: MethodSpec = MethodSpec::Triplet { margin: 0.5, negatives: Negatives::SemiHard };
const RANDOM: MethodSpec = MethodSpec::Triplet { margin: 0.5, negatives: Negatives::Random };
const COINCIDENCE: MethodSpec = MethodSpec::Coincidence { hidden: 16 };

fn spec(methods: &[(MethodSpec, f64)]) -> PretrainerSpec {
    let objectives: Vec<Objective> =
        methods.iter().map(|&(method, weight)| Objective { method, weight }).collect();
    let reads = objectives.iter().any(|objective| objective.method.reads_head());
    PretrainerSpec {
        network: NetworkSpec::Mlp { hidden: vec![40], dropout: 0.0 },
        input: (2, 9, 8).into(),
        head: if reads { HeadSpec::Projection { hidden: vec![20] } } else { HeadSpec::Unit },
        outputs: 12,
        objectives,
        items: ITEMS,
        optimiser: OptimiserSpec::default(),
        clip_norm: None,
        device: DEVICE,
        seed: 7,
    }
}

/// Views of items: a pattern of the item's own under noise.
fn batch(spec: &PretrainerSpec, step: u64) -> (Vec<f32>, Vec<usize>) {
    let items = Rng::new(step, "items").permutation(ITEMS)[..BATCH].to_vec();
    let mut x = Vec::new();
    for view in 0..spec.views() {
        for &item in &items {
            let mut pattern = Rng::new(item as u64, "pattern");
            let mut noise = Rng::new(step * 100 + (BATCH * view + item) as u64, "noise");
            x.extend((0..spec.input.len()).map(|_| (pattern.normal() + 0.5 * noise.normal()) as f32));
        }
    }
    (x, items)
}

fn train(pretrainer: &mut Pretrainer, from: u64, to: u64) -> Vec<f32> {
    (from..to)
        .map(|step| {
            let (x, items) = batch(pretrainer.spec(), step);
            pretrainer.step(&x, &items, 1e-3).unwrap().loss
        })
        .collect()
}

/// The numbers of every tensor of a file.
fn tensors(bytes: &[u8]) -> Vec<(String, Vec<f32>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut all: Vec<(String, Vec<f32>)> = file
        .iter()
        .map(|(name, view)| {
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            (name.to_owned(), values.collect())
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

#[test]
fn parameter_counts_are_those_of_the_papers() {
    let count = |network, channels, (hidden, outputs): (&[usize], usize)| {
        let head = HeadSpec::Projection { hidden: hidden.to_vec() };
        let input = (channels, 101, 96).into();
        let spec = PretrainerSpec { network, input, head, outputs, ..spec(&[(CONTRASTIVE, 1.0)]) };
        Pretrainer::new(spec).unwrap().parameter_count()
    };
    // With 20 classes ResNet-18 has 11,180,500 and the CRNN 948,116; heads have 526,336 and 296,960 (methods 8.5).
    assert_eq!(count(NetworkSpec::Resnet18, 1, (&[512], 512)), 11_180_500 - 513 * 20 + 526_336);
    assert_eq!(count(NetworkSpec::Crnn, 1, (&[512], 512)), 948_116 - 65 * 20 + 296_960);
    // ResNet-50 with a linear head of 128 (methods 15).
    let resnet50 = NetworkSpec::Resnet50 { attention: false, stereo: false };
    assert_eq!(count(resnet50, 3, (&[], 128)), 23_770_304);
}

#[test]
fn every_method_is_learnt() {
    for method in [CONTRASTIVE, SOFTMAX, NCE, TRIPLET, RANDOM, COINCIDENCE] {
        let mut pretrainer = Pretrainer::new(spec(&[(method, 1.0)])).unwrap();
        let losses = train(&mut pretrainer, 0, 150);
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (first, last) = (mean(&losses[..5]), mean(&losses[145..]));
        assert!(last < 0.6 * first, "{method:?}: {first} to {last}");
    }
}

/// The constant of the estimation in a checkpoint.
fn normaliser(pretrainer: &mut Pretrainer) -> Option<u64> {
    let bytes = pretrainer.checkpoint(&json!(null)).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let text = &header.metadata().as_ref().unwrap()[METADATA_KEY];
    serde_json::from_str::<serde_json::Value>(text).unwrap()["normaliser"].as_u64()
}

#[test]
fn the_constant_of_the_estimation_is_that_of_the_first_batch() {
    let mut pretrainer = Pretrainer::new(spec(&[(NCE, 1.0)])).unwrap();
    assert_eq!(normaliser(&mut pretrainer), None);
    train(&mut pretrainer, 0, 1);
    let first = normaliser(&mut pretrainer);
    assert!(first.is_some());
    train(&mut pretrainer, 1, 30);
    assert_eq!(normaliser(&mut pretrainer), first);
    let mut other = Pretrainer::new(spec(&[(NCE, 1.0)])).unwrap();
    train(&mut other, 29, 30);
    assert_ne!(normaliser(&mut other), first, "other batches give other constants");
}

#[test]
fn gradients_of_a_sum_are_the_sum_of_gradients() {
    let sgd = OptimiserSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let start = spec(&[(CONTRASTIVE, 1.0), (SOFTMAX, 1.0), (TRIPLET, 1.0), (COINCIDENCE, 1.0)]);
    let step = |methods: &[(MethodSpec, f64)]| {
        let spec = PretrainerSpec { optimiser: sgd.clone(), head: start.head.clone(), ..spec(methods) };
        let mut pretrainer = Pretrainer::new(spec).unwrap();
        let before = tensors(&pretrainer.checkpoint(&json!(null)).unwrap());
        let (x, items) = batch(&start, 3);
        let x = &x[..pretrainer.spec().views() * BATCH * start.input.len()];
        let report = pretrainer.step(x, &items, 1.0).unwrap();
        let after = tensors(&pretrainer.checkpoint(&json!(null)).unwrap());
        let moved = before
            .into_iter()
            .zip(after)
            .filter(|((name, _), _)| name.starts_with("network.") && !name.contains("running"));
        let moved: Vec<(String, Vec<f64>)> = moved
            .map(|((name, a), (_, b))| (name, a.iter().zip(&b).map(|(a, b)| f64::from(b - a)).collect()))
            .collect();
        (report, moved)
    };
    // Each with two views, so that batch norm sees the same samples; the contrastive loss gets a weight of nothing, nearly.
    let weights = [0.7, 1.5, 0.25, 2.0];
    let methods = [CONTRASTIVE, SOFTMAX, TRIPLET, COINCIDENCE];
    let none = 1e-30;
    let all: Vec<_> = methods.into_iter().zip(weights).collect();
    let (report, together) = step(&all);
    let mut sum: Vec<(String, Vec<f64>)> =
        together.iter().map(|(name, moved)| (name.clone(), vec![0.0; moved.len()])).collect();
    let mut loss = 0.0;
    for (own, weight) in weights.iter().enumerate() {
        let alone: Vec<_> =
            methods.into_iter().enumerate().map(|(i, m)| (m, if i == own { 1.0 } else { none })).collect();
        let (part, moved) = step(&alone);
        assert_eq!(part.losses, report.losses);
        assert!((part.loss - part.losses[own]).abs() < 1e-6);
        loss += weight * f64::from(part.losses[own]);
        for ((_, sum), (_, moved)) in sum.iter_mut().zip(moved) {
            sum.iter_mut().zip(moved).for_each(|(sum, moved)| *sum += weight * moved);
        }
    }
    assert!((f64::from(report.loss) - loss).abs() < 1e-5, "{} instead of {loss}", report.loss);
    let mut largest = 0.0f64;
    for ((name, found), (_, expected)) in together.iter().zip(&sum) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{name}: {found} instead of {expected}");
            largest = largest.max(found.abs());
        }
    }
    assert!(largest > 0.01, "nothing has moved: {largest}");
    // A method alone moves what it moves among others that weigh nothing.
    let (alone, moved) = step(&[(CONTRASTIVE, 1.0)]);
    let (_, among) = step(&[(CONTRASTIVE, 1.0), (COINCIDENCE, none)]);
    assert_eq!(alone.losses, report.losses[..1]);
    for (name, moved) in moved {
        let (_, among) = among.iter().find(|(other, _)| *other == name).unwrap();
        assert!(moved.iter().zip(among).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
    }
}

#[test]
fn the_memory_moves_halfway_to_what_was_seen() {
    let head = HeadSpec::Projection { hidden: vec![] };
    let mut pretrainer = Pretrainer::new(PretrainerSpec { head, ..spec(&[(NCE, 1.0)]) }).unwrap();
    let bank = |pretrainer: &mut Pretrainer| {
        let all = tensors(&pretrainer.checkpoint(&json!(null)).unwrap());
        all.into_iter().find(|(name, _)| name == "bank").unwrap().1
    };
    let mut expected = bank(&mut pretrainer);
    let bound = (3f32 / 12.0).sqrt();
    assert!(expected.iter().all(|v| v.abs() < bound) && expected.iter().any(|v| v.abs() > 0.9 * bound));
    for step in 0..3 {
        let (x, items) = batch(pretrainer.spec(), step);
        // Neither network nor head has anything that differs in training.
        let model = Model::load(&pretrainer.save_weights(&json!(null)).unwrap(), DEVICE).unwrap();
        let seen = model.logits(&x).unwrap();
        pretrainer.step(&x, &items, 1e-2).unwrap();
        for (v, &item) in seen.chunks_exact(12).zip(&items) {
            let row = &mut expected[12 * item..12 * (item + 1)];
            row.iter_mut().zip(v).for_each(|(row, v)| *row = 0.5 * *row + 0.5 * v);
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length);
        }
        let found = bank(&mut pretrainer);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "step {step}");
        expected = found;
    }
}

#[test]
fn neither_threads_nor_an_interruption_change_a_bit() {
    let dropout = NetworkSpec::Mlp { hidden: vec![40, 20], dropout: 0.2 };
    for methods in [
        vec![(CONTRASTIVE, 1.0)],
        vec![(NCE, 1.0)],
        vec![(SOFTMAX, 0.5), (RANDOM, 2.0)],
        vec![(COINCIDENCE, 1.0)],
        vec![(CONTRASTIVE, 1.0), (NCE, 0.5), (TRIPLET, 2.0), (COINCIDENCE, 0.1)],
    ] {
        let new = || {
            let spec = PretrainerSpec { network: dropout.clone(), clip_norm: Some(1.0), ..spec(&methods) };
            Pretrainer::new(spec).unwrap()
        };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut whole = new();
                let losses = train(&mut whole, 0, 6);
                (whole.checkpoint(&json!(null)).unwrap(), losses)
            })
        };
        let (one, losses) = run(1);
        assert!(one == run(2).0 && one == run(3).0, "{methods:?}");
        let mut first = new();
        let mut parts = train(&mut first, 0, 2);
        let state = json!({ "epoch": 3 });
        let (mut second, found) = Pretrainer::resume(&first.checkpoint(&state).unwrap()).unwrap();
        assert_eq!((second.steps(), &found, second.spec()), (2, &state, first.spec()));
        parts.extend(train(&mut second, 2, 6));
        assert_eq!(losses, parts);
        assert!(one == second.checkpoint(&json!(null)).unwrap(), "{methods:?}");
    }
}

#[test]
fn a_training_with_labels_starts_from_the_encoder() {
    let mut pretrainer = Pretrainer::new(spec(&[(CONTRASTIVE, 1.0), (COINCIDENCE, 1.0)])).unwrap();
    train(&mut pretrainer, 0, 3);
    let bytes = pretrainer.save_weights(&json!({ "a": 1 })).unwrap();
    let model = Model::load(&bytes, DEVICE).unwrap();
    let (x, _) = batch(pretrainer.spec(), 9);
    let z = model.logits(&x).unwrap();
    assert_eq!((model.outputs(), model.features(), z.len()), (12, 40, 2 * BATCH * 12));
    assert_eq!(model.head(), &HeadSpec::Projection { hidden: vec![20] });
    assert!(z.chunks(12).all(|z| (z.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5));
    let spec = pretrainer.spec().clone();
    let mut trainer = Trainer::new(TrainerSpec {
        network: spec.network,
        input: spec.input,
        outputs: 3,
        optimiser: spec.optimiser,
        clip_norm: None,
        loss: sndpipe_nn::LossSpec::Cce,
        device: DEVICE,
        seed: 1,
    })
    .unwrap();
    trainer.load_encoder(&bytes).unwrap();
    let trained = Model::load(&trainer.save_weights(&json!(null)).unwrap(), DEVICE).unwrap();
    assert_eq!(trained.embed(&x).unwrap(), model.embed(&x).unwrap());
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let mut pretrainer = Pretrainer::new(spec(&[(NCE, 1.0), (CONTRASTIVE, 1.0)])).unwrap();
    let before = pretrainer.checkpoint(&json!(null)).unwrap();
    let (mut x, items) = batch(pretrainer.spec(), 0);
    x[3] = f32::NAN;
    let error = pretrainer.step(&x, &items, 1e-3).unwrap_err();
    assert!(matches!(error, NnError::NonFiniteLoss { .. }), "{error}");
    assert!(before == pretrainer.checkpoint(&json!(null)).unwrap());
    let error = |x: &[f32], items: &[usize], pretrainer: &mut Pretrainer| {
        pretrainer.step(x, items, 1e-3).unwrap_err().to_string()
    };
    assert_eq!(
        error(&x, &items[1..], &mut pretrainer),
        "views of a batch: expected shape [14, 2, 9, 8], found [2304]"
    );
    let far = vec![ITEMS; BATCH];
    assert_eq!(error(&x, &far, &mut pretrainer), "`items` is 24, must be below 24");
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |spec: PretrainerSpec| Pretrainer::new(spec).unwrap_err().to_string();
    assert_eq!(refused(spec(&[])), "`objectives` is an empty list, must be at least one");
    assert_eq!(
        refused(spec(&[(NCE, 1.0), (SOFTMAX, 1.0)])),
        "`objectives` is `instance` twice, must be each method once"
    );
    assert_eq!(refused(spec(&[(NCE, 0.0)])), "`weight` is 0, must be positive");
    let cold = MethodSpec::Contrastive { temperature: 0.0 };
    assert_eq!(refused(spec(&[(cold, 1.0)])), "`temperature` is 0, must be positive");
    let head = HeadSpec::Projection { hidden: vec![] };
    let unread = PretrainerSpec { head, ..spec(&[(COINCIDENCE, 1.0)]) };
    assert!(refused(unread).ends_with("must be `unit` where no objective reads embeddings"));
}

#[test]
fn embeddings_on_the_way_are_those_of_the_model() {
    for head in [HeadSpec::Projection { hidden: vec![20] }, HeadSpec::Unit] {
        let mut pretrainer = Pretrainer::new(PretrainerSpec { head, ..spec(&[(CONTRASTIVE, 1.0)]) }).unwrap();
        train(&mut pretrainer, 0, 3);
        let before = pretrainer.checkpoint(&json!(null)).unwrap();
        let (x, _) = batch(pretrainer.spec(), 9);
        let (z, h) = (pretrainer.embed(&x, true).unwrap(), pretrainer.embed(&x, false).unwrap());
        assert!(before == pretrainer.checkpoint(&json!(null)).unwrap(), "looking changes nothing");
        let model = Model::load(&pretrainer.save_weights(&json!(null)).unwrap(), DEVICE).unwrap();
        assert!(z == model.logits(&x).unwrap() && h == model.embed(&x).unwrap());
        let sizes = (pretrainer.embedding_size(true), pretrainer.embedding_size(false));
        assert_eq!(sizes, (model.outputs(), model.features()));
        assert_eq!((z.len(), h.len()), (2 * BATCH * sizes.0, 2 * BATCH * sizes.1));
    }
}

#[test]
fn what_is_alike_is_not_pushed_apart() {
    let mut pretrainer = Pretrainer::new(spec(&[(TRIPLET, 1.0)])).unwrap();
    let (x, items) = batch(pretrainer.spec(), 0);
    // All of one kind: no triplet, no loss, and nothing that moves.
    let before = tensors(&pretrainer.save_weights(&json!(null)).unwrap());
    let report = pretrainer.step_alike(&x, &items, &|_, _| true, 1e-2).unwrap();
    assert_eq!((report.loss, report.grad_norm), (0.0, 0.0));
    let after = tensors(&pretrainer.save_weights(&json!(null)).unwrap());
    let still = |name: &str| !name.contains("running") && !name.contains("num_batches");
    for ((name, before), (_, after)) in before.iter().zip(&after).filter(|((name, _), _)| still(name)) {
        assert!(before == after, "{name}");
    }
    let kinds = |a: usize, b: usize| items[a] % 3 == items[b] % 3;
    let mut losses = Vec::new();
    for _ in 0..60 {
        losses.push(pretrainer.step_alike(&x, &items, &kinds, 1e-2).unwrap().loss);
    }
    assert!(losses[0] > 0.0 && losses[59] < 0.5 * losses[0], "{losses:?}");
}
