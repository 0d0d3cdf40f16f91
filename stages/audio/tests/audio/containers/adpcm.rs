//! ADPCM, whatever holds it.

use super::aiff::aiff;
use super::caf::caf;
use super::*;

/// IMA ADPCM: a header of 4 bytes with the first sample and the index of the step, then 4-bit differences, low ones first.
///
/// Steps 16, 34 and 73 have the indices 8, 16 and 24; the code 7 adds step · (1 + 1/2 + 1/4 + 1/8), each quotient rounded down,
/// and 15 takes as much away, and both add 8 to the index (IMA Digital Audio Focus and Technical Working Groups, 1992).
fn ima_block() -> Vec<u8> {
    vec![100, 0, 8, 0, 0xf7, 0x77, 0, 0]
}

pub fn adpcm(mut header: Vec<u8>, extra: &[u8], fact: Option<u32>, data: &[u8]) -> Vec<u8> {
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
