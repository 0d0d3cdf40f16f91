//! Embeddings, read for comparison.

use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{StageError, StageIo};

/// The embeddings of some clips.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The clips, in the order of their rows.
    pub ids: Vec<String>,
    /// `[n, size]`: the vectors of each clip, one behind the other.
    pub values: Vec<f32>,
    /// Numbers of a vector.
    pub size: usize,
    /// The clip of each vector, `[n]`.
    pub clips: Vec<u32>,
}

impl Embedded {
    /// No clips yet, for vectors of a size.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self { ids: Vec::new(), values: Vec::new(), size, clips: Vec::new() }
    }

    /// Adds a clip with its vectors, one behind the other.
    pub fn push(&mut self, id: &str, vectors: &[f32]) {
        let (clip, count) = (self.ids.len() as u32, vectors.len() / self.size.max(1));
        self.values.extend_from_slice(vectors);
        self.clips.extend(std::iter::repeat_n(clip, count));
        self.ids.push(id.to_owned());
    }

    /// Reads the embeddings of the clips at some positions.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming a clip whose vectors have another size, are none or are not finite.
    pub fn read(
        rows: &Rows,
        meta: &Meta,
        positions: impl IntoIterator<Item = usize>,
        io: &StageIo<'_>,
    ) -> Result<Self, StageError> {
        let given = meta.get("size").and_then(serde_json::Value::as_u64);
        let mut size = given.and_then(|size| usize::try_from(size).ok());
        let mut read = Self::new(0);
        for position in positions {
            io.tick()?;
            let (row, id) = (rows.row(position)?, &rows.ids()[position]);
            let frames = row.frames as usize;
            let size = *size.get_or_insert(row.values.len() / frames.max(1));
            if frames == 0 || size == 0 || row.values.len() != frames * size {
                let found = row.values.len();
                let message = format!("clip `{id}` has {found} numbers, not {frames} vectors of {size}");
                return Err(StageError::failed(message));
            }
            let values = row.to_f32();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(StageError::failed(format!("clip `{id}`: the embeddings are not finite")));
            }
            read.size = size;
            read.push(id, &values);
        }
        read.size = size.unwrap_or_default();
        Ok(read)
    }

    /// Scales every vector to length 1; one of zeros stays, and is at a right angle to all.
    pub fn normalise(&mut self) {
        for vector in self.values.chunks_exact_mut(self.size.max(1)) {
            let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
            }
        }
    }

    /// How many vectors there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.clips.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// Memory in bytes of the embeddings behind a port, read twice over.
    pub fn memory(io: &StageIo<'_>, port: &str) -> Result<u64, StageError> {
        Ok(2 * io.manifest(port)?.bytes())
    }
}
