//! Artefacts: what they contain and which files hold them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Hasher};

/// Semantic metadata of an artefact, part of its content: classes, sample rate, recipe.
pub type Meta = BTreeMap<String, serde_json::Value>;

/// One column of an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, unique within the artefact.
    pub name: String,
    /// Its type, such as `Utf8` or `List<Float32>`.
    pub data_type: String,
    /// The hash of its canonical values.
    pub id: Digest,
}

/// A file under `files-v1/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// BLAKE3 of the file's bytes.
    pub id: Digest,
    /// The file's length in bytes.
    pub bytes: u64,
    /// The end of its name, without the dot.
    pub extension: String,
}

/// The files that hold an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A table in one Parquet file.
    Table {
        /// The Parquet file.
        file: FileRef,
    },
    /// Dense arrays in Arrow IPC shards.
    Rows {
        /// Which clip is which row of which shard.
        index: FileRef,
        /// The shards, in the order in which the index numbers them.
        shards: Vec<FileRef>,
    },
    /// Any other bytes.
    Blob {
        /// The file with exactly these bytes.
        file: FileRef,
    },
}

/// An artefact: what `artefacts-v1/xx/<content id>.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The content id.
    pub id: Digest,
    /// The artefact kind, such as `clips`.
    pub kind: String,
    /// Semantic metadata.
    pub meta: Meta,
    /// Number of rows.
    pub rows: u64,
    /// Number of clips that have no row, each with its reason.
    pub skipped: u64,
    /// Number of rows with a remark, such as what is damaged in the file that a row comes from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub remarked: u64,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The files.
    pub form: Form,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Manifest {
    /// Finds a column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the length of all files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Lists the files, an index before its shards.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        let (first, rest): (_, &[FileRef]) = match &self.form {
            Form::Table { file } | Form::Blob { file } => (file, &[]),
            Form::Rows { index, shards } => (index, shards),
        };
        std::iter::once(first).chain(rest)
    }
}

/// Computes the content id of an artefact; files, shards, compression and versions of formats have no part in it.
pub(crate) fn content_id(kind: &str, meta: &Meta, columns: &[Column]) -> Digest {
    let mut hasher = Hasher::new("artefact");
    hasher.str(kind).u64(meta.len() as u64);
    for (key, value) in meta {
        hasher.str(key).json(value);
    }
    hasher.u64(columns.len() as u64);
    for column in columns {
        hasher.str(&column.name).str(&column.data_type).digest(&column.id);
    }
    hasher.finish()
}
