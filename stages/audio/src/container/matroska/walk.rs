//! The elements of a Matroska or WebM file, also past damage (RFC 9559).
//!
//! What stands in a file is believed where one element follows the other. Where none does, what follows is searched for the next that
//! nothing but a writer puts there: an element of the segment, whose id has four bytes, or a block of a track that exists.

use super::block::Block;
use super::ebml::{Element, children, float, unsigned};
use super::track::Track;

/// What stands in a file, blocks in its order.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) tracks: Vec<Track<'a>>,
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) clusters: Vec<Time>,
    pub(super) holes: Vec<Hole>,
    /// The length that the header declares, in seconds.
    pub(super) duration: Option<f64>,
    /// The file ends before its elements do.
    pub(super) cut: Option<Cut>,
}

/// A place where the file is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// How many blocks come before.
    pub(super) blocks: usize,
    /// What is wrong there.
    pub(super) detail: String,
    /// Blocks may be lost there.
    pub(super) lossy: bool,
}

/// How a file is cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) detail: String,
    /// What is missing lies behind the last block, as far as the bytes tell.
    pub(super) behind: bool,
}

/// The most tracks that are looked at.
const MAX_TRACKS: usize = 256;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
/// `SeekHead`, `Cues`, `Attachments`, `Chapters` and `Tags`.
const BESIDE: [u32; 5] = [0x114d_9b74, 0x1c53_bb6b, 0x1941_a469, 0x1043_a770, 0x1254_c367];
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const VOID: u32 = 0xec;
const CRC: u32 = 0xbf;
/// `Position` and `PrevSize`.
const PLACES: [u32; 2] = [0xa7, 0xab];
/// `SilentTracks`.
const SILENT: u32 = 0x5854;

/// Whether an element is one of the file, the segment or a cluster.
fn is_known(element: &Element) -> bool {
    let size = element.end.map(|end| end - element.body);
    match element.id {
        SEGMENT | CLUSTER => true,
        CRC => size == Some(4),
        TIMESTAMP | 0xa7 | 0xab => size.is_some_and(|size| size <= 8),
        EBML | INFO | TRACKS | SIMPLE_BLOCK | BLOCK_GROUP | VOID | SILENT => size.is_some(),
        id => BESIDE.contains(&id) && size.is_some(),
    }
}

fn is_of_cluster(id: u32) -> bool {
    [TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, VOID, CRC, SILENT].contains(&id) || PLACES.contains(&id)
}

/// Reads all elements.
pub(super) fn walk(bytes: &[u8]) -> Found<'_> {
    let mut walk = Walk {
        bytes,
        found: Found::default(),
        scale: 1_000_000,
        cluster: None,
        padding: bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1),
        checked: 0,
        segment: None,
        closing: false,
    };
    let mut at = 0;
    while at < bytes.len() {
        if let Some(next) = walk.element(at) {
            at = next;
        } else if let Some(next) = walk.search(at + 1) {
            walk.hole(format!("{} bytes at byte {at} are damaged", next - at), true);
            at = next;
        } else {
            walk.rest(at);
            break;
        }
    }
    walk.leave_cluster(at);
    if let Some(end) = walk.segment.filter(|&end| end > bytes.len()) {
        let detail = format!("the segment lacks {} bytes", end - bytes.len());
        walk.found.cut.get_or_insert(Cut { detail, behind: walk.closing });
    }
    walk.found
}

/// The time that a cluster has.
#[derive(Debug)]
pub(super) struct Time {
    pub(super) at: usize,
    /// In ticks; `None` where there is none to be read.
    pub(super) ticks: Option<u64>,
}

/// A cluster that is being read.
struct Cluster {
    at: usize,
    end: Option<usize>,
    /// The checksum that it declares is another one.
    wrong: bool,
    /// Blocks and holes before it.
    before: (usize, usize),
}

struct Walk<'a> {
    bytes: &'a [u8],
    found: Found<'a>,
    /// Nanoseconds of a tick.
    scale: u64,
    cluster: Option<Cluster>,
    /// From here on there are only zeros.
    padding: usize,
    /// Up to here checksums were compared.
    checked: usize,
    /// Where the segment ends, if it says so.
    segment: Option<usize>,
    /// Something that writers put behind all clusters has come.
    closing: bool,
}

impl<'a> Walk<'a> {
    fn hole(&mut self, detail: String, lossy: bool) {
        self.found.holes.push(Hole { blocks: self.found.blocks.len(), detail, lossy });
    }

    /// Reads the element at `at` and returns the place of the next; `None` if there is none, or not what its size says.
    fn element(&mut self, at: usize) -> Option<usize> {
        let element = Element::read(self.bytes, at).filter(is_known)?;
        if !is_of_cluster(element.id) {
            self.leave_cluster(at);
        }
        match element.id {
            SEGMENT => {
                self.segment = element.end;
                return Some(element.body);
            }
            CLUSTER => {
                self.enter_cluster(at, &element);
                return Some(element.body);
            }
            _ => {}
        }
        let data = self.bytes.get(element.body..element.end?)?;
        let next = element.body + data.len();
        // Where nothing follows, either the size is wrong or what should follow is damaged: if something stands inside, the size.
        if !self.lands(next) && self.search(element.body).is_some_and(|found| found < next) {
            return None;
        }
        match element.id {
            INFO => self.info(data),
            TRACKS if self.found.tracks.is_empty() => {
                let entries = children(data).filter(|&(id, _)| id == 0xae);
                self.found.tracks = entries.take(MAX_TRACKS).map(|(_, entry)| Track::read(entry)).collect();
            }
            TIMESTAMP => self.time(at, unsigned(data)),
            SIMPLE_BLOCK => self.block(at, Block::simple(data)),
            BLOCK_GROUP => self.block(at, Block::group(data)),
            id => self.closing |= BESIDE.contains(&id),
        }
        Some(next)
    }

    /// Whether something that belongs there stands at a place.
    fn lands(&self, at: usize) -> bool {
        at == self.bytes.len()
            || self.segment.is_some_and(|end| end == at)
            || Element::read(self.bytes, at).is_some_and(|next| is_known(&next))
            || at >= self.padding
    }

    fn info(&mut self, data: &[u8]) {
        let mut duration = None;
        for (id, data) in children(data) {
            match id {
                0x002a_d7b1 => self.scale = unsigned(data).max(1),
                0x4489 => duration = Some(float(data)),
                _ => {}
            }
        }
        let seconds = duration.map(|ticks| ticks * self.scale as f64 / 1e9);
        self.found.duration = self.found.duration.or(seconds.filter(|s| s.is_finite() && *s > 0.0));
    }

    fn time(&mut self, at: usize, ticks: u64) {
        let begun = self.found.blocks.last().map(|block| block.cluster + 1).unwrap_or_default();
        let nth = self.found.clusters.len();
        match self.found.clusters.last_mut().filter(|time| time.ticks.is_none() && begun < nth) {
            Some(time) => time.ticks = Some(ticks),
            // The head of its cluster is damaged.
            None => self.found.clusters.push(Time { at, ticks: Some(ticks) }),
        }
    }

    fn block(&mut self, at: usize, block: Option<Block<'a>>) {
        match block {
            Some(block) if self.has(block.track) => {
                let cluster = self.found.clusters.len().saturating_sub(1);
                let start = self.found.clusters.last().and_then(|time| time.ticks).unwrap_or(0);
                let ticks = i128::from(start) + i128::from(block.time);
                let time = i64::try_from(ticks * i128::from(self.scale)).unwrap_or(i64::MAX);
                let duration = block.duration.map(|ticks| ticks.saturating_mul(self.scale));
                let place = self.found.blocks.len();
                self.found.blocks.push(Block { place, cluster, time, duration, ..block });
            }
            _ => self.hole(format!("the block at byte {at} is damaged"), true),
        }
    }

    fn has(&self, track: u64) -> bool {
        self.found.tracks.iter().any(|known| known.number == track)
    }

    fn enter_cluster(&mut self, at: usize, element: &Element) {
        self.closing = false;
        // Clusters do not lie in each other, whatever damaged ones claim.
        let data =
            element.end.and_then(|end| self.bytes.get(element.body..end)).filter(|_| at >= self.checked);
        self.checked = data.and(element.end).unwrap_or(self.checked);
        let checked = data.and_then(|data| match Element::read(data, 0) {
            Some(Element { id: CRC, body, end: Some(end) }) if end == body + 4 => {
                Some((data.get(body..end)?, data.get(end..)?))
            }
            _ => None,
        });
        let wrong = checked.is_some_and(|(sum, data)| sum != crc32fast::hash(data).to_le_bytes());
        self.found.clusters.push(Time { at, ticks: None });
        let before = (self.found.blocks.len(), self.found.holes.len());
        self.cluster = Some(Cluster { at, end: element.end, wrong, before });
    }

    /// Tells of a cluster that ends at `at` what nothing inside of it has told.
    fn leave_cluster(&mut self, at: usize) {
        let Some(cluster) = self.cluster.take() else { return };
        let (blocks, holes) = cluster.before;
        if self.found.holes.len() > holes || self.found.cut.is_some() {
            return;
        }
        let (end, whole) = (self.bytes.len(), self.segment.is_some_and(|end| end <= self.bytes.len()));
        let missing = cluster.end.and_then(|until| until.checked_sub(end)).filter(|&n| n > 0 && !whole);
        if let Some(missing) = missing.filter(|_| at == end) {
            let detail = format!("the cluster at byte {} lacks {missing} bytes", cluster.at);
            self.found.cut = Some(Cut { detail, behind: false });
        } else if cluster.end.is_some_and(|end| end != at) {
            let detail = format!("the cluster at byte {} is not as long as it declares", cluster.at);
            self.hole(detail, true);
        } else if cluster.wrong {
            let detail = format!("the checksum of the cluster at byte {} is wrong", cluster.at);
            self.found.holes.push(Hole { blocks, detail, lossy: false });
        }
    }

    /// The next place from `from` on where damage ends.
    fn search(&self, from: usize) -> Option<usize> {
        (from..self.bytes.len()).find(|&at| match self.bytes[at] {
            0x10..=0x1f => Element::read(self.bytes, at).is_some_and(|e| e.id > 0xff_ffff && is_known(&e)),
            0xa0 | 0xa3 => self.is_block(at),
            0xe7 => Element::read(self.bytes, at)
                .filter(is_known)
                .and_then(|time| time.end)
                .is_some_and(|end| self.is_block(end)),
            _ => false,
        })
    }

    /// Whether a block of a track that exists stands at a place, and something that belongs there behind it.
    fn is_block(&self, at: usize) -> bool {
        let Some(element) = Element::read(self.bytes, at) else { return false };
        let Some(end) = element.end else { return false };
        let Some(data) = self.bytes.get(element.body..end) else { return false };
        let block = match element.id {
            SIMPLE_BLOCK => Block::simple(data),
            BLOCK_GROUP => Block::group(data),
            _ => None,
        };
        block.is_some_and(|block| self.has(block.track)) && self.lands(end)
    }

    /// Says what the bytes from `at` on are, behind which nothing stands that can be read.
    fn rest(&mut self, at: usize) {
        let (rest, end) = (&self.bytes[at..], self.bytes.len());
        // Behind the end they belong to nobody.
        if self.segment.is_some_and(|segment| segment <= at) {
            return;
        }
        let whole = self.segment.is_some_and(|segment| segment <= end);
        let element = Element::read(self.bytes, at).filter(is_known);
        let missing = element.and_then(|e| e.end).and_then(|until| until.checked_sub(end)).filter(|&n| n > 0);
        let behind = self.closing || element.is_some_and(|e| BESIDE.contains(&e.id));
        match missing {
            _ if whole => self.hole(format!("{} bytes at byte {at} are damaged", rest.len()), true),
            Some(missing) => {
                let detail = format!("the element at byte {at} lacks {missing} bytes");
                self.found.cut = Some(Cut { detail, behind });
            }
            None if at >= self.padding => {}
            // No longer than the head of an element.
            None if rest.len() < 12 => {
                let detail = format!("the element at byte {at} is cut off at byte {end}");
                self.found.cut = Some(Cut { detail, behind });
            }
            None => self.hole(format!("{} bytes at byte {at} are no Matroska", rest.len()), false),
        }
    }
}
