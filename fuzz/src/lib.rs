//! Targets for a fuzzer.

mod bodies;

pub use bodies::*;
pub use libfuzzer_sys;

/// Makes the program of a target.
///
/// The hook of the fuzzer would end the process at a panic inside a decoder, which is caught and told as damage; one that nobody
/// catches ends it all the same.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: drop(std::panic::take_hook()),
            |bytes: &[u8]| $crate::$name(bytes)
        );
    };
}
