//! What this crate keeps of a GPU: kernels, library handles and a workspace.

use std::{
    collections::BTreeMap,
    ffi::{CString, c_int, c_void},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use cudarc::{
    cublas::{CudaBlas, result::sgemm, sys as blas},
    driver::{CudaDevice, DriverError, result, sys},
    nvrtc,
};
use dfdx::tensor::{Cuda, CudaError};

use super::{
    cudnn::Cudnn,
    fault::{driver_error, invalid},
    libraries::Libraries,
    pointer::Pointer,
    precision::tf32,
    times::timed,
};

/// The text of all kernels, one program.
const KERNELS: &str = concat!(
    include_str!("common.cu"),
    include_str!("elementwise.cu"),
    include_str!("activation.cu"),
    include_str!("batch_norm.cu"),
    include_str!("rows.cu"),
    include_str!("prelu.cu"),
    include_str!("concat.cu"),
    include_str!("pool.cu"),
    include_str!("window_pool.cu"),
    include_str!("conv2d.cu"),
    include_str!("gather.cu"),
    include_str!("gru.cu"),
    include_str!("loss.cu"),
    include_str!("contrast.cu"),
    include_str!("polyphase.cu"),
    include_str!("resize.cu"),
    include_str!("low_pass.cu"),
    include_str!("update.cu"),
);

/// `THREADS`, `TILE` and `LINES` of the kernels.
const THREADS: u32 = 256;
const TILE: u32 = 32;
const LINES: u32 = 8;

/// Most pieces that a sum over rows is cut into, and the least rows of a piece.
const PIECES: usize = 512;
const PIECE: usize = 64;

/// Blocks and threads of a launch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch {
    blocks: (u32, u32, u32),
    threads: (u32, u32, u32),
}

impl Launch {
    /// One thread for each of `count` numbers.
    pub(super) fn each(count: usize) -> Launch {
        Launch::blocks(count.div_ceil(THREADS as usize))
    }

    /// As many blocks of most threads.
    pub(super) fn blocks(count: usize) -> Launch {
        Launch { blocks: (count as u32, 1, 1), threads: (THREADS, 1, 1) }
    }

    /// One block for each row of `width` numbers, with as many threads as it can use.
    pub(super) fn rows(count: usize, width: usize) -> Launch {
        let threads = (width.next_power_of_two() as u32).clamp(32, THREADS);
        Launch { blocks: (count as u32, 1, 1), threads: (threads, 1, 1) }
    }

    /// Blocks over `columns`, for each of `pieces` and for each of `layers`.
    pub(super) fn columns(columns: usize, pieces: usize, layers: usize) -> Launch {
        let blocks = (columns.div_ceil(TILE as usize) as u32, pieces as u32, layers as u32);
        Launch { blocks, threads: (TILE, LINES, 1) }
    }

    /// For each of `samples` the blocks over `columns`.
    pub(super) fn samples(samples: usize, columns: usize) -> Launch {
        let blocks = (samples as u32, columns.div_ceil(TILE as usize) as u32, 1);
        Launch { blocks, threads: (TILE, LINES, 1) }
    }
}

/// Rows of a piece of a sum over `rows`, and the number of pieces.
pub(super) fn pieces(rows: usize) -> (usize, usize) {
    let piece = rows.div_ceil(PIECES).max(PIECE);
    (piece, rows.div_ceil(piece))
}

/// Something that kernels take by value, in the form that they take it in.
pub(super) trait Parameter {
    /// A type that the kernels' text has too.
    type Form;

    fn form(self) -> Self::Form;
}

macro_rules! parameter {
    ($($from:ty => $to:ty, $convert:expr;)*) => {
        $(impl Parameter for $from {
            type Form = $to;

            fn form(self) -> $to {
                let convert: fn($from) -> $to = $convert;
                convert(self)
            }
        })*
    };
}

// Sizes of tensors are below 2^31, see `pointer::place`.
parameter! {
    Pointer => u64, |v| v.0;
    usize => u32, |v| v as u32;
    bool => u32, u32::from;
    u32 => u32, |v| v;
    f32 => f32, |v| v;
    f64 => f64, |v| v;
}

/// Starts a kernel: `launch!(gpu, NAME, LAUNCH, PARAMETERS...)`.
macro_rules! launch {
    ($gpu:expr, $name:literal, $launch:expr, $($parameter:expr),* $(,)?) => {
        $gpu.launch($name, $launch, &mut [$(
            std::ptr::from_ref(&$crate::cuda::context::Parameter::form($parameter)).cast_mut().cast()
        ),*])
    };
}
pub(super) use launch;

/// A matrix in memory, row-major.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    data: Pointer,
    /// Numbers from the beginning of a row to that of the next.
    stride: usize,
    transposed: bool,
}

impl Matrix {
    pub(super) fn new(data: Pointer, stride: usize) -> Matrix {
        Matrix { data, stride, transposed: false }
    }

    pub(super) fn t(self) -> Matrix {
        Matrix { transposed: !self.transposed, ..self }
    }

    fn operation(&self) -> blas::cublasOperation_t {
        if self.transposed {
            blas::cublasOperation_t::CUBLAS_OP_T
        } else {
            blas::cublasOperation_t::CUBLAS_OP_N
        }
    }
}

/// A GPU as this crate uses it. All work goes to the default stream, in the order of the calls.
pub(crate) struct Context {
    device: Arc<CudaDevice>,
    functions: BTreeMap<&'static str, sys::CUfunction>,
    libraries: Mutex<Libraries>,
}

// SAFETY: functions are handles that any thread may use, cuBLAS's and cuDNN's are behind a mutex, and every use of the
// context binds the device to its thread first.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

static CONTEXTS: RwLock<BTreeMap<i32, Arc<Context>>> = RwLock::new(BTreeMap::new());

impl Context {
    /// The context of the device with this handle, made at its first use; bound to the calling thread.
    pub(super) fn of(device: i32) -> Result<Arc<Context>, CudaError> {
        let known = CONTEXTS.read().unwrap_or_else(PoisonError::into_inner).get(&device).cloned();
        let context = match known {
            Some(context) => context,
            None => {
                Context::open(device).map_err(|_| driver_error(sys::CUresult::CUDA_ERROR_NOT_SUPPORTED))?
            }
        };
        context.device.bind_to_thread()?;
        Ok(context)
    }

    /// The context of device `index`, or why there is none.
    pub(super) fn open(index: i32) -> Result<Arc<Context>, String> {
        let mut contexts = CONTEXTS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = contexts.get(&index) {
            return Ok(context.clone());
        }
        let context = Arc::new(Context::new(index)?);
        contexts.insert(index, context.clone());
        Ok(context)
    }

    fn new(index: i32) -> Result<Context, String> {
        #[cfg(target_os = "linux")]
        super::linkage::load()?;
        result::init().map_err(|e| format!("the driver does not start ({})", name_of(e.0)))?;
        let count =
            result::device::get_count().map_err(|e| format!("no count of devices ({})", name_of(e.0)))?;
        if !(0..count).contains(&index) {
            return Err(format!("there are {count} CUDA devices"));
        }
        let failed = |what: &'static str| move |e: DriverError| format!("{what} ({})", name_of(e.0));
        let device = CudaDevice::new(index as usize).map_err(failed("the device does not open"))?;
        keep_memory(*device.cu_device()).map_err(failed("no pool of memory"))?;
        let cudnn = Cudnn::new()?;
        let blas = CudaBlas::new(device.clone()).map_err(|e| format!("cuBLAS does not start ({e})"))?;
        let workspace = device.alloc_zeros(0).map_err(failed("no memory"))?;
        let functions = compile(&device)?;
        let libraries = Mutex::new(Libraries::new(blas, cudnn, workspace));
        Ok(Context { device, functions, libraries })
    }

    /// The device, for memory.
    pub(super) fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// The libraries, locked.
    pub(super) fn libraries(&self) -> MutexGuard<'_, Libraries> {
        self.libraries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a kernel; see `launch!`. Nothing happens where there are no blocks.
    pub(super) fn launch(
        &self,
        name: &'static str,
        launch: Launch,
        parameters: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        let (blocks, threads) = (launch.blocks, launch.threads);
        if blocks.0 == 0 || blocks.1 == 0 || blocks.2 == 0 {
            return Ok(());
        }
        let function = *self.functions.get(name).ok_or_else(invalid)?;
        let stream = *self.device.cu_stream();
        timed(name, || {
            // SAFETY: each parameter points to a value of the type that the kernel's text declares at its place, and the
            // pointers among them are to memory of at least the sizes among them: that is what the callers see to.
            unsafe { result::launch_kernel(function, blocks, threads, 0, stream, parameters) }?;
            Ok(())
        })
    }

    /// `c = a b + beta c` of the sizes (rows, columns, inner).
    pub(super) fn matmul(
        &self,
        (a, b, c): (Matrix, Matrix, Matrix),
        (rows, columns, inner): (usize, usize, usize),
        beta: f32,
    ) -> Result<(), CudaError> {
        let libraries = self.libraries();
        let handle = *libraries.blas.handle();
        let mode = if tf32() {
            blas::cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH
        } else {
            blas::cublasMath_t::CUBLAS_DEFAULT_MATH
        };
        let alpha = 1.0;
        let start = || {
            // SAFETY: cuBLAS's matrices are column-major, so that it computes the transposed product from the transposed
            // operands; the callers see to it that sizes and strides fit the memory.
            unsafe {
                blas::cublasSetMathMode(handle, mode).result()?;
                sgemm(
                    handle,
                    b.operation(),
                    a.operation(),
                    columns as c_int,
                    rows as c_int,
                    inner as c_int,
                    &alpha,
                    b.data.0 as *const f32,
                    b.stride as c_int,
                    a.data.0 as *const f32,
                    a.stride as c_int,
                    &beta,
                    c.data.0 as *mut f32,
                    c.stride as c_int,
                )
            }
        };
        timed("matmul", || Ok(start()?))
    }
}

/// Has the driver keep freed memory for the next step, where it has a pool of it.
fn keep_memory(device: sys::CUdevice) -> Result<(), DriverError> {
    use sys::{CUdevice_attribute, CUmemPool_attribute};
    let pools = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    // SAFETY: the device is open, and the attribute is a number of 64 bits.
    unsafe {
        if result::device::get_attribute(device, pools)? == 0 {
            return Ok(());
        }
        let mut pool = std::ptr::null_mut();
        sys::cuDeviceGetDefaultMemPool(&mut pool, device).result()?;
        let mut all = u64::MAX;
        let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut all).cast()).result()
    }
}

/// The driver's name of an error.
fn name_of(error: sys::CUresult) -> String {
    let name = DriverError(error).error_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_| format!("error {}", error as u32))
}

/// Names of the kernels in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("KERNEL ")?.split('(').next())
}

/// Compiles all kernels for the device.
fn compile(device: &Arc<CudaDevice>) -> Result<BTreeMap<&'static str, sys::CUfunction>, String> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    };
    let attribute =
        |which| device.attribute(which).map_err(|e| format!("no compute capability ({})", name_of(e.0)));
    let own = format!("--gpu-architecture=compute_{}{}", attribute(MAJOR)?, attribute(MINOR)?);
    // A GPU that is younger than the compiler takes code for the compiler's own choice.
    let program = program(&[own]).or_else(|_| program(&[]))?;
    let failed = |e: DriverError| format!("the kernels do not load ({})", name_of(e.0));
    // SAFETY: the program is text that ends with a zero, and the module is never unloaded.
    unsafe {
        let module = result::module::load_data(program.as_ptr().cast()).map_err(failed)?;
        names(KERNELS)
            .map(|name| {
                let text = CString::new(name).map_err(|_| format!("no name of a kernel: {name:?}"))?;
                Ok((name, result::module::get_function(module, text).map_err(failed)?))
            })
            .collect()
    }
}

/// The kernels in the driver's language.
fn program(options: &[String]) -> Result<Vec<std::ffi::c_char>, String> {
    let program =
        nvrtc::result::create_program(KERNELS).map_err(|e| format!("NVRTC does not start ({e:?})"))?;
    // SAFETY: the program exists until it is destroyed here.
    unsafe {
        let code = nvrtc::result::compile_program(program, options)
            .and_then(|()| nvrtc::result::get_ptx(program))
            .map_err(|e| {
                let log = nvrtc::result::get_program_log(program).unwrap_or_default();
                let log: Vec<u8> = log.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
                format!("the kernels do not compile ({e:?}): {}", String::from_utf8_lossy(&log))
            });
        // What fails here leaves a program behind, nothing else.
        let _ = nvrtc::result::destroy_program(program);
        code
    }
}

/// A dfdx device for device `index`, with its context, or why there is none.
pub(crate) fn open(index: usize) -> Result<Cuda, String> {
    let handle = i32::try_from(index).map_err(|_| "there are not so many".to_owned())?;
    Context::open(handle)?;
    Cuda::try_build(index, 0).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_names_of_their_own() {
        let mut all: Vec<&str> = names(KERNELS).collect();
        let count = all.len();
        assert!(count > 50 && all.contains(&"relu_forward"));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn pieces_cover_all_rows() {
        for rows in [1, 63, 64, 65, 512 * 64, 512 * 64 + 1, 10_000_000] {
            let (piece, count) = pieces(rows);
            assert!(count <= PIECES && piece * count >= rows && piece * (count - 1) < rows);
        }
    }
}
