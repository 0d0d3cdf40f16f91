//! Garbage collection: what is kept, what goes, and what sparse shards become.

mod collection;
mod compact;
mod evict;
mod inventory;
mod live;
mod policy;
mod release;
mod sweep;
mod switch;

pub use collection::Collection;
pub use policy::{Freed, Named, Part, Policy, Tally};
pub use release::Release;
