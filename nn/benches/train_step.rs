//! How many samples a second train and evaluate: `vgg41_plain` at 1x101x96, batch 32, 200 outputs, BCE, Adam.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sndpipe_nn::{DeviceKind, LossSpec, NetworkSpec, OptimiserSpec, Rng, Trainer, TrainerSpec};

const BATCH: usize = 32;

fn train_step(c: &mut Criterion) {
    let mut trainer = Trainer::new(TrainerSpec {
        network: NetworkSpec::default(),
        input: (1, 101, 96).into(),
        outputs: 200,
        optimiser: OptimiserSpec::default(),
        clip_norm: None,
        loss: LossSpec::Bce,
        device: DeviceKind::Cpu,
        seed: 0,
    })
    .expect("the network fits the input");
    let mut rng = Rng::new(0, "bench");
    let inputs: Vec<f32> = (0..BATCH * 101 * 96).map(|_| rng.normal() as f32).collect();
    let targets: Vec<f32> = (0..BATCH * 200).map(|_| if rng.chance(0.015) { 1.0 } else { 0.0 }).collect();
    let mut group = c.benchmark_group("vgg41_plain");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8))
        .throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("train", |b| b.iter(|| trainer.step(&inputs, &targets, 1e-3)));
    group.bench_function("infer", |b| b.iter(|| trainer.predict(&inputs)));
    group.finish();
}

criterion_group!(benches, train_step);
criterion_main!(benches);
