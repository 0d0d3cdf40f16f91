//! The stages of sndpipe.
