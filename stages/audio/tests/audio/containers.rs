//! Containers of plain samples: WAV and its kin, AIFF, AU and CAF, as they are written by the book and as they are found.

#[path = "containers/adpcm.rs"]
mod adpcm;
#[path = "containers/aiff.rs"]
mod aiff;
#[path = "containers/caf.rs"]
mod caf;
#[path = "containers/wave.rs"]
mod wave;

use proptest::prelude::*;
use sndpipe_artefacts::audio::DecodeLimits;
use sndpipe_audio::{DecodeError, Pcm, decode};

use self::adpcm::adpcm;
use self::aiff::aiff;
use self::caf::caf;
use self::wave::{rf64, wave64};

const ANY: DecodeLimits = DecodeLimits { max_seconds: 60.0 };

fn read(bytes: &[u8]) -> Pcm {
    let pcm = decode(bytes, &ANY).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(pcm.damage, [], "nothing is damaged");
    pcm
}

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// The body of a `fmt ` chunk.
fn format(tag: u16, channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
    let mut body = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
    body.extend(rate.to_le_bytes());
    body.extend((rate * u32::from(align)).to_le_bytes());
    body.extend(align.to_le_bytes());
    body.extend(bits.to_le_bytes());
    body
}

/// A form around chunks.
fn form(outer: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [b"WAVE".to_vec(), chunks.concat()].concat();
    [&outer[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn wav(format: &[u8], data: &[u8]) -> Vec<u8> {
    form(b"RIFF", &[chunk(b"fmt ", format), chunk(b"data", data)])
}

/// A tone of 1000 Hz at 8000 Hz, from -1 to 1, of which no two neighbours are equal.
fn tone(n: usize) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * std::f64::consts::FRAC_PI_4 + 0.3).sin()).collect()
}

/// Samples of `bits` bits, `up` bits above the lowest of a container of `width` bytes.
fn integers(samples: &[f64], bits: u32, width: usize, up: u32) -> Vec<u8> {
    let scale = 2f64.powi(bits as i32 - 1);
    samples
        .iter()
        .flat_map(|x| {
            let sample = (x * scale).round().min(scale - 1.0) as i64;
            (sample << up).to_le_bytes()[..width].to_vec()
        })
        .collect()
}

#[track_caller]
fn check(bytes: &[u8], channels: usize, want: &[f64], tolerance: f64) {
    let pcm = read(bytes);
    assert_eq!((pcm.sample_rate, pcm.channels.len()), (8000, channels));
    assert_eq!(pcm.channels[0].len(), want.len() / channels, "samples a channel");
    for (i, want) in want.iter().enumerate() {
        let got = f64::from(pcm.channels[i % channels][i / channels]);
        assert!((got - want).abs() <= tolerance, "sample {i}: {got} is not {want}");
    }
}

/// The same bytes with those of every sample in reverse order.
fn big(bytes: &[u8], width: usize) -> Vec<u8> {
    bytes.chunks(width).flat_map(|sample| sample.iter().rev().copied().collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens to a file, the answer is samples or an error, and samples are finite and of one length.
    #[test]
    fn damaged_containers_never_panic(
        which in 0usize..8,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let samples = integers(&tone(60), 16, 2, 0);
        let mut bytes = match which {
            0 => wav(&format(1, 2, 8000, 8, 24), &integers(&tone(60), 24, 4, 0)),
            1 => rf64(b"RF64", 120, &samples),
            2 => wave64(&samples, 120),
            3 => aiff(Some(b"sowt"), 30, 16, &samples),
            4 => aiff(Some(b"ima4"), 1, 16, &[8; 68]),
            5 => caf(b"lpcm", 2, 4, &samples, 124),
            6 => adpcm(format(2, 2, 8000, 32, 4), &[18, 0], Some(30), &[0; 64]),
            _ => adpcm(format(0x11, 2, 8000, 16, 4), &[9, 0], Some(9), &[0; 32]),
        };
        let reach = bytes.len().min(110);
        for (at, value) in edits {
            bytes[at.index(reach)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match decode(&bytes, &ANY) {
            Ok(pcm) => {
                prop_assert!(!pcm.channels.is_empty() && pcm.sample_rate > 0);
                for channel in &pcm.channels {
                    prop_assert_eq!(channel.len(), pcm.channels[0].len());
                    prop_assert!(channel.iter().all(|x| x.is_finite()));
                }
            }
            // Panics are caught and told as this.
            Err(error) => prop_assert!(!error.to_string().contains("gave up"), "{}", error),
        }
    }
}
