//! Sounds that are damaged: what the summary, `show` and a refusal say of them.

use crate::sandbox::Sandbox;

const PIPELINE: &str = "version: 1
name: sounds
params: { damage: keep }
stages:
  clips: { uses: dataset.folder, with: { root: data } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000, on_error: skip, damage: \"${damage}\" } }
";

/// WAV of 16 bits at 8000 Hz with 8000 samples.
fn wav() -> Vec<u8> {
    let mut bytes = b"RIFF\xa4\x3e\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(16_000u32.to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(16_000u32.to_le_bytes());
    bytes.extend((0..8000).flat_map(|i: i16| (i % 100 * 100).to_le_bytes()));
    bytes
}

/// A checksum of polynomial `poly` in `bits` bits, without reflection (RFC 9639, section 9).
fn crc(poly: u32, bits: u32, bytes: &[u8]) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << (bits - 8), |c, _| {
            (if c & top == 0 { c << 1 } else { c << 1 ^ poly }) & ((top << 1) - 1)
        })
    })
}

/// FLAC at 8000 Hz, one channel of 16 bits: ten frames of 576 samples, each of one value, and where the frames start.
fn flac() -> (Vec<u8>, Vec<usize>) {
    let packed: u64 = 8000 << 44 | 15 << 36 | 5760;
    let mut bytes = b"fLaC\x80\0\0\x22\x02\x40\x02\x40\0\0\0\0\0\0".to_vec();
    bytes.extend(packed.to_be_bytes());
    bytes.extend([0; 16]);
    let mut starts = Vec::new();
    for number in 0..10u8 {
        // 576 samples, 8 kHz, one channel, 16 bits; a subframe of one value.
        let mut frame = vec![0xff, 0xf8, 0x24, 0x08, number];
        frame.push(crc(0x07, 8, &frame) as u8);
        frame.extend([0, 0x10, number]);
        frame.extend((crc(0x8005, 16, &frame) as u16).to_be_bytes());
        starts.push(bytes.len());
        bytes.extend(frame);
    }
    (bytes, starts)
}

#[test]
fn damaged_sounds_are_told_by_the_run_and_by_show() {
    let sandbox = Sandbox::new().file("sounds.yaml", PIPELINE);
    let (flac, starts) = flac();
    sandbox.write("data/a/whole.wav", wav());
    sandbox.write("data/a/whole.flac", &flac);
    sandbox.write("data/a/cut.wav", &wav()[..5000]);
    // Frame 3 is damaged, and of frame 5 half is gone.
    let mut damaged = flac.clone();
    damaged[starts[3] + 8] ^= 0x40;
    damaged.drain(starts[5] + 3..starts[6]);
    sandbox.write("data/a/damaged.flac", damaged);

    let ran = sandbox.ok("run sounds.yaml");
    assert!(
        ran.stderr.contains("1 of 4 clips is damaged inside") && ran.stderr.contains("damaged.flac"),
        "{ran}"
    );
    assert!(ran.stderr.contains("at 0.216 s: the checksum of a frame is wrong; it became silence"), "{ran}");
    assert!(ran.stderr.contains("cut.wav") && ran.stderr.contains("truncated"), "{ran}");
    assert!(!ran.stderr.contains("whole"), "{ran}");

    let shown = sandbox.ok("show sounds.yaml audio").stdout;
    let line =
        |field: &str| shown.lines().find(|line| line.trim_start().starts_with(field)).unwrap_or_default();
    assert!(line("remark").contains("a/damaged.flac: at 0.216 s: the checksum"), "{shown}");
    assert!(line("remark").contains("at 0.360 s: 576 samples (0.072 s) are missing"), "{shown}");
    assert!(line("skipped").contains("a/cut.wav: truncated after 0.310 s"), "{shown}");
    let page = &sandbox.ok("show sounds.yaml audio --format json").json()[0];
    assert_eq!(
        (page["rows"].as_u64(), page["remarks"][0]["clip_id"].as_str()),
        (Some(3), Some("a/damaged.flac"))
    );

    // A reused row is told again; who refuses damage loses the clip and nothing else.
    let again = sandbox.ok("run sounds.yaml --format json");
    assert!(
        again.json().iter().any(|line| line["stage"] == "audio" && line["rows_remarked"] == 1),
        "{again}"
    );
    let refused = sandbox.ok("run sounds.yaml --set damage=refuse");
    assert!(refused.stderr.contains("damaged.flac") && refused.stderr.contains("cut.wav"), "{refused}");
    let page = &sandbox.ok("show sounds.yaml audio --set damage=refuse --format json").json()[0];
    assert_eq!(
        (page["rows"].as_u64(), page["skipped"].as_array().map(Vec::len)),
        (Some(2), Some(2)),
        "{page}"
    );
}
