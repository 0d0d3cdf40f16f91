//! The functions of NVIDIA's libraries that dfdx and cudarc call, found in the libraries when they are first called.
//!
//! Both link the libraries to the program, which then would not start where they are missing, not even to train on the CPU.
//! The linker takes the functions here instead: they have the same names and hand their arguments on.
//!
//! dfdx zeroes whatever it makes. Where it is written in full right after that, [`without_zeroing`] saves the pass over memory.

use std::{cell::Cell, ffi::c_int, sync::OnceLock};

use libloading::Library;

/// A library, loaded at its first use.
struct Lazy {
    /// Its names, the first that is found counts.
    names: &'static [&'static str],
    found: OnceLock<Result<Library, String>>,
}

impl Lazy {
    const fn new(names: &'static [&'static str]) -> Lazy {
        Lazy { names, found: OnceLock::new() }
    }

    fn load(&self) -> Result<&Library, &String> {
        let load = || {
            let mut missing = format!("no {}", self.names.join(" or "));
            for name in self.names {
                // SAFETY: the library is NVIDIA's, its initialisers have no demands.
                match unsafe { Library::new(*name) } {
                    Ok(library) => return Ok(library),
                    Err(error) => missing = format!("{missing}; {error}"),
                }
            }
            Err(missing)
        };
        self.found.get_or_init(load).as_ref()
    }
}

static DRIVER: Lazy = Lazy::new(&["libcuda.so.1"]);
static BLAS: Lazy = Lazy::new(&["libcublas.so.13", "libcublas.so.12"]);
static COMPILER: Lazy = Lazy::new(&["libnvrtc.so.13", "libnvrtc.so.12"]);

/// Loads all libraries, or tells which is missing.
pub(super) fn load() -> Result<(), String> {
    let all = [
        ("the NVIDIA driver is not found", &DRIVER),
        ("cuBLAS is not found; put its folder on the library path", &BLAS),
        ("NVRTC is not found; put its folder on the library path", &COMPILER),
    ];
    for (what, library) in all {
        library.load().map_err(|why| format!("{what} ({why})"))?;
    }
    Ok(())
}

/// What a function gives that is not found: CUDA_ERROR_STUB_LIBRARY; the other libraries have no such number, but theirs
/// differ from 0 too.
const MISSING: c_int = 34;

thread_local! {
    static KEEPS_MEMORY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, in which the driver is not asked to zero memory on this thread.
pub(crate) fn without_zeroing<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            KEEPS_MEMORY.set(self.0);
        }
    }
    let _restore = Restore(KEEPS_MEMORY.replace(true));
    f()
}

macro_rules! number {
    ($argument:ident) => {
        usize
    };
}

macro_rules! functions {
    ($($library:ident { $($name:ident($($argument:ident)*);)* })*) => {
        $($(
            /// As in the library; all arguments are integers or pointers, which go through registers and words of the stack.
            ///
            /// # Safety
            /// As in the library.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: usize),*) -> c_int {
                if stringify!($name) == "cuMemsetD8Async" && KEEPS_MEMORY.get() {
                    return 0;
                }
                type Function = unsafe extern "C" fn($(number!($argument)),*) -> c_int;
                static FOUND: OnceLock<Option<Function>> = OnceLock::new();
                let find = || {
                    let library = $library.load().ok()?;
                    // SAFETY: the library stays loaded, and its function takes so many arguments.
                    unsafe { library.get::<Function>(stringify!($name)) }.ok().map(|found| *found)
                };
                match FOUND.get_or_init(find) {
                    // SAFETY: the caller passes what the library's function takes.
                    Some(function) => unsafe { function($($argument),*) },
                    None => MISSING,
                }
            }
        )*)*
    };
}

functions! {
    DRIVER {
        cuCtxSetCurrent(a);
        cuDeviceGet(a b);
        cuDeviceGetAttribute(a b c);
        cuDeviceGetCount(a);
        cuDeviceGetDefaultMemPool(a b);
        cuDevicePrimaryCtxRelease_v2(a);
        cuDevicePrimaryCtxRetain(a b);
        cuEventCreate(a b);
        cuEventDestroy_v2(a);
        cuEventElapsedTime(a b c);
        cuEventRecord(a b);
        cuGetErrorName(a b);
        cuGetErrorString(a b);
        cuInit(a);
        cuLaunchKernel(a b c d e f g h i j k);
        cuMemAllocAsync(a b c);
        cuMemAlloc_v2(a b);
        cuMemFreeAsync(a b);
        cuMemFree_v2(a);
        cuMemPoolSetAttribute(a b c);
        cuMemcpyDtoDAsync_v2(a b c d);
        cuMemcpyDtoD_v2(a b c);
        cuMemcpyDtoHAsync_v2(a b c d);
        cuMemcpyDtoH_v2(a b c);
        cuMemcpyHtoDAsync_v2(a b c d);
        cuMemcpyHtoD_v2(a b c);
        cuMemsetD8Async(a b c d);
        cuMemsetD8_v2(a b c);
        cuModuleGetFunction(a b c);
        cuModuleLoad(a b);
        cuModuleLoadData(a b);
        cuModuleUnload(a);
        cuStreamCreate(a b);
        cuStreamDestroy_v2(a);
        cuStreamSynchronize(a);
        cuStreamWaitEvent(a b c);
    }
    BLAS {
        cublasCreate_v2(a);
        cublasDestroy_v2(a);
        cublasSetMathMode(a b);
        cublasSetStream_v2(a b);
        cublasSgemm_v2(a b c d e f g h i j k l m n);
    }
    COMPILER {
        nvrtcCompileProgram(a b c);
        nvrtcCreateProgram(a b c d e f);
        nvrtcDestroyProgram(a);
        nvrtcGetPTX(a b);
        nvrtcGetPTXSize(a b);
        nvrtcGetProgramLog(a b);
        nvrtcGetProgramLogSize(a b);
    }
}
