//! A GPU that runs plans, one launch after another. Not yet run on a GPU.

#![allow(unsafe_code, reason = "launches, and copies to and from device memory")]

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::{CudaContext, CudaStream, result, sys};

use super::{
    arguments::pack,
    gpu::{Gpu, gpus},
    kernels::{Variant, names},
    libraries::libraries,
    plan::{Launch, Memory, Place, Plan},
    products::{Products, WORKSPACE},
    trainer::Machine,
};

/// A GPU with its kernels and memory.
#[derive(Debug)]
pub struct GpuMachine {
    // Dropped in this order: everything else needs the context.
    products: Products,
    stream: Arc<CudaStream>,
    context: Arc<CudaContext>,
    functions: HashMap<&'static str, sys::CUfunction>,
    memory: HashMap<Memory, (u64, usize)>,
    workspace: u64,
}

impl GpuMachine {
    /// Opens GPU `number` and compiles the kernels for it.
    ///
    /// # Errors
    /// What is missing and how to get it; no such GPU, or one that is too old.
    pub fn open(number: usize, variant: Variant) -> Result<(Self, Gpu)> {
        let gpu = find(number)?;
        let code = variant.compile(&gpu.architecture())?;
        let context = CudaContext::new(number).with_context(|| format!("the {} cannot be used", gpu.name))?;
        let stream = context.new_stream()?;
        // SAFETY: the code was just made by NVRTC; the driver copies it.
        let module = unsafe { result::module::load_data(code.as_ptr().cast()) }.context("the driver refuses the kernels")?;
        let mut functions = HashMap::new();
        for name in names() {
            // SAFETY: the module is never unloaded; it goes with the context.
            let function = unsafe { result::module::get_function(module, CString::new(name)?) };
            functions.insert(name, function.with_context(|| format!("kernel {name}"))?);
        }
        let products = Products::new(variant.real)?;
        let workspace = allocate(&stream, WORKSPACE)?;
        Ok((Self { products, stream, context, functions, memory: HashMap::new(), workspace }, gpu))
    }

    fn address(&self, plan: &Plan, place: Place) -> u64 {
        let (memory, offset) = match place.memory {
            Memory::Buffer(buffer) => (Memory::Buffer(0), plan.offset(buffer)),
            other => (other, 0),
        };
        self.memory.get(&memory).map_or(0, |(start, _)| start + (offset + place.offset) as u64)
    }

    fn launch(&mut self, plan: &Plan, launch: &Launch) -> Result<()> {
        let stream = self.stream.cu_stream();
        match launch {
            Launch::Product(product) => {
                let places = [Some(product.a.place), Some(product.b.place), Some(product.out.place), product.bias];
                let addresses = places.map(|place| place.map_or(0, |place| self.address(plan, place)));
                self.products.launch(product, addresses, self.workspace, stream.cast())
            }
            Launch::Zero { place, bytes } => {
                // SAFETY: the plan keeps places inside their memory.
                Ok(unsafe { result::memset_d8_async(self.address(plan, *place), 0, *bytes, stream) }?)
            }
            Launch::Kernel { name, grid, threads, arguments } => {
                let mut words = pack(arguments, |place| self.address(plan, place));
                let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
                let function = *self.functions.get(name).with_context(|| format!("there is no kernel {name}"))?;
                let [x, y, z] = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
                let threads = (u32::try_from(*threads)?, 1, 1);
                // SAFETY: arguments are those of the kernel's declaration and stay inside the plan's memory; the tests run the same
                // plans with the same kernels on the CPU. The driver copies the arguments before it returns.
                unsafe { result::launch_kernel(function, (x, y, z), threads, 0, stream, &mut pointers) }
                    .with_context(|| format!("kernel {name}"))
            }
        }
    }
}

/// GPU `number` of this machine, if everything that training needs is there.
///
/// # Errors
/// What is missing and how to get it; no such GPU, or one that is too old.
pub fn find(number: usize) -> Result<Gpu> {
    let gpus = gpus()?;
    let count = gpus.len();
    let gpu = gpus.into_iter().nth(number).with_context(|| format!("there is no GPU {number}, only 0 to {}", count - 1))?;
    gpu.check()?;
    libraries().check()?;
    Ok(gpu)
}

/// Memory of zeros. Whatever is done to it is done in `stream`, which does not wait for the default stream.
fn allocate(stream: &CudaStream, bytes: usize) -> Result<u64> {
    // SAFETY: the context is current on this thread; the memory is zeroed before anybody reads it.
    let address = unsafe { result::malloc_sync(bytes) }
        .with_context(|| format!("the GPU has no {:.1} GB left: use a smaller --train-batch-size", bytes as f64 / 1e9))?;
    // SAFETY: just allocated, and as long.
    unsafe { result::memset_d8_async(address, 0, bytes, stream.cu_stream()) }?;
    Ok(address)
}

fn free(address: u64) {
    // SAFETY: allocated by us and forgotten by its owner. A failure means that the context is gone, and the memory with it.
    let _ = unsafe { result::free_sync(address) };
}

impl Machine for GpuMachine {
    fn reserve(&mut self, memory: Memory, bytes: usize) -> Result<()> {
        if self.memory.get(&memory).is_some_and(|(_, has)| *has >= bytes) {
            return Ok(());
        }
        self.context.bind_to_thread()?;
        self.stream.synchronize()?;
        if let Some((address, _)) = self.memory.remove(&memory) {
            free(address);
        }
        // cuMemAlloc refuses 0 bytes.
        self.memory.insert(memory, (allocate(&self.stream, bytes.max(1))?, bytes));
        Ok(())
    }

    fn write(&mut self, memory: Memory, bytes: &[u8]) -> Result<()> {
        let (address, has) = *self.memory.get(&memory).with_context(|| format!("{memory:?} was not reserved"))?;
        ensure!(bytes.len() <= has, "{memory:?}: {} bytes do not fit into {has}", bytes.len());
        self.context.bind_to_thread()?;
        // In the stream's order: what was launched before may still read the memory, and what follows must not read it too soon.
        // SAFETY: the memory is as long, and the bytes live until the copy is done.
        unsafe { result::memcpy_htod_async(address, bytes, self.stream.cu_stream()) }?;
        Ok(self.stream.synchronize()?)
    }

    fn read(&self, memory: Memory, bytes: &mut [u8]) -> Result<()> {
        let (address, has) = *self.memory.get(&memory).with_context(|| format!("{memory:?} was not reserved"))?;
        ensure!(bytes.len() <= has, "{memory:?} has {has} bytes, not {}", bytes.len());
        self.context.bind_to_thread()?;
        self.stream.synchronize()?;
        // SAFETY: the memory is as long.
        Ok(unsafe { result::memcpy_dtoh_sync(bytes, address) }?)
    }

    fn run(&mut self, plan: &Plan) -> Result<()> {
        self.context.bind_to_thread()?;
        plan.launches.iter().try_for_each(|launch| self.launch(plan, launch))
    }
}

impl Drop for GpuMachine {
    fn drop(&mut self) {
        let _ = self.context.bind_to_thread();
        let _ = self.stream.synchronize();
        self.memory.drain().for_each(|(_, (address, _))| free(address));
        free(self.workspace);
    }
}
