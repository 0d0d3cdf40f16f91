//! AIFF and AIFF-C.

use super::*;

fn be_chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_be_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// An AIFF of two channels at 8000 Hz, or an AIFF-C where there is a `codec`.
pub fn aiff(codec: Option<&[u8; 4]>, frames: u32, bits: u16, samples: &[u8]) -> Vec<u8> {
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
