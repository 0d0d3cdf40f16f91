//! The store driven from outside: one binary, one module for each promise.
#![expect(clippy::unwrap_used, reason = "tests")]

mod artefacts;
mod damage;
mod kit;
