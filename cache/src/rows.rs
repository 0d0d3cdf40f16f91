//! Dense artefacts: putting rows together under clip ids, and reading them from mapped shards.

use crate::blob::wrong_form;
use crate::column::text_column_id;
use crate::index::Index;
use crate::manifest::content_id;
use crate::row::Precision;
use crate::row_at::RowAt;
use crate::shard::{EXTENSION, Shard, ShardError};
use crate::texts::Texts;
use crate::{CacheError, Column, Digest, FileRef, Form, Hasher, IndexBuilder, Manifest, Meta, RowRef, Store};

/// A dense artefact, opened: rows are read where they lie in the mapped shards.
pub struct Rows {
    artefact: Digest,
    index: Index,
    shards: Vec<(Digest, Shard)>,
}

impl Store {
    /// Stores a dense artefact over rows that were committed before; it is sorted by clip.
    ///
    /// # Errors
    /// - [`CacheError::Invalid`] for a clip that occurs twice, rows of two precisions or a row beyond its shard.
    /// - [`CacheError::Damaged`] for a shard that is missing or broken. The shard is removed, its rows are forgotten
    ///   by the row maps, and `artefact` names the shard, for there is no artefact yet: compute the rows again.
    /// - Full or unusable.
    pub fn put_rows(&self, kind: &str, meta: Meta, index: IndexBuilder) -> Result<Manifest, CacheError> {
        let (index, ids) = index.finish()?;
        let mut shards = Vec::with_capacity(ids.len());
        let mut precision = None;
        let mut limits = Vec::with_capacity(ids.len());
        for id in &ids {
            let shard = self.open_shard(id, None).map_err(|error| {
                let path = self.shard_path(id);
                match error {
                    ShardError::Io(source) => CacheError::reading(&path, source),
                    ShardError::Damaged(what) => {
                        self.forget_file(id, &path);
                        CacheError::Damaged { path, artefact: *id, what }
                    }
                }
            })?;
            if self.traffic.doubts() && Digest::of(shard.as_bytes()) != *id {
                let path = self.shard_path(id);
                self.forget_file(id, &path);
                let what = "its checksum does not match".to_owned();
                return Err(CacheError::Damaged { path, artefact: *id, what });
            }
            if *precision.get_or_insert(shard.precision()) != shard.precision() {
                return Err(CacheError::invalid(format!(
                    "an artefact of kind `{kind}` mixes rows of single and half precision"
                )));
            }
            limits.push(shard.rows());
            shards.push(FileRef { id: *id, bytes: shard.bytes(), extension: EXTENSION.to_owned() });
        }
        let beyond = |&(shard, row): &(u32, u32)| row as usize >= limits[shard as usize];
        if let Some(i) = index.places.iter().position(beyond) {
            let (shard, row) = index.places[i];
            return Err(CacheError::invalid(format!(
                "clip `{}` is row {row} of shard {}, which has {} rows",
                &index.ids[i], ids[shard as usize], limits[shard as usize]
            )));
        }
        let columns = describe(&index, precision.unwrap_or(Precision::F32));
        let id = content_id(kind, &meta, &columns);
        if let Some(known) = self.present(&id)? {
            return Ok(known);
        }
        let bytes = index
            .encode()
            .map_err(|error| CacheError::invalid(format!("the index cannot be written: {error}")))?;
        let file = self.put_file(&bytes, EXTENSION)?;
        self.put_manifest(Manifest {
            id,
            kind: kind.to_owned(),
            meta,
            rows: index.ids.len() as u64,
            skipped: index.skipped.len() as u64,
            remarked: index.remarks.len() as u64,
            columns,
            form: Form::Rows { index: file, shards },
        })
    }

    /// Opens a dense artefact: checks the index and the lengths and structure of all shards.
    ///
    /// # Errors
    /// [`CacheError::Damaged`]; [`CacheError::Invalid`] if the artefact has another form.
    pub fn open_rows(&self, manifest: &Manifest) -> Result<Rows, CacheError> {
        let Form::Rows { index: file, shards: files } = &manifest.form else {
            return Err(wrong_form(manifest, "dense rows"));
        };
        let bytes = self.read_file(manifest, file)?;
        let damaged =
            |path, what: &str| CacheError::Damaged { path, artefact: manifest.id, what: what.to_owned() };
        let index = Index::decode(&bytes).map_err(|what| damaged(self.file_path(file), &what))?;
        let mut shards = Vec::with_capacity(files.len());
        for file in files {
            let shard = self.open_shard(&file.id, Some(file.bytes)).map_err(|error| {
                let path = self.shard_path(&file.id);
                match error {
                    ShardError::Io(source) => CacheError::reading(&path, source),
                    ShardError::Damaged(what) => damaged(path, &what),
                }
            })?;
            self.traffic.count_read(file.bytes);
            shards.push((file.id, shard));
        }
        let outside = |&(shard, row): &(u32, u32)| {
            shards.get(shard as usize).is_none_or(|(_, shard)| row as usize >= shard.rows())
        };
        if index.places.iter().any(outside) {
            return Err(damaged(self.file_path(file), "it names rows that its shards do not have"));
        }
        let counts = [index.ids.len(), index.skipped.len(), index.remarks.len()].map(|count| count as u64);
        if counts != [manifest.rows, manifest.skipped, manifest.remarked] {
            return Err(damaged(self.file_path(file), "it has another number of clips than its artefact"));
        }
        Ok(Rows { artefact: manifest.id, index, shards })
    }
}

impl Rows {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.index.ids.len()
    }

    /// Says whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.index.ids.is_empty()
    }

    /// Returns the clips that have rows, sorted.
    pub fn ids(&self) -> &Texts {
        &self.index.ids
    }

    /// Finds the row of a clip.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.index.ids.binary_search(id)
    }

    /// Returns the hash of a row.
    ///
    /// # Panics
    /// If `i` is not below [`Rows::len`], as indexing a slice does.
    pub fn hash(&self, i: usize) -> Digest {
        self.index.hashes[i]
    }

    /// Returns where a row lies.
    ///
    /// # Panics
    /// If `i` is not below [`Rows::len`], as indexing a slice does.
    pub fn at(&self, i: usize) -> RowAt {
        let (shard, row) = self.index.places[i];
        RowAt { hash: self.index.hashes[i], shard: self.shards[shard as usize].0, row }
    }

    /// Borrows a row; at its first touch in this process its hash is compared.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] if the shard does not hold this row any more; [`CacheError::Invalid`] if `i` is not
    /// below [`Rows::len`].
    pub fn row(&self, i: usize) -> Result<RowRef<'_>, CacheError> {
        let Some(&(shard, row)) = self.index.places.get(i) else {
            return Err(CacheError::invalid(format!("row {i} is outside 0..{}", self.len())));
        };
        let shard = &self.shards[shard as usize].1;
        shard.row(row as usize, &self.index.hashes[i]).map_err(|what| CacheError::Damaged {
            path: shard.path().to_owned(),
            artefact: self.artefact,
            what: what.to_owned(),
        })
    }

    /// Returns the clips with a remark on their row, sorted, each with it.
    pub fn remarks(&self) -> &[(String, String)] {
        &self.index.remarks
    }

    /// Returns the clips without a row, sorted, each with its reason.
    pub fn skipped(&self) -> &[(String, String)] {
        &self.index.skipped
    }

    /// Returns the content id of the artefact.
    pub fn artefact(&self) -> Digest {
        self.artefact
    }
}

fn describe(index: &Index, precision: Precision) -> Vec<Column> {
    let column = |name: &str, data_type: &str, id| Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        id,
    };
    let mut values = Hasher::new("values");
    values.u64(index.hashes.len() as u64);
    for hash in &index.hashes {
        values.digest(hash);
    }
    let mut columns = vec![
        column("clip_id", "Utf8", text_column_id(index.ids.iter())),
        column("values", precision.data_type(), values.finish()),
    ];
    let texts = |what: &str, of: &[(String, String)]| {
        let mut hasher = Hasher::new(what);
        hasher.u64(of.len() as u64);
        for (id, text) in of {
            hasher.str(id).str(text);
        }
        hasher.finish()
    };
    if !index.skipped.is_empty() {
        columns.push(column("skipped", "Skipped", texts("skipped", &index.skipped)));
    }
    // Where there is none, the content is that of an artefact from before there were remarks.
    if !index.remarks.is_empty() {
        columns.push(column("remarks", "Remarks", texts("remarks", &index.remarks)));
    }
    columns
}
