//! WAV, RF64 and Wave64.

use super::adpcm::adpcm;
use super::*;

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

pub fn rf64(outer: &[u8; 4], data_size: u64, samples: &[u8]) -> Vec<u8> {
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

pub fn wave64(samples: &[u8], data_size: u64) -> Vec<u8> {
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
