//! The whole program, driven from outside. Run with `INSTA_UPDATE=always` to renew the snapshots.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod artefacts;
mod broken;
mod custom;
mod damage;
mod disk;
mod faults;
mod ffmpeg;
mod foreign;
mod gc;
mod help;
mod interrupt;
mod judge;
mod large;
mod listing;
mod mistakes;
mod observe;
mod part;
mod places;
mod pretrain;
mod runs;
mod sandbox;
mod sharing;
mod sounds;
mod volumes;
