use super::*;

/// Bits, the highest of a byte first.
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let all: Vec<u8> =
        fields.iter().flat_map(|&(value, n)| (0..n).rev().map(move |i| (value >> i & 1) as u8)).collect();
    all.chunks(8).map(|c| c.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i))).collect()
}

const BLOCK: u32 = 256;

fn sample(i: u32) -> i16 {
    (i.wrapping_mul(7919) % 4001) as i16 - 2000
}

/// A packet of ALAC with samples from `first` on as they are, mono, 16 bits.
fn alac(first: u32, samples: u32) -> Vec<u8> {
    // One channel, instance, unused, the length follows, no shifted bytes, not compressed.
    let mut fields = vec![(0, 3), (0, 4), (0, 12), (1, 1), (0, 2), (1, 1), (samples, 32)];
    fields.extend((first..first + samples).map(|i| (u32::from(sample(i) as u16), 16)));
    fields.push((7, 3));
    bits(&fields)
}

/// The decoder's configuration: block length, version, bits, three of the coder, channels, and sizes that are not known.
fn cookie() -> Vec<u8> {
    let mut cookie = BLOCK.to_be_bytes().to_vec();
    cookie.extend([0, 16, 40, 10, 14, 1, 0, 255]);
    cookie.extend([0; 8]);
    cookie.extend(8000u32.to_be_bytes());
    cookie
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [kind, &(body.len() as u64).to_be_bytes()[..], body].concat()
}

/// Ten whole packets and one of 100 samples, with so many samples that are played and samples of priming.
fn file(cookie: &[u8], valid: u64, priming: u32) -> Vec<u8> {
    let lengths = [vec![BLOCK; 10], vec![100]].concat();
    let packets: Vec<Vec<u8>> = (0..).zip(&lengths).map(|(i, &n)| alac(i * BLOCK, n)).collect();
    let mut table =
        [&11u64.to_be_bytes()[..], &valid.to_be_bytes(), &priming.to_be_bytes(), &[0; 4]].concat();
    for packet in &packets {
        let size = packet.len();
        table.extend([(size >> 7) as u8 | 0x80, (size & 0x7f) as u8]);
    }
    let mut description = 8000f64.to_be_bytes().to_vec();
    description.extend(b"alac");
    for field in [0, 0, BLOCK, 1, 0] {
        description.extend(field.to_be_bytes());
    }
    let data = [vec![0; 4], packets.concat()].concat();
    [
        b"caff\0\x01\0\0".to_vec(),
        chunk(b"desc", &description),
        chunk(b"kuki", cookie),
        chunk(b"pakt", &table),
        chunk(b"data", &data),
    ]
    .concat()
}

#[test]
fn alac_is_read_by_its_packet_table() {
    let wanted = |range: std::ops::Range<u32>| range.map(|i| f32::from(sample(i)) / 32_768.0).collect();
    let all: Vec<f32> = wanted(0..2660);
    assert_eq!(whole(&file(&cookie(), 2660, 0)).channels, std::slice::from_ref(&all));
    // As in the sample description of MOV.
    let atoms = [&b"\0\0\0\x0cfrmaalac\0\0\0\x24alac\0\0\0\0"[..], &cookie()].concat();
    assert_eq!(whole(&file(&atoms, 2660, 0)).channels, [all]);
    let trimmed: Vec<f32> = wanted(200..2200);
    assert_eq!(whole(&file(&cookie(), 2000, 200)).channels, [trimmed]);
}

#[test]
fn a_packet_table_must_fit_the_file() {
    let whole = file(&cookie(), 2660, 0);
    let error = read(&whole[..whole.len() - 300]).unwrap_err().to_string();
    assert_eq!(error, "truncated after 0.288 s: the header promises 11 packets, the file holds 9");
    let mut more = whole.clone();
    let count = more.windows(4).position(|w| w == b"pakt").unwrap() + 19;
    more[count] = 12;
    let error = read(&more).unwrap_err().to_string();
    let text = "corrupt after 0.000 s: the packet table of the CAF file ends early or names an empty packet";
    assert_eq!(error, text);
}
