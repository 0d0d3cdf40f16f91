//! Elements of EBML (RFC 8794).

/// The head of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: u32,
    /// The first byte of its data.
    pub(super) body: usize,
    /// The first byte behind its data; `None` where its size is left open.
    pub(super) end: Option<usize>,
}

impl Element {
    /// Reads the head at `at`; the data may reach beyond the end of `bytes`.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let length = bytes.get(at)?.leading_zeros() as usize + 1;
        if length > 4 {
            return None;
        }
        let id = bytes.get(at..at + length)?.iter().fold(0, |id, &b| id << 8 | u32::from(b));
        let (size, width) = vint(bytes.get(at + length..)?)?;
        let body = at + length + width;
        let open = size == (1 << (7 * width)) - 1;
        let end = (!open).then(|| body.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)));
        Some(Self { id, body, end })
    }
}

/// The elements inside a master, as ids and data, up to the first that is not whole.
pub(super) fn children(data: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let element = Element::read(data, at)?;
        let body = data.get(element.body..element.end?)?;
        at = element.body + body.len();
        Some((element.id, body))
    })
}

/// An integer of variable length, and how many bytes it takes.
pub(super) fn vint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let start = u64::from(first) & ((1 << (8 - width)) - 1);
    let value = bytes.get(1..width)?.iter().fold(start, |value, &b| value << 8 | u64::from(b));
    Some((value, width))
}

pub(super) fn unsigned(data: &[u8]) -> u64 {
    data.iter().fold(0, |value, &b| value << 8 | u64::from(b))
}

pub(super) fn signed(data: &[u8]) -> i64 {
    let start = if data.first().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    data.iter().fold(start, |value, &b| value << 8 | i64::from(b))
}

/// A number of 4 or 8 bytes; 0 where there are none.
pub(super) fn float(data: &[u8]) -> f64 {
    match *data {
        [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}
