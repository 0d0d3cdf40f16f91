//! Decoding: every way in which bytes are not one whole sound is an error, and no bytes are a panic.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;
use sndpipe_artefacts::audio::DecodeLimits;
use sndpipe_audio::{DecodeError, decode};

const ANY: DecodeLimits = DecodeLimits { max_seconds: 60.0 };

/// A stereo ramp, 1000 samples a channel at 8000 Hz, values from -0.5 to 0.5, the second channel negated.
fn ramp() -> Vec<f64> {
    (0..1000).flat_map(|i| [f64::from(i) / 1000.0 - 0.5, 0.5 - f64::from(i) / 1000.0]).collect()
}

fn wav(bits: u16, format: SampleFormat, samples: &[f64]) -> Vec<u8> {
    let spec = WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).expect("memory takes every write");
    for &x in samples {
        match format {
            SampleFormat::Float => writer.write_sample(x as f32).expect("memory takes every write"),
            SampleFormat::Int => {
                writer
                    .write_sample((x * 2f64.powi(i32::from(bits) - 1)).round() as i32)
                    .expect("memory takes every write");
            }
        }
    }
    writer.finalize().expect("memory takes every write");
    bytes.into_inner()
}

/// A wav of 64-bit floats, written by hand.
fn wav_of_doubles(samples: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0\x02\0");
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(128_000u32.to_le_bytes());
    bytes.extend(b"\x10\0\x40\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn clip() -> Option<Vec<u8>> {
    crate::real::data("SNDPIPE_ESC10", "esc10")
        .and_then(|root| fs_err::read(root.join("001 - Dog bark/1-100032-A.ogg")).ok())
}

#[test]
fn every_depth_of_wav_is_read() {
    let ramp = ramp();
    let files = [
        (wav(8, SampleFormat::Int, &ramp), 1.0 / 128.0),
        (wav(16, SampleFormat::Int, &ramp), 1.0 / 32_768.0),
        (wav(24, SampleFormat::Int, &ramp), 1e-6),
        (wav(32, SampleFormat::Int, &ramp), 1e-7),
        (wav(32, SampleFormat::Float, &ramp), 1e-7),
        (wav_of_doubles(&ramp), 1e-7),
    ];
    for (i, (bytes, tolerance)) in files.iter().enumerate() {
        let pcm = decode(bytes, &ANY).unwrap();
        assert_eq!((pcm.sample_rate, pcm.channels.len(), pcm.channels[0].len()), (8000, 2, 1000), "file {i}");
        for (at, want) in ramp.iter().enumerate() {
            let got = f64::from(pcm.channels[at % 2][at / 2]);
            assert!((got - want).abs() <= *tolerance, "file {i}, sample {at}: {got} is not {want}");
        }
    }
}

#[test]
fn floats_beyond_full_scale_are_kept() {
    let pcm = decode(&wav(32, SampleFormat::Float, &[3.0, -4.0]), &ANY).unwrap();
    assert_eq!(pcm.channels, [[3.0], [-4.0]]);
}

#[test]
fn what_is_not_audio_says_so() {
    for bytes in [&b""[..], b"R", &b"class,clip\nrain,3\n".repeat(200), &[0u8; 5000]] {
        let error = decode(bytes, &ANY).unwrap_err();
        let said = matches!(error, DecodeError::NotAudio { .. } | DecodeError::Foreign { .. });
        assert!(said, "{error:?}");
    }
}

#[test]
fn a_header_that_promises_more_than_the_file_holds_is_refused() {
    let whole = wav(16, SampleFormat::Int, &ramp());
    let error = decode(&whole[..whole.len() / 2 + 22], &ANY).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "truncated after 0.062 s: the header promises 4000 bytes of samples, the file holds 2000"
    );
}

#[test]
fn absurd_headers_are_refused_before_anything_is_allocated() {
    let mut bytes = wav(16, SampleFormat::Int, &ramp());
    let with = |at: usize, value: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        decode(&changed, &ANY).unwrap_err()
    };
    assert_eq!(with(24, &0u32.to_le_bytes()), DecodeError::SampleRate { value: 0 });
    assert_eq!(with(24, &768_001u32.to_le_bytes()), DecodeError::SampleRate { value: 768_001 });
    assert_eq!(with(22, &0u16.to_le_bytes()), DecodeError::ChannelCount { value: 0 });
    assert_eq!(with(22, &65u16.to_le_bytes()), DecodeError::ChannelCount { value: 65 });
    // Ten hours promised.
    assert!(matches!(with(40, &(36_000 * 32_000u32).to_le_bytes()), DecodeError::Truncated { .. }));
    // A length that could not be written at the time: the data ends with the file.
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode(&bytes, &ANY).unwrap().channels[0].len(), 1000);
}

#[test]
fn too_long_and_not_finite_sounds_are_refused() {
    let bytes = wav(16, SampleFormat::Int, &ramp());
    let short = DecodeLimits { max_seconds: 0.1 };
    assert_eq!(decode(&bytes, &short).unwrap_err(), DecodeError::TooLong { max_seconds: 0.1 });
    let bytes = wav(32, SampleFormat::Float, &[0.0, 0.0, 0.0, f64::INFINITY]);
    let error = decode(&bytes, &ANY).unwrap_err();
    assert_eq!(error.to_string(), "sample 1 of channel 1 is inf, not a finite number");
}

/// A checksum of Ogg and flac, bit by bit: no reflection, start 0.
fn crc(bits: u32, polynomial: u32, bytes: &[u8]) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |crc, _| {
            if crc & top == 0 { crc << 1 } else { crc << 1 ^ polynomial }
        }) & (top | (top - 1))
    })
}

/// A flac file of silence, 16 bits: a frame of 65,535 samples takes about 12 bytes and 3 for each channel.
fn silent_flac(rate: u64, channels: u64, promised: u64, frames: u32) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\0\0\x22\xff\xff\xff\xff\0\0\0\0\0\0".to_vec();
    bytes.extend((rate << 44 | (channels - 1) << 41 | 15 << 36 | promised).to_be_bytes());
    bytes.extend([0; 16]);
    for number in 0..frames {
        let mut frame = vec![0xff, 0xf8, 0x70, ((channels - 1) << 4 | 8) as u8];
        // The frame's number is written as a character is in UTF-8.
        frame.extend(char::from_u32(number).expect("few frames").encode_utf8(&mut [0; 4]).bytes());
        frame.extend(65_534u16.to_be_bytes());
        frame.push(crc(8, 0x07, &frame) as u8);
        frame.extend(vec![0; 3 * channels as usize]);
        let check = crc(16, 0x8005, &frame) as u16;
        frame.extend(check.to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

#[test]
fn a_small_file_that_decodes_to_hours_is_refused() {
    let short = silent_flac(8000, 1, 2 * 65_535, 2);
    assert_eq!(decode(&short, &ANY).unwrap().channels, [vec![0.0; 2 * 65_535]]);

    // Two hours in 13 kB, of which the header says nothing: stopped after the first minute.
    let long = silent_flac(8000, 1, 0, 880);
    assert!(long.len() < 14_000, "{}", long.len());
    assert_eq!(decode(&long, &ANY).unwrap_err(), DecodeError::TooLong { max_seconds: 60.0 });
    // What the header promises is refused before anything is decoded: there is not that much.
    let promised = silent_flac(8000, 1, 8000 * 7200, 1);
    assert_eq!(decode(&promised, &ANY).unwrap_err(), DecodeError::TooLong { max_seconds: 60.0 });
    let hour = DecodeLimits::default();
    let wide = silent_flac(655_350, 8, 1 << 28, 1);
    let error = decode(&wide, &hour).unwrap_err();
    assert_eq!(error.to_string(), "more than 1073741824 samples in 8 channels");
}

/// An Ogg page around a body of fewer than 255 bytes.
fn page(kind: u8, granule: i64, body: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(kind);
    page.extend(granule.to_le_bytes());
    page.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, body.len() as u8]);
    page.extend(body);
    let check = crc(32, 0x04c1_1db7, &page);
    page[22..26].copy_from_slice(&check.to_le_bytes());
    page
}

#[test]
fn an_ogg_file_that_promises_hours_is_refused() {
    let mut header = b"\x01vorbis\0\0\0\0\x01".to_vec();
    header.extend(8000u32.to_le_bytes());
    header.extend([0; 14]);
    let ogg = |first: i64, last: i64| {
        let pages = [page(2, 0, &header), page(0, first, b"sound"), page(4, last, b"sound")].concat();
        decode(&pages, &ANY).unwrap_err()
    };
    let too_long = DecodeError::TooLong { max_seconds: 60.0 };
    assert_eq!(ogg(8000, 8000 * 7200), too_long);
    assert_eq!(ogg(8000, i64::MAX), too_long);
    // Cut out of a stream that had run for two hours: short, though no Vorbis.
    assert_ne!(ogg(8000 * 7200, 8000 * 7201), too_long);
}

/// The real clip is 5.0 s long in the data set's table; where the data is absent there is nothing to check.
#[test]
fn ogg_pages_are_checked() {
    let Some(whole) = clip() else { return };
    let pcm = decode(&whole, &ANY).unwrap();
    assert_eq!((pcm.sample_rate, pcm.channels.len()), (44_100, 1));
    let seconds = pcm.channels[0].len() as f64 / 44_100.0;
    assert!((5.0..5.1).contains(&seconds), "{seconds} s");
    for share in [0.3, 0.6, 0.99] {
        let cut = &whole[..(whole.len() as f64 * share) as usize];
        let error = decode(cut, &ANY).unwrap_err();
        assert!(matches!(error, DecodeError::Truncated { seconds, .. } if seconds < 5.1), "{error:?}");
    }
    let last_page = whole.windows(4).rposition(|w| w == b"OggS").unwrap();
    let without_end = decode(&whole[..last_page], &ANY).unwrap();
    assert!(without_end.damage[0].detail.contains("end-of-stream flag"), "{:?}", without_end.damage);
    let mut flipped = whole.clone();
    flipped[last_page - 5] ^= 1;
    let flipped = decode(&flipped, &ANY).unwrap();
    assert!(flipped.damage[0].detail.contains("checksum"), "{:?}", flipped.damage);
    assert!(flipped.channels[0].len() < pcm.channels[0].len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to a file, the answer is samples or an error, and samples are finite and of one length.
    #[test]
    fn damaged_files_never_panic(
        which in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        near_the_start in any::<bool>(),
    ) {
        let mut bytes = match which {
            0 => wav(16, SampleFormat::Int, &ramp()),
            1 => wav(32, SampleFormat::Float, &ramp()),
            _ => clip().unwrap_or_else(|| wav_of_doubles(&ramp())),
        };
        let reach = if near_the_start { bytes.len().min(200) } else { bytes.len() };
        for (at, value) in edits {
            bytes[at.index(reach)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(pcm) = decode(&bytes, &DecodeLimits { max_seconds: 5.5 }) {
            prop_assert!(!pcm.channels.is_empty() && pcm.sample_rate > 0);
            for channel in &pcm.channels {
                prop_assert_eq!(channel.len(), pcm.channels[0].len());
                prop_assert!(channel.iter().all(|x| x.is_finite()));
            }
        }
    }
}
