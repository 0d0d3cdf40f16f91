//! What the stages of sndpipe say to each other: typed metadata and row views of every kind of artefact, and the parameters that several
//! stages share.

pub mod audio;
mod card;
pub mod columns;
mod embeddings;
pub mod labels;
mod name;
pub mod named;
mod one_or_many;
pub mod patch;
mod scale;
mod scored;
mod shape;
pub mod split;
mod written;
pub mod xml;

pub use card::{ModelCard, OutputKind, PatchMean, Standardisation};
pub use embeddings::Embedded;
pub use labels::{Labels, State};
pub use name::composed;
pub use one_or_many::OneOrMany;
pub use scale::{Better, FRACTION, Scale, scales};
pub use scored::Scored;
pub use shape::{FrameShape, PatchShape};
pub use split::{Split, Subset};
pub use written::Written;
