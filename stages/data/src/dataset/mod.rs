//! Data sets: where clips and their labels come from.

mod audioset;
mod cells;
mod csv;
mod dcase2013;
mod esc50;
mod exclude;
mod folder;
mod fsd50k;
mod fsdkaggle2018;
mod fsdnoisy18k;
mod gtzan;
mod inside;
mod listing;
mod located;
mod official;
pub(crate) mod sheet;
mod synth;
mod traps;
mod union;
mod urbansound8k;

pub use self::csv::{CsvParams, DatasetCsv};
pub use audioset::{AudiosetParams, AudiosetPart, DatasetAudioset};
pub use dcase2013::{DatasetDcase2013, Dcase2013Params};
pub use esc50::{DatasetEsc50, Esc50Params, Esc50Subset};
pub use exclude::{ClipsExclude, ExcludeParams};
pub use folder::{DatasetFolder, FolderParams};
pub use fsd50k::{DatasetFsd50k, Fsd50kParams};
pub use fsdkaggle2018::{DatasetFsdkaggle2018, Fsdkaggle2018Params};
pub use fsdnoisy18k::{DatasetFsdnoisy18k, Fsdnoisy18kParams};
pub use gtzan::{DatasetGtzan, GtzanParams};
pub(crate) use listing::{Clip, Listing, outputs};
pub use official::{ClassName, Official};
pub use synth::DatasetSynth;
pub use union::{ClipsUnion, UnionParams};
pub use urbansound8k::{DatasetUrbansound8k, Urbansound8kParams};

use sndpipe_engine::Registry;

/// Adds the data sets.
pub(crate) fn register(registry: Registry) -> Registry {
    registry
        .with::<ClipsExclude>()
        .with::<ClipsUnion>()
        .with::<DatasetAudioset>()
        .with::<DatasetCsv>()
        .with::<DatasetDcase2013>()
        .with::<DatasetEsc50>()
        .with::<DatasetFolder>()
        .with::<DatasetFsd50k>()
        .with::<DatasetFsdkaggle2018>()
        .with::<DatasetFsdnoisy18k>()
        .with::<DatasetGtzan>()
        .with::<DatasetSynth>()
        .with::<DatasetUrbansound8k>()
}
