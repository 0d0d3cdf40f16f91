//! `sndpipe init`.

use std::io::{ErrorKind, Write as _};

use crate::args::Init;
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;

/// The starter file.
const STARTER: &str = include_str!("starter.yaml");

/// Writes a pipeline that runs at once.
pub fn init(args: &Init) -> Result<Exit, Failure> {
    let path = args.dir.join("pipeline.yaml");
    fs_err::create_dir_all(&args.dir).map_err(|error| Failure::usage(error.to_string()))?;
    let file = fs_err::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let help = "move it away, or name another folder: `sndpipe init DIR`";
            return Err(Failure::usage(format!("{} exists already", path.display())).help(help));
        }
        Err(error) => return Err(Failure::usage(error.to_string())),
    };
    file.write_all(STARTER.as_bytes())?;
    console::line(&format!("wrote {0}; try\n  sndpipe run {0}", path.display()));
    Ok(Exit::Done)
}
