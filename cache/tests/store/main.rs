//! The store driven from outside: one binary, one module for each promise.
#![expect(clippy::unwrap_used, reason = "tests")]

mod artefacts;
mod atomic;
mod claims;
mod collect;
mod damage;
mod kit;
mod locks;
mod maps;
mod sources;
mod systems;
mod tables;
mod upkeep;
