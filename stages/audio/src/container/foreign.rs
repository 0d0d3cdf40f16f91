//! Files that are something else: told by their first bytes, so that a message names them and the way out.

use super::super::decode::DecodeError;

/// Audio and video that no decoder here reads.
const AUDIO: &[(&[u8], &str)] = &[
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (ASF, WMA)"),
    (b"#!AMR-WB", "AMR-WB"),
    (b"#!AMR", "AMR"),
    (b"\x7f\xfe\x80\x01", "DTS"),
    (b"\xfe\x7f\x01\x80", "DTS"),
    (b"\x1f\xff\xe8\x00", "DTS"),
    (b"\xff\x1f\x00\xe8", "DTS"),
    (b"DTSHDHDR", "DTS-HD"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "True Audio"),
    (b"tBaK", "TAK"),
    (b"OFR ", "OptimFROG"),
    (b"DSD ", "DSD (DSF)"),
    (b"FRM8", "DSD (DSDIFF)"),
    (b".RMF", "RealMedia"),
    (b".ra\xfd", "RealAudio"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"Creative Voice File", "Creative Voice"),
    (b"FLV\x01", "Flash Video"),
    (b"\0\0\x01\xba", "an MPEG programme stream"),
];

/// What is no sound at all: its start, its name, what to do.
const OTHER: &[(&[u8], &str, &str)] = &[
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer",
        "run `git lfs pull` to fetch the file itself",
    ),
    (b"MThd", "a MIDI file", "it holds notes and no sound; render it first"),
    (
        b"\0\x05\x16\x07",
        "a companion file of macOS (AppleDouble)",
        "delete it, or leave out names that begin with `._`",
    ),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"\x1f\x8b", "a gzip file", UNPACK),
    (b"BZh", "a bzip2 file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"%PDF", "a PDF document", REPLACE),
    (b"\x89PNG", "a PNG image", REPLACE),
    (b"\xff\xd8\xff", "a JPEG image", REPLACE),
    (b"GIF8", "a GIF image", REPLACE),
    (b"\x93NUMPY", "a NumPy array", REPLACE),
    (b"\x89HDF", "an HDF5 file", REPLACE),
    (b"MATLAB ", "a MATLAB file", REPLACE),
    (b"PAR1", "a Parquet file", REPLACE),
];

const UNPACK: &str = "unpack it";
const REPLACE: &str = "name the audio file itself";

/// Refuses what is known to be something else.
///
/// # Errors
/// [`DecodeError::Unsupported`] for sound, [`DecodeError::Foreign`] for anything else; both say what it is and what to do.
pub(super) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let foreign = |what: &str, way_out: &str| {
        Err(DecodeError::Foreign { what: what.to_owned(), way_out: way_out.to_owned() })
    };
    if bytes.is_empty() {
        return foreign("an empty file (0 bytes)", "download or copy the file again");
    }
    let listed = AUDIO.iter().find(|(start, _)| bytes.starts_with(start)).map(|&(_, name)| name);
    if let Some(name) = listed.or_else(|| by_structure(bytes)) {
        let detail = format!("{name} is not decoded here; decode it with `decoder: ffmpeg`");
        return Err(DecodeError::Unsupported { detail });
    }
    if let Some((_, what, way_out)) = OTHER.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return foreign(what, way_out);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return foreign("a tar archive", UNPACK);
    }
    if bytes.iter().all(|&b| b == 0) {
        return foreign(&format!("{} zero bytes", bytes.len()), "download or copy the file again");
    }
    let start = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return foreign("an HTML page", "download the file itself; the server may want a login");
    }
    if text.starts_with("<?xml") {
        return foreign("an XML document", "download the file itself; the server may have sent an error");
    }
    if start.iter().all(|&b| b >= 0x20 && b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r')) {
        return foreign("a text file", REPLACE);
    }
    Ok(())
}

/// What has no fixed start that would be telling alone.
fn by_structure(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"AVI ") {
        return Some("an AVI movie");
    }
    if bytes.starts_with(b"\x0b\x77") && bytes.len() > 6 {
        return Some(if bytes[5] >> 3 > 10 { "E-AC-3" } else { "AC-3" });
    }
    let packets = bytes.iter().step_by(188).take(5);
    (bytes.len() >= 5 * 188 && packets.clone().all(|&b| b == 0x47)).then_some("an MPEG transport stream")
}
