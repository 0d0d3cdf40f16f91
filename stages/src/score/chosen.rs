//! The clips of a subset, for stages that are no maps.

use sndpipe_cache::Rows;
use sndpipe_engine::{StageError, StageIo, counted};

use super::Scored;
use crate::split::Split;

impl Scored {
    /// Where the clips that are meant stand, by the input `split`; all where none is connected. Those without a row are told; `what` says
    /// what rows are.
    ///
    /// # Errors
    /// [`StageError::Failed`] if there is none.
    pub(crate) fn positions(
        self,
        rows: &Rows,
        what: &str,
        io: &mut StageIo<'_>,
    ) -> Result<Vec<usize>, StageError> {
        if !io.has("split") {
            return Ok((0..rows.len()).collect());
        }
        let split = Split::read(&io.table("split")?)?;
        let names = self.values();
        let wanted = split.clips.iter().filter(|(_, subset)| names.contains(&subset.name()));
        let (mut positions, mut without) = (Vec::new(), 0);
        for (id, _) in wanted {
            match rows.position(id) {
                Some(position) => positions.push(position),
                None => without += 1,
            }
        }
        if without > 0 {
            io.remark(format!("{} without {what}, left out", counted(without, "clip")));
        }
        if positions.is_empty() {
            let names = names.join(", ");
            return Err(StageError::failed(format!("the split has no clip with {what} in {names}")));
        }
        Ok(positions)
    }
}
