//! The part of cuDNN that convolutions need, loaded when a device is first used.
//!
//! Source: cuDNN's legacy API as in versions 8 and 9.

use std::{
    collections::{HashMap, VecDeque},
    ffi::{c_int, c_void},
    sync::Arc,
};

use cudarc::driver::sys::CUresult;
use dfdx::tensor::CudaError;
use libloading::Library;

use super::{fault::driver_error, pointer::Pointer, precision::tf32};

/// Names of the library, the first that is found counts.
#[cfg(not(windows))]
const NAMES: [&str; 3] = ["libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"];
#[cfg(windows)]
const NAMES: [&str; 2] = ["cudnn64_9.dll", "cudnn64_8.dll"];

/// An algorithm that wants more workspace is passed over.
const MOST_WORKSPACE: usize = 1 << 30;

type Status = c_int;
type Object = *mut c_void;

const SUCCESS: Status = 0;
// cudnnTensorFormat_t, cudnnDataType_t, cudnnConvolutionMode_t, cudnnMathType_t, cudnnDeterminism_t.
const NHWC: c_int = 1;
const FLOAT: c_int = 0;
const CROSS_CORRELATION: c_int = 1;
const DEFAULT_MATH: c_int = 0;
const FMA_MATH: c_int = 3;
const DETERMINISTIC: c_int = 1;

/// `cudnnConvolution*AlgoPerf_t`, which is the same for all three passes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Candidate {
    algorithm: c_int,
    status: Status,
    time: f32,
    memory: usize,
    determinism: c_int,
    math: c_int,
    reserved: [c_int; 3],
}

/// `cudnnGetConvolution*Algorithm_v7`: handle, three operands with the convolution at the third place but one, room, found.
type Candidates =
    unsafe extern "C" fn(Object, Object, Object, Object, Object, c_int, *mut c_int, *mut Candidate) -> Status;
/// `cudnnConvolution*`: handle, alpha, two operands, convolution, algorithm, workspace and its size, beta, result.
type Convolve = unsafe extern "C" fn(
    Object,
    *const c_void,
    Object,
    *const c_void,
    Object,
    *const c_void,
    Object,
    c_int,
    *mut c_void,
    usize,
    *const c_void,
    Object,
    *mut c_void,
) -> Status;

macro_rules! functions {
    ($($field:ident: $name:literal, $kind:ty;)*) => {
        /// Functions of the library.
        struct Functions {
            $($field: $kind,)*
            /// Keeps the functions where they are.
            _library: Library,
        }

        impl Functions {
            fn find(library: Library) -> Result<Functions, libloading::Error> {
                // SAFETY: the types are those of cuDNN's headers, and the library stays as long as its functions.
                unsafe {
                    Ok(Functions {
                        $($field: *library.get::<$kind>($name)?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

functions! {
    create: b"cudnnCreate\0", unsafe extern "C" fn(*mut Object) -> Status;
    destroy: b"cudnnDestroy\0", unsafe extern "C" fn(Object) -> Status;
    create_tensor: b"cudnnCreateTensorDescriptor\0", unsafe extern "C" fn(*mut Object) -> Status;
    destroy_tensor: b"cudnnDestroyTensorDescriptor\0", unsafe extern "C" fn(Object) -> Status;
    set_tensor: b"cudnnSetTensor4dDescriptor\0",
        unsafe extern "C" fn(Object, c_int, c_int, c_int, c_int, c_int, c_int) -> Status;
    create_filter: b"cudnnCreateFilterDescriptor\0", unsafe extern "C" fn(*mut Object) -> Status;
    destroy_filter: b"cudnnDestroyFilterDescriptor\0", unsafe extern "C" fn(Object) -> Status;
    set_filter: b"cudnnSetFilter4dDescriptor\0",
        unsafe extern "C" fn(Object, c_int, c_int, c_int, c_int, c_int, c_int) -> Status;
    create_convolution: b"cudnnCreateConvolutionDescriptor\0", unsafe extern "C" fn(*mut Object) -> Status;
    destroy_convolution: b"cudnnDestroyConvolutionDescriptor\0", unsafe extern "C" fn(Object) -> Status;
    set_convolution: b"cudnnSetConvolution2dDescriptor\0",
        unsafe extern "C" fn(Object, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int) -> Status;
    set_math: b"cudnnSetConvolutionMathType\0", unsafe extern "C" fn(Object, c_int) -> Status;
    forward_candidates: b"cudnnGetConvolutionForwardAlgorithm_v7\0", Candidates;
    input_candidates: b"cudnnGetConvolutionBackwardDataAlgorithm_v7\0", Candidates;
    weight_candidates: b"cudnnGetConvolutionBackwardFilterAlgorithm_v7\0", Candidates;
    forward: b"cudnnConvolutionForward\0", Convolve;
    input: b"cudnnConvolutionBackwardData\0", Convolve;
    weight: b"cudnnConvolutionBackwardFilter\0", Convolve;
}

/// A handle of cuDNN, on the default stream.
pub(super) struct Cudnn {
    handle: Object,
    functions: Arc<Functions>,
}

impl Cudnn {
    /// Loads the library; the device is bound to the calling thread.
    pub(super) fn new() -> Result<Cudnn, String> {
        let mut missing = String::new();
        for name in NAMES {
            // SAFETY: the library is NVIDIA's, its initialisers have no demands.
            match unsafe { Library::new(name) } {
                Ok(library) => {
                    return Cudnn::start(library).map_err(|e| format!("cuDNN does not start ({e})"));
                }
                Err(error) if missing.is_empty() => missing = error.to_string(),
                Err(_) => {}
            }
        }
        Err(format!("cuDNN is not found; put its folder on the library path ({missing})"))
    }

    fn start(library: Library) -> Result<Cudnn, String> {
        let functions = Arc::new(Functions::find(library).map_err(|e| e.to_string())?);
        let mut handle = std::ptr::null_mut();
        // SAFETY: the function writes a handle, or fails.
        match unsafe { (functions.create)(&mut handle) } {
            SUCCESS => Ok(Cudnn { handle, functions }),
            status => Err(format!("status {status}")),
        }
    }
}

impl Drop for Cudnn {
    fn drop(&mut self) {
        // SAFETY: the handle is this one's own.
        unsafe { (self.functions.destroy)(self.handle) };
    }
}

/// What a convolution computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// The output, from input and weight.
    Forward,
    /// The input's gradient, from weight and the output's gradient.
    Input,
    /// The weight's gradient, from input and the output's gradient.
    Weight,
}

/// Sizes of a dense convolution, whose padding is the same on opposite sides; pairs are (rows, columns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sizes {
    pub(super) samples: usize,
    pub(super) image: (usize, usize),
    pub(super) inputs: usize,
    pub(super) output: (usize, usize),
    pub(super) outputs: usize,
    pub(super) kernel: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) dilation: (usize, usize),
    pub(super) padding: (usize, usize),
}

/// Descriptors and algorithm of a convolution.
struct Plan {
    image: Object,
    filter: Object,
    output: Object,
    convolution: Object,
    /// Deterministic algorithms, the fastest first as cuDNN expects.
    algorithms: VecDeque<Algorithm>,
    functions: Arc<Functions>,
}

#[derive(Debug, Clone, Copy)]
struct Algorithm {
    number: c_int,
    workspace: usize,
    math: c_int,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: the descriptors are this one's own; cuDNN takes a null.
        unsafe {
            (self.functions.destroy_tensor)(self.image);
            (self.functions.destroy_tensor)(self.output);
            (self.functions.destroy_filter)(self.filter);
            (self.functions.destroy_convolution)(self.convolution);
        }
    }
}

/// Plans by what they are for, and whether with TF32.
#[derive(Default)]
pub(super) struct Plans(HashMap<(Direction, Sizes, bool), Plan>);

/// Whether cuDNN does not do what was asked, by the numbers of version 8 and of version 9.
fn is_unsupported(status: Status) -> bool {
    status == 9 || (3000..4000).contains(&status)
}

fn check(status: Status) -> Result<(), CudaError> {
    match status {
        SUCCESS => Ok(()),
        // CUDNN_STATUS_ALLOC_FAILED of version 8 and CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED of version 9.
        2 | 4004 => Err(driver_error(CUresult::CUDA_ERROR_OUT_OF_MEMORY)),
        _ => Err(driver_error(CUresult::CUDA_ERROR_NOT_SUPPORTED)),
    }
}

impl Cudnn {
    fn plan(&self, direction: Direction, sizes: &Sizes) -> Result<Plan, CudaError> {
        let f = &self.functions;
        let null = std::ptr::null_mut();
        let mut plan = Plan {
            image: null,
            filter: null,
            output: null,
            convolution: null,
            algorithms: VecDeque::new(),
            functions: f.clone(),
        };
        let n = |size: usize| size as c_int;
        let (samples, inputs, outputs) = (n(sizes.samples), n(sizes.inputs), n(sizes.outputs));
        let (image, output, kernel) = (sizes.image, sizes.output, sizes.kernel);
        let mut found = [Candidate::default(); 16];
        let mut count = 0;
        // SAFETY: each object is made before it is used, and there is room for as many candidates as are asked for.
        unsafe {
            check((f.create_tensor)(&mut plan.image))?;
            check((f.create_tensor)(&mut plan.output))?;
            check((f.create_filter)(&mut plan.filter))?;
            check((f.create_convolution)(&mut plan.convolution))?;
            check((f.set_tensor)(plan.image, NHWC, FLOAT, samples, inputs, n(image.0), n(image.1)))?;
            check((f.set_tensor)(plan.output, NHWC, FLOAT, samples, outputs, n(output.0), n(output.1)))?;
            check((f.set_filter)(plan.filter, FLOAT, NHWC, outputs, inputs, n(kernel.0), n(kernel.1)))?;
            check((f.set_convolution)(
                plan.convolution,
                n(sizes.padding.0),
                n(sizes.padding.1),
                n(sizes.stride.0),
                n(sizes.stride.1),
                n(sizes.dilation.0),
                n(sizes.dilation.1),
                CROSS_CORRELATION,
                FLOAT,
            ))?;
            check((f.set_math)(plan.convolution, if tf32() { DEFAULT_MATH } else { FMA_MATH }))?;
            let (candidates, [a, b, c]) = match direction {
                Direction::Forward => (f.forward_candidates, [plan.image, plan.filter, plan.output]),
                Direction::Input => (f.input_candidates, [plan.filter, plan.output, plan.image]),
                Direction::Weight => (f.weight_candidates, [plan.image, plan.output, plan.filter]),
            };
            let room = found.len() as c_int;
            let status =
                (candidates)(self.handle, a, b, plan.convolution, c, room, &mut count, found.as_mut_ptr());
            if status != SUCCESS {
                count = 0;
            }
        }
        let sound = |c: &&Candidate| {
            c.status == SUCCESS && c.determinism == DETERMINISTIC && c.memory <= MOST_WORKSPACE
        };
        let math = |found: c_int| if tf32() { found } else { FMA_MATH };
        let found = found.iter().take(count.max(0) as usize).filter(sound);
        plan.algorithms = found
            .map(|c| Algorithm { number: c.algorithm, workspace: c.memory, math: math(c.math) })
            .collect();
        Ok(plan)
    }
}

impl Plans {
    /// As [`Libraries::convolve`](super::libraries::Libraries::convolve); `workspace` gives memory of at least so many bytes.
    pub(super) fn convolve(
        &mut self,
        cudnn: &Cudnn,
        direction: Direction,
        sizes: &Sizes,
        operands: [Pointer; 3],
        workspace: impl FnMut(usize) -> Result<*mut c_void, CudaError>,
    ) -> Result<bool, CudaError> {
        let key = (direction, *sizes, tf32());
        let mut plan = match self.0.remove(&key) {
            Some(plan) => plan,
            None => cudnn.plan(direction, sizes)?,
        };
        let done = plan.run(cudnn, direction, operands, workspace);
        self.0.insert(key, plan);
        done
    }
}

impl Plan {
    /// Runs the first algorithm that cuDNN takes, and forgets those before it.
    fn run(
        &mut self,
        cudnn: &Cudnn,
        direction: Direction,
        [a, b, result]: [Pointer; 3],
        mut workspace: impl FnMut(usize) -> Result<*mut c_void, CudaError>,
    ) -> Result<bool, CudaError> {
        let f = self.functions.clone();
        let (convolve, [first, second, third]) = match direction {
            Direction::Forward => (f.forward, [self.image, self.filter, self.output]),
            Direction::Input => (f.input, [self.filter, self.output, self.image]),
            Direction::Weight => (f.weight, [self.image, self.output, self.filter]),
        };
        let (one, zero) = (1f32, 0f32);
        while let Some(algorithm) = self.algorithms.front().copied() {
            let workspace = workspace(algorithm.workspace)?;
            // SAFETY: the operands have the sizes of the descriptors, the workspace has what the algorithm asked for.
            let status = unsafe {
                check((f.set_math)(self.convolution, algorithm.math))?;
                (convolve)(
                    cudnn.handle,
                    (&raw const one).cast(),
                    first,
                    a.0 as *const c_void,
                    second,
                    b.0 as *const c_void,
                    self.convolution,
                    algorithm.number,
                    workspace,
                    algorithm.workspace,
                    (&raw const zero).cast(),
                    third,
                    result.0 as *mut c_void,
                )
            };
            if !is_unsupported(status) {
                return check(status).map(|()| true);
            }
            self.algorithms.pop_front();
        }
        Ok(false)
    }
}
