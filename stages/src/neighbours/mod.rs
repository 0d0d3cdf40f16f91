//! The nearest of many vectors, and what their classes say.

mod classed;
mod protocol;
mod search;
mod votes;

pub use protocol::Protocol;
pub use search::{Neighbour, Search, Vectors};
pub use votes::{Voted, leave_one_clip_out, memory_bank};

pub(crate) use classed::{Classed, OneClass};
