//! The device: asked for with what its adapter allows, and told how to report what goes wrong.

use std::sync::{Arc, Mutex};

use super::{
    faults::Faults,
    memory::{Memory, Storage, Writer, lock, owned, pooled},
    recorder::Recorder,
};
use crate::{Error, Result};

/// How a GPU is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Bind at most this many bytes at once, even where more is allowed: with 0, as many as allowed. For tests of large models on small
    /// ones.
    pub largest_binding: u64,
    /// Compute wrongly: attention sees padding. For tests of the self-test and of what follows from it.
    pub broken: bool,
}

/// A device and everything on it.
#[derive(Debug)]
pub struct Gpu {
    /// Commands and buffers are made by it.
    pub device: wgpu::Device,
    /// Takes commands.
    pub queue: wgpu::Queue,
    /// What it reported.
    pub faults: Arc<Faults>,
    /// Its buffers.
    pub memory: Arc<Mutex<Memory>>,
    /// Commands that are not submitted yet.
    pub recorder: Mutex<Recorder>,
    /// Bytes that can be bound at once.
    pub largest_binding: u64,
    /// For people.
    pub name: String,
}

impl Gpu {
    /// Opens the fastest GPU there is.
    pub async fn open(options: Options) -> Result<Self> {
        // Nothing that a debug build would add: Vulkan's own validation layers find nothing in what wgpu has validated.
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let wanted =
            wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
        let adapter = instance.request_adapter(&wanted).await.map_err(|error| Error::NoGpu(error.to_string()))?;
        let there = adapter.limits();
        let required_limits = wgpu::Limits {
            max_buffer_size: there.max_buffer_size,
            max_storage_buffer_binding_size: there.max_storage_buffer_binding_size,
            ..wgpu::Limits::defaults()
        };
        let descriptor =
            wgpu::DeviceDescriptor { required_limits, memory_hints: wgpu::MemoryHints::MemoryUsage, ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| Error::NoGpu(error.to_string()))?;
        let faults = Arc::new(Faults::default());
        let (reported, lost) = (Arc::clone(&faults), Arc::clone(&faults));
        device.on_uncaptured_error(Arc::new(move |error| reported.report(&error)));
        device.set_device_lost_callback(move |reason, message| lost.lose(&format!("{reason:?} {message}")));
        let allowed = there.max_storage_buffer_binding_size.min(there.max_buffer_size);
        let info = adapter.get_info();
        Ok(Self {
            recorder: Mutex::new(Recorder::new(&device, options.broken)),
            device,
            queue,
            faults,
            memory: Arc::default(),
            largest_binding: if options.largest_binding == 0 { allowed } else { allowed.min(options.largest_binding) },
            name: format!("{} ({})", if info.name.is_empty() { &info.driver } else { &info.name }, info.backend),
        })
    }

    /// What was reported since the last call. Commands that are not submitted are then thrown away: they may contain what is not valid.
    ///
    /// # Errors
    /// See [`Faults::check`].
    pub fn check(&self) -> Result<()> {
        self.faults.check().inspect_err(|_| {
            lock(&self.recorder).clear();
            let mut memory = lock(&self.memory);
            memory.submitted();
            memory.distrust();
        })
    }

    /// A buffer for a result, or for what the host brings.
    pub fn result(&self, what: &str, bytes: usize, writer: Writer) -> Result<Storage> {
        self.check()?;
        let needed = bytes as u64;
        if needed > self.largest_binding {
            return Err(self.too_large(what, needed, "use a smaller batch or shorter texts"));
        }
        Ok(pooled(&self.memory, &self.device, needed, writer))
    }

    /// The error of something that cannot be bound.
    pub fn too_large(&self, what: &str, needed: u64, fix: &'static str) -> Error {
        let (what, limit) = (what.to_owned(), "maxStorageBufferBindingSize");
        Error::Limit { what, limit, needed, allowed: self.largest_binding, fix }
    }

    /// A buffer for (a part of) a weight.
    pub fn weight(&self, bytes: u64) -> Result<Storage> {
        let storage = owned(&self.memory, &self.device, bytes);
        self.check()?;
        Ok(storage)
    }

    /// A buffer with what the host brings.
    pub fn upload(&self, what: &str, bytes: &[u8]) -> Result<Storage> {
        let storage = self.result(what, bytes.len(), Writer::Host)?;
        self.queue.write_buffer(storage.buffer(), 0, bytes);
        Ok(storage)
    }
}

impl Drop for Gpu {
    /// A browser would keep the device until its handle is collected.
    fn drop(&mut self) {
        self.device.destroy();
    }
}
