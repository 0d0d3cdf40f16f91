//! Data sets: where clips and their labels come from.

mod csv;
mod esc50;
mod folder;
mod inside;
mod listing;
mod sheet;
mod synth;

pub use self::csv::{CsvParams, DatasetCsv};
pub use esc50::{DatasetEsc50, Esc50Params, Esc50Subset};
pub use folder::{DatasetFolder, FolderParams};
pub(crate) use listing::{Clip, Listing, outputs};
pub use synth::DatasetSynth;
