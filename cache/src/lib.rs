//! Artefact ids, Arrow schemas and the content-addressed store of sndpipe.
