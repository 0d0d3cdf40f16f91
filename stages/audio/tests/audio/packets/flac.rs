use super::*;

/// A checksum, bit by bit: no reflection, start 0.
fn crc(bits: u32, polynomial: u32, bytes: &[u8]) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |crc, _| {
            if crc & top == 0 { crc << 1 } else { crc << 1 ^ polynomial }
        }) & (top | (top - 1))
    })
}

const BLOCK: usize = 1000;

fn sample(i: usize) -> i16 {
    (i.wrapping_mul(7919) % 4001) as i16 - 2000
}

/// A frame of 1000 samples, mono, 16 bits, at 8000 Hz, as they are.
fn frame(number: u8) -> Vec<u8> {
    let mut frame = vec![0xff, 0xf8, 0x74, 0x08, number];
    frame.extend((BLOCK as u16 - 1).to_be_bytes());
    frame.push(crc(8, 0x07, &frame) as u8);
    frame.push(1 << 1);
    let first = usize::from(number) * BLOCK;
    frame.extend((first..first + BLOCK).flat_map(|i| sample(i).to_be_bytes()));
    let check = crc(16, 0x8005, &frame) as u16;
    frame.extend(check.to_be_bytes());
    frame
}

fn head(total: u64, md5: [u8; 16]) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\0\0\x22".to_vec();
    bytes.extend([BLOCK as u16; 2].iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend([0; 6]);
    bytes.extend((8000u64 << 44 | 15 << 36 | total).to_be_bytes());
    bytes.extend(md5);
    bytes
}

fn file(total: u64) -> Vec<u8> {
    [head(total, [0; 16]), (0..4).flat_map(frame).collect()].concat()
}

#[track_caller]
fn same(pcm: &Pcm) {
    let wanted: Vec<f32> = (0..4 * BLOCK).map(|i| f32::from(sample(i)) / 32_768.0).collect();
    assert_eq!(pcm.channels, [wanted]);
}

#[test]
fn a_flac_stream_behind_junk_is_found() {
    let pcm = read(&[vec![0x55; 700], file(4000)].concat()).unwrap();
    let remarks: Vec<String> = pcm.damage.iter().map(ToString::to_string).collect();
    assert_eq!(remarks, ["at 0.000 s: 700 bytes before the first frame are no FLAC and were left out"]);
    same(&pcm);
}

#[test]
fn bytes_around_a_flac_stream_do_not_matter() {
    let mut v1 = b"TAG".to_vec();
    v1.resize(128, 0x20);
    let mut ape = vec![0x41; 40];
    ape.extend(b"APETAGEX\xd0\x07\0\0");
    ape.extend(72u32.to_le_bytes());
    ape.extend([0; 16]);
    let id3 = [b"ID3\x03\0\0\0\0\0\x20".to_vec(), vec![0x55; 32]].concat();
    let noise: Vec<u8> = (0..3000).map(|i: usize| (i * i % 251) as u8).collect();
    for total in [4 * BLOCK as u64, 0] {
        for behind in [&[][..], &v1, &ape, &[0; 64], &[&ape[..], &v1].concat()] {
            same(&whole(&[&file(total)[..], behind].concat()));
        }
        same(&whole(&[&id3[..], &file(total)].concat()));
    }
    same(&whole(&[&file(4 * BLOCK as u64)[..], &noise].concat()));
}

#[test]
fn a_cut_flac_stream_is_an_error_by_its_total_and_a_remark_without() {
    let cut = |total| file(total)[..file(total).len() - 700].to_vec();
    let error = read(&cut(4000)).unwrap_err().to_string();
    assert_eq!(error, "truncated after 0.375 s: the header promises 4000 samples, 3000 are there");
    let (n, remarks) = damaged(&cut(0));
    assert_eq!(n, 3000);
    assert_eq!(remarks, ["at 0.375 s: the last frame is cut off after 1311 bytes and was left out"]);
}

#[test]
fn damaged_and_lost_flac_frames_become_silence_in_their_place() {
    for total in [4000, 0] {
        let mut flipped = file(total);
        let inside = flipped.len() - frame(3).len() - 100;
        flipped[inside] ^= 4;
        let pcm = read(&flipped).unwrap();
        assert_eq!(pcm.channels[0].len(), 4000);
        assert!(pcm.channels[0][2000..3000].iter().all(|&x| x == 0.0));
        assert_eq!(pcm.channels[0][3500], f32::from(sample(3500)) / 32_768.0);
        let remark = "at 0.250 s: the checksum of a frame is wrong; it became silence";
        assert_eq!(pcm.damage[0].to_string(), remark);
        let lost = [head(total, [0; 16]), frame(0), frame(2), frame(3)].concat();
        let pcm = read(&lost).unwrap();
        assert_eq!(pcm.channels[0].len(), 4000);
        assert_eq!(pcm.channels[0][2500], f32::from(sample(2500)) / 32_768.0);
        assert_eq!(
            pcm.damage[0].to_string(),
            "at 0.125 s: 1000 samples (0.125 s) are missing and became silence"
        );
    }
}

#[test]
fn samples_that_do_not_match_the_checksum_of_the_header_are_told() {
    let bytes = [head(4000, [7; 16]), (0..4).flat_map(frame).collect()].concat();
    let (n, remarks) = damaged(&bytes);
    assert_eq!(n, 4000);
    assert_eq!(remarks, ["at 0.000 s: the samples do not match the MD5 checksum in the header"]);
}
