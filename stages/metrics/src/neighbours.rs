//! The nearest of many vectors, and what their classes say.

mod classed;
mod protocol;
mod search;
mod votes;

pub use protocol::Protocol;
pub use search::{Neighbour, Search, Vectors};
pub use votes::{Voted, judged, leave_one_clip_out, memory_bank};

pub use classed::{Classed, OneClass};
