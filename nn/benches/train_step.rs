//! Samples a second in training and evaluation, at 1x101x96 and 200 outputs, BCE, Adam, and the most memory that was used.
//!
//! `cargo bench -p sndpipe-nn` times every network below at batch 32; `cargo bench -p sndpipe-nn -- NETWORK BATCH MODE` (mode
//! `train` or `infer`) one case, as `benches/training.sh` does beside PyTorch. One line a case: program, network, mode,
//! batch, samples a second (median, best), MiB.
//!
//! Further arguments name the input's shape, such as `3x341x394`, and the device: `cpu`, `cuda` (with TF32, as the peer) or
//! `cuda-f32`. With the feature `cuda` the mode `profile` prints instead what each kernel takes in ten steps: kernel, runs,
//! milliseconds.
#![expect(clippy::print_stdout, reason = "it prints what it has measured")]

use std::time::{Duration, Instant};

use sndpipe_nn::{DeviceKind, InputShape, LossSpec, NetworkSpec, OptimiserSpec, Trainer, TrainerSpec};
use sndpipe_random::Rng;

const NETWORKS: [&str; 5] = ["vgg41_plain", "vgg41", "vgg_like", "resnet18", "crnn"];
/// Channels, frames and bands where nothing else is asked for.
const INPUT: (usize, usize, usize) = (1, 101, 96);
/// How long a case is timed, and its least number of steps.
const TIME: Duration = Duration::from_secs(5);
const STEPS: usize = 5;

#[global_allocator]
static HEAP: sndpipe_nn::Heap = sndpipe_nn::Heap;

fn main() {
    sndpipe_nn::keep_large_buffers();
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [network, batch, mode, rest @ ..] => {
            let batch = batch.parse().expect("a number of samples");
            let (mut input, mut device) = (INPUT, DeviceKind::Cpu);
            for argument in rest {
                let sizes: Vec<usize> = argument.split('x').filter_map(|size| size.parse().ok()).collect();
                match (argument.as_str(), &sizes[..]) {
                    (_, &[channels, frames, bands]) => input = (channels, frames, bands),
                    ("cpu", _) => device = DeviceKind::Cpu,
                    ("cuda", _) => device = DeviceKind::Cuda { index: 0, tf32: true },
                    ("cuda-f32", _) => device = DeviceKind::Cuda { index: 0, tf32: false },
                    (other, _) => {
                        panic!("`{other}` is no CHANNELSxFRAMESxBANDS and no device: cpu, cuda or cuda-f32")
                    }
                }
            }
            // In the pool, as the stages of a pipeline run.
            pool.install(|| case(network, batch, mode, input.into(), device));
        }
        _ => pool.install(|| {
            NETWORKS.iter().for_each(|network| {
                case(network, 32, "train", INPUT.into(), DeviceKind::Cpu);
                case(network, 32, "infer", INPUT.into(), DeviceKind::Cpu);
            });
        }),
    }
}

fn case(network: &str, batch: usize, mode: &str, input: InputShape, device: DeviceKind) {
    let network_spec: NetworkSpec =
        serde_json::from_value(serde_json::json!({ "name": network })).expect("the name of a network");
    let mut trainer = Trainer::new(TrainerSpec {
        network: network_spec,
        input,
        outputs: 200,
        optimiser: OptimiserSpec::default(),
        clip_norm: None,
        loss: LossSpec::Bce,
        device,
        seed: 0,
    })
    .expect("the network fits the input");
    let mut rng = Rng::new(0, "bench");
    let inputs: Vec<f32> = (0..batch * input.len()).map(|_| rng.normal() as f32).collect();
    let targets: Vec<f32> = (0..batch * 200).map(|_| if rng.chance(0.015) { 1.0 } else { 0.0 }).collect();
    let mut step = || match mode {
        "infer" => drop(trainer.predict(&inputs).expect("logits")),
        _ => drop(trainer.step(&inputs, &targets, 1e-3).expect("a step")),
    };
    step();
    step();
    #[cfg(feature = "cuda")]
    if mode == "profile" {
        let (took, kernels) = sndpipe_nn::time_kernels(|| {
            let start = Instant::now();
            (0..10).for_each(|_| step());
            start.elapsed().as_secs_f64() * 1e3
        })
        .expect("times");
        println!("all\t10\t{took:.3}");
        for kernel in kernels {
            println!("{}\t{}\t{:.3}", kernel.name, kernel.runs, kernel.milliseconds);
        }
        return;
    }
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < STEPS || begin.elapsed() < TIME {
        let start = Instant::now();
        step();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let rate = |time: f64| batch as f64 / time;
    let (median, best) = (rate(times[times.len() / 2]), rate(times[0]));
    println!("sndpipe\t{network}\t{mode}\t{batch}\t{median:.1}\t{best:.1}\t{}", peak_mib());
}

/// The most memory that this process has held, where the system tells.
fn peak_mib() -> String {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).to_string())
}
