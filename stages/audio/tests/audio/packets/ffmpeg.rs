use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use sndpipe_audio::Ffmpeg;
use sndpipe_engine::MapError;

use super::*;

/// A WAV file of 16 bits at 8000 Hz with so many samples of two channels.
fn wav(samples: u32) -> Vec<u8> {
    let data: Vec<u8> =
        (0..samples).flat_map(|i| [i as i16, -(i as i16)]).flat_map(i16::to_le_bytes).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(32_000u32.to_le_bytes());
    bytes.extend(b"\x04\0\x10\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// A program that takes the place of ffmpeg, and the folder that holds it.
fn stand_in(script: &str) -> (tempfile::TempDir, Ffmpeg) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("ffmpeg");
    fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, Ffmpeg::at(path))
}

#[test]
fn the_program_decodes_what_it_knows_and_names_what_it_does_not() {
    let Ok(ffmpeg) = Ffmpeg::find() else {
        assert!(std::env::var_os("CI").is_none(), "CI has ffmpeg");
        eprintln!("skipped: ffmpeg is not in PATH");
        return;
    };
    let pcm = ffmpeg.decode(&wav(1000), &ANY).unwrap();
    assert_eq!(pcm, read(&wav(1000)).unwrap());
    let Err(MapError::Unusable(message)) = ffmpeg.decode(b"class,clip\nrain,3\n", &ANY) else {
        panic!("text is no sound")
    };
    assert!(message.starts_with("ffmpeg: the file: Invalid data"), "{message}");
    let short = DecodeLimits { max_seconds: 0.1 };
    let Err(MapError::Unusable(message)) = ffmpeg.decode(&wav(1000), &short) else { panic!("too long") };
    assert_eq!(message, "longer than the 0.1 s that are allowed");
}

#[test]
fn a_program_that_is_killed_says_nothing_about_the_file() {
    for script in ["kill -9 $$", "exit 255"] {
        let (_dir, ffmpeg) = stand_in(script);
        let failed = ffmpeg.decode(&wav(10), &ANY);
        assert!(matches!(failed, Err(MapError::Failed(_))), "{script}: {failed:?}");
    }
    let (_dir, ffmpeg) = stand_in("echo '[aac @ 0x55d0] no' >&2; exit 69");
    let Err(MapError::Unusable(message)) = ffmpeg.decode(&wav(10), &ANY) else { panic!("it refused") };
    assert_eq!(message, "ffmpeg: [aac] no");
}

#[test]
fn what_the_program_says_while_it_goes_on_is_a_remark() {
    let (dir, ffmpeg) = stand_in("echo '[mp3 @ 0x55d0] Header missing' >&2; cat \"$0.wav\"");
    let samples = [0.5f32, -0.25, 1.5].map(f32::to_le_bytes).concat();
    let mut stream = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    stream.extend(16_000u32.to_le_bytes());
    stream.extend(64_000u32.to_le_bytes());
    stream.extend(b"\x04\0\x20\0data\xff\xff\xff\xff");
    stream.extend(samples);
    fs_err::write(dir.path().join("ffmpeg.wav"), stream).unwrap();
    let pcm = ffmpeg.decode(b"anything", &ANY).unwrap();
    assert_eq!((pcm.sample_rate, &pcm.channels), (16_000, &vec![vec![0.5, -0.25, 1.5]]));
    assert_eq!(pcm.damage[0].to_string(), "at 0.000 s: ffmpeg: [mp3] Header missing");
}
