//! Training through the public interface: what is learnt, and that it is the same to the bit however it is run.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::json;
use sndpipe_nn::{
    DeviceKind, InputShape, LossSpec, Model, NetworkSpec, NnError, OptimiserSpec, Trainer, TrainerSpec,
};
use sndpipe_random::Rng;

/// The feature `test-cuda` takes these tests to the first GPU.
#[cfg(not(feature = "test-cuda"))]
const DEVICE: DeviceKind = DeviceKind::Cpu;
#[cfg(feature = "test-cuda")]
const DEVICE: DeviceKind = DeviceKind::Cuda { index: 0, tf32: false };

fn spec(network: NetworkSpec, input: (usize, usize, usize)) -> TrainerSpec {
    TrainerSpec {
        network,
        input: input.into(),
        outputs: 3,
        optimiser: OptimiserSpec::default(),
        clip_norm: None,
        loss: LossSpec::Cce,
        device: DEVICE,
        seed: 7,
    }
}

fn vgg() -> TrainerSpec {
    spec(NetworkSpec::Vgg41Plain { width: 1.0 }, (1, 27, 24))
}

fn mlp() -> TrainerSpec {
    let network = NetworkSpec::Mlp { hidden: vec![40, 24], dropout: 0.25 };
    spec(network, (2, 9, 8))
}

/// A batch whose classes differ by where its energy lies.
fn batch(input: InputShape, n: usize, step: u64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Rng::new(step, "batch");
    let (mut x, mut t) = (Vec::new(), vec![0.0; n * 3]);
    for sample in 0..n {
        let class = rng.index(3);
        t[sample * 3 + class] = 1.0;
        for i in 0..input.len() {
            let band = i % input.bands;
            let loud = if band * 3 / input.bands == class { 1.0 } else { 0.0 };
            x.push((rng.normal() + loud) as f32);
        }
    }
    (x, t)
}

fn train(trainer: &mut Trainer, from: u64, to: u64) -> Vec<f32> {
    (from..to)
        .map(|step| {
            let (x, t) = batch(trainer.spec().input, 9, step);
            trainer.step(&x, &t, 1e-3).unwrap().loss
        })
        .collect()
}

#[test]
fn parameter_counts_are_those_of_pytorch() {
    let mut plain = spec(NetworkSpec::Vgg41Plain { width: 1.0 }, (1, 101, 96));
    plain.outputs = 200;
    assert_eq!(Trainer::new(plain).unwrap().parameter_count(), 1_224_040);
    let layers = 144 * 40 + 40 + 40 * 24 + 24 + 24 * 3 + 3;
    assert_eq!(Trainer::new(mlp()).unwrap().parameter_count(), layers);
}

#[test]
fn both_networks_learn() {
    for (spec, steps) in [(vgg(), 25), (mlp(), 150)] {
        let mut trainer = Trainer::new(spec).unwrap();
        let losses = train(&mut trainer, 0, steps);
        assert!((losses[0] - 3f32.ln()).abs() < 0.4, "{losses:?}");
        let (x, t) = batch(trainer.spec().input, 30, 1000);
        let logits = trainer.predict(&x).unwrap();
        let right = logits.chunks(3).zip(t.chunks(3)).filter(|(l, t)| {
            let best = (0..3).max_by(|&a, &b| l[a].total_cmp(&l[b])).unwrap();
            t[best] == 1.0
        });
        let right = right.count();
        assert!(right >= 24, "{right} of 30 after {losses:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let optimisers =
        [OptimiserSpec::default(), OptimiserSpec::Sgd { momentum: 0.9, weight_decay: 1e-4, nesterov: true }];
    for (spec, optimiser) in [vgg(), mlp()].into_iter().zip(optimisers) {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let spec = TrainerSpec { optimiser: optimiser.clone(), clip_norm: Some(0.5), ..spec.clone() };
                let mut trainer = Trainer::new(spec).unwrap();
                train(&mut trainer, 0, 5);
                let (x, _) = batch(trainer.spec().input, 40, 99);
                (trainer.checkpoint(&json!(null)).unwrap(), trainer.predict(&x).unwrap())
            })
        };
        let one = run(1);
        assert!(one == run(2), "two threads give other bytes");
        assert!(one == run(3), "three threads give other bytes");
    }
}

#[test]
fn a_resumed_training_changes_no_bit() {
    for spec in [vgg(), mlp()] {
        let mut whole = Trainer::new(spec.clone()).unwrap();
        train(&mut whole, 0, 10);
        let mut first = Trainer::new(spec).unwrap();
        train(&mut first, 0, 5);
        let state = json!({"epoch": 3, "best": [0.5, 0.25]});
        let bytes = first.checkpoint(&state).unwrap();
        drop(first);
        let (mut second, found) = Trainer::resume(&bytes).unwrap();
        assert_eq!((second.steps(), &found), (5, &state));
        train(&mut second, 5, 10);
        assert!(whole.checkpoint(&state).unwrap() == second.checkpoint(&state).unwrap());
    }
}

#[test]
fn a_resumed_training_with_an_average_changes_no_bit() {
    let lars = OptimiserSpec::Lars { momentum: 0.9, weight_decay: 1e-4, trust: 0.01 };
    let spec = TrainerSpec { optimiser: lars, clip_norm: Some(1.0), ..vgg() };
    let new = || Trainer::new(spec.clone()).unwrap().with_average(0.6).unwrap();
    let mut whole = new();
    train(&mut whole, 0, 6);
    let mut first = new();
    train(&mut first, 0, 3);
    let bytes = first.checkpoint(&json!(null)).unwrap();
    let (mut second, _) = Trainer::resume(&bytes).unwrap();
    train(&mut second, 3, 6);
    assert!(whole.checkpoint(&json!(null)).unwrap() == second.checkpoint(&json!(null)).unwrap());
    let average = |trainer: &Trainer| trainer.save_average(&json!(null)).unwrap().unwrap();
    assert!(average(&whole) == average(&second));
    // The average changes nothing else.
    let mut plain = Trainer::new(spec.clone()).unwrap();
    train(&mut plain, 0, 6);
    let weights = |trainer: &Trainer| trainer.save_weights(&json!(null)).unwrap();
    assert!(weights(&plain) == weights(&whole));
    assert!(plain.save_average(&json!(null)).unwrap().is_none());
}

#[test]
fn the_average_follows_its_formula() {
    let mut trainer = Trainer::new(mlp()).unwrap().with_average(0.25).unwrap();
    let mut expected: Vec<f64> = flat(&trainer).iter().map(|&v| f64::from(v)).collect();
    for step in 0..5 {
        train(&mut trainer, step, step + 1);
        // (1 + t) / (10 + t) is 2 / 11, 3 / 12, 4 / 13, ...
        let early = [2.0 / 11.0, 0.25][usize::from(step > 0)];
        for (a, v) in expected.iter_mut().zip(flat(&trainer)) {
            *a = early * *a + (1.0 - early) * f64::from(v);
        }
    }
    let bytes = trainer.save_average(&json!(null)).unwrap().unwrap();
    let model = Model::load(&bytes, DEVICE).unwrap();
    trainer.load_weights(&bytes).unwrap();
    for (a, e) in flat(&trainer).iter().zip(expected) {
        assert!((f64::from(*a) - e).abs() < 1e-6, "{a} instead of {e}");
    }
    let (x, _) = batch(trainer.spec().input, 4, 5);
    assert_eq!(model.logits(&x).unwrap(), trainer.predict(&x).unwrap());
    let error = Trainer::new(mlp()).unwrap().with_average(1.0).unwrap_err().to_string();
    assert_eq!(error, "`decay` is 1, must be in [0, 1)");
}

#[test]
fn saved_weights_give_the_same_logits() {
    let mut trainer = Trainer::new(vgg()).unwrap();
    train(&mut trainer, 0, 2);
    let meta = json!({"classes": ["a", "b", "c"]});
    let bytes = trainer.save_weights(&meta).unwrap();
    assert!(bytes == trainer.save_weights(&meta).unwrap());
    let model = Model::load(&bytes, DEVICE).unwrap();
    let (x, _) = batch(trainer.spec().input, 4, 5);
    assert_eq!(model.logits(&x).unwrap(), trainer.predict(&x).unwrap());
    assert_eq!((model.meta(), model.outputs()), (&meta, 3));
    let mut other = Trainer::new(TrainerSpec { seed: 8, ..vgg() }).unwrap();
    assert_ne!(other.predict(&x).unwrap(), trainer.predict(&x).unwrap());
    other.load_weights(&bytes).unwrap();
    assert_eq!(other.predict(&x).unwrap(), trainer.predict(&x).unwrap());
}

#[test]
fn a_foreign_checkpoint_is_named_in_full() {
    let weights = |spec: TrainerSpec| Trainer::new(spec).unwrap().save_weights(&json!(null)).unwrap();
    let mut trainer = Trainer::new(mlp()).unwrap();
    let before = trainer.save_weights(&json!(null)).unwrap();
    let deeper = NetworkSpec::Mlp { hidden: vec![41, 24, 5], dropout: 0.25 };
    let error = trainer.load_weights(&weights(spec(deeper, (2, 9, 8)))).unwrap_err();
    let NnError::Mismatch { missing, unexpected, mismatched } = &error else {
        panic!("{error}");
    };
    assert!(missing.is_empty());
    assert_eq!(unexpected, &["body.6.bias", "body.6.weight"]);
    assert_eq!(mismatched[0], "body.0.weight: network [40, 144], file [41, 144]");
    assert!(error.to_string().contains("fc.weight: network [3, 24], file [3, 5]"));
    assert!(before == trainer.save_weights(&json!(null)).unwrap(), "half-loaded");
    let error = trainer.load_weights(&weights(vgg())).unwrap_err().to_string();
    assert!(error.contains("missing [\"body.0.bias\", \"body.3.bias\"]"), "{error}");
}

#[test]
fn broken_bytes_are_errors() {
    let mut trainer = Trainer::new(mlp()).unwrap();
    let weights = trainer.save_weights(&json!(null)).unwrap();
    let whole = trainer.checkpoint(&json!(null)).unwrap();
    for bytes in [&[][..], b"not a checkpoint", &weights[..weights.len() - 1], &whole[..50]] {
        let error = Trainer::resume(bytes).unwrap_err();
        assert!(matches!(error, NnError::Format { .. }), "{error}");
        let error = Model::load(bytes, DEVICE).unwrap_err();
        assert!(matches!(error, NnError::Format { .. }), "{error}");
    }
    assert!(Trainer::resume(&weights).is_err());
    assert!(Model::load(&whole, DEVICE).is_err());
}

#[test]
fn a_loss_that_is_not_finite_stops_and_changes_nothing() {
    for spec in [vgg(), mlp()] {
        let mut trainer = Trainer::new(spec).unwrap();
        train(&mut trainer, 0, 1);
        let before = trainer.checkpoint(&json!(null)).unwrap();
        let (mut x, t) = batch(trainer.spec().input, 4, 1);
        x[17] = f32::NAN;
        let error = trainer.step(&x, &t, 1e-3).unwrap_err();
        assert!(matches!(error, NnError::NonFiniteLoss { step: 1, .. }), "{error}");
        x[17] = f32::INFINITY;
        assert!(trainer.step(&x, &t, 1e-3).is_err());
        assert!(before == trainer.checkpoint(&json!(null)).unwrap());
    }
}

/// A file that promises an enormous network is refused for what it lacks, without the terabytes that the network would take.
#[test]
fn a_description_takes_no_memory() {
    let bytes = Trainer::new(mlp()).unwrap().save_weights(&json!(null)).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let refused = |from: &str, to: &str, expected: &str| {
        assert!(header.contains(from), "{header}");
        let header = header.replace(from, to);
        let mut other = (header.len() as u64).to_le_bytes().to_vec();
        other.extend(header.as_bytes());
        other.extend(&bytes[8 + length..]);
        let error = Model::load(&other, DEVICE).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(r#"\"hidden\":["#, r#"\"hidden\":[1048576,1048576,"#, "[1048576, 1048576]");
    refused(r#"\"frames\":"#, r#"\"frames\":99999999999"#, "`input` is");
    refused(r#"\"outputs\":"#, r#"\"outputs\":99999999999"#, "`outputs` is");
}

#[test]
fn wrong_shapes_and_ranges_are_errors() {
    let mut trainer = Trainer::new(mlp()).unwrap();
    let (x, t) = batch(trainer.spec().input, 4, 1);
    assert!(matches!(trainer.step(&x, &t[1..], 1e-3), Err(NnError::Shape { .. })));
    assert!(matches!(trainer.step(&x[1..], &t, 1e-3), Err(NnError::Shape { .. })));
    assert!(matches!(trainer.step(&[], &[], 1e-3), Err(NnError::Shape { .. })));
    assert!(trainer.predict(&x[1..]).is_err());
    assert!(trainer.predict(&[]).unwrap().is_empty());
    let error = |spec: TrainerSpec| Trainer::new(spec).unwrap_err().to_string();
    assert_eq!(error(TrainerSpec { clip_norm: Some(-1.0), ..mlp() }), "`clip_norm` is -1, must be positive");
    assert_eq!(error(TrainerSpec { outputs: 0, ..mlp() }), "`outputs` is 0, must be in 1 ..= 2^32");
    assert!(error(TrainerSpec { input: (1, 101, 7).into(), ..vgg() }).contains("[1, 101, 7]"));
    let cuda = error(TrainerSpec { device: DeviceKind::Cuda { index: 1, tf32: false }, ..mlp() });
    assert!(cuda.starts_with("device `cuda:1` cannot be used"), "{cuda}");
    let wide = serde_json::from_str::<NetworkSpec>(r#"{"name": "vgg41_plain", "widht": 2}"#);
    assert!(wide.unwrap_err().to_string().contains("widht"));
}

/// The weights of a trainer, all in one row.
fn flat(trainer: &Trainer) -> Vec<f32> {
    let bytes = trainer.save_weights(&json!(null)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let numbers = bytes[8 + header..].chunks_exact(4);
    numbers.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The same trainer with other weights.
fn with_weights(trainer: &mut Trainer, values: &[f32]) {
    let bytes = trainer.save_weights(&json!(null)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut new = bytes[..8 + header].to_vec();
    new.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    trainer.load_weights(&new).unwrap();
}

#[test]
fn the_gradient_of_a_whole_network_is_its_difference() {
    for mut spec in [vgg(), mlp()] {
        // A step of plain gradient descent at rate 1 moves the weights by minus the gradient.
        spec.optimiser = OptimiserSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
        let (x, t) = batch(spec.input, 8, 3);
        let start = flat(&Trainer::new(spec.clone()).unwrap());
        let step = |weights: &[f32], rate: f64| {
            let mut trainer = Trainer::new(spec.clone()).unwrap();
            with_weights(&mut trainer, weights);
            let report = trainer.step(&x, &t, rate).unwrap();
            (report, flat(&trainer))
        };
        let (report, moved) = step(&start, 1.0);
        let norm = report.grad_norm as f32;
        // Against the gradient, the loss falls by the norm times the distance. Running statistics also move, but have
        // no influence on the loss in training.
        let along = |distance: f32| {
            let weights: Vec<f32> =
                start.iter().zip(&moved).map(|(s, m)| s + (m - s) / norm * distance).collect();
            f64::from(step(&weights, 0.0).0.loss)
        };
        let h = 2e-3;
        let slope = (along(-h) - along(h)) / (2.0 * f64::from(h));
        assert!(
            (slope / report.grad_norm - 1.0).abs() < 0.02,
            "slope {slope}, gradient norm {}",
            report.grad_norm
        );
    }
}

#[test]
fn a_mask_hides_what_may_be_missing() {
    let spec = TrainerSpec { loss: LossSpec::Bce, ..mlp() };
    let (x, t) = batch(spec.input, 8, 3);
    let step = |mask: Option<&[f32]>| {
        let mut trainer = Trainer::new(spec.clone()).unwrap();
        let report = match mask {
            None => trainer.step(&x, &t, 1e-3).unwrap(),
            Some(mask) => trainer.step_masked(&x, &t, mask, 1e-3).unwrap(),
        };
        (report, trainer.checkpoint(&json!(null)).unwrap())
    };
    assert!(step(None) == step(Some(&[1.0; 24])));
    assert!(step(Some(&t)).0.loss < step(None).0.loss);
    let mut trainer = Trainer::new(spec.clone()).unwrap();
    let error = trainer.step_masked(&x, &t, &t[1..], 1e-3).unwrap_err().to_string();
    assert_eq!(error, "mask: expected shape [8, 3], found [23]");
    let error = Trainer::new(mlp()).unwrap().step_masked(&x, &t, &t, 1e-3).unwrap_err().to_string();
    assert_eq!(error, "`loss` is Cce, must be `bce` where there is a mask");
    let bad = TrainerSpec { loss: LossSpec::Lq { q: 0.0 }, ..mlp() };
    assert!(Trainer::new(bad).is_err());
}

#[test]
fn a_step_may_know_clean_samples_and_another_loss_follow() {
    let spec = TrainerSpec { loss: LossSpec::Lq { q: 0.7 }, ..mlp() };
    let (x, t) = batch(spec.input, 8, 3);
    let after = |loss: Option<LossSpec>, clean: Option<f32>| {
        let mut trainer = Trainer::new(spec.clone()).unwrap();
        loss.into_iter().for_each(|loss| trainer.set_loss(loss).unwrap());
        match clean {
            None => trainer.step(&x, &t, 1e-3).unwrap(),
            Some(clean) => trainer.step_selective(&x, &t, &[clean; 8], 1e-3).unwrap(),
        };
        trainer.save_weights(&json!(null)).unwrap()
    };
    assert!(after(None, None) == after(None, Some(0.0)));
    assert!(after(None, None) != after(None, Some(1.0)));
    assert!(after(None, Some(1.0)) == after(Some(LossSpec::Cce), None));
    let mut trainer = Trainer::new(spec).unwrap();
    let error = trainer.step_selective(&x, &t, &[0.0; 7], 1e-3).unwrap_err().to_string();
    assert_eq!(error, "clean: expected shape [8, 1], found [7]");
    assert!(trainer.set_loss(LossSpec::Lq { q: 2.0 }).is_err());
    trainer.set_loss(LossSpec::Bce).unwrap();
    let error = trainer.step_selective(&x, &t, &[0.0; 8], 1e-3).unwrap_err().to_string();
    assert_eq!(error, "`loss` is `bce`, must be one of a class a sample where some are clean");
    // A training goes on with the loss that it had.
    let (again, _) = Trainer::resume(&trainer.checkpoint(&json!(null)).unwrap()).unwrap();
    assert_eq!(again.spec().loss, LossSpec::Bce);
}

#[test]
fn clipping_limits_the_step() {
    let plain = OptimiserSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let (x, t) = batch(mlp().input, 8, 3);
    let step = |clip_norm: Option<f64>| {
        let spec = TrainerSpec { optimiser: plain.clone(), clip_norm, ..mlp() };
        let mut trainer = Trainer::new(spec).unwrap();
        let before = flat(&trainer);
        let report = trainer.step(&x, &t, 1.0).unwrap();
        let moved = before.iter().zip(flat(&trainer)).map(|(b, a)| f64::from(a - b).powi(2));
        (report.grad_norm, moved.sum::<f64>().sqrt())
    };
    let (norm, moved) = step(None);
    assert!((moved / norm - 1.0).abs() < 1e-4, "{moved} instead of {norm}");
    assert!((step(Some(norm / 4.0)).1 / (norm / 4.0) - 1.0).abs() < 1e-3);
    assert!((step(Some(norm * 4.0)).1 / norm - 1.0).abs() < 1e-4);
}
