//! The kinds of artefact that stages exchange.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an artefact holds; the planner checks it on every edge.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Table of clips: `clip_id, path, digest, fold?, …`.
    Clips,
    /// Sparse table `clip_id, class, state`; the ordered vocabulary is in the metadata.
    Labels,
    /// Samples of every clip.
    Audio,
    /// Spectrogram frames of every clip.
    Features,
    /// Table `clip_id, subset`.
    Split,
    /// Weights of a network (safetensors).
    Model,
    /// Class scores of every clip.
    Scores,
    /// Vectors of every clip or patch.
    Embeddings,
    /// Long table `metric, class?, value, n`.
    Metrics,
    /// Long table `epoch, subset, metric, value`.
    History,
    /// Any other table.
    Table,
    /// A page for people.
    Report,
    /// Any other file.
    File,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Clips,
        Self::Labels,
        Self::Audio,
        Self::Features,
        Self::Split,
        Self::Model,
        Self::Scores,
        Self::Embeddings,
        Self::Metrics,
        Self::History,
        Self::Table,
        Self::Report,
        Self::File,
    ];

    /// The name used in pipeline files and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clips => "clips",
            Self::Labels => "labels",
            Self::Audio => "audio",
            Self::Features => "features",
            Self::Split => "split",
            Self::Model => "model",
            Self::Scores => "scores",
            Self::Embeddings => "embeddings",
            Self::Metrics => "metrics",
            Self::History => "history",
            Self::Table => "table",
            Self::Report => "report",
            Self::File => "file",
        }
    }

    /// How artefacts of this kind are stored.
    #[must_use]
    pub const fn form(self) -> FormKind {
        match self {
            Self::Audio | Self::Features | Self::Scores | Self::Embeddings => FormKind::Rows,
            Self::Model | Self::Report | Self::File => FormKind::Blob,
            _ => FormKind::Table,
        }
    }
}

/// How an artefact is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormKind {
    /// One Parquet file.
    Table,
    /// Memory-mapped Arrow shards with an index of clips.
    Rows,
    /// The bytes of one file.
    Blob,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("`{text}` is no artefact kind; the kinds are {}", names.join(", "))
        })
    }
}
