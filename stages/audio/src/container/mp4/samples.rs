//! Where the packets of a track lie, from the tables of its `stbl` or from movie fragments.

use super::super::super::decode::DecodeError;
use super::boxes::{atoms, first, path, table, u32_at, u64_at};

/// A packet in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub offset: u64,
    pub size: u64,
    /// Length in ticks of the track.
    pub ticks: u64,
}

fn corrupt(what: &str) -> DecodeError {
    DecodeError::Corrupt { seconds: 0.0, detail: format!("the MP4 tables contradict themselves: {what}") }
}

/// The sizes of packets: `stsz`, or `stz2` with fields of 4, 8 or 16 bits.
struct Sizes<'a> {
    /// The size of every packet; 0 where they differ.
    constant: u32,
    count: usize,
    bits: usize,
    fields: &'a [u8],
}

impl<'a> Sizes<'a> {
    fn read(stbl: &'a [u8]) -> Self {
        let compact = path(stbl, &[b"stz2"]);
        let body = path(stbl, &[b"stsz"]).or(compact).unwrap_or_default();
        let (word, count) = (u32_at(body, 4).unwrap_or(0), u32_at(body, 8).unwrap_or(0) as usize);
        let (constant, bits) =
            if path(stbl, &[b"stsz"]).is_some() { (word, 32) } else { (0, (word & 0xff) as usize) };
        Self { constant, count, bits, fields: body.get(12..).unwrap_or_default() }
    }

    fn get(&self, at: usize) -> Option<u32> {
        if self.constant > 0 {
            return Some(self.constant);
        }
        let byte = *self.fields.get(at * self.bits / 8)?;
        match self.bits {
            4 => Some(u32::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })),
            8 => Some(u32::from(byte)),
            16 => Some(u32::from(byte) << 8 | u32::from(*self.fields.get(2 * at + 1)?)),
            32 => u32_at(self.fields, 4 * at),
            _ => None,
        }
    }
}

/// Reads the sample tables. Codecs whose packets are a fixed number of bytes (`fixed`: bytes and ticks of one) get one packet a chunk.
///
/// # Errors
/// [`DecodeError::Corrupt`] if the tables do not fit together.
pub(super) fn of_tables(
    stbl: &[u8],
    fixed: Option<(u64, u64)>,
    file_len: u64,
) -> Result<Vec<Sample>, DecodeError> {
    let sizes = Sizes::read(stbl);
    let (constant, count) = (sizes.constant, sizes.count);
    let runs: Vec<[u32; 3]> = path(stbl, &[b"stsc"]).map(|b| table(b).collect()).unwrap_or_default();
    let chunks: Vec<u64> = match (path(stbl, &[b"stco"]), path(stbl, &[b"co64"])) {
        (Some(b), _) => table::<1>(b).map(|[n]| u64::from(n)).collect(),
        (None, Some(b)) => table::<2>(b).map(|[high, low]| u64::from(high) << 32 | u64::from(low)).collect(),
        (None, None) => Vec::new(),
    };
    let mut durations = path(stbl, &[b"stts"]).into_iter().flat_map(table::<2>);
    let mut run_left = 0u32;
    let mut ticks = 0u32;
    let mut duration = || {
        while run_left == 0 {
            let Some([n, t]) = durations.next() else { return u64::from(ticks) };
            (run_left, ticks) = (n, t);
        }
        run_left -= 1;
        u64::from(ticks)
    };
    let mut samples = Vec::new();
    let (mut done, mut total, mut run) = (0usize, 0u64, 0usize);
    for (chunk, &base) in (1u32..).zip(&chunks) {
        while runs.get(run + 1).is_some_and(|next| next[0] <= chunk) {
            run += 1;
        }
        let per_chunk = (runs.get(run).ok_or_else(|| corrupt("no `stsc`"))?[1] as usize).min(count - done);
        if let Some((bytes, ticks)) = fixed {
            let size = per_chunk as u64 * bytes;
            total += size;
            samples.push(Sample { offset: base, size, ticks: per_chunk as u64 * ticks });
            done += per_chunk;
        } else {
            let mut offset = base;
            for _ in 0..per_chunk {
                let size = sizes.get(done).ok_or_else(|| corrupt("the table of sizes is too short"))?;
                samples.push(Sample { offset, size: u64::from(size), ticks: duration() });
                offset += u64::from(size);
                total += u64::from(size);
                done += 1;
                // No two packets share bytes, so there cannot be more than there are bytes.
                if total > file_len && constant > 0 {
                    break;
                }
            }
        }
        if done >= count || (total > file_len && (constant > 0 || fixed.is_some())) {
            break;
        }
    }
    if done < count && total <= file_len {
        return Err(corrupt("there are fewer packets in chunks than sizes"));
    }
    Ok(samples)
}

/// What the tables of fragments leave to defaults.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    ticks: u32,
    size: u32,
}

/// Packets of fragments, and what is odd about them.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    pub samples: Vec<Sample>,
    /// Before which packet how many ticks are missing, by the fragments' own times.
    pub holes: Vec<(usize, u64)>,
}

/// Reads all fragments (`moof`) of a track.
///
/// # Errors
/// [`DecodeError::Truncated`] where a fragment is cut off, [`DecodeError::Corrupt`] where it promises more packets than bytes.
pub(super) fn of_fragments(bytes: &[u8], moov: &[u8], track: u32) -> Result<Fragments, DecodeError> {
    let trex = path(moov, &[b"mvex"])
        .into_iter()
        .flat_map(atoms)
        .find(|atom| atom.kind == *b"trex" && u32_at(atom.body, 4) == Some(track));
    let field = |at| trex.and_then(|atom| u32_at(atom.body, at)).unwrap_or(0);
    let defaults = Defaults { ticks: field(12), size: field(16) };
    let mut found = Fragments::default();
    let mut time = None;
    for moof in atoms(bytes).filter(|atom| atom.kind == *b"moof") {
        let mut base = moof.start as u64;
        for traf in atoms(moof.body).filter(|atom| atom.kind == *b"traf") {
            let mut read =
                Traf { defaults, base: moof.start as u64, next: base, found: &mut found, time: &mut time };
            base = read.read(traf.body, track, bytes.len())?;
        }
    }
    Ok(found)
}

struct Traf<'a> {
    defaults: Defaults,
    base: u64,
    next: u64,
    found: &'a mut Fragments,
    /// The time after the last packet, in ticks.
    time: &'a mut Option<u64>,
}

impl Traf<'_> {
    /// Reads a fragment of a track, and returns where its data ends.
    fn read(&mut self, traf: &[u8], track: u32, file_len: usize) -> Result<u64, DecodeError> {
        let Some(tfhd) = first(traf, b"tfhd").map(|atom| atom.body) else { return Ok(self.next) };
        let flags = u32_at(tfhd, 0).unwrap_or(0) & 0xff_ffff;
        let mut at = 8;
        if flags & 1 != 0 {
            self.base = u64_at(tfhd, at).unwrap_or(0);
            self.next = self.base;
            at += 8;
        } else if flags & 0x2_0000 != 0 {
            self.next = self.base;
        } else {
            self.base = self.next;
        }
        let mut optional = |bit: u32| {
            let value = (flags & bit != 0).then(|| u32_at(tfhd, at).unwrap_or(0));
            at += if value.is_some() { 4 } else { 0 };
            value
        };
        optional(2);
        self.defaults.ticks = optional(8).unwrap_or(self.defaults.ticks);
        self.defaults.size = optional(0x10).unwrap_or(self.defaults.size);
        let ours = u32_at(tfhd, 4) == Some(track);
        if let Some(tfdt) = first(traf, b"tfdt").map(|atom| atom.body).filter(|_| ours) {
            let wide = tfdt.first() == Some(&1);
            let start = if wide { u64_at(tfdt, 4) } else { u32_at(tfdt, 4).map(u64::from) };
            if let Some((start, time)) = start.zip(*self.time) {
                let last = self.found.samples.last().map_or(0, |sample| sample.ticks);
                if start > time.saturating_add(last) {
                    self.found.holes.push((self.found.samples.len(), start - time));
                }
            }
            *self.time = start;
        }
        for trun in atoms(traf).filter(|atom| atom.kind == *b"trun") {
            self.run(trun.body, ours, file_len)?;
        }
        Ok(self.next)
    }

    fn run(&mut self, trun: &[u8], ours: bool, file_len: usize) -> Result<(), DecodeError> {
        let flags = u32_at(trun, 0).unwrap_or(0);
        let count = u32_at(trun, 4).unwrap_or(0) as usize;
        let mut at = 8;
        if flags & 1 != 0 {
            let offset = i64::from(u32_at(trun, at).unwrap_or(0) as i32);
            self.next = self.base.saturating_add_signed(offset);
            at += 4;
        }
        at += if flags & 4 != 0 { 4 } else { 0 };
        let entry = (flags >> 8 & 15).count_ones() as usize * 4;
        // A run whose packets have no size of their own costs bytes of the file for each packet, or none at all; all runs together
        // hold no more packets than the file has bytes.
        let packets = self.found.samples.len().saturating_add(count);
        if entry == 0 && self.defaults.size == 0 && count > 0 || packets > file_len {
            return Err(corrupt("a fragment promises more packets than bytes"));
        }
        if trun.len() < at.saturating_add(count.saturating_mul(entry)) {
            return Err(corrupt("`trun` is too short"));
        }
        if !ours && entry == 0 {
            let bytes = (count as u64).saturating_mul(u64::from(self.defaults.size));
            self.next = self.next.saturating_add(bytes);
            return Ok(());
        }
        for _ in 0..count {
            let mut field = at;
            let mut next = |bit: u32| {
                let value = (flags & bit != 0).then(|| u32_at(trun, field));
                field += if value.is_some() { 4 } else { 0 };
                value
            };
            let short = || corrupt("`trun` is too short");
            let ticks = next(0x100).map_or(Ok(self.defaults.ticks), |v| v.ok_or_else(short))?;
            let size = next(0x200).map_or(Ok(self.defaults.size), |v| v.ok_or_else(short))?;
            at += entry;
            if ours {
                let (size, ticks) = (u64::from(size), u64::from(ticks));
                self.found.samples.push(Sample { offset: self.next, size, ticks });
                if let Some(time) = self.time.as_mut() {
                    *time = time.saturating_add(ticks);
                }
            }
            self.next = self.next.saturating_add(u64::from(size));
        }
        Ok(())
    }
}
