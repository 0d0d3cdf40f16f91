//! `sndpipe schema`.

use sndpipe_engine::Registry;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;

/// Prints the JSON schema of pipeline files.
pub fn schema(registry: &Registry) -> Result<Exit, Failure> {
    let schema = sndpipe_engine::schema(registry);
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::failed(error.to_string()))?;
    let mut out = Out::new();
    out.line(text)?;
    out.finish()?;
    Ok(Exit::Done)
}
