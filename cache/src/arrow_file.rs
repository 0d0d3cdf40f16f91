//! Arrow IPC files, looked at before a reader believes them.

use arrow_ipc::{Block, Footer};

const MAGIC: &[u8; 6] = b"ARROW1";
const NOT: &str = "it is not an Arrow IPC file";
const PLACE: &str = "its footer points outside of it";

/// Returns the footer as bytes that flatbuffers can read.
pub(crate) fn footer(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    // magic, padding, …, footer, length of the footer, magic
    let body = file.strip_prefix(MAGIC).and_then(|rest| rest.strip_suffix(MAGIC)).ok_or(NOT)?;
    let (body, length) = body.split_last_chunk::<4>().ok_or(NOT)?;
    let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| NOT)?;
    // Flatbuffers want alignment, which a copy has.
    Ok(body.get(body.len().checked_sub(length).ok_or(NOT)?..).ok_or(NOT)?.to_vec())
}

/// Checks that every record batch lies inside the file, is not compressed and needs no dictionary: a reader would take memory for whatever
/// the footer says.
pub(crate) fn check(file: &[u8]) -> Result<(), &'static str> {
    let footer = footer(file)?;
    let footer: Footer<'_> = arrow_ipc::root_as_footer(&footer).map_err(|_| "its footer is unreadable")?;
    if footer.dictionaries().is_some_and(|blocks| !blocks.is_empty()) {
        return Err("it has dictionaries");
    }
    for block in footer.recordBatches().into_iter().flatten() {
        let message = message(file, block)?;
        let batch = arrow_ipc::root_as_message(&message).ok().and_then(|m| m.header_as_record_batch());
        if batch.ok_or("its record batch is unreadable")?.compression().is_some() {
            return Err("it is compressed");
        }
    }
    Ok(())
}

/// Returns where the body of a record batch begins and ends.
pub(crate) fn body(file: &[u8], block: &Block) -> Result<(usize, usize), &'static str> {
    let start = usize::try_from(block.offset()).map_err(|_| PLACE)?;
    let metadata = usize::try_from(block.metaDataLength()).map_err(|_| PLACE)?;
    let length = usize::try_from(block.bodyLength()).map_err(|_| PLACE)?;
    let middle = start.checked_add(metadata).ok_or(PLACE)?;
    let end = middle.checked_add(length).ok_or(PLACE)?;
    file.get(middle..end).ok_or(PLACE)?;
    Ok((middle, end))
}

/// Returns the message before the body of a record batch, as bytes that flatbuffers can read.
pub(crate) fn message(file: &[u8], block: &Block) -> Result<Vec<u8>, &'static str> {
    let (middle, _) = body(file, block)?;
    let start = usize::try_from(block.offset()).map_err(|_| PLACE)?;
    // A continuation mark and a length come before the message.
    Ok(file.get(start..middle).and_then(|message| message.get(8..)).ok_or(PLACE)?.to_vec())
}
