use super::*;

/// A frame of silence: MPEG 1 layer III, 44.1 kHz mono without checksum, of 104, 208 or 417 bytes for 32, 64 and 128 kbit/s.
fn frame(kbit: u32) -> Vec<u8> {
    let index = match kbit {
        32 => 1,
        64 => 5,
        _ => 9,
    };
    let mut frame = vec![0; (144_000 * kbit / 44_100) as usize];
    frame[..4].copy_from_slice(&[0xff, 0xfb, index << 4, 0xc0]);
    frame
}

/// A frame that holds a tag: so many frames, of so many samples of delay and padding.
fn tag(frames: u32, gap: Option<(u32, u32)>) -> Vec<u8> {
    let mut tag = frame(128);
    tag[21..25].copy_from_slice(b"Xing");
    tag[25..29].copy_from_slice(&1u32.to_be_bytes());
    tag[29..33].copy_from_slice(&frames.to_be_bytes());
    if let Some((delay, padding)) = gap {
        tag[33..42].copy_from_slice(b"LAME3.100");
        tag[54..57].copy_from_slice(&(delay << 12 | padding).to_be_bytes()[1..]);
        // The checksum of the tag, wrong.
        tag[67..69].copy_from_slice(&[0x12, 0x34]);
    }
    tag
}

/// Half a second of large frames, then small ones: a guess by the first is too short.
fn variable() -> Vec<u8> {
    [frame(128).repeat(20), frame(32).repeat(80)].concat()
}

pub fn id3(body: usize) -> Vec<u8> {
    let mut tag = b"ID3\x03\0\0\0\0".to_vec();
    tag.extend([(body >> 7) as u8, (body & 0x7f) as u8]);
    tag.resize(10 + body, 0x55);
    tag
}

#[test]
fn every_frame_counts_where_no_tag_says_how_many_there_are() {
    let pcm = whole(&variable());
    assert_eq!((pcm.sample_rate, pcm.channels.len(), pcm.channels[0].len()), (44_100, 1, 100 * 1152));
    assert_eq!(whole(&frame(64)).channels[0].len(), 1152);
    let silent: Vec<f32> = vec![0.0; 1152];
    assert_eq!(whole(&frame(64)).channels, [silent]);
}

/// The decoder is 529 samples late, beyond the delay that the encoder writes: LAME's own decoder and mpg123 count it so.
#[test]
fn a_tag_trims_delay_and_padding_even_if_its_checksum_is_wrong() {
    let tagged = |gap| [tag(100, gap), variable()].concat();
    assert_eq!(whole(&tagged(None)).channels[0].len(), 100 * 1152);
    assert_eq!(whole(&tagged(Some((576, 1000)))).channels[0].len(), 100 * 1152 - 576 - 1000);
    assert_eq!(whole(&tagged(Some((1105, 100)))).channels[0].len(), 100 * 1152 - 1105 - 529);
    let mut vbri = frame(128);
    vbri[36..42].copy_from_slice(b"VBRI\0\x01");
    vbri[50..54].copy_from_slice(&100u32.to_be_bytes());
    assert_eq!(whole(&[vbri, variable()].concat()).channels[0].len(), 100 * 1152);
}

#[test]
fn frames_that_a_tag_promises_must_be_there() {
    let error = read(&[tag(150, Some((576, 1000))), variable()].concat()).unwrap_err();
    let text = "truncated after 2.612 s: the header promises 150 frames, the file holds 100";
    assert_eq!(error.to_string(), text);
    // What was added behind them is kept.
    assert_eq!(whole(&[tag(90, None), variable()].concat()).channels[0].len(), 100 * 1152);
}

#[test]
fn tags_around_the_frames_are_no_sound() {
    let mut ape = vec![0x41; 100];
    ape.extend(b"APETAGEX\xd0\x07\0\0");
    ape.extend(132u32.to_le_bytes());
    ape.extend([0; 16]);
    let mut v1 = b"TAG".to_vec();
    v1.resize(128, 0x20);
    let file = [id3(300), id3(5000), vec![0; 40], variable(), ape, v1].concat();
    assert_eq!(whole(&file).channels[0].len(), 100 * 1152);
    // A recording that was put together from two, each with tags.
    let two = [id3(30), tag(100, None), variable(), id3(30), tag(100, None), variable()].concat();
    assert_eq!(whole(&two).channels[0].len(), 200 * 1152);
}

#[test]
fn junk_is_told_with_its_place() {
    let junk = [0x55u8; 500];
    let inside = [frame(64).repeat(50), junk.to_vec(), frame(64).repeat(50)].concat();
    let (n, remarks) = damaged(&inside);
    assert_eq!(n, 100 * 1152);
    assert_eq!(remarks, ["at 1.306 s: 500 bytes between two frames are not MPEG audio and were left out"]);
    let cut = &variable()[..variable().len() - 40];
    let (n, remarks) = damaged(cut);
    assert_eq!(n, 99 * 1152);
    assert_eq!(remarks, ["at 2.586 s: the last frame is cut off after 64 bytes and was left out"]);
    // Sixty bytes are lost inside of the eleventh frame.
    let mut lost = frame(64).repeat(50);
    lost.drain(208 * 10 + 100..208 * 10 + 160);
    let (n, remarks) = damaged(&lost);
    assert_eq!(n, 49 * 1152);
    assert_eq!(remarks, ["at 0.261 s: a frame is cut short to 148 bytes and was left out"]);
    let behind = [variable(), junk.to_vec()].concat();
    let (_, remarks) = damaged(&behind);
    assert_eq!(remarks, ["at 2.612 s: 500 bytes behind the last frame are not MPEG audio and were left out"]);
    let before = [junk.to_vec(), variable()].concat();
    let (n, remarks) = damaged(&before);
    assert_eq!(n, 100 * 1152);
    assert_eq!(remarks, ["at 0.000 s: 500 bytes before the first frame are no MPEG audio and were left out"]);
}

/// The size of a frame of free format is the distance to the next.
#[test]
fn free_format_is_read() {
    let free = |size: usize| {
        let mut frame = vec![0; size];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0, 0xc0]);
        frame
    };
    for size in [200, 1500, 2089] {
        let pcm = whole(&free(size).repeat(20));
        assert_eq!(pcm.channels, [vec![0.0; 20 * 1152]], "{size}");
    }
    let (n, remarks) = damaged(&[free(1500).repeat(20), vec![0x55; 700]].concat());
    assert_eq!(n, 20 * 1152);
    assert_eq!(remarks, ["at 0.522 s: 700 bytes behind the last frame are not MPEG audio and were left out"]);
}

/// Layer II has bit rates that it only allows with two channels; encoders use them for mono all the same.
#[test]
fn mono_of_layer_two_at_a_high_bit_rate_is_read() {
    let mut frame = vec![0; 144 * 384_000 / 44_100];
    frame[..4].copy_from_slice(&[0xff, 0xfd, 0xe0, 0xc0]);
    assert_eq!(whole(&frame.repeat(10)).channels, [vec![0.0; 10 * 1152]]);
}

/// Where the tag counts bytes too, one frame that is missing is told from a count that has the tag's own frame.
#[test]
fn the_last_frame_must_be_there_too() {
    let tagged = |frames: u32, bytes: u32| {
        let mut tag = tag(frames, None);
        tag[28] = 3;
        tag[33..37].copy_from_slice(&bytes.to_be_bytes());
        [tag, frame(64).repeat(20)].concat()
    };
    let held = 417 + 20 * 208;
    assert_eq!(whole(&tagged(21, held)).channels[0].len(), 20 * 1152);
    let error = read(&tagged(21, held + 208)).unwrap_err().to_string();
    assert_eq!(error, "truncated after 0.522 s: the header promises 21 frames, the file holds 20");
}
