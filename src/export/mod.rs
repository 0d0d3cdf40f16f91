//! `show --export`: artefacts as plain files for other programs.

mod clips;
mod file;
mod name;
mod npy;
mod table;
mod target;
mod write;

pub use name::Names;
pub use target::Export;
