//! Decoding and front-ends, beside what other programs give.

mod containers;
mod decode;
mod esc10;
mod frontends;
mod ogg;
mod packets;
#[path = "../../../tests/real/mod.rs"]
mod real;
