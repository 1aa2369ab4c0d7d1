//! Matrix products by cuBLASLt, described once for every shape. Not yet run on a GPU.

#![allow(unsafe_code, reason = "cudarc's safe wrapper has neither every epilogue nor mixed storage")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::from_ref;

use anyhow::{Context, Result};
use cudarc::cublaslt::{
    result,
    sys::{self, cublasComputeType_t, cublasLtEpilogue_t, cublasLtMatmulDescAttributes_t as Attribute, cudaDataType_t},
};

use super::{
    kernels::Real,
    plan::{Product, Storage},
};

/// Bytes that cuBLASLt may use beside operands and result; what NVIDIA recommends for Hopper.
pub const WORKSPACE: usize = 32 << 20;

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
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// The library and what has been described.
#[derive(Debug)]
pub struct Products {
    handle: sys::cublasLtHandle_t,
    preference: sys::cublasLtMatmulPreference_t,
    real: Real,
    ready: HashMap<Key, Ready>,
}

impl Products {
    /// Starts the library; the GPU's context must be current.
    ///
    /// # Errors
    /// cuBLASLt does not start.
    pub fn new(real: Real) -> Result<Self> {
        let handle = result::create_handle().context("cuBLASLt does not start")?;
        let preference = result::create_matmul_pref()?;
        let attribute = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: the attribute is a size_t, which is read before the call returns.
        unsafe { result::set_matmul_pref_attribute(preference, attribute, from_ref(&WORKSPACE).cast(), size_of::<usize>()) }?;
        Ok(Self { handle, preference, real, ready: HashMap::new() })
    }

    /// Launches a product on addresses of a, b, the result, the bias (0 if there is none) and the workspace.
    ///
    /// # Errors
    /// cuBLASLt knows no algorithm for it, or fails.
    pub fn launch(&mut self, product: &Product, addresses: [u64; 4], workspace: u64, stream: sys::cudaStream_t) -> Result<()> {
        let [a, b, out, bias] = addresses;
        let key = Key {
            sizes: [product.m, product.n, product.k],
            strides: [product.a.stride, product.b.stride, product.out.stride],
            transposed: [product.a.transposed, product.b.transposed],
            single: product.storage == Storage::Single,
            bias: product.bias.is_some(),
            accumulate: product.accumulate,
        };
        if !self.ready.contains_key(&key) {
            let ready = self.describe(key).with_context(|| format!("cuBLASLt: {key:?}"))?;
            self.ready.insert(key, ready);
        }
        let Ready { description, layouts: [first, second, third], algorithm } =
            self.ready.get(&key).context("described above")?;
        if key.bias {
            set(*description, Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        let (alpha, beta) = (1.0_f32, if key.accumulate { 1.0_f32 } else { 0.0 });
        // SAFETY: descriptions belong to the shapes, and the plan keeps operands inside their memory. Ours are row-major, so that
        // cuBLASLt, column-major, sees the transposed product of the operands in reverse.
        unsafe {
            result::matmul(
                self.handle,
                *description,
                from_ref(&alpha).cast(),
                from_ref(&beta).cast(),
                b as *const c_void,
                *first,
                a as *const c_void,
                *second,
                out as *const c_void,
                *third,
                out as *mut c_void,
                *third,
                algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream,
            )
        }
        .with_context(|| format!("cuBLASLt: {key:?}"))
    }

    fn describe(&self, key: Key) -> Result<Ready> {
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
        }
        let [first, second, third] = layouts;
        // SAFETY: all of these were just made.
        let found =
            unsafe { result::get_matmul_algo_heuristic(self.handle, description, first, second, third, third, self.preference) }?;
        Ok(Ready { description, layouts, algorithm: found.algo })
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
