//! MP3, AAC, MP4 and FLAC: how long the sound is, what trims it, what damage is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[path = "packets/aac.rs"]
mod aac;
#[path = "packets/caf.rs"]
mod caf;
#[path = "packets/ffmpeg.rs"]
mod ffmpeg;
#[path = "packets/flac.rs"]
mod flac;
#[path = "packets/mp4.rs"]
mod mp4;
#[path = "packets/mpeg.rs"]
mod mpeg;

use sndpipe_artefacts::audio::DecodeLimits;
use sndpipe_audio::{DecodeError, Pcm, decode};

const ANY: DecodeLimits = DecodeLimits { max_seconds: 60.0 };

fn read(bytes: &[u8]) -> Result<Pcm, DecodeError> {
    decode(bytes, &ANY)
}

#[track_caller]
fn whole(bytes: &[u8]) -> Pcm {
    let pcm = read(bytes).unwrap();
    assert_eq!(pcm.damage, [], "a whole file");
    pcm
}

/// Frames of the first channel and remarks.
#[track_caller]
fn damaged(bytes: &[u8]) -> (usize, Vec<String>) {
    let pcm = read(bytes).unwrap();
    (pcm.channels[0].len(), pcm.damage.iter().map(ToString::to_string).collect())
}

#[test]
fn what_is_something_else_is_named_with_a_way_out() {
    let check = |bytes: &[u8], message: &str| assert_eq!(read(bytes).unwrap_err().to_string(), message);
    check(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "a Git LFS pointer, not audio: run `git lfs pull` to fetch the file itself",
    );
    check(
        b"\xef\xbb\xbf\n<!DOCTYPE html><html>login</html>",
        "an HTML page, not audio: download the file itself; the server may want a login",
    );
    check(&[0; 4096], "4096 zero bytes, not audio: download or copy the file again");
    check(b"PK\x03\x04rest", "a ZIP archive, not audio: unpack it");
    check(b"#!AMR\n\x3c\x55", "unsupported audio: AMR is not decoded here; decode it with `decoder: ffmpeg`");
    check(
        b"\x0b\x77\x12\x34\x14\x40\x43\xe1",
        "unsupported audio: AC-3 is not decoded here; decode it with `decoder: ffmpeg`",
    );
    let mut stream = vec![0xff; 188 * 6];
    stream.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    check(
        &stream,
        "unsupported audio: an MPEG transport stream is not decoded here; decode it with `decoder: ffmpeg`",
    );
}
