//! A GPU that runs plans: memory, launches, and the time that they take.

#![allow(unsafe_code, reason = "launches, and copies to and from device memory")]

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::{CudaContext, CudaEvent, CudaGraph, CudaStream, result, sys};

use super::{
    arguments::pack,
    gpu::{Gpu, gpus},
    kernels::{Real, Variant, names},
    libraries::libraries,
    plan::{Launch, Memory, Place, Plan},
    products::{Addresses, Products, WORKSPACE},
    upload::Upload,
};

/// Number of the branch that everything waits for.
pub const MAIN: usize = 0;
/// Number of the branch for what nobody waits for until the end.
pub const BESIDE: usize = 1;

/// A GPU with its kernels and memory.
pub struct GpuMachine {
    // Dropped in this order: everything else needs the context.
    plans: Vec<Known>,
    upload: Option<Upload>,
    products: Products,
    parts: Vec<CudaEvent>,
    boundaries: Vec<CudaEvent>,
    branches: [Branch; 2],
    context: Arc<CudaContext>,
    functions: HashMap<&'static str, sys::CUfunction>,
    memory: HashMap<Memory, (u64, usize)>,
    gpu: Gpu,
    real: Real,
    /// Whether capturing has failed once.
    eager: bool,
}

/// A stream, and what cuBLASLt may use while it computes there.
struct Branch {
    stream: Arc<CudaStream>,
    workspace: u64,
}

/// A plan on its way to being a graph.
struct Known {
    plan: Rc<Plan>,
    has_run: bool,
    graph: Option<CudaGraph>,
}

/// What a machine is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Many passes over few shapes: products are timed, passes are captured.
    Training,
    /// Few passes over many shapes.
    Inference,
}

impl GpuMachine {
    /// Opens GPU `number` and loads the kernels, compiled for it or kept from another time.
    ///
    /// # Errors
    /// What is missing and how to get it; no such GPU, or one that is too old.
    pub fn open(number: usize, variant: Variant, purpose: Purpose) -> Result<Self> {
        let gpu = find(number)?;
        let context = CudaContext::new(number).with_context(|| format!("the {} cannot be used", gpu.name))?;
        // SAFETY: cudarc's own slices, which it tracks, are not used.
        unsafe { context.disable_event_tracking() };
        let architecture = gpu.architecture();
        // SAFETY: code made by NVRTC; the driver checks and copies it.
        let load = |code: &[u8]| unsafe { result::module::load_data(code.as_ptr().cast()) };
        let module = match load(&variant.code(&architecture, true)?) {
            // What was kept may be damaged.
            Err(_) => load(&variant.code(&architecture, false)?).context("the driver refuses the kernels")?,
            Ok(module) => module,
        };
        let mut functions = HashMap::new();
        for name in names() {
            // SAFETY: the module is never unloaded; it goes with the context.
            let function = unsafe { result::module::get_function(module, CString::new(name)?) };
            functions.insert(name, function.with_context(|| format!("kernel {name}"))?);
        }
        let ((major, minor), name) = (gpu.driver_cuda, &gpu.name);
        let machine = (purpose == Purpose::Training).then(|| format!("{name}, driver for CUDA {major}.{minor}"));
        let products = Products::new(variant.real, machine)?;
        let (least, greatest) = result::stream::get_priority_range()?;
        let branch = |priority| -> Result<Branch> {
            let stream = context.new_stream_with_priority(priority)?;
            Ok(Branch { workspace: allocate(WORKSPACE)?, stream })
        };
        Ok(Self {
            plans: Vec::new(),
            upload: None,
            products,
            parts: Vec::new(),
            boundaries: Vec::new(),
            branches: [branch(greatest)?, branch(least)?],
            context,
            functions,
            memory: HashMap::new(),
            gpu,
            real: variant.real,
            eager: purpose == Purpose::Inference,
        })
    }

    /// What it is.
    pub const fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What activations are stored in.
    pub const fn real(&self) -> Real {
        self.real
    }

    /// Gives a piece of memory at least this size; what it held is lost if it grows. New memory is 0, but for buffers.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn reserve(&mut self, memory: Memory, bytes: usize) -> Result<()> {
        if self.memory.get(&memory).is_some_and(|(_, has)| *has >= bytes) {
            return Ok(());
        }
        self.context.bind_to_thread()?;
        self.main().synchronize()?;
        // Graphs have the addresses in them.
        self.plans.iter_mut().for_each(|known| known.graph = None);
        if let Some((address, _)) = self.memory.remove(&memory) {
            free(address);
        }
        let bytes = bytes.max(1);
        let address = allocate(bytes)?;
        self.memory.insert(memory, (address, bytes));
        if !matches!(memory, Memory::Buffer(_)) {
            // SAFETY: just allocated, and as long.
            unsafe { result::memset_d8_async(address, 0, bytes, self.main().cu_stream()) }?;
        }
        Ok(())
    }

    /// Copies into a piece of memory, when everything launched before is done.
    ///
    /// # Errors
    /// A failing GPU.
    pub fn write(&mut self, memory: Memory, offset: usize, bytes: &[u8]) -> Result<()> {
        let (address, has) = *self.memory.get(&memory).with_context(|| format!("{memory:?} was not reserved"))?;
        ensure!(offset + bytes.len() <= has, "{memory:?}: {} bytes at {offset} do not fit into {has}", bytes.len());
        self.context.bind_to_thread()?;
        // In the stream's order: what was launched before may still read the memory, and what follows must not read it too soon.
        // SAFETY: the memory is as long, and the bytes live until the copy is done.
        unsafe { result::memcpy_htod_async(address + offset as u64, bytes, self.main().cu_stream()) }?;
        Ok(self.main().synchronize()?)
    }

    /// Copies from the beginning of a piece of memory, when everything launched before is done.
    ///
    /// # Errors
    /// A failing GPU, maybe in something launched before.
    pub fn read(&self, memory: Memory, bytes: &mut [u8]) -> Result<()> {
        let (address, has) = *self.memory.get(&memory).with_context(|| format!("{memory:?} was not reserved"))?;
        ensure!(bytes.len() <= has, "{memory:?} has {has} bytes, not {}", bytes.len());
        self.read_at(address, bytes)
    }

    /// Copies a place of a plan that has run and was the last to, when it is done.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_place(&self, plan: &Plan, place: Place, bytes: &mut [u8]) -> Result<()> {
        ensure!(bytes.len() <= place.bytes, "{place:?} has {} bytes, not {}", place.bytes, bytes.len());
        self.read_at(address(&self.memory, plan, place), bytes)
    }

    fn read_at(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        self.context.bind_to_thread()?;
        self.main().synchronize()?;
        // SAFETY: callers have checked that the memory is as long.
        Ok(unsafe { result::memcpy_dtoh_sync(bytes, address) }?)
    }

    /// Takes in a plan, to be run under the number that this gives.
    ///
    /// # Errors
    /// Not enough memory for its buffers.
    pub fn add(&mut self, plan: Plan) -> Result<usize> {
        self.reserve(Memory::Buffer(0), plan.bytes)?;
        self.plans.push(Known { plan: Rc::new(plan), has_run: false, graph: None });
        Ok(self.plans.len() - 1)
    }

    /// Forgets all plans; numbers begin again.
    ///
    /// # Errors
    /// A failing GPU, maybe in something launched before.
    pub fn forget_plans(&mut self) -> Result<()> {
        self.main().synchronize()?;
        self.plans.clear();
        Ok(())
    }

    /// Runs a plan on these inputs; returns before it is done. The first run launches everything one after the other, the second captures
    /// a graph, which every further one replays.
    ///
    /// # Errors
    /// A failing GPU, maybe in something launched before.
    pub fn run(&mut self, number: usize, inputs: &[u8]) -> Result<()> {
        self.context.bind_to_thread()?;
        self.send(inputs)?;
        let known = self.plans.get_mut(number).context("this plan was not added")?;
        if let Some(graph) = &known.graph {
            return graph.launch().context("the update's graph");
        }
        let (plan, has_run) = (Rc::clone(&known.plan), std::mem::replace(&mut known.has_run, true));
        if !has_run || self.eager {
            return self.run_eagerly(&plan);
        }
        match self.capture(&plan).and_then(|graph| Ok(graph.launch().map(|()| graph)?)) {
            Ok(graph) => {
                if let Some(known) = self.plans.get_mut(number) {
                    known.graph = Some(graph);
                }
            }
            Err(error) => {
                eprintln!("warning: the GPU works without a graph, which takes longer: {error:#}");
                self.eager = true;
                self.run_eagerly(&plan)?;
            }
        }
        Ok(())
    }

    /// Runs a plan once, one launch after the other; the plan's buffers then hold what it left there.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_once(&mut self, plan: &Plan, inputs: &[u8]) -> Result<()> {
        self.reserve(Memory::Inputs, inputs.len())?;
        self.reserve(Memory::Buffer(0), plan.bytes)?;
        self.context.bind_to_thread()?;
        self.send(inputs)?;
        self.run_eagerly(plan)
    }

    fn run_eagerly(&mut self, plan: &Plan) -> Result<()> {
        plan.launches.iter().try_for_each(|launch| self.launch(plan, launch, MAIN))?;
        if !self.products.keep_choices() {
            eprintln!("warning: no cache folder can be written (XDG_CACHE_HOME or HOME): a resumed run may round differently");
        }
        Ok(())
    }

    fn send(&mut self, inputs: &[u8]) -> Result<()> {
        // The driver refuses memory and copies of 0 bytes.
        if inputs.is_empty() {
            return Ok(());
        }
        let (address, has) = *self.memory.get(&Memory::Inputs).context("no inputs were reserved")?;
        ensure!(inputs.len() <= has, "{} bytes of inputs do not fit into {has}", inputs.len());
        if !self.upload.as_ref().is_some_and(|upload| upload.fits(inputs.len())) {
            self.main().synchronize()?;
            self.upload = None;
        }
        let main = self.main().clone();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(Upload::new(&self.context, has)?),
        };
        upload.send(inputs, address, &main)
    }

    /// Launches one thing on a branch.
    ///
    /// # Errors
    /// The driver or cuBLASLt refuses.
    pub fn launch(&mut self, plan: &Plan, launch: &Launch, branch: usize) -> Result<()> {
        let Self { memory, branches, products, functions, parts, .. } = self;
        let address = |place| address(memory, plan, place);
        let Branch { stream, workspace } = branches.get(branch).context("there are two branches")?;
        match launch {
            Launch::Product(product) => {
                let addresses = Addresses {
                    a: address(product.a.place),
                    b: address(product.b.place),
                    out: address(product.out.place),
                    bias: product.bias.map_or(0, address),
                    workspace: *workspace,
                };
                products.launch(product, addresses, stream)
            }
            Launch::Zero(place) => {
                // SAFETY: the plan keeps places inside their memory.
                Ok(unsafe { result::memset_d8_async(address(*place), 0, place.bytes, stream.cu_stream()) }?)
            }
            Launch::Mark(part) => match parts.get(*part) {
                // SAFETY: event and stream are alive. The flag makes it a part of the graph while one is captured.
                Some(event) => Ok(unsafe { record_external(event.cu_event(), stream.cu_stream()) }?),
                None => Ok(()),
            },
            Launch::Kernel { name, grid, threads, arguments } => {
                let mut words = pack(arguments, address);
                let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
                let function = *functions.get(name).with_context(|| format!("there is no kernel {name}"))?;
                let [x, y, z] = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
                let threads = (u32::try_from(*threads)?, 1, 1);
                // SAFETY: arguments are those of the kernel's declaration and stay inside the plan's memory; the tests run the same
                // plans with the same kernels on the CPU. The driver copies the arguments before it returns.
                unsafe { result::launch_kernel(function, (x, y, z), threads, 0, stream.cu_stream(), &mut pointers) }
                    .with_context(|| format!("kernel {name}"))
            }
        }
    }

    /// The stream of a branch.
    pub fn branch(&self, number: usize) -> Arc<CudaStream> {
        let [main, beside] = &self.branches;
        Arc::clone(if number == BESIDE { &beside.stream } else { &main.stream })
    }

    fn main(&self) -> &Arc<CudaStream> {
        let [main, _] = &self.branches;
        &main.stream
    }

    /// Takes the times at which parts of a plan end, of which it has at most so many.
    ///
    /// # Errors
    /// A failing GPU.
    pub fn time_parts(&mut self, parts: usize) -> Result<()> {
        self.plans.iter_mut().for_each(|known| known.graph = None);
        self.parts = (0..parts).map(|_| self.timer()).collect::<Result<_>>()?;
        Ok(())
    }

    /// Milliseconds between the ends of two parts of the last run, when it is done.
    ///
    /// # Errors
    /// Times are not taken, or a failing GPU.
    pub fn part_time(&self, from: usize, to: usize) -> Result<f64> {
        self.main().synchronize()?;
        let [from, to] = [from, to].map(|part| self.parts.get(part).context("times are not taken"));
        Ok(f64::from(from?.elapsed_ms(to?)?))
    }

    /// Notes a boundary between launches, for [`Self::intervals`].
    ///
    /// # Errors
    /// A failing GPU.
    pub fn boundary(&mut self) -> Result<()> {
        let event = self.timer()?;
        event.record(self.main())?;
        self.boundaries.push(event);
        Ok(())
    }

    /// Milliseconds between the boundaries noted since the last call, when all of them are reached.
    ///
    /// # Errors
    /// A failing GPU, maybe in something launched before.
    pub fn intervals(&mut self) -> Result<Vec<f64>> {
        let boundaries = std::mem::take(&mut self.boundaries);
        let pairs = boundaries.iter().zip(boundaries.iter().skip(1));
        pairs.map(|(from, to)| Ok(f64::from(from.elapsed_ms(to)?))).collect()
    }

    /// Bytes of the GPU's memory that are in use, those of other processes included.
    ///
    /// # Errors
    /// A failing GPU.
    pub fn memory_in_use(&self) -> Result<usize> {
        let (free, total) = self.context.mem_get_info()?;
        Ok(total - free)
    }

    fn timer(&self) -> Result<CudaEvent> {
        Ok(self.context.new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT))?)
    }
}

/// # Safety
/// Event and stream must be alive.
unsafe fn record_external(event: sys::CUevent, stream: sys::CUstream) -> Result<(), result::DriverError> {
    // SAFETY: the caller's.
    unsafe {
        let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        sys::cuStreamIsCapturing(stream, &raw mut status).result()?;
        // The flag is for captures only: it would make an ordinary record fail.
        let captures = status == sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE;
        let flag = if captures { sys::CUevent_record_flags::CU_EVENT_RECORD_EXTERNAL as u32 } else { 0 };
        sys::cuEventRecordWithFlags(event, stream, flag).result()
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

/// Where a place of a plan lies.
fn address(memory: &HashMap<Memory, (u64, usize)>, plan: &Plan, place: Place) -> u64 {
    let (piece, range) = plan.range(place);
    memory.get(&piece).map_or(0, |(start, _)| start + range.start as u64)
}

fn allocate(bytes: usize) -> Result<u64> {
    // SAFETY: the context is current on this thread; whoever reads the memory writes it first.
    let address = unsafe { result::malloc_sync(bytes) };
    address.with_context(|| format!("the GPU has no {:.1} GB left: use smaller batches (--train-batch-size)", bytes as f64 / 1e9))
}

fn free(address: u64) {
    // SAFETY: allocated by us and forgotten by its owner. A failure means that the context is gone, and the memory with it.
    let _ = unsafe { result::free_sync(address) };
}

impl Drop for GpuMachine {
    fn drop(&mut self) {
        let _ = self.context.bind_to_thread();
        let _ = self.context.synchronize();
        self.memory.drain().for_each(|(_, (address, _))| free(address));
        self.branches.iter().for_each(|branch| free(branch.workspace));
    }
}
