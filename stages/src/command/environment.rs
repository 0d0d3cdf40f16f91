//! The environment of a program: what of this process's reaches it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use sndpipe_engine::SourceScan;

use super::params::CommandParams;

/// Variables that say where things are on this machine and which part of it a program may use, never what it is to compute: they reach every
/// program and are part of no key. `_` at an end stands for every name that begins or ends so. The documentation of [`CommandParams`] names
/// them.
const PASSED: &[&str] = &[
    // The user and the language.
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_",
    "TZ",
    "TMPDIR",
    // Which accelerators and how many threads.
    "_VISIBLE_DEVICES",
    "CUDA_",
    "NVIDIA_",
    "ROCR_",
    "HIP_",
    "HSA_",
    "ZE_",
    "GPU_DEVICE_ORDINAL",
    "ONEAPI_DEVICE_SELECTOR",
    "SYCL_DEVICE_FILTER",
    "_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    // Where libraries and environments lie.
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    // The way into the network.
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    // The job that this process is part of.
    "SLURM_",
    "SLURMD_",
    "PBS_",
    "LSB_",
    "SGE_",
    // Where caches and settings lie.
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "TORCH_HOME",
    "KERAS_HOME",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
];

/// Whether every program sees a variable.
fn is_passed(name: &str) -> bool {
    PASSED.iter().any(|known| match known.strip_suffix('_') {
        Some(_) => name.starts_with(known),
        None if known.starts_with('_') => name.ends_with(known),
        None => name == *known,
    })
}

/// The variables of this process that a program sees, sorted by name.
pub(super) fn passed(params: &CommandParams) -> Vec<(OsString, OsString)> {
    let asked = |name: &str| params.pass_env.iter().chain(&params.key_env).any(|asked| asked == name);
    let mut passed: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| is_passed(name) || asked(name)))
        .collect();
    passed.sort();
    passed
}

/// Declares the variables that are part of the key. One that is not set is another value than an empty one.
pub(super) fn declare(params: &CommandParams, scan: &mut SourceScan<'_>) {
    for name in &params.key_env {
        if let Some(value) = std::env::var_os(name) {
            scan.value(&format!("variable {name}"), value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_proxies_and_jobs_are_passed_and_secrets_are_not() {
        let passed = [
            "PATH",
            "LC_ALL",
            "CUDA_VISIBLE_DEVICES",
            "ASCEND_RT_VISIBLE_DEVICES",
            "ROCR_VISIBLE_DEVICES",
            "HIP_VISIBLE_DEVICES",
            "NVIDIA_VISIBLE_DEVICES",
            "ZE_AFFINITY_MASK",
            "CUDA_DEVICE_ORDER",
            "OMP_NUM_THREADS",
            "LD_LIBRARY_PATH",
            "https_proxy",
            "NO_PROXY",
            "SLURM_JOB_ID",
            "TMPDIR",
            "HF_HOME",
        ];
        assert_eq!(passed.iter().find(|name| !is_passed(name)), None);
        let held_back = [
            "HF_TOKEN",
            "WANDB_API_KEY",
            "PYTHONPATH",
            "LD_PRELOAD",
            "LANGUAGES",
            "SLURM",
            "MY_PATH",
            "SNDPIPE_CACHE",
        ];
        assert_eq!(held_back.iter().find(|name| is_passed(name)), None);
    }
}
