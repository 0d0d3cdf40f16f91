//! What a record led to, remembered so that neither it nor the artefacts are opened again.

use serde::{Deserialize, Serialize};
use sndpipe_cache::{Bucket, Digest, FileRef, FileStat, Store};

use crate::key::{Face, Faces};
use crate::record::Record;

/// The result that a record names, with the version of the record's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    record: FileStat,
    pub outputs: Faces,
    /// The files of the outputs, where somebody asked for them.
    pub places: Option<Vec<Place>>,
    /// Whether the record says that the outputs only pass through. Of such a result nothing is remembered.
    #[serde(skip)]
    pub passing: bool,
}

/// Where an artefact lies: the version of its manifest's file, and what that names, each with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    manifest: FileStat,
    files: Vec<FileRef>,
    versions: Vec<FileStat>,
}

impl Place {
    /// Looks for the files of an artefact. They are written before their manifest: one that is newer was touched since, and so was one
    /// that is another than `before`. With `check` its content is looked at then; an artefact that is damaged is dropped.
    fn find(store: &Store, id: &Digest, before: Option<&Self>, check: bool) -> Option<Self> {
        let manifest = store.manifest_stat(id)?;
        let found = store.manifest(id)?;
        let versions = store.file_stats(found.files())?;
        let newer = versions.iter().any(|version| version.mtime > manifest.mtime);
        let touched = before.map_or(newer, |before| before.versions != versions);
        if check && touched && !store.is_whole(&found) {
            store.drop_artefact(&found);
            return None;
        }
        Some(Self { manifest, files: found.files().cloned().collect(), versions })
    }

    /// Whether the files are there as they were; `None` if one was touched.
    fn is_same(&self, store: &Store) -> Option<bool> {
        let Some(versions) = store.file_stats(&self.files) else { return Some(false) };
        (versions == self.versions).then_some(true)
    }
}

impl Known {
    /// Reads the outputs of a key's record. The version is looked up first: a record that is replaced meanwhile is read again.
    pub fn read(store: &Store, key: &Digest) -> Option<Self> {
        let record = version(store, key)?;
        let (outputs, passing) = Record::read_outputs(store, key)?;
        Some(Self { record, outputs, places: None, passing })
    }

    /// The outputs that were just recorded under a key whose lock is held.
    pub fn written(store: &Store, key: &Digest, outputs: Faces) -> Option<Self> {
        Some(Self { record: version(store, key)?, outputs, places: None, passing: false })
    }

    pub fn is_current(&self, store: &Store, key: &Digest) -> bool {
        version(store, key).as_ref() == Some(&self.record)
    }

    /// Whether the files of every output are there, by what is remembered of them; `None` if that says nothing.
    pub fn is_present(&self, store: &Store) -> Option<bool> {
        let places = self.places.as_ref()?;
        let same =
            |(face, place): (&Face, &Place)| store.manifest_stat(&face.id).as_ref() == Some(&place.manifest);
        let known = places.len() == self.outputs.len() && self.outputs.iter().zip(places).all(same);
        if !known {
            return None;
        }
        let there: Option<Vec<bool>> = places.iter().map(|place| place.is_same(store)).collect();
        there.map(|there| there.iter().all(|there| *there))
    }

    /// Looks up where the outputs lie and says whether they do; nothing is remembered of outputs that are gone. With `check` the content
    /// of files that were touched is looked at.
    pub fn locate(&mut self, store: &Store, check: bool) -> bool {
        let before = self.places.take().unwrap_or_default();
        let place = |(at, face): (usize, &Face)| Place::find(store, &face.id, before.get(at), check);
        self.places = self.outputs.iter().enumerate().map(place).collect();
        self.places.is_some()
    }
}

fn version(store: &Store, key: &Digest) -> Option<FileStat> {
    store.document_stat(Bucket::Records, &key.to_hex())
}
