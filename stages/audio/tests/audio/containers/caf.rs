//! AU and CAF.

use super::*;

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
pub fn caf(codec: &[u8; 4], flags: u32, packet: u32, samples: &[u8], size: u64) -> Vec<u8> {
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
