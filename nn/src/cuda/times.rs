//! How long kernels take.

use std::{cell::RefCell, collections::BTreeMap};

use cudarc::driver::{result, sys};
use dfdx::tensor::CudaError;

/// A kernel or a call of a library, between two events.
struct Record {
    name: &'static str,
    begin: sys::CUevent,
    end: sys::CUevent,
}

thread_local! {
    static RECORDS: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// What all runs of a kernel took on the GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The kernel, or `matmul` or `convolution` of the libraries.
    pub name: &'static str,
    /// How often it ran.
    pub runs: usize,
    /// All of them together, in milliseconds.
    pub milliseconds: f64,
}

/// Times every kernel that `f` starts on this thread; the slowest come first. Copies and zeroing of memory are not among
/// them.
///
/// Fails with the device's message, as where there is none.
pub fn time_kernels<R>(f: impl FnOnce() -> R) -> Result<(R, Vec<KernelTime>), String> {
    RECORDS.set(Some(Vec::new()));
    let value = f();
    let records = RECORDS.take().unwrap_or_default();
    let mut sums: BTreeMap<&'static str, (usize, f64)> = BTreeMap::new();
    // SAFETY: the events were made by `timed`, on the default stream of the device that this thread is bound to, and nothing
    // else has them.
    unsafe {
        result::stream::synchronize(std::ptr::null_mut()).map_err(|e| e.to_string())?;
        for record in records {
            let took = result::event::elapsed(record.begin, record.end).map_err(|e| e.to_string())?;
            let sum = sums.entry(record.name).or_default();
            *sum = (sum.0 + 1, sum.1 + f64::from(took));
            result::event::destroy(record.begin).map_err(|e| e.to_string())?;
            result::event::destroy(record.end).map_err(|e| e.to_string())?;
        }
    }
    let times = sums.into_iter().map(|(name, (runs, milliseconds))| KernelTime { name, runs, milliseconds });
    let mut times: Vec<KernelTime> = times.collect();
    times.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    Ok((value, times))
}

/// Runs `f`, which starts the kernel `name` on the default stream, and notes its time where somebody wants it.
pub(super) fn timed<R>(name: &'static str, f: impl FnOnce() -> Result<R, CudaError>) -> Result<R, CudaError> {
    if RECORDS.with_borrow(Option::is_none) {
        return f();
    }
    let event = || -> Result<sys::CUevent, CudaError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)?;
        // SAFETY: the event has just been made, and null is the default stream.
        unsafe { result::event::record(event, std::ptr::null_mut()) }?;
        Ok(event)
    };
    let begin = event()?;
    let value = f()?;
    let end = event()?;
    RECORDS.with_borrow_mut(|records| {
        if let Some(records) = records {
            records.push(Record { name, begin, end });
        }
    });
    Ok(value)
}
