//! Ogg, Matroska and the codecs inside: lengths and samples as the reference decoders give them, and remarks on damage.
//!
//! Vorbis is encoded and decoded by libvorbis (`vorbis_rs`); Opus is encoded here and compared with what went in.

#[path = "ogg/matroska.rs"]
mod matroska;

use std::num::{NonZeroU8, NonZeroU32};

use opus_pure::{Application, MAX_PACKET_BYTES, OggOpusWriter, OpusEncoder, OpusHead, OpusMSEncoder};
use proptest::prelude::*;
use sndpipe_artefacts::audio::DecodeLimits;
use sndpipe_audio::{DecodeError, Pcm, decode};
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisDecoder, VorbisEncoderBuilder};

const ANY: DecodeLimits = DecodeLimits { max_seconds: 60.0 };

/// Noise from a linear congruential generator, in -0.3..0.3.
fn noise(channels: usize, length: usize) -> Vec<Vec<f32>> {
    let mut state = 12_345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 * 0.6 - 0.3
    };
    (0..channels).map(|_| (0..length).map(|_| next()).collect()).collect()
}

/// One tone a channel, of 300 Hz, 500 Hz and so on, at 48 kHz.
fn tones(channels: usize, length: usize) -> Vec<Vec<f32>> {
    let tone = |c: usize, i: usize| {
        0.3 * (std::f32::consts::TAU * (300 + 200 * c) as f32 * i as f32 / 48_000.0).sin()
    };
    (0..channels).map(|c| (0..length).map(|i| tone(c, i)).collect()).collect()
}

fn vorbis(samples: &[Vec<f32>], rate: u32, quality: f32) -> Vec<u8> {
    let channels = NonZeroU8::new(samples.len() as u8).expect("valid by construction");
    let mut encoder = VorbisEncoderBuilder::new_with_serial(
        NonZeroU32::new(rate).expect("valid by construction"),
        channels,
        Vec::new(),
        7,
    )
    .bitrate_management_strategy(VorbisBitrateManagementStrategy::QualityVbr { target_quality: quality })
    .build()
    .expect("valid by construction");
    encoder.encode_audio_block(samples).expect("valid by construction");
    encoder.finish().expect("valid by construction")
}

fn by_libvorbis(ogg: &[u8]) -> Vec<Vec<f32>> {
    let mut decoder = VorbisDecoder::<&[u8]>::new(ogg).expect("valid by construction");
    let mut channels = Vec::new();
    while let Some(block) = decoder.decode_audio_block().expect("valid by construction") {
        let samples = block.samples();
        channels.resize(samples.len(), Vec::new());
        for (channel, samples) in channels.iter_mut().zip(samples) {
            channel.extend_from_slice(samples);
        }
    }
    channels
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).fold(0.0, |most, (x, y)| most.max((x - y).abs()))
}

#[track_caller]
fn check_vorbis(ogg: &[u8], what: &str) -> Pcm {
    let (got, want) = (decode(ogg, &ANY).expect("valid by construction"), by_libvorbis(ogg));
    let lengths = |channels: &[Vec<f32>]| channels.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&got.channels), lengths(&want), "{what}");
    let difference = largest_difference(&got.channels, &want);
    assert!(difference < 1e-6, "{what}: {difference}");
    got
}

/// Pages of an Ogg file.
fn pages(ogg: &[u8]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut at = 0;
    while at < ogg.len() {
        let segments = usize::from(ogg[at + 26]);
        let body: usize = ogg[at + 27..at + 27 + segments].iter().map(|&n| usize::from(n)).sum();
        pages.push(ogg[at..at + 27 + segments + body].to_vec());
        at += 27 + segments + body;
    }
    pages
}

/// The page with its checksum made right again: RFC 3533, section 6.
fn sealed(mut page: Vec<u8>) -> Vec<u8> {
    page[22..26].fill(0);
    let crc = page.iter().fold(0u32, |crc, &byte| {
        let shift = |r: u32| if r >> 31 == 1 { (r << 1) ^ 0x04c1_1db7 } else { r << 1 };
        (0..8).fold(crc ^ u32::from(byte) << 24, |r, _| shift(r))
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

/// The page with its granule position moved, unless it has none or 0.
fn moved(mut page: Vec<u8>, by: i64) -> Vec<u8> {
    let granule = i64::from_le_bytes(page[6..14].try_into().expect("valid by construction"));
    if granule > 0 {
        page[6..14].copy_from_slice(&(granule + by).to_le_bytes());
    }
    sealed(page)
}

fn serial(mut page: Vec<u8>, serial: u8) -> Vec<u8> {
    page[14..18].copy_from_slice(&[serial, 0, 0, 0]);
    sealed(page)
}

#[track_caller]
fn remarks(bytes: &[u8]) -> (usize, Vec<String>) {
    let pcm = decode(bytes, &ANY).expect("valid by construction");
    (pcm.channels[0].len(), pcm.damage.iter().map(ToString::to_string).collect())
}

#[test]
fn vorbis_is_what_libvorbis_decodes() {
    for channels in 1..=8 {
        for quality in [-0.1, 0.1, 0.3, 0.6, 1.0] {
            for (rate, length) in [(8000, 3000), (44_100, 11_025), (96_000, 5001)] {
                let ogg = vorbis(&noise(channels, length), rate, quality);
                let pcm = check_vorbis(&ogg, &format!("{channels} × {length} at {rate} Hz, {quality}"));
                assert_eq!((pcm.sample_rate, pcm.channels[0].len()), (rate, length));
                assert_eq!(pcm.damage, []);
            }
        }
    }
    for length in [1, 2, 63, 64, 1000] {
        for channels in [1, 2, 3] {
            check_vorbis(&vorbis(&noise(channels, length), 16_000, 0.3), &format!("{channels} × {length}"));
        }
    }
}

/// A burst between silences makes long blocks stand beside short ones.
#[test]
fn blocks_of_both_lengths_keep_the_granule_positions() {
    for channels in [2, 3, 6] {
        let mut sound = noise(channels, 30_000);
        sound.iter_mut().flat_map(|c| &mut c[..9000]).for_each(|x| *x *= 1e-3);
        let pcm = check_vorbis(&vorbis(&sound, 44_100, 0.8), &format!("{channels} channels"));
        assert_eq!(pcm.channels[0].len(), 30_000);
    }
}

#[test]
fn granule_positions_decide_where_vorbis_starts_and_ends() {
    let ogg = vorbis(&noise(1, 100_000), 44_100, 0.6);
    let pages = pages(&ogg);
    let whole = decode(&ogg, &ANY).unwrap().channels;
    let last = pages.len() - 1;
    let variant = |change: &dyn Fn(usize, Vec<u8>) -> Vec<u8>| {
        let bytes =
            pages.iter().cloned().enumerate().flat_map(|(i, page)| change(i, page)).collect::<Vec<_>>();
        decode(&bytes, &ANY).unwrap().channels
    };
    // Cut out of a longer stream; a start before 0 is not heard (Vorbis I, A.2); an early end.
    assert_eq!(variant(&|_, page| moved(page, 1_000_000)), whole);
    assert_eq!(variant(&|_, page| moved(page, -100))[0], whole[0][100..]);
    assert_eq!(variant(&|i, page| moved(page, if i == last { -3000 } else { 0 }))[0], whole[0][..97_000]);
    // Two streams in one file, of equal and of different rate.
    let chain = |second: &[Vec<u8>]| {
        let second = second.iter().cloned().flat_map(|page| serial(page, 9));
        decode(&ogg.iter().copied().chain(second).collect::<Vec<_>>(), &ANY)
    };
    let twice = chain(&pages).unwrap();
    assert_eq!(twice.channels[0], [&whole[0][..], &whole[0][..]].concat());
    assert_eq!(twice.damage, []);
    let other = self::pages(&vorbis(&noise(1, 1000), 8000, 0.6));
    let error = chain(&other).unwrap_err().to_string();
    assert!(error.contains("from 1 channels at 44100 Hz to 1 at 8000 Hz"), "{error}");
}

#[test]
fn damage_between_pages_is_kept_with_a_remark() {
    let ogg = vorbis(&noise(1, 100_000), 44_100, 0.6);
    let pages = pages(&ogg);
    let without = |gone: &[usize]| {
        let kept = pages.iter().enumerate().filter(|(i, _)| !gone.contains(i));
        kept.flat_map(|(_, page)| page.clone()).collect::<Vec<u8>>()
    };
    let whole = decode(&ogg, &ANY).unwrap().channels.remove(0);
    let start = |page: &[u8]| i64::from_le_bytes(page[6..14].try_into().unwrap()) as usize;
    let (before, after) = (start(&pages[2]), start(&pages[3]));
    // The first block after a hole only starts the overlap, as in libsndfile.
    let pcm = decode(&without(&[3]), &ANY).unwrap();
    let lost = 100_000 - pcm.channels[0].len();
    assert!((after - before..=after - before + 2048).contains(&lost), "{lost} samples are lost");
    assert_eq!(pcm.channels[0][..before], whole[..before]);
    assert_eq!(pcm.channels[0][before..], whole[before + lost..]);
    let seconds = |n: usize| n as f64 / 44_100.0;
    let place = format!("at {:.3} s: ", seconds(before));
    let amount = format!(", {:.3} s of sound are lost", seconds(lost));
    let remark = |bytes: &[u8]| remarks(bytes).1.concat();
    assert_eq!(remark(&without(&[3])), format!("{place}Ogg page 3 is missing{amount}"));
    assert!(remark(&without(&[3, 4])).starts_with(&format!("{place}Ogg pages 3 to 4 are missing, ")));
    let at: usize = pages[..3].iter().map(Vec::len).sum();
    let mut flipped = ogg.clone();
    flipped[at + 300] ^= 1;
    let wrong = format!("{place}Ogg page 3 at byte {at} is damaged: its checksum is wrong{amount}");
    assert_eq!(remark(&flipped), wrong);
    let mut junk = ogg.clone();
    junk.splice(at..at, [7; 50]);
    assert_eq!(remarks(&junk), (100_000, vec![format!("{place}50 bytes at byte {at} are no Ogg page")]));
    // Bytes behind the end belong to nobody.
    assert_eq!(remarks(&[&ogg[..], &[0; 99]].concat()), (100_000, Vec::new()));
}

#[test]
fn parts_of_a_chain_that_cannot_be_read_are_told() {
    let first = vorbis(&noise(1, 8000), 8000, 0.3);
    let second: Vec<Vec<u8>> =
        pages(&vorbis(&noise(1, 16_000), 8000, 0.3)).into_iter().map(|p| serial(p, 9)).collect();
    let count = second.len() - 1;
    let useless = format!(": {count} more pages are of no use without it, about 2.000 s of sound");
    // The first page of the second stream is damaged, or not there; of the first one, too.
    let mut damaged = [&first[..], &second.concat()].concat();
    damaged[first.len() + 40] ^= 1;
    let at = first.len();
    let wrong = format!("at 1.000 s: Ogg page 0 at byte {at} is damaged: its checksum is wrong{useless}");
    assert_eq!(remarks(&damaged), (8000, vec![wrong]));
    let rest = second[1..].concat();
    let gone = format!("the first page of an Ogg stream is missing{useless}");
    assert_eq!(remarks(&[&first[..], &rest].concat()), (8000, vec![format!("at 1.000 s: {gone}")]));
    let gone = gone.split(", about").next().unwrap();
    assert_eq!(remarks(&[&rest, &first[..]].concat()), (8000, vec![format!("at 0.000 s: {gone}")]));
    // A third one behind it is read.
    let third = pages(&first).into_iter().flat_map(|page| serial(page, 11)).collect::<Vec<u8>>();
    let (length, told) = remarks(&[damaged, third].concat());
    assert_eq!((length, told.len()), (16_000, 1));
    // Opus tells its own time.
    let opus = opus(&tones(1, 48_000), 0);
    let tail = pages(&opus).into_iter().skip(1).flat_map(|page| serial(page, 9)).collect::<Vec<u8>>();
    let (_, told) = remarks(&[&first[..], &tail].concat());
    assert!(told.len() == 1 && told[0].ends_with("about 1.006 s of sound"), "{told:?}");
    // A codec that is not decoded, and one that nobody knows; pictures are no sound.
    let alone = |head: &[u8]| {
        let mut page = b"OggS\0\x02\0\0\0\0\0\0\0\0\x63\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
        page.push(head.len() as u8);
        page.extend(head);
        remarks(&[&first[..], &sealed(page)].concat())
    };
    let (length, told) = alone(b"Speex   1.2");
    assert!(
        length == 8000
            && told.len() == 1
            && told[0].starts_with("at 1.000 s: a stream of Speex is not decoded"),
        "{told:?}"
    );
    assert_eq!(alone(b"anything").1, ["at 1.000 s: a stream of an unknown codec was left out"]);
    assert_eq!(alone(b"fishead\0\x04\0"), (8000, Vec::new()));
}

#[test]
fn a_missing_end_is_told_and_a_cut_page_refused() {
    for ogg in [vorbis(&noise(1, 4000), 16_000, 0.3), opus(&tones(1, 4000), 0)] {
        let mut last = pages(&ogg).pop().unwrap();
        let kept = ogg.len() - last.len();
        last[5] &= !4;
        let (length, remarks) = remarks(&[&ogg[..kept], &sealed(last)].concat());
        assert_eq!((length, remarks.len()), (4000, 1));
        assert!(
            remarks[0].contains("no end-of-stream flag") && remarks[0].contains("cut off"),
            "{remarks:?}"
        );
        for cut in [ogg.len() - 1, kept + 30, kept + 10, kept + 2] {
            let error = decode(&ogg[..cut], &ANY).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated { .. }), "{cut} bytes: {error:?}");
        }
    }
}

#[test]
fn other_streams_beside_the_sound_do_not_disturb() {
    let ogg = vorbis(&noise(3, 20_000), 44_100, 0.3);
    let page = |kind: u8, sequence: u8, body: &[u8]| {
        let mut page = b"OggS\0".to_vec();
        page.push(kind);
        page.extend([0; 8]);
        page.extend([99, 0, 0, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 1, body.len() as u8]);
        page.extend(body);
        sealed(page)
    };
    for head in [&b"\x80theora\x03\x02\x01"[..], b"fishead\0\x04\0"] {
        let own = pages(&ogg);
        let mut bytes = [page(2, 0, head), own[0].clone()].concat();
        for (i, own) in (1u8..).zip(&own[1..]) {
            bytes.extend([page(0, i, b"picture"), own.clone()].concat());
        }
        let (got, want) = (decode(&bytes, &ANY).unwrap(), decode(&ogg, &ANY).unwrap());
        assert_eq!(got, want);
    }
    let error = |head: &[u8]| decode(&page(2, 0, head), &ANY).unwrap_err().to_string();
    assert!(error(b"Speex   1.2").contains("Speex in Ogg is not decoded here; `decoder: ffmpeg`"));
    assert!(error(b"\x80theora").contains("Theora and no sound"));
}

/// Encodes to packets of 20 ms; all that is known of the end is `samples`.
fn opus_packets(samples: &[Vec<f32>]) -> (OpusHead, Vec<Vec<u8>>) {
    let channels = samples.len();
    let mut single =
        OpusEncoder::new(48_000, channels.min(2), Application::Audio).expect("valid by construction");
    let mut several =
        OpusMSEncoder::new(48_000, channels, 1, Application::Audio).expect("valid by construction");
    single.bitrate_bps = 128_000;
    several.set_bitrate(128_000 * channels as i32);
    let head = match channels {
        1 | 2 => OpusHead::for_encoder(&single, 48_000),
        _ => OpusHead::for_ms_encoder(&several, 48_000),
    };
    let total = samples[0].len() + usize::from(head.pre_skip);
    let mut packets = Vec::new();
    for start in (0..total).step_by(960) {
        let at = |i: usize, c: usize| samples[c].get(start + i).copied().unwrap_or(0.0);
        let block: Vec<f32> =
            (0..960).flat_map(|i| (0..channels).map(move |c| (i, c))).map(|(i, c)| at(i, c)).collect();
        let mut packet = vec![0; MAX_PACKET_BYTES * channels];
        let length = match channels {
            1 | 2 => single.encode(&block, 960, &mut packet[..1275]).expect("valid by construction"),
            _ => several.encode(&block, 960, &mut packet).expect("valid by construction"),
        };
        packets.push(packet[..length].to_vec());
    }
    (head, packets)
}

fn opus(samples: &[Vec<f32>], gain: i16) -> Vec<u8> {
    let (mut head, packets) = opus_packets(samples);
    head.output_gain_q8 = gain;
    let mut left = samples[0].len() + usize::from(head.pre_skip);
    let mut writer = OggOpusWriter::new(Vec::new(), head).expect("valid by construction");
    for packet in packets {
        writer.write_packet_with_duration(&packet, left.min(960) as u32).expect("valid by construction");
        left -= left.min(960);
    }
    writer.finish().expect("valid by construction")
}

/// What was encoded comes back at its place: a delay of one sample at 300 Hz would differ by 0.04 of the amplitude.
#[track_caller]
fn check_tones(got: &Pcm, want: &[Vec<f32>], gain: f32) {
    assert_eq!((got.sample_rate, got.channels.len(), &got.damage[..]), (48_000, want.len(), &[][..]));
    for (channel, (got, want)) in got.channels.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len());
        // The first and last 10 ms ring.
        let middle = 480..want.len().saturating_sub(480).max(480);
        for i in middle {
            let difference = (got[i] - gain * want[i]).abs();
            assert!(difference < 0.02, "channel {channel}, sample {i}: {} for {}", got[i], gain * want[i]);
        }
    }
}

#[test]
fn opus_comes_back_in_place_length_and_level() {
    for (channels, length) in [(1, 24_000), (2, 20_001), (1, 1), (2, 100), (3, 9600), (6, 12_345), (8, 5000)]
    {
        let want = tones(channels, length);
        let got = decode(&opus(&want, 0), &ANY).unwrap();
        check_tones(&got, &want, 1.0);
    }
    // -6.02 dB in 1/256 dB.
    let want = tones(2, 9600);
    check_tones(&decode(&opus(&want, -1541), &ANY).unwrap(), &want, 0.5);
}

/// Packets of an Ogg file with one stream.
fn packets(ogg: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    for page in pages(ogg) {
        let segments = usize::from(page[26]);
        let mut at = 27 + segments;
        for &length in &page[27..27 + segments] {
            packet.extend(&page[at..at + usize::from(length)]);
            at += usize::from(length);
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
    }
    packets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Wrong bytes behind right checksums reach the decoders: samples of one length or an error, never a panic.
    #[test]
    fn damaged_packets_never_panic(
        which in 0usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        near_the_start in any::<bool>(),
    ) {
        let bytes = match which {
            0 => vorbis(&noise(2, 2000), 8000, 0.1),
            1 => vorbis(&noise(3, 2000), 8000, 0.1),
            2 => opus(&tones(1, 2000), 0),
            _ => opus(&tones(3, 2000), 0),
        };
        let mut pages = pages(&bytes);
        for (at, value) in edits {
            let reach = if near_the_start { pages.len().min(2) } else { pages.len() };
            let page = &mut pages[at.index(reach)];
            let header = 27 + usize::from(page[26]);
            let body = page.len() - header;
            page[header + at.index(body)] = value;
        }
        let bytes: Vec<u8> = pages.into_iter().flat_map(sealed).collect();
        // Decoders that are not ours may panic on such bytes: that is caught, and an error as any other.
        if let Ok(pcm) = decode(&bytes, &ANY) {
            prop_assert!(pcm.channels.iter().all(|c| c.len() == pcm.channels[0].len()));
        }
    }
}
