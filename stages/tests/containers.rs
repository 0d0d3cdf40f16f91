//! Containers of plain samples: WAV and its kin, AIFF, AU and CAF, as they are written by the book and as they are found.

use proptest::prelude::*;
use sndpipe_stages::audio::{DecodeError, DecodeLimits, Pcm, decode};

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

#[test]
fn samples_of_24_bits_in_4_bytes_are_found_in_the_lower_and_in_the_upper_bytes() {
    for channels in [1u16, 2, 3] {
        let tone = tone(300);
        let header = format(1, channels, 8000, 4 * channels, 24);
        let n = usize::from(channels);
        check(&wav(&header, &integers(&tone, 24, 4, 0)), n, &tone, 2e-7);
        check(&wav(&header, &integers(&tone, 24, 4, 8)), n, &tone, 2e-7);
        // Quiet, at -54 dB: the upper byte repeats the sign in the lower layout, and the samples still fill their bits.
        let quiet: Vec<f64> = tone.iter().map(|x| x / 500.0).collect();
        check(&wav(&header, &integers(&quiet, 24, 4, 0)), n, &quiet, 2e-7);
        // A recording of 16 bits that ALSA widens leaves the lowest byte 0.
        let coarse = integers(&tone, 16, 4, 8);
        check(&wav(&header, &coarse), n, &tone, 4e-5);
        // Upper bits that a driver leaves 0 for negative samples, too.
        let masked: Vec<u8> =
            integers(&tone, 24, 4, 0).chunks(4).flat_map(|b| [b[0], b[1], b[2], 0]).collect();
        check(&wav(&header, &masked), n, &tone, 2e-7);
    }
}

#[test]
fn depths_below_the_container_are_scaled_to_the_container() {
    let tone = tone(200);
    // The standard puts them at the top; a whole byte to spare may also be at the top.
    for (bits, width, up, tolerance) in [
        (20, 3, 4, 2e-6),
        (20, 4, 12, 2e-6),
        (20, 4, 0, 2e-6),
        (12, 2, 4, 5e-4),
        (16, 4, 16, 4e-5),
        (16, 4, 0, 4e-5),
    ] {
        let header = format(1, 2, 8000, 2 * width as u16, bits as u16);
        check(&wav(&header, &integers(&tone, bits, width, up)), 2, &tone, tolerance);
    }
    let wide: Vec<u8> = tone.iter().flat_map(|x| ((x * 2f64.powi(62)) as i64).to_le_bytes()).collect();
    let half: Vec<f64> = tone.iter().map(|x| x / 2.0).collect();
    check(&wav(&format(1, 1, 8000, 8, 64), &wide), 1, &half, 1e-7);
}

/// `WAVEFORMATEXTENSIBLE` around a tag, with `valid` bits.
fn extensible(mut header: Vec<u8>, tag: u16, valid: u16) -> Vec<u8> {
    header[..2].copy_from_slice(&0xfffeu16.to_le_bytes());
    header.extend([22, 0]);
    header.extend(valid.to_le_bytes());
    header.extend([0; 4]);
    header.extend(tag.to_le_bytes());
    header.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
    header
}

#[test]
fn extensible_headers_name_the_coding_and_its_valid_bits() {
    let tone = tone(100);
    let header = extensible(format(1, 2, 8000, 8, 32), 1, 24);
    check(&wav(&header, &integers(&tone, 24, 4, 8)), 2, &tone, 2e-7);
    let floats: Vec<u8> = tone.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
    check(&wav(&extensible(format(3, 2, 8000, 8, 32), 3, 32), &floats), 2, &tone, 1e-7);
    // A header that ends before the codec: PCM.
    let short = &extensible(format(1, 2, 8000, 4, 16), 1, 16)[..18];
    check(&wav(short, &integers(&tone, 16, 2, 0)), 2, &tone, 4e-5);
}

#[test]
fn nonsensical_block_sizes_give_way_to_the_bits() {
    let tone = tone(100);
    let data = integers(&tone, 16, 2, 0);
    // None, that of a sample in place of a frame, and one that is no multiple of the channels.
    for align in [0u16, 2, 5] {
        let mut header = format(1, 2, 8000, 4, 16);
        header[12..14].copy_from_slice(&align.to_le_bytes());
        check(&wav(&header, &data), 2, &tone, 4e-5);
    }
    let floats: Vec<u8> = tone.iter().flat_map(|&x| x.to_le_bytes()).collect();
    check(&wav(&format(3, 1, 8000, 8, 32), &floats), 1, &tone, 1e-7);
}

#[test]
fn companded_samples_expand_as_in_g_711() {
    // ITU-T G.711, tables 1 and 2: the smallest and the largest values of both signs, scaled to 16 bits.
    let law = |tag, bytes: [u8; 4]| read(&wav(&format(tag, 1, 8000, 1, 8), &bytes)).channels[0].clone();
    let scaled = |samples: [f32; 4]| samples.map(|x| x / 32_768.0).to_vec();
    assert_eq!(law(6, [0xd5, 0x55, 0xaa, 0x2a]), scaled([8.0, -8.0, 32_256.0, -32_256.0]));
    assert_eq!(law(7, [0xff, 0x7f, 0x80, 0x00]), scaled([0.0, 0.0, 32_124.0, -32_124.0]));
    let unsigned = read(&wav(&format(1, 1, 8000, 1, 8), &[0, 128, 255]));
    assert_eq!(unsigned.channels, [[-1.0, 0.0, 127.0 / 128.0]]);
}

#[test]
fn wrong_sizes_around_whole_samples_do_not_matter() {
    let tone = tone(150);
    let samples = integers(&tone, 16, 2, 0);
    let header = format(1, 1, 8000, 2, 16);
    let (fmt, data) = (chunk(b"fmt ", &header), chunk(b"data", &samples));
    let list = |declared: u32, body: &[u8]| [&b"LIST"[..], &declared.to_le_bytes(), body].concat();
    let info = b"INFOISFT\x0e\0\0\0Lavf59.27.100\0";
    let bare = |id: &[u8; 4], body: &[u8]| [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    let sized = |size: u32| {
        let mut bytes = wav(&header, &samples);
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes
    };
    let files = [
        ("no size", sized(0)),
        ("a size that is too small", sized(36 + 300 - 8)),
        ("a size that is too large", sized(0x7fff_ff00)),
        ("the largest size", sized(u32::MAX)),
        ("a header of 18 bytes", wav(&[&header[..], &[0; 2]].concat(), &samples)),
        ("a header of 20 bytes", wav(&[&header[..], &[2, 0, 9, 9]].concat(), &samples)),
        ("a header of 40 bytes", wav(&[&header[..], &[7; 24]].concat(), &samples)),
        ("a list that is too short", form(b"RIFF", &[fmt.clone(), list(18, info), data.clone()])),
        ("a list that is too long", form(b"RIFF", &[fmt.clone(), list(40, info), data.clone()])),
        ("a list beyond the file", form(b"RIFF", &[fmt.clone(), list(1 << 30, info), data.clone()])),
        (
            "an item longer than its list",
            form(b"RIFF", &[fmt.clone(), chunk(b"LIST", b"INFOISFT\xff\0\0\0ab"), data.clone()]),
        ),
        (
            "an odd list, padded",
            form(b"RIFF", &[fmt.clone(), chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0"), data.clone()]),
        ),
        (
            "an odd list, not padded",
            form(b"RIFF", &[fmt.clone(), bare(b"LIST", b"INFOISFT\x05\0\0\0abcd\0"), data.clone()]),
        ),
        (
            "an odd unknown chunk, not padded",
            form(b"RIFF", &[bare(b"abcd", b"odd"), fmt.clone(), data.clone()]),
        ),
        (
            "chunks before the header",
            form(
                b"RIFF",
                &[
                    chunk(b"JUNK", &[0; 28]),
                    chunk(b"bext", &[1; 603]),
                    chunk(b"wxyz", b"1"),
                    fmt.clone(),
                    data.clone(),
                ],
            ),
        ),
        (
            "the word in a text",
            form(b"RIFF", &[fmt.clone(), list(1 << 30, b"INFOICMT\x0c\0\0\0field data 2021"), data.clone()]),
        ),
        (
            "a tag behind",
            [wav(&header, &samples), b"ID3\x04\0\0\0\0\0\x0aTIT2".to_vec(), vec![9; 77]].concat(),
        ),
        (
            "chunks behind",
            form(b"RIFF", &[fmt.clone(), data.clone(), chunk(b"LIST", info), chunk(b"id3 ", &[3; 31])]),
        ),
        ("samples before the header", form(b"RIFF", &[data, fmt])),
    ];
    for (what, bytes) in files {
        let pcm = decode(&bytes, &ANY).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(pcm.channels[0].len(), 150, "{what}");
        check(&bytes, 1, &tone, 4e-5);
    }
}

#[test]
fn a_pipe_leaves_a_placeholder_and_a_cut_leaves_a_promise() {
    let tone = tone(150);
    let sized = |size: u32| {
        let mut bytes = wav(&format(1, 1, 8000, 2, 16), &integers(&tone, 16, 2, 0));
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        bytes
    };
    // mpg123, LAME, the same less its header, SoX, GStreamer, arecord, ffmpeg, and blocks and headers taken off.
    let placeholders = [
        0,
        0x7fff_ffff,
        0x7fff_ffdb,
        0x7fff_ffd3,
        0x7fff_fffe,
        0x7fff_f000,
        0x7fff_f024,
        0x7fff_0000,
        0x8000_0000,
        0x7fff_ff00,
        0xffff_ffff,
        0xffff_fffe,
        0xffff_ffdb,
        0xffff_ffd3,
        0xffff_ff00,
    ];
    for size in placeholders {
        check(&sized(size), 1, &tone, 4e-5);
    }
    for size in [302, 400, 1 << 20, 0x7f80_0000, 0x8100_0000, 0xf000_0000] {
        let error = decode(&sized(size), &ANY).unwrap_err();
        let wanted = format!(
            "truncated after 0.019 s: the header promises {size} bytes of samples, the file holds 300"
        );
        assert_eq!(error.to_string(), wanted);
    }
    // Nothing was written, but for chunks behind.
    let header = chunk(b"fmt ", &format(1, 1, 8000, 2, 16));
    let empty =
        form(b"RIFF", &[header.clone(), chunk(b"data", b""), chunk(b"LIST", b"INFOIART\x02\0\0\0me")]);
    assert_eq!(decode(&empty, &ANY).unwrap_err(), DecodeError::Empty);
    let empty = form(b"RIFF", &[header, chunk(b"data", b"")]);
    assert_eq!(decode(&empty, &ANY).unwrap_err(), DecodeError::Empty);
}

/// The same bytes with those of every sample in reverse order.
fn big(bytes: &[u8], width: usize) -> Vec<u8> {
    bytes.chunks(width).flat_map(|sample| sample.iter().rev().copied().collect::<Vec<_>>()).collect()
}

fn rf64(outer: &[u8; 4], data_size: u64, samples: &[u8]) -> Vec<u8> {
    let ds64 = [&0u64.to_le_bytes()[..], &data_size.to_le_bytes(), &[0; 12]].concat();
    let mut data = chunk(b"data", samples);
    data[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    form(
        outer,
        &[chunk(b"ds64", &ds64), chunk(b"fmt ", &format(1, 2, 8000, 4, 16)), data, chunk(b"LIST", b"INFO")],
    )
}

#[test]
fn relatives_of_wav_are_read() {
    let tone = tone(120);
    let samples = integers(&tone, 16, 2, 0);
    for outer in [b"RF64", b"BW64", b"RIFF"] {
        check(&rf64(outer, 240, &samples), 2, &tone, 4e-5);
    }
    let error = decode(&rf64(b"RF64", 5 << 30, &samples), &ANY).unwrap_err();
    assert!(error.to_string().contains("promises 5368709120 bytes"), "{error}");

    let mut rifx = b"RIFX\0\0\0\0WAVEfmt \0\0\0\x10".to_vec();
    for pair in [1u16, 2, 0, 8000, 0, 32_000, 4, 16] {
        rifx.extend(pair.to_be_bytes());
    }
    rifx.extend(b"data\0\0\0\xf0");
    rifx.extend(big(&samples, 2));
    check(&rifx, 2, &tone, 4e-5);

    check(&wave64(&samples, 240), 2, &tone, 4e-5);
    check(&wave64(&samples, u64::MAX - 24), 2, &tone, 4e-5);
    assert!(matches!(decode(&wave64(&samples, 242), &ANY), Err(DecodeError::Truncated { .. })));
}

fn wave64(samples: &[u8], data_size: u64) -> Vec<u8> {
    let tail = b"\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a";
    let header = format(1, 2, 8000, 4, 16);
    [
        &b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"[..],
        &[0; 8],
        b"wave",
        tail,
        b"junk",
        tail,
        &29u64.to_le_bytes(),
        b"five\0\0\0\0",
        b"fmt ",
        tail,
        &40u64.to_le_bytes(),
        &header,
        b"data",
        tail,
        &(24 + data_size).to_le_bytes(),
        samples,
    ]
    .concat()
}

fn be_chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_be_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// An AIFF of two channels at 8000 Hz, or an AIFF-C where there is a `codec`.
fn aiff(codec: Option<&[u8; 4]>, frames: u32, bits: u16, samples: &[u8]) -> Vec<u8> {
    let mut common = vec![0, 2];
    common.extend(frames.to_be_bytes());
    common.extend(bits.to_be_bytes());
    // 8000 = 0xfa00 · 2^(12 - 15): exponent 16383 + 12, and the first bit of the mantissa is written.
    common.extend([0x40, 0x0b, 0xfa, 0, 0, 0, 0, 0, 0, 0]);
    common.extend(codec.into_iter().flatten());
    if codec.is_some() {
        common.extend([0, 0]);
    }
    let sound = [&[0; 8][..], samples].concat();
    let chunks = [be_chunk(b"NAME", b"odd"), be_chunk(b"COMM", &common), be_chunk(b"SSND", &sound)].concat();
    let kind = if codec.is_some() { b"AIFC" } else { b"AIFF" };
    [&b"FORM"[..], &(chunks.len() as u32 + 4).to_be_bytes(), kind, &chunks].concat()
}

#[test]
fn aiff_is_read_in_every_coding() {
    let tone = tone(100);
    let le = |bits: u32| integers(&tone, bits, bits as usize / 8, 0);
    let be = |bits: u32| big(&le(bits), bits as usize / 8);
    let floats: Vec<u8> = tone.iter().flat_map(|&x| (x as f32).to_be_bytes()).collect();
    let doubles: Vec<u8> = tone.iter().flat_map(|&x| x.to_be_bytes()).collect();
    let unsigned: Vec<u8> = le(8).iter().map(|b| b ^ 0x80).collect();
    // Codec, bits, samples, tolerance.
    type Coding<'a> = (Option<&'a [u8; 4]>, u16, Vec<u8>, f64);
    let files: [Coding<'_>; 14] = [
        (None, 8, le(8), 1e-2),
        (None, 16, be(16), 4e-5),
        (None, 24, be(24), 2e-7),
        (None, 32, be(32), 1e-7),
        (None, 12, big(&integers(&tone, 12, 2, 4), 2), 5e-4),
        (Some(b"NONE"), 16, be(16), 4e-5),
        (Some(b"twos"), 16, be(16), 4e-5),
        (Some(b"sowt"), 16, le(16), 4e-5),
        (Some(b"sowt"), 24, le(24), 2e-7),
        (Some(b"raw "), 8, unsigned, 1e-2),
        (Some(b"in24"), 24, be(24), 2e-7),
        (Some(b"in32"), 32, be(32), 1e-7),
        (Some(b"fl32"), 32, floats, 1e-7),
        (Some(b"FL64"), 64, doubles, 1e-7),
    ];
    for (codec, bits, samples, tolerance) in files {
        check(&aiff(codec, 50, bits, &samples), 2, &tone, tolerance);
    }
    for (codec, byte) in [(b"alaw", 0xaa), (b"ULAW", 0x80)] {
        let loudest = if codec == b"alaw" { 32_256.0 } else { 32_124.0 };
        assert_eq!(read(&aiff(Some(codec), 3, 8, &[byte; 6])).channels, [[loudest / 32_768.0; 3]; 2]);
    }
    let error = decode(&aiff(Some(b"QDM2"), 50, 16, &[0; 200]), &ANY).unwrap_err();
    assert!(error.to_string().contains("AIFF with codec `QDM2`: convert it to"), "{error}");
}

#[test]
fn aiff_from_a_pipe_and_cut_aiff_are_told_apart() {
    let tone = tone(100);
    let whole = aiff(None, 50, 16, &big(&integers(&tone, 16, 2, 0), 2));
    let size_at = whole.windows(4).position(|w| w == b"SSND").unwrap() + 4;
    // ffmpeg writes 0 for both, SoX numbers near 0x7f000000.
    for (size, frames) in [(0u32, 0u32), (8, 0), (0x7f00_0008, 0x1fc0_0000)] {
        let mut bytes = whole.clone();
        bytes[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
        let frames_at = bytes.windows(4).position(|w| w == b"COMM").unwrap() + 10;
        bytes[frames_at..frames_at + 4].copy_from_slice(&frames.to_be_bytes());
        check(&bytes, 2, &tone, 4e-5);
    }
    let error = decode(&whole[..whole.len() - 80], &ANY).unwrap_err();
    assert_eq!(
        error.to_string(),
        "truncated after 0.004 s: the header promises 200 bytes of samples, the file holds 120"
    );
}

#[test]
fn au_and_caf_are_read() {
    let tone = tone(100);
    let samples = big(&integers(&tone, 24, 3, 0), 3);
    for size in [300u32, u32::MAX] {
        let mut au = b".snd\0\0\0\x20".to_vec();
        for field in [size, 4, 8000, 2, 0, 0] {
            au.extend(field.to_be_bytes());
        }
        au.extend(&samples);
        check(&au, 2, &tone, 2e-7);
    }
    check(&caf(b"lpcm", 0, 6, &samples, 304), 2, &tone, 2e-7);
    check(&caf(b"lpcm", 2, 6, &big(&samples, 3), u64::MAX), 2, &tone, 2e-7);
    let floats: Vec<u8> = tone.iter().flat_map(|&x| (x as f32).to_be_bytes()).collect();
    check(&caf(b"lpcm", 1, 8, &floats, 404), 2, &tone, 1e-7);
    assert!(matches!(decode(&caf(b"lpcm", 0, 6, &samples, 400), &ANY), Err(DecodeError::Truncated { .. })));
}

/// A CAF of two channels at 8000 Hz.
fn caf(codec: &[u8; 4], flags: u32, packet: u32, samples: &[u8], size: u64) -> Vec<u8> {
    let mut caf = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
    caf.extend(8000f64.to_be_bytes());
    caf.extend(codec);
    for field in [flags, packet, 1, 2, packet * 4] {
        caf.extend(field.to_be_bytes());
    }
    caf.extend(b"data");
    caf.extend(size.to_be_bytes());
    caf.extend([0; 4]);
    caf.extend(samples);
    caf
}

#[test]
fn many_channels_are_read() {
    for channels in [26u16, 27, 33, 64] {
        let tone = tone(5 * usize::from(channels));
        let header = format(1, channels, 8000, 2 * channels, 16);
        check(&wav(&header, &integers(&tone, 16, 2, 0)), usize::from(channels), &tone, 4e-5);
    }
    let error = decode(&wav(&format(1, 65, 8000, 130, 16), &[0; 130]), &ANY).unwrap_err();
    assert_eq!(error, DecodeError::ChannelCount { value: 65 });
}

/// IMA ADPCM: a header of 4 bytes with the first sample and the index of the step, then 4-bit differences, low ones first.
///
/// Steps 16, 34 and 73 have the indices 8, 16 and 24; the code 7 adds step · (1 + 1/2 + 1/4 + 1/8), each quotient rounded down,
/// and 15 takes as much away, and both add 8 to the index (IMA Digital Audio Focus and Technical Working Groups, 1992).
fn ima_block() -> Vec<u8> {
    vec![100, 0, 8, 0, 0xf7, 0x77, 0, 0]
}

fn adpcm(mut header: Vec<u8>, extra: &[u8], fact: Option<u32>, data: &[u8]) -> Vec<u8> {
    header.extend((extra.len() as u16).to_le_bytes());
    header.extend(extra);
    let fact = fact.map(|n| chunk(b"fact", &n.to_le_bytes())).unwrap_or_default();
    form(b"RIFF", &[chunk(b"fmt ", &header), fact, chunk(b"data", data)])
}

#[test]
fn ima_adpcm_has_the_length_that_its_fact_declares() {
    let header = format(0x11, 1, 8000, 8, 4);
    let two = [ima_block(), ima_block()].concat();
    let samples = |fact, data: &[u8]| {
        let channel = &read(&adpcm(header.clone(), &[9, 0], fact, data)).channels[0];
        channel.iter().map(|x| x * 32_768.0).collect::<Vec<f32>>()
    };
    // 100, then up by 30, down by 63, and up by 136.
    assert_eq!(samples(Some(4), &ima_block()), [100.0, 130.0, 67.0, 203.0]);
    assert_eq!(samples(None, &two).len(), 18);
    assert_eq!(samples(Some(13), &two).len(), 13);
    // One that leaves out whole blocks, or has more than there are, tells of no filling.
    assert_eq!(samples(Some(3), &two).len(), 18);
    assert_eq!(samples(Some(19), &two).len(), 18);
    // A last block of 6 bytes has 5 samples.
    assert_eq!(samples(None, &two[..14]).len(), 14);
    let unsupported = decode(&adpcm(format(0x11, 3, 8000, 24, 4), &[9, 0], None, &[0; 24]), &ANY);
    assert!(unsupported.unwrap_err().to_string().contains("WAV with ADPCM of 3 channels"));
}

#[test]
fn microsoft_adpcm_is_decoded() {
    // The predictor 0 repeats the last sample; delta 16; the samples 10 and, before it, 5. Then codes 1 and -1, each
    // times delta, which stays at its least, 16.
    let block = [0, 16, 0, 10, 0, 5, 0, 0x1f];
    let extra: Vec<u8> = [4i16, 7, 256, 0, 512, -256, 0, 0, 192, 64, 240, 0, 460, -208, 392, -232]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let file = adpcm(format(2, 1, 8000, 8, 4), &extra, None, &[block, block].concat());
    let want = [5.0, 10.0, 26.0, 10.0, 5.0, 10.0, 26.0, 10.0].map(|x: f32| x / 32_768.0);
    assert_eq!(read(&file).channels, [want]);
    let quick = adpcm(format(2, 1, 8000, 8, 4), &extra, Some(7), &[block, block].concat());
    assert_eq!(read(&quick).channels, [&want[..7]]);
}

#[test]
fn quicktime_adpcm_has_packets_of_64_samples() {
    // The upper 9 bits are the first prediction, 256, the lower 7 the index, 8.
    let mut packet = vec![1, 8, 0xf7];
    packet.resize(34, 0x80);
    let pcm = read(&aiff(Some(b"ima4"), 1, 16, &[packet.clone(), packet.clone()].concat()));
    assert_eq!((pcm.channels.len(), pcm.channels[1].len()), (2, 64));
    assert_eq!(pcm.channels[0][..2], [286.0 / 32_768.0, 223.0 / 32_768.0]);
    let pcm = read(&caf(b"ima4", 0, 68, &[packet.clone(), packet].concat(), 72));
    assert_eq!(pcm.channels[1].len(), 64);
}

#[test]
fn mp3_inside_of_wav_is_decoded_as_mp3() {
    // MPEG-1 layer III, 64 kbit/s, 44100 Hz, one channel, and nothing but zeros: silence.
    let mut frame = vec![0xff, 0xfb, 0x50, 0xc4];
    frame.resize(208, 0);
    let mp3 = frame.repeat(6);
    let bare = decode(&mp3, &ANY).unwrap();
    assert_eq!(bare.sample_rate, 44_100);
    let file = adpcm(format(0x55, 1, 44_100, 1, 0), &[1, 0, 2, 0, 0, 0, 0xd0, 0, 1, 0, 0, 0], None, &mp3);
    assert_eq!(decode(&file, &ANY).unwrap().channels, bare.channels);
}

#[test]
fn a_codec_that_is_not_decoded_is_named() {
    let message =
        |tag, bits| decode(&wav(&format(tag, 1, 8000, 2, bits), &[0; 200]), &ANY).unwrap_err().to_string();
    let way_out = "convert it to PCM WAV or FLAC, or set `decoder: ffmpeg`";
    assert_eq!(message(0x0270, 16), format!("unsupported audio: WAV with codec 0x0270 (ATRAC3): {way_out}"));
    assert_eq!(message(0x0031, 0), format!("unsupported audio: WAV with codec 0x0031 (GSM 6.10): {way_out}"));
    assert_eq!(message(0xabcd, 16), format!("unsupported audio: WAV with codec 0xabcd: {way_out}"));
    assert_eq!(message(3, 16), format!("unsupported audio: WAV with floats of 16 bits: {way_out}"));
    assert_eq!(message(1, 40), format!("unsupported audio: WAV with integers of 40 bits: {way_out}"));
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
