//! `sndpipe schema`.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::session::registry;

/// Prints the JSON schema of pipeline files.
pub fn schema() -> Result<Exit, Failure> {
    let schema = sndpipe_engine::schema(&registry());
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::failed(error.to_string()))?;
    let mut out = Out::new();
    out.line(text)?;
    out.finish()?;
    Ok(Exit::Done)
}
