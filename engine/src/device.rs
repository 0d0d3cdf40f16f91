//! The device that a run was asked to use.

use std::fmt;
use std::str::FromStr;

/// Where stages that want an accelerator run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda {
        /// Its number.
        index: usize,
        /// Whether products may round their operands to TF32: faster and coarser.
        tf32: bool,
    },
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda { index: 0, tf32: false }),
            Some(("cuda", rest)) => {
                let (number, tf32) = match rest.strip_suffix(":tf32") {
                    Some(number) => (number, true),
                    None => (rest, false),
                };
                let index = number.parse().map_err(|_| format!("`{number}` is no device number"))?;
                Ok(Self::Cuda { index, tf32 })
            }
            _ => Err(format!("`{text}` is no device; use `cpu`, `cuda:N` or `cuda:N:tf32`")),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { index, tf32: false } => write!(f, "cuda:{index}"),
            Self::Cuda { index, tf32: true } => write!(f, "cuda:{index}:tf32"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["cpu", "cuda:0", "cuda:3:tf32"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<Device>(), Ok(Device::Cuda { index: 0, tf32: false }));
        assert_eq!("cuda:x".parse::<Device>(), Err("`x` is no device number".to_owned()));
        assert!("gpu".parse::<Device>().is_err());
    }
}
