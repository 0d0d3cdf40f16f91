//! The setup header of Vorbis, read as far as the choice of a decoder needs.

/// Values that all codebooks together may hold, so that a header of a few bytes cannot claim gigabytes. libvorbis
/// allows 2^24 for one codebook; encoders use less than 2^18 for all.
const MAX_VALUES: u64 = 1 << 24;

/// What of a setup header tells whether a decoder can be trusted. Source: Vorbis I, section 4.2.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setup {
    channels: u8,
    /// Types of the residues, 0 to 2.
    residues: Vec<u32>,
    /// The largest number of coupling steps in one mapping.
    coupling: u32,
    /// Which modes have long blocks.
    long: Vec<bool>,
}

/// The shape of a block, from the first bits of its packet. Source: Vorbis I, section 4.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The block is long.
    pub(super) long: bool,
    /// The block is long and a short one follows.
    pub(super) long_before_short: bool,
}

impl Setup {
    /// Reads the header; `None` if it is damaged.
    pub(super) fn read(packet: &[u8], channels: u8) -> Option<Self> {
        let mut bits = Bits { bytes: packet.strip_prefix(b"\x05vorbis")?, at: 0 };
        let mut values = 0u64;
        for _ in 0..=bits.read(8)? {
            values += codebook(&mut bits)?;
            if values > MAX_VALUES {
                return None;
            }
        }
        for _ in 0..=bits.read(6)? {
            bits.read(16)?;
        }
        for _ in 0..=bits.read(6)? {
            match bits.read(16)? {
                0 => floor_0(&mut bits)?,
                1 => floor_1(&mut bits)?,
                _ => return None,
            }
        }
        let mut residues = Vec::new();
        for _ in 0..=bits.read(6)? {
            residues.push(bits.read(16)?);
            residue(&mut bits)?;
        }
        let mut coupling = 0;
        for _ in 0..=bits.read(6)? {
            coupling = coupling.max(mapping(&mut bits, channels)?);
        }
        let mut long = Vec::new();
        for _ in 0..=bits.read(6)? {
            long.push(bits.flag()?);
            bits.skip(16 + 16 + 8)?;
        }
        Some(Self { channels, residues, coupling, long })
    }

    /// The shape of the block in a packet; `None` if the packet is no sound.
    pub(super) fn block(&self, packet: &[u8]) -> Option<Block> {
        let mut bits = Bits { bytes: packet, at: 0 };
        if bits.flag()? {
            return None;
        }
        let mode = bits.read(ilog(u32::try_from(self.long.len() - 1).ok()?))?;
        let long = *self.long.get(mode as usize)?;
        if long {
            bits.flag()?;
        }
        Some(Block { long, long_before_short: long && !bits.flag()? })
    }

    /// symphonia-codec-vorbis 0.6.1 mixes up the classes of the channels of a residue of type 0 or 1, and undoes
    /// coupling in the wrong order. Neither shows in mono, nor in one coupled pair with residues of type 2.
    pub(super) fn symphonia_is_right(&self) -> bool {
        match self.channels {
            1 => true,
            2 => self.coupling <= 1 && self.residues.iter().all(|&kind| kind == 2),
            _ => false,
        }
    }
}

/// Bits from the lowest of the first byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Reads an integer of up to 32 bits.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for i in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.read(1)? == 1)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = usize::try_from(count).ok().and_then(|n| self.at.checked_add(n))?;
        (self.at <= 8 * self.bytes.len()).then_some(())
    }
}

/// Bits that hold the values up to `x`: the function `ilog` of the specification.
fn ilog(x: u32) -> u32 {
    32 - x.leading_zeros()
}

/// Section 3.2.1. Returns how many values the codebook stands for.
fn codebook(bits: &mut Bits<'_>) -> Option<u64> {
    if bits.read(24)? != 0x0056_4342 {
        return None;
    }
    let dimensions = bits.read(16)?;
    let entries = bits.read(24)?;
    if bits.flag()? {
        bits.read(5)?;
        let mut entry = 0;
        while entry < entries {
            entry += bits.read(ilog(entries - entry))?;
        }
        if entry > entries {
            return None;
        }
    } else if bits.flag()? {
        for _ in 0..entries {
            if bits.flag()? {
                bits.read(5)?;
            }
        }
    } else {
        bits.skip(5 * u64::from(entries))?;
    }
    let values = u64::from(entries) * u64::from(dimensions);
    match bits.read(4)? {
        0 => return Some(u64::from(entries)),
        kind @ (1 | 2) => {
            bits.skip(64)?;
            let width = bits.read(4)? + 1;
            bits.read(1)?;
            let count = if kind == 1 { lookup_1(entries, dimensions)? } else { values };
            bits.skip(count.checked_mul(width.into())?)?;
        }
        _ => return None,
    }
    Some(values)
}

/// The largest number whose power `dimensions` is no more than `entries`.
fn lookup_1(entries: u32, dimensions: u32) -> Option<u64> {
    if dimensions == 0 {
        return None;
    }
    let fits = |n: u64| n.checked_pow(dimensions).is_some_and(|power| power <= u64::from(entries));
    let mut n = (f64::from(entries).powf(1.0 / f64::from(dimensions))) as u64;
    while fits(n + 1) {
        n += 1;
    }
    while n > 0 && !fits(n) {
        n -= 1;
    }
    Some(n)
}

/// Section 6.2.1.
fn floor_0(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(8 + 16 + 16 + 6 + 8)?;
    let books = bits.read(4)? + 1;
    bits.skip(8 * u64::from(books))
}

/// Section 7.2.2.
fn floor_1(bits: &mut Bits<'_>) -> Option<()> {
    let partitions = bits.read(5)?;
    let mut classes = Vec::new();
    for _ in 0..partitions {
        classes.push(bits.read(4)? as usize);
    }
    let mut dimensions = Vec::new();
    for _ in 0..classes.iter().max().map_or(0, |&class| class + 1) {
        dimensions.push(bits.read(3)? + 1);
        let subclasses = bits.read(2)?;
        if subclasses > 0 {
            bits.read(8)?;
        }
        bits.skip(8 << subclasses)?;
    }
    bits.read(2)?;
    let width = bits.read(4)?;
    classes.iter().try_for_each(|&class| bits.skip(u64::from(dimensions[class] * width)))
}

/// Section 8.6.1.
fn residue(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(3 * 24)?;
    let classes = bits.read(6)? + 1;
    bits.read(8)?;
    let mut books = 0;
    for _ in 0..classes {
        let low = bits.read(3)?;
        let high = if bits.flag()? { bits.read(5)? } else { 0 };
        books += u64::from(low.count_ones() + high.count_ones());
    }
    bits.skip(8 * books)
}

/// Section 4.2.4, mappings. Returns the number of coupling steps.
fn mapping(bits: &mut Bits<'_>, channels: u8) -> Option<u32> {
    bits.read(16)?;
    let submaps = if bits.flag()? { bits.read(4)? + 1 } else { 1 };
    let mut steps = 0;
    if bits.flag()? {
        steps = bits.read(8)? + 1;
        bits.skip(u64::from(2 * steps * ilog(u32::from(channels.saturating_sub(1)))))?;
    }
    bits.read(2)?;
    if submaps > 1 {
        bits.skip(4 * u64::from(channels))?;
    }
    bits.skip(24 * u64::from(submaps))?;
    Some(steps)
}
