//! Matroska: its own delays and paddings, and what is told of damage.

use super::*;

/// An EBML element with a size of four bytes.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32 | 0x1000_0000).to_be_bytes();
    [id, &size, body].concat()
}

/// Matroska with one track: RFC 9559. `discard` is what the last frame has too much, in nanoseconds.
fn matroska(codec: &str, private: &[u8], delay: u32, frames: &[Vec<u8>], discard: i64) -> Vec<u8> {
    let head = element(b"\x1a\x45\xdf\xa3", &element(b"\x42\x82", b"webm"));
    let scale = element(b"\x2a\xd7\xb1", &1_000_000u32.to_be_bytes());
    let programs = [element(b"\x4d\x80", b"test"), element(b"\x57\x41", b"test")].concat();
    let info = element(b"\x15\x49\xa9\x66", &[scale, programs].concat());
    let audio =
        [element(b"\xb5", &48_000f32.to_be_bytes()), element(b"\x9f", &[1]), element(b"\x62\x64", &[16])];
    let track = [
        element(b"\xd7", &[1]),
        element(b"\x73\xc5", &[1]),
        element(b"\x83", &[2]),
        element(b"\x86", codec.as_bytes()),
        element(b"\x63\xa2", private),
        element(b"\x56\xaa", &delay.to_be_bytes()),
        element(b"\xe1", &audio.concat()),
    ];
    let tracks = element(b"\x16\x54\xae\x6b", &element(b"\xae", &track.concat()));
    let mut cluster = element(b"\xe7", &[0]);
    for (i, frame) in frames.iter().enumerate() {
        let time = (20 * i as u16).to_be_bytes();
        let block = [&[0x81, time[0], time[1], 0][..], frame].concat();
        if i + 1 < frames.len() {
            cluster.extend(element(b"\xa3", &block));
        } else {
            let padding = element(b"\x75\xa2", &discard.to_be_bytes());
            cluster.extend(element(b"\xa0", &[element(b"\xa1", &block), padding].concat()));
        }
    }
    let segment = [info, tracks, element(b"\x1f\x43\xb6\x75", &cluster)].concat();
    [head, element(b"\x18\x53\x80\x67", &segment)].concat()
}

#[test]
fn opus_in_matroska_has_its_delay_and_padding_removed() {
    for length in [1, 4800, 20_000] {
        let want = tones(1, length);
        let (head, packets) = opus_packets(&want);
        let skip = u32::from(head.pre_skip);
        let mut private = b"OpusHead\x01\x01".to_vec();
        private.extend(head.pre_skip.to_le_bytes());
        private.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
        let padding = packets.len() * 960 - length - skip as usize;
        let nanoseconds = |n: f64| n * 1e9 / 48_000.0;
        let delay = nanoseconds(skip.into()) as u32;
        let file = |delay| matroska("A_OPUS", &private, delay, &packets, nanoseconds(padding as f64) as i64);
        check_tones(&decode(&file(delay), &ANY).unwrap(), &want, 1.0);
        // Without the element the header of Opus says as much.
        assert_eq!(decode(&file(0), &ANY), decode(&file(delay), &ANY));
        let whole = file(delay);
        for cut in [whole.len() - 1, whole.len() / 2] {
            let error = decode(&whole[..cut], &ANY).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated { .. }), "{cut}: {error:?}");
        }
    }
}

#[test]
fn matroska_holds_other_codecs_too() {
    let frames: Vec<Vec<u8>> = (0..3u8).map(|i| vec![0, i + 1, 0, 0x40]).collect();
    let pcm = decode(&matroska("A_PCM/INT/LIT", &[], 0, &frames, 0), &ANY).unwrap();
    let half = |i: f32| [256.0 * i / 32_768.0, 0.5];
    assert_eq!(pcm.channels, [[half(1.0), half(2.0), half(3.0)].concat()]);
    let ogg = vorbis(&noise(1, 4000), 48_000, 0.3);
    let packets = packets(&ogg);
    let mut private = vec![2, packets[0].len() as u8];
    private.extend(vec![255; packets[1].len() / 255]);
    private.push((packets[1].len() % 255) as u8);
    private.extend(packets[..3].concat());
    let got = decode(&matroska("A_VORBIS", &private, 0, &packets[3..], 0), &ANY).unwrap();
    let want = by_libvorbis(&ogg);
    assert!(got.channels[0].len() >= 4000 && largest_difference(&want, &got.channels) < 1e-6);
    let error = decode(&matroska("A_DTS", &[], 0, &frames, 0), &ANY).unwrap_err().to_string();
    assert!(error.contains("DTS in Matroska is not decoded here; `decoder: ffmpeg`"), "{error}");
}

#[test]
fn he_aac_in_matroska_is_decoded_in_full() {
    // A silent packet of AAC-LC, mono, with a fill element of spectral band replication, and its configuration at 22.05 kHz.
    let packet = b"\x00\xc8\x00\x06\x9d\xa5\xa5\xa5\x5a\x5a\x5a\x55\xa5\xae";
    let file = |frames: usize| matroska("A_AAC", b"\x13\x88", 0, &vec![packet.to_vec(); frames], 0);
    let pcm = decode(&file(10), &ANY).unwrap();
    assert_eq!((pcm.sample_rate, pcm.channels[0].len(), pcm.damage), (44_100, 10 * 2048, Vec::new()));
    // The name of the codec, and the rate of the track, where there is no configuration.
    let named = matroska("A_AAC/MPEG4/LC/SBR", b"", 0, &vec![packet.to_vec(); 10], 0);
    let pcm = decode(&named, &ANY).unwrap();
    assert_eq!((pcm.sample_rate, pcm.channels[0].len()), (96_000, 10 * 2048));
}

/// Samples of a block: 20 ms at 48 kHz.
const BLOCK: usize = 960;
/// Blocks of a cluster.
const BLOCKS: usize = 10;

/// Noise, in which no stretch is like another.
fn samples(count: usize) -> Vec<i16> {
    (0..count).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as i16).collect()
}

fn simple_block(time: usize, flags: u8, payload: &[u8]) -> Vec<u8> {
    let time = (time as u16).to_be_bytes();
    element(b"\xa3", &[&[0x81, time[0], time[1], flags][..], payload].concat())
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Clusters of 200 ms each, with a checksum inside where `sums` says so.
fn clusters(samples: &[i16], sums: bool) -> Vec<Vec<u8>> {
    let cluster = |(nth, samples): (usize, &[i16])| {
        let mut body = element(b"\xe7", &(200 * nth as u32).to_be_bytes());
        for (i, block) in samples.chunks(BLOCK).enumerate() {
            body.extend(simple_block(20 * i, 0x80, &bytes_of(block)));
        }
        if sums {
            // CRC-32 of ISO 3309, bit by bit.
            let crc = !body.iter().fold(!0u32, |crc, &byte| {
                (0..8).fold(
                    crc ^ u32::from(byte),
                    |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 },
                )
            });
            body = [element(b"\xbf", &crc.to_le_bytes()), body].concat();
        }
        element(b"\x1f\x43\xb6\x75", &body)
    };
    samples.chunks(BLOCK * BLOCKS).enumerate().map(cluster).collect()
}

/// A file of PCM at 48 kHz around clusters.
fn pcm_file(clusters: &[Vec<u8>]) -> Vec<u8> {
    let frames: Vec<Vec<u8>> = Vec::new();
    let empty = matroska("A_PCM/INT/LIT", &[], 0, &frames, 0);
    let start = empty.windows(4).position(|w| w == b"\x18\x53\x80\x67").expect("valid by construction");
    let cluster = empty.windows(4).rposition(|w| w == b"\x1f\x43\xb6\x75").expect("valid by construction");
    let segment = [&empty[start + 8..cluster], &clusters.concat()[..]].concat();
    [&empty[..start], &element(b"\x18\x53\x80\x67", &segment)].concat()
}

#[track_caller]
fn check_pcm(bytes: &[u8], want: &[i16]) -> Vec<String> {
    let pcm = decode(bytes, &ANY).unwrap_or_else(|e| panic!("{e}"));
    let got: Vec<i16> = pcm.channels[0].iter().map(|x| (x * 32_768.0) as i16).collect();
    assert_eq!(got.len(), want.len(), "{:?}", pcm.damage);
    assert!(got == want, "other samples");
    pcm.damage.iter().map(ToString::to_string).collect()
}

#[test]
fn clusters_may_be_laced_live_and_preceded_by_anything() {
    let samples = samples(5 * BLOCK * BLOCKS);
    let plain = clusters(&samples, false);
    assert_eq!(check_pcm(&pcm_file(&plain), &samples), [""; 0]);
    assert_eq!(check_pcm(&pcm_file(&clusters(&samples, true)), &samples), [""; 0]);
    // Sizes of segment and clusters left open, as in a recording of a browser.
    let live = pcm_file(&plain);
    let mut open = live.clone();
    for id in [b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"] {
        let places: Vec<usize> = (0..live.len() - 4).filter(|&at| &live[at..at + 4] == id).collect();
        places.iter().for_each(|at| open[at + 4..at + 8].copy_from_slice(&[0x1f, 0xff, 0xff, 0xff]));
    }
    assert_eq!(check_pcm(&open, &samples), [""; 0]);
    // Cues, a void element and tags before the clusters.
    let before = [element(b"\x1c\x53\xbb\x6b", &[7; 40]), element(b"\xec", &[0xa3; 99])].concat();
    let tags = element(b"\x12\x54\xc3\x67", b"anything");
    assert_eq!(check_pcm(&pcm_file(&[vec![before, tags], plain.clone()].concat()), &samples), [""; 0]);
    // Ten frames a block: of one size, and with sizes by the rules of Xiph (960 · 2 = 7 · 255 + 135) and EBML (0 more each).
    let time = element(b"\xe7", &[0]);
    let xiph: Vec<u8> = (0..9).flat_map(|_| [vec![255; 7], vec![135]].concat()).collect();
    let ebml: Vec<u8> = [&[0x47, 0x80][..], &[0xbf; 8]].concat();
    for (flags, sizes) in [(0x84, Vec::new()), (0x82, xiph), (0x86, ebml)] {
        let payload = [&[9][..], &sizes, &bytes_of(&samples[..10 * BLOCK])].concat();
        let cluster =
            element(b"\x1f\x43\xb6\x75", &[time.clone(), simple_block(0, flags, &payload)].concat());
        assert_eq!(check_pcm(&pcm_file(&[cluster]), &samples[..10 * BLOCK]), [""; 0]);
    }
}

#[test]
fn the_track_that_is_meant_to_be_played_is_read() {
    let samples = samples(2 * BLOCK);
    let file = pcm_file(&clusters(&samples, false));
    let tracks = file.windows(4).position(|w| w == b"\x16\x54\xae\x6b").unwrap();
    let size = u32::from_be_bytes(file[tracks + 4..tracks + 8].try_into().unwrap()) & 0x0fff_ffff;
    let own = &file[tracks + 8..tracks + 8 + size as usize];
    let track = |number: u8, kind: u8, default: u8, codec: &[u8]| {
        let entries = [
            element(b"\xd7", &[number]),
            element(b"\x83", &[kind]),
            element(b"\x88", &[default]),
            element(b"\x86", codec),
        ];
        element(b"\xae", &entries.concat())
    };
    let with = |others: Vec<u8>| {
        let tracks = element(b"\x16\x54\xae\x6b", &[&others, own].concat());
        let clusters = clusters(&samples, false);
        let cluster = [&[0x82, 0, 0, 0x80][..], b"another track"].concat();
        let cluster =
            element(b"\x1f\x43\xb6\x75", &[element(b"\xe7", &[0]), element(b"\xa3", &cluster)].concat());
        let segment = [tracks, cluster, clusters.concat()].concat();
        [
            &file[..file.windows(4).position(|w| w == b"\x18\x53\x80\x67").unwrap()],
            &element(b"\x18\x53\x80\x67", &segment),
        ]
        .concat()
    };
    // A picture, and a sound that is not to be played unless it is asked for.
    assert_eq!(check_pcm(&with(track(2, 1, 1, b"V_VP8")), &samples), [""; 0]);
    assert_eq!(check_pcm(&with(track(2, 2, 0, b"A_DTS")), &samples), [""; 0]);
    let error = decode(&with(track(2, 2, 1, b"A_DTS")), &ANY).unwrap_err().to_string();
    assert!(error.contains("DTS in Matroska"), "{error}");
}

#[test]
fn lost_clusters_and_blocks_are_left_out_with_a_remark() {
    let cluster = BLOCK * BLOCKS;
    let samples = samples(5 * cluster);
    let whole = clusters(&samples, false);
    let file = pcm_file(&whole);
    let start = |nth: usize| file.len() - whole[nth..].concat().len();
    let without = |from: usize, to: usize| [&samples[..from], &samples[to..]].concat();
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = file.clone();
        edit(&mut bytes);
        bytes
    };
    // A cluster that is not there, whose segment was made anew.
    let gone = pcm_file(&[&whole[..2], &whole[3..]].concat());
    let jump = "at 0.400 s: the times of the packets jump, 0.200 s of sound are lost";
    assert_eq!(check_pcm(&gone, &without(2 * cluster, 3 * cluster)), [jump]);
    // Its bytes are zeros; so are those of a whole stretch of a disk.
    let (from, to) = (start(2), start(3));
    let zeros = edited(&|bytes| bytes[from..to].fill(0));
    let remark =
        format!("at 0.400 s: {} bytes at byte {from} are damaged, 0.200 s of sound are lost", to - from);
    assert_eq!(check_pcm(&zeros, &without(2 * cluster, 3 * cluster)), [remark]);
    // Any byte of its head (id, size, time) costs at most the remark.
    for at in 0..17 {
        for flip in [0x01, 0x10, 0x80] {
            if at == 16 && flip < 0x80 {
                // Off by some milliseconds, as whole files may be.
                continue;
            }
            let bytes = edited(&|bytes| bytes[from + at] ^= flip);
            let remarks = check_pcm(&bytes, &samples);
            assert_eq!(remarks.len(), 1, "byte {at} ^ {flip}: {remarks:?}");
            assert!(!remarks[0].contains("lost"), "byte {at} ^ {flip}: {remarks:?}");
        }
    }
    // The head of a block: the block is lost, and nothing else.
    let block = from + 17;
    for at in [0, 1, 2, 3, 8] {
        let remarks = check_pcm(
            &edited(&|bytes| bytes[block + at] ^= 0x40),
            &without(2 * cluster, 2 * cluster + BLOCK),
        );
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(
            remarks[0].starts_with("at 0.400 s: ") && remarks[0].ends_with(", 0.020 s of sound are lost"),
            "{remarks:?}"
        );
    }
    // A checksum tells of bytes that nothing else tells of.
    let summed = pcm_file(&clusters(&samples, true));
    let mut flipped = summed.clone();
    let place = summed.len() - 3 * BLOCK * 2;
    flipped[place] ^= 1;
    let pcm = decode(&flipped, &ANY).unwrap();
    assert_eq!(pcm.channels[0].len(), samples.len());
    let told: Vec<String> = pcm.damage.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].starts_with("at 0.800 s: the checksum of the cluster at byte"),
        "{told:?}"
    );
}

#[test]
fn what_stands_behind_the_end_is_nobodys_and_an_end_that_is_missing_is_told() {
    let samples = samples(3 * BLOCK * BLOCKS);
    let file = pcm_file(&clusters(&samples, false));
    for behind in [vec![0; 5000], vec![0x5a; 777], b"TAG".to_vec()] {
        assert_eq!(check_pcm(&[&file[..], &behind].concat(), &samples), [""; 0]);
    }
    for cut in [file.len() - 1, file.len() - 2000, file.len() / 2] {
        let error = decode(&file[..cut], &ANY).unwrap_err();
        assert!(matches!(error, DecodeError::Truncated { .. }), "{cut}: {error:?}");
    }
    // The last cluster is there, and its bytes are not.
    let last = clusters(&samples, false).pop().unwrap().len();
    let mut zeros = file.clone();
    let from = zeros.len() - last;
    zeros[from..].fill(0);
    let remark = format!("at 0.400 s: {last} bytes at byte {from} are damaged");
    assert_eq!(check_pcm(&zeros, &samples[..2 * BLOCK * BLOCKS]), [remark]);
    // Cut off behind the sound, within what a writer puts last.
    let cues = element(b"\x1c\x53\xbb\x6b", &[7; 40]);
    let indexed = pcm_file(&[clusters(&samples, false), vec![cues]].concat());
    let remarks = check_pcm(&indexed[..indexed.len() - 10], &samples);
    assert!(remarks.len() == 1 && remarks[0].contains("lacks 10 bytes"), "{remarks:?}");
}

#[test]
fn a_packet_that_cannot_be_decoded_becomes_silence_with_a_remark() {
    let tone = tones(1, 9600);
    let (head, mut packets) = opus_packets(&tone);
    let mut private = b"OpusHead\x01\x01".to_vec();
    private.extend(head.pre_skip.to_le_bytes());
    private.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
    let whole = decode(&matroska("A_OPUS", &private, 0, &packets, 0), &ANY).unwrap();
    // Code 3 with no frames is invalid: RFC 6716, section 3.2.5.
    packets[4] = vec![0xfb, 0];
    let pcm = decode(&matroska("A_OPUS", &private, 0, &packets, 0), &ANY).unwrap();
    assert_eq!(pcm.channels[0].len(), whole.channels[0].len());
    let start = 4 * 960 - usize::from(head.pre_skip);
    assert_eq!(pcm.channels[0][..start], whole.channels[0][..start]);
    assert_eq!(pcm.channels[0][start..start + 960], [0.0; 960]);
    let told: Vec<String> = pcm.damage.iter().map(ToString::to_string).collect();
    let place =
        format!("at {:.3} s: a packet could not be decoded and became silence", start as f64 / 48_000.0);
    assert!(told.len() == 1 && told[0].starts_with(&place), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bytes that are wrong, missing or too many never panic, and never pass over a cluster in silence.
    #[test]
    fn damage_never_loses_sound_in_silence(
        at in any::<prop::sample::Index>(),
        values in prop::collection::vec(any::<u8>(), 0..40),
        removed in 0usize..3000,
    ) {
        let samples = samples(5 * BLOCK * BLOCKS);
        let mut bytes = pcm_file(&clusters(&samples, false));
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + removed);
        bytes.splice(at..end, values);
        if let Ok(pcm) = decode(&bytes, &ANY) {
            let frames = pcm.channels[0].len();
            prop_assert!(frames == samples.len() || !pcm.damage.is_empty(), "{frames} of {}", samples.len());
        }
    }
}
