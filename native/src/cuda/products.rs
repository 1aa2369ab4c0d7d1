//! Matrix products by cuBLASLt, described once for every shape; of its algorithms for one, the fastest is taken.

#![allow(unsafe_code, reason = "cudarc's safe wrapper has neither every epilogue nor mixed storage")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::from_ref;

use anyhow::{Context, Result, ensure};
use cudarc::cublaslt::{
    result,
    sys::{
        self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtMatmulAlgo_t, cublasLtMatmulDescAttributes_t as Attribute,
        cublasLtMatmulHeuristicResult_t as Candidate, cublasStatus_t, cudaDataType_t,
    },
};
use cudarc::driver::{CudaStream, result as driver, sys::CUevent_flags};

use super::{
    choices::{Choice, Choices},
    kernels::Real,
    plan::{Product, Storage},
};

/// Bytes that cuBLASLt may use beside operands and result; what NVIDIA recommends for Hopper.
pub const WORKSPACE: usize = 32 << 20;
/// Algorithms that are timed for a product.
const CANDIDATES: usize = 8;
/// Launches before an algorithm is timed, and those that are.
const UNTIMED: usize = 2;
const TIMED: usize = 5;

/// What decides on the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    sizes: [usize; 3],
    strides: [usize; 3],
    transposed: [bool; 2],
    single: bool,
    bias: bool,
    accumulate: bool,
}

/// A product ready to be launched on any addresses.
#[derive(Debug)]
struct Ready {
    description: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: cublasLtMatmulAlgo_t,
}

/// Addresses of a product's operands.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// First operand.
    pub a: u64,
    /// Second operand.
    pub b: u64,
    /// Result.
    pub out: u64,
    /// Bias, or 0.
    pub bias: u64,
    /// [`WORKSPACE`] bytes.
    pub workspace: u64,
}

/// The library and what has been described.
#[derive(Debug)]
pub struct Products {
    handle: sys::cublasLtHandle_t,
    preference: sys::cublasLtMatmulPreference_t,
    real: Real,
    ready: HashMap<Key, Ready>,
    /// None: cuBLASLt's own first choice is taken, untimed.
    choices: Option<Choices>,
}

impl Products {
    /// Starts the library; the GPU's context must be current. With the name of the `machine`, algorithms are timed and choices kept for it.
    ///
    /// # Errors
    /// cuBLASLt does not start.
    pub fn new(real: Real, machine: Option<String>) -> Result<Self> {
        let handle = result::create_handle().context("cuBLASLt does not start")?;
        let preference = result::create_matmul_pref()?;
        let attribute = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: the attribute is a size_t, which is read before the call returns.
        unsafe { result::set_matmul_pref_attribute(preference, attribute, from_ref(&WORKSPACE).cast(), size_of::<usize>()) }?;
        // SAFETY: a question without arguments.
        let library = unsafe { sys::cublasLtGetVersion() };
        let choices = machine.map(|machine| Choices::of(format!("{machine}, cuBLASLt {library}")));
        Ok(Self { handle, preference, real, ready: HashMap::new(), choices })
    }

    /// Launches a product. The first of its kind is described, and timed if its choice is not known: not while launches are captured.
    ///
    /// # Errors
    /// cuBLASLt knows no algorithm for it, or fails.
    pub fn launch(&mut self, product: &Product, addresses: Addresses, stream: &CudaStream) -> Result<()> {
        let key = Key {
            sizes: [product.m, product.n, product.k],
            strides: [product.a.stride, product.b.stride, product.out.stride],
            transposed: [product.a.transposed, product.b.transposed],
            single: product.storage == Storage::Single,
            bias: product.bias.is_some(),
            accumulate: product.accumulate,
        };
        let place = || format!("cuBLASLt: {key:?}");
        if !self.ready.contains_key(&key) {
            let ready = self.describe(key, addresses, stream).with_context(place)?;
            self.ready.insert(key, ready);
        }
        let ready = self.ready.get(&key).context("described above")?;
        self.multiply(key, ready, &ready.algorithm, addresses, stream).with_context(place)
    }

    /// Keeps new choices for the next start; false if they are lost with this process.
    pub fn keep_choices(&mut self) -> bool {
        self.choices.as_mut().is_none_or(Choices::keep)
    }

    fn multiply(
        &self,
        key: Key,
        ready: &Ready,
        algorithm: &cublasLtMatmulAlgo_t,
        addresses: Addresses,
        stream: &CudaStream,
    ) -> Result<()> {
        let Addresses { a, b, out, bias, workspace } = addresses;
        let [first, second, third] = ready.layouts;
        if key.bias {
            set(ready.description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        let (alpha, beta) = (1.0_f32, if key.accumulate { 1.0_f32 } else { 0.0 });
        // SAFETY: descriptions belong to the shapes, and the plan keeps operands inside their memory. Ours are row-major, so that
        // cuBLASLt, column-major, sees the transposed product of the operands in reverse.
        let done = unsafe {
            result::matmul(
                self.handle,
                ready.description,
                from_ref(&alpha).cast(),
                from_ref(&beta).cast(),
                b as *const c_void,
                first,
                a as *const c_void,
                second,
                out as *const c_void,
                third,
                out as *mut c_void,
                third,
                algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        };
        Ok(done?)
    }

    fn describe(&mut self, key: Key, addresses: Addresses, stream: &CudaStream) -> Result<Ready> {
        let ([m, n, k], [a_stride, b_stride, out_stride]) =
            (key.sizes.map(|size| size as u64), key.strides.map(|stride| stride as i64));
        let real = match self.real {
            Real::F32 => cudaDataType_t::CUDA_R_32F,
            Real::Bf16 => cudaDataType_t::CUDA_R_16BF,
        };
        let stored = if key.single { cudaDataType_t::CUDA_R_32F } else { real };
        let turned = |transposed: bool, (rows, columns): (u64, u64)| if transposed { (columns, rows) } else { (rows, columns) };
        let [a_transposed, b_transposed] = key.transposed;
        let (first, second) = (turned(b_transposed, (n, k)), turned(a_transposed, (k, m)));
        let layouts = [
            result::create_matrix_layout(real, first.0, first.1, b_stride)?,
            result::create_matrix_layout(real, second.0, second.1, a_stride)?,
            result::create_matrix_layout(stored, n, m, out_stride)?,
        ];
        // COMPUTE_32F keeps TF32 off: f32 is for checking.
        let description = result::create_matmul_desc(cublasComputeType_t::CUBLAS_COMPUTE_32F, cudaDataType_t::CUDA_R_32F)?;
        // `cublasOperation_t`: 0 as it lies, 1 transposed.
        set(description, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(b_transposed))?;
        set(description, Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(a_transposed))?;
        if key.bias {
            set(description, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS)?;
            // Algorithms are asked for and checked for what will be launched; there is no bias at address 0.
            set(description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &addresses.bias)?;
        }
        let mut ready = Ready { description, layouts, algorithm: cublasLtMatmulAlgo_t { data: [0; 8] } };
        ready.algorithm = self.choose(key, &ready, addresses, stream)?;
        Ok(ready)
    }

    fn choose(&mut self, key: Key, ready: &Ready, addresses: Addresses, stream: &CudaStream) -> Result<cublasLtMatmulAlgo_t> {
        // What is kept must also hold for a reader of the file.
        let name = format!("{:?} {key:?}", self.real);
        if let Some(kept) = self.choices.as_ref().and_then(|choices| choices.get(&name)) {
            let algorithm = cublasLtMatmulAlgo_t { data: kept.algorithm };
            if self.can(ready, &algorithm) {
                return Ok(algorithm);
            }
        }
        let candidates = self.candidates(ready, if self.choices.is_some() { CANDIDATES } else { 1 })?;
        let first = candidates.first().context("no algorithm is known for it")?.algo;
        if self.choices.is_none() || candidates.len() == 1 {
            return Ok(first);
        }
        let mut timed = Vec::new();
        let [m, _, _] = key.sizes;
        let [_, _, stride] = key.strides;
        // The result goes elsewhere: what it will be added to must stay.
        let scratch = Scratch::new(4 * m * stride)?;
        for candidate in &candidates {
            let time = self.time(key, ready, &candidate.algo, Addresses { out: scratch.0, ..addresses }, stream);
            timed.extend(time.ok().map(|time| (time, candidate.algo)));
        }
        let fastest = timed.iter().min_by(|(one, _), (other, _)| one.total_cmp(other));
        let (milliseconds, algorithm) = fastest.copied().unwrap_or((0.0, first));
        if let Some(choices) = &mut self.choices {
            let choice = Choice { algorithm: algorithm.data, microseconds: 1000.0 * milliseconds, candidates: timed.len() };
            choices.insert(name, choice);
        }
        Ok(algorithm)
    }

    /// cuBLASLt's algorithms, the likeliest first.
    fn candidates(&self, ready: &Ready, most: usize) -> Result<Vec<Candidate>> {
        let [first, second, third] = ready.layouts;
        let mut found = [const { MaybeUninit::<Candidate>::uninit() }; CANDIDATES];
        let mut count = 0;
        // SAFETY: the library writes at most so many candidates and their number.
        unsafe {
            let most = most.min(CANDIDATES) as i32;
            let (handle, description, out) = (self.handle, ready.description, found.as_mut_ptr().cast());
            sys::cublasLtMatmulAlgoGetHeuristic(
                handle,
                description,
                first,
                second,
                third,
                third,
                self.preference,
                most,
                out,
                &raw mut count,
            )
            .result()?;
        }
        let written = found.iter().take(usize::try_from(count)?);
        // SAFETY: the first `count` were written.
        let candidates = written.map(|candidate| unsafe { candidate.assume_init_read() });
        Ok(candidates.filter(|candidate| candidate.state == cublasStatus_t::CUBLAS_STATUS_SUCCESS).collect())
    }

    /// Whether an algorithm that was kept is one for this product, with our workspace.
    fn can(&self, ready: &Ready, algorithm: &cublasLtMatmulAlgo_t) -> bool {
        let [first, second, third] = ready.layouts;
        let mut found = MaybeUninit::<Candidate>::uninit();
        // SAFETY: the library looks at the algorithm and writes one result if it returns success.
        unsafe {
            let (handle, description) = (self.handle, ready.description);
            let checked =
                sys::cublasLtMatmulAlgoCheck(handle, description, first, second, third, third, algorithm, found.as_mut_ptr());
            checked == cublasStatus_t::CUBLAS_STATUS_SUCCESS && found.assume_init().workspaceSize <= WORKSPACE
        }
    }

    /// Milliseconds of one launch.
    fn time(
        &self,
        key: Key,
        ready: &Ready,
        algorithm: &cublasLtMatmulAlgo_t,
        addresses: Addresses,
        stream: &CudaStream,
    ) -> Result<f32> {
        let event = || stream.context().new_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
        let (start, end) = (event()?, event()?);
        for launch in 0..UNTIMED + TIMED {
            if launch == UNTIMED {
                start.record(stream)?;
            }
            self.multiply(key, ready, algorithm, addresses, stream)?;
        }
        end.record(stream)?;
        let milliseconds = start.elapsed_ms(&end)? / TIMED as f32;
        ensure!(milliseconds.is_finite(), "the time of a product is no number");
        Ok(milliseconds)
    }
}

/// Memory for results that nobody wants.
struct Scratch(u64);

impl Scratch {
    fn new(bytes: usize) -> Result<Self> {
        // SAFETY: the context is current; whoever reads the memory wants no values.
        Ok(Self(unsafe { driver::malloc_sync(bytes) }.context("the GPU has no memory left for timing products")?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated above, freed once; freeing waits for what still uses it.
        let _ = unsafe { driver::free_sync(self.0) };
    }
}

fn set<T>(description: sys::cublasLtMatmulDesc_t, attribute: Attribute, value: &T) -> Result<()> {
    // SAFETY: the value is read before the call returns, and every caller gives the attribute's own type.
    Ok(unsafe { result::set_matmul_desc_attribute(description, attribute, from_ref(value).cast(), size_of::<T>()) }?)
}

impl Drop for Products {
    fn drop(&mut self) {
        for Ready { description, layouts, .. } in self.ready.values() {
            // SAFETY: made by us, used by nobody else, and destroyed once; a failure would leak a few bytes.
            let _ = unsafe { result::destroy_matmul_desc(*description) };
            for layout in layouts {
                // SAFETY: as above.
                let _ = unsafe { result::destroy_matrix_layout(*layout) };
            }
        }
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_pref(self.preference) };
        // SAFETY: as above.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}
