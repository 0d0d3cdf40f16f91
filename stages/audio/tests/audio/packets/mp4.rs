use super::aac::aac;
use super::*;

fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// What differs between the files below.
#[derive(Clone)]
struct Movie {
    /// The sample description.
    entry: Vec<u8>,
    /// Bytes of every packet, and ticks of it.
    packets: Vec<(Vec<u8>, u32)>,
    /// Length in milliseconds, start in ticks.
    edits: Vec<(u32, i32)>,
    comment: Option<&'static str>,
    fragmented: bool,
    /// Bits of a packet's size.
    size_bits: u32,
    /// Track header flags; 1 is "on".
    enabled: u8,
}

const RATE: u32 = 8000;

/// Little-endian samples of 16 bits: the value is the position.
fn pcm(samples: u32) -> Movie {
    let mut entry = [0u8; 28];
    entry[7] = 1;
    entry[17] = 1;
    entry[19] = 16;
    entry[24..28].copy_from_slice(&(RATE << 16).to_be_bytes());
    let packets = (0..samples).map(|i| ((i as u16).to_le_bytes().to_vec(), 1)).collect();
    Movie {
        entry: atom(b"sowt", &entry),
        packets,
        edits: Vec::new(),
        comment: None,
        fragmented: false,
        size_bits: 32,
        enabled: 1,
    }
}

/// Packets of silent AAC at 8000 Hz; the last counts only 500 ticks.
fn silence(packets: u32, extension: Option<u32>) -> Movie {
    let mut body = pcm(0).entry[8..36].to_vec();
    // Object type 2, sample rate index 11, one channel.
    let config = [5u8, 2, 0x15, 0x88];
    let decoder = [&[4, 17, 0x40, 0x15][..], &[0; 11], &config].concat();
    let stream = [&[3, decoder.len() as u8 + 3, 0, 1, 0][..], &decoder].concat();
    body.extend(atom(b"esds", &[&[0; 4][..], &stream].concat()));
    let ticks = |i| if i + 1 == packets { 500 } else { 1024 };
    let packets = (0..packets).map(|i| (aac(extension), ticks(i))).collect();
    Movie { entry: atom(b"mp4a", &body), packets, ..pcm(0) }
}

impl Movie {
    fn trak(&self, id: u32, handler: &[u8; 4], data_at: u32) -> Vec<u8> {
        let mut tkhd = vec![0u8; 84];
        tkhd[3] = self.enabled;
        tkhd[12..16].copy_from_slice(&id.to_be_bytes());
        let mdhd = numbers(&[0, 0, 0, RATE, 0, 0]);
        let hdlr = [&[0u8; 8][..], handler, &[0; 13]].concat();
        let count = if self.fragmented { 0 } else { self.packets.len() as u32 };
        let field = if self.size_bits == 32 { 0 } else { self.size_bits };
        let (mut sizes, mut times) = (numbers(&[0, field, count]), vec![0, count]);
        for (bytes, ticks) in self.packets.iter().take(count as usize) {
            match (self.size_bits, bytes.len() as u32) {
                (8, n) => sizes.push(n as u8),
                (16, n) => sizes.extend((n as u16).to_be_bytes()),
                (_, n) => sizes.extend(n.to_be_bytes()),
            }
            times.extend([1, *ticks]);
        }
        let chunk = u32::from(count > 0);
        let stbl = [
            atom(b"stsd", &[&numbers(&[0, 1])[..], &self.entry].concat()),
            atom(b"stts", &numbers(&times)),
            atom(b"stsc", &numbers(&[0, chunk, 1, count, 1][..2 + 3 * chunk as usize])),
            atom(if field == 0 { b"stsz" } else { b"stz2" }, &sizes),
            atom(b"stco", &numbers(&[0, chunk, data_at][..2 + chunk as usize])),
        ];
        let minf = atom(b"minf", &atom(b"stbl", &stbl.concat()));
        let mdia = [atom(b"mdhd", &mdhd), atom(b"hdlr", &hdlr), minf].concat();
        let mut trak = atom(b"tkhd", &tkhd);
        if !self.edits.is_empty() {
            let edits = self.edits.iter().flat_map(|&(ms, start)| [ms, start as u32, 0x1_0000]);
            let list: Vec<u32> = [0, self.edits.len() as u32].into_iter().chain(edits).collect();
            trak.extend(atom(b"edts", &atom(b"elst", &numbers(&list))));
        }
        trak.extend(atom(b"mdia", &mdia));
        atom(b"trak", &trak)
    }

    fn bytes(&self) -> Vec<u8> {
        self.among(&[], &[])
    }

    /// The file, with other tracks before and after its own.
    fn among(&self, before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
        let data: Vec<u8> = self.packets.iter().flat_map(|p| p.0.clone()).collect();
        let mut file = atom(b"ftyp", b"M4A \0\0\x02\0M4A isom");
        if !self.fragmented {
            file.extend(atom(b"mdat", &data));
        }
        let mut moov = atom(b"mvhd", &numbers(&[0, 0, 0, 1000, 0]));
        moov.extend(before.concat());
        moov.extend(self.trak(9, b"soun", 32));
        moov.extend(after.concat());
        if let Some(text) = self.comment {
            let name = atom(b"name", b"\0\0\0\0iTunSMPB");
            let data = atom(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()].concat());
            let list = atom(b"ilst", &atom(b"----", &[name, data].concat()));
            moov.extend(atom(b"udta", &atom(b"meta", &[&[0; 4][..], &list].concat())));
        }
        if self.fragmented {
            moov.extend(atom(b"mvex", &atom(b"trex", &numbers(&[0, 9, 1, 0, 0, 0]))));
        }
        file.extend(atom(b"moov", &moov));
        if self.fragmented {
            for half in self.packets.chunks(self.packets.len().div_ceil(2)) {
                let runs: Vec<u32> = half.iter().flat_map(|(b, t)| [*t, b.len() as u32]).collect();
                let moof = |offset: u32| {
                    let run = [&numbers(&[0x301, half.len() as u32, offset])[..], &numbers(&runs)].concat();
                    let traf = [atom(b"tfhd", &numbers(&[0x2_0000, 9])), atom(b"trun", &run)].concat();
                    atom(b"moof", &[atom(b"mfhd", &[0; 8]), atom(b"traf", &traf)].concat())
                };
                file.extend(moof(moof(0).len() as u32 + 8));
                file.extend(atom(b"mdat", &half.iter().flat_map(|p| p.0.clone()).collect::<Vec<u8>>()));
            }
        }
        file
    }
}

/// The positions that are played.
#[track_caller]
fn played(movie: &Movie) -> Vec<u32> {
    whole(&movie.bytes()).channels[0].iter().map(|x| (x * 32_768.0) as u32).collect()
}

#[test]
fn an_edit_list_says_what_is_played() {
    let file = |edits: &[(u32, i32)]| Movie { edits: edits.to_vec(), ..pcm(4000) };
    assert_eq!(played(&file(&[])), (0..4000).collect::<Vec<_>>());
    assert_eq!(played(&file(&[(250, 1024)])), (1024..3024).collect::<Vec<_>>());
    // Without a length, to the end; an empty edit only moves the track against others.
    assert_eq!(played(&file(&[(0, 1000)])), (1000..4000).collect::<Vec<_>>());
    assert_eq!(played(&file(&[(100, -1), (250, 1000)])), (1000..3000).collect::<Vec<_>>());
    let cut: Vec<u32> = (2000..2800).chain(0..800).collect();
    assert_eq!(played(&file(&[(100, 2000), (100, 0)])), cut);
    // Beyond the end there is nothing.
    assert_eq!(played(&file(&[(9000, 3000)])), (3000..4000).collect::<Vec<_>>());
}

#[test]
fn aac_ends_where_its_tables_do_and_not_with_its_last_packet() {
    let length = |movie: Movie| whole(&movie.bytes()).channels[0].len();
    for fragmented in [false, true] {
        let file = Movie { fragmented, ..silence(10, None) };
        // Nine packets of 1024 and 500 of the tenth.
        assert_eq!(length(file.clone()), 9 * 1024 + 500, "fragmented: {fragmented}");
        let edited = Movie { edits: vec![(1087, 1024)], ..file.clone() };
        assert_eq!(length(edited), 8 * 1024 + 500, "8692 ticks are 1086.5 ms");
        let itunes = " 00000000 00000840 000001CA 0000000000000FA0 00000000";
        assert_eq!(length(Movie { comment: Some(itunes), ..file.clone() }), 4000);
        // A list that does more than the comment was made later.
        let later = Movie { comment: Some(itunes), edits: vec![(100, 4096)], ..file };
        assert_eq!(length(later), 800);
    }
}

#[test]
fn other_tracks_do_not_disturb() {
    let other = |handler, enabled| Movie { enabled, ..pcm(0) }.trak(3, handler, 0);
    let movie = Movie { edits: vec![(250, 1024)], ..pcm(4000) };
    for before in [other(b"vide", 1), other(b"text", 1), other(b"soun", 0)] {
        let bytes = movie.among(&[before], &[other(b"soun", 1)]);
        assert_eq!(whole(&bytes).channels[0].len(), 2000);
    }
    let silent = Movie { fragmented: false, ..pcm(10) };
    let mut bytes = silent.bytes();
    let at = bytes.windows(4).position(|w| w == b"soun").unwrap();
    bytes[at..at + 4].copy_from_slice(b"vide");
    assert_eq!(read(&bytes).unwrap_err().to_string(), "unsupported audio: a movie without an audio track");
}

#[test]
fn a_movie_that_is_cut_or_not_finished_says_so() {
    let whole = pcm(4000).bytes();
    let moov = whole.windows(4).position(|w| w == b"moov").unwrap() - 4;
    let error = read(&whole[..moov]).unwrap_err().to_string();
    assert!(error.starts_with("truncated after 0.000 s: no `moov` box"), "{error}");
    let fragmented = Movie { fragmented: true, ..silence(10, None) }.bytes();
    let error = read(&fragmented[..fragmented.len() - 5]).unwrap_err().to_string();
    assert!(error.starts_with("truncated after 1.024 s: a packet of 4 bytes"), "{error}");
}

#[test]
fn runs_together_hold_no_more_packets_than_the_file_has_bytes() {
    let mut bytes = Movie { fragmented: true, ..silence(10, None) }.bytes();
    let run = atom(b"trun", &numbers(&[0, bytes.len() as u32 / 2]));
    let traf = [atom(b"tfhd", &numbers(&[0x10, 9, 1])), run.repeat(100)].concat();
    bytes.extend(atom(b"moof", &[atom(b"mfhd", &[0; 8]), atom(b"traf", &traf)].concat()));
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.ends_with("a fragment promises more packets than bytes"), "{error}");
}

#[test]
fn codecs_that_are_not_decoded_are_named() {
    let named = |kind: &[u8; 4]| {
        let mut movie = pcm(10);
        movie.entry[4..8].copy_from_slice(kind);
        read(&movie.bytes()).unwrap_err().to_string()
    };
    let text = "unsupported audio: AC-3 in MP4 is not decoded here; decode it with `decoder: ffmpeg`";
    assert_eq!(named(b"ac-3"), text);
    assert!(named(b"samr").contains("AMR"), "{}", named(b"samr"));
    assert!(named(b"zzzz").contains("the codec `zzzz`"), "{}", named(b"zzzz"));
}

#[test]
fn sizes_of_eight_and_sixteen_bits_are_read() {
    for size_bits in [8, 16] {
        let movie = Movie { size_bits, ..silence(10, None) };
        assert_eq!(whole(&movie.bytes()).channels[0].len(), 9 * 1024 + 500, "{size_bits} bits");
    }
}

#[test]
fn packets_without_bytes_are_told() {
    let mut movie = silence(10, None);
    movie.packets[3].0.clear();
    movie.packets[6].0.clear();
    movie.packets[7].0.clear();
    let (n, remarks) = damaged(&movie.bytes());
    assert_eq!(n, 9 * 1024 + 500);
    let texts = ["a packet holds no bytes and became silence", "2 packets hold no bytes and became silence"];
    assert_eq!(remarks, [format!("at 0.384 s: {}", texts[0]), format!("at 0.768 s: {}", texts[1])]);
}

/// Extension 13 is spectral band replication, 0 padding.
#[test]
fn he_aac_that_the_configuration_does_not_mention_has_twice_the_rate() {
    let he = read(&silence(10, Some(13)).bytes()).unwrap();
    assert_eq!((he.sample_rate, he.channels[0].len()), (16_000, 2 * (9 * 1024 + 500)));
    let lc = whole(&silence(10, Some(0)).bytes());
    assert_eq!((lc.sample_rate, lc.channels[0].len()), (8000, 9 * 1024 + 500));
}
