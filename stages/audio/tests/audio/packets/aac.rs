use super::*;
use rusty_aac::{AacEncoder, AacEncoderConfig, AdtsHeader, write_adts_header};

/// Bits, the highest of a byte first.
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let all: Vec<u8> =
        fields.iter().flat_map(|&(value, n)| (0..n).rev().map(move |i| (value >> i & 1) as u8)).collect();
    all.chunks(8).map(|c| c.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i))).collect()
}

/// A packet of AAC-LC mono that is silent, with a fill element of 9 bytes that carries `extension`, if any.
pub fn aac(extension: Option<u32>) -> Vec<u8> {
    // A single channel element without a scale factor band: gain, window, no bands, and three tools that are off.
    let mut fields = vec![(0, 3), (0, 4), (100, 8), (0, 4), (0, 6), (0, 1), (0, 3)];
    if let Some(extension) = extension {
        fields.extend([(6, 3), (9, 4), (extension, 4), (0xa5_a5a5, 24), (0x5a5_a5a5, 28), (0x5a5a, 16)]);
    }
    fields.push((7, 3));
    bits(&fields)
}

/// ADTS at 22.05 kHz, mono, without checksum.
fn adts(packet: &[u8]) -> Vec<u8> {
    let size = packet.len() as u32 + 7;
    let fields = [(0xfff1, 16), (1, 2), (7, 4), (0, 1), (1, 3), (0, 4), (size, 13), (0x7ff, 11), (0, 2)];
    [bits(&fields), packet.to_vec()].concat()
}

#[test]
fn aac_in_adts_is_read_and_its_damage_told() {
    let pcm = whole(&[super::mpeg::id3(20), adts(&aac(None)).repeat(30)].concat());
    assert_eq!((pcm.sample_rate, pcm.channels.len(), pcm.channels[0].len()), (22_050, 1, 30 * 1024));
    let junk = [adts(&aac(None)).repeat(10), vec![1; 77], adts(&aac(None)).repeat(10)].concat();
    let (n, remarks) = damaged(&junk);
    assert_eq!(n, 20 * 1024);
    assert_eq!(remarks, ["at 0.464 s: 77 bytes between two frames are not AAC and were left out"]);
}

/// Extension 13 is spectral band replication, which doubles the sample rate; 1 is padding.
#[test]
fn he_aac_is_told_from_lc_by_its_packets() {
    assert_eq!(whole(&adts(&aac(Some(1))).repeat(30)).channels[0].len(), 30 * 1024);
    let he = read(&adts(&aac(Some(13))).repeat(30)).unwrap();
    assert_eq!((he.sample_rate, he.channels[0].len()), (44_100, 30 * 2048));
}

#[test]
fn aac_behind_junk_is_found() {
    let (n, remarks) = damaged(&[vec![0x55; 500], adts(&aac(None)).repeat(30)].concat());
    assert_eq!(n, 30 * 1024);
    assert_eq!(remarks, ["at 0.000 s: 500 bytes before the first frame are no AAC and were left out"]);
}

/// Six channels, as WAV orders them (left, right, centre, low frequencies, two behind), come back in this order, each with its own tone.
#[test]
fn channels_beyond_two_keep_their_places() {
    const RATE: u32 = 48_000;
    // The fourth is the channel of low frequencies.
    let tones = [500.0, 700.0, 900.0, 60.0, 1100.0, 1300.0f64];
    let wave =
        |hz: f64, i: usize| (f64::sin(std::f64::consts::TAU * hz * i as f64 / f64::from(RATE)) * 0.5) as f32;
    let pcm: Vec<f32> = (0..RATE as usize / 2).flat_map(|i| tones.map(|hz| wave(hz, i))).collect();
    let config = AacEncoderConfig { bitrate_bps: 512_000, ..AacEncoderConfig::default() };
    let mut encoder = AacEncoder::new(config);
    encoder.push_pcm(&pcm, 6, RATE).unwrap();
    encoder.finish();
    let mut file = Vec::new();
    while let Ok(packet) = encoder.next_packet() {
        let frame_length = packet.data.len() + 7;
        let header =
            AdtsHeader { object_type: 2, sample_rate: RATE, channels: 6, frame_length, header_len: 7 };
        file.extend(write_adts_header(&header));
        file.extend(&packet.data);
    }
    let decoded = whole(&file);
    assert_eq!((decoded.sample_rate, decoded.channels.len()), (RATE, 6));
    for (channel, hz) in decoded.channels.iter().zip(tones) {
        let heard = &channel[4096..20_480];
        let energy = |hz: f64| {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, &x) in heard.iter().enumerate() {
                let (sin, cos) = (std::f64::consts::TAU * hz * i as f64 / f64::from(RATE)).sin_cos();
                (re, im) = (re + f64::from(x) * cos, im + f64::from(x) * sin);
            }
            f64::hypot(re, im) * 2.0 / heard.len() as f64
        };
        assert!((energy(hz) - 0.5).abs() < 0.05, "{hz} Hz has {}", energy(hz));
        for other in tones.into_iter().filter(|&other| (other - hz).abs() > 1.0) {
            assert!(energy(other) < 0.01, "{other} Hz beside {hz} Hz has {}", energy(other));
        }
    }
}
