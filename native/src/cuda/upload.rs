//! Inputs on their way to the GPU: pinned memory on the host and a place on the GPU, both twice and used in turns, so that the next batch
//! is copied while an update is still under way.

#![allow(unsafe_code, reason = "pinned memory, and copies that do not wait")]

use std::ptr::copy_nonoverlapping;
use std::slice;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, result};

/// Two places for inputs of the same size.
#[derive(Debug)]
pub struct Upload {
    stream: Arc<CudaStream>,
    slots: [Slot; 2],
    bytes: usize,
    next: usize,
}

#[derive(Debug)]
struct Slot {
    /// Pinned memory.
    host: *mut u8,
    /// Memory of the GPU.
    device: u64,
    /// The copy from the host is done.
    arrived: CudaEvent,
    /// The copy to the inputs' own place is done.
    taken: CudaEvent,
}

impl Upload {
    /// Makes room for inputs of at most so many bytes.
    ///
    /// # Errors
    /// No memory.
    pub fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self> {
        Ok(Self {
            stream: context.new_stream()?,
            slots: [Slot::new(context, bytes)?, Slot::new(context, bytes)?],
            bytes,
            next: 0,
        })
    }

    /// Whether inputs of this size fit.
    pub fn fits(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }

    /// Puts inputs at their own place, `to`, in the order of `branch`; returns before they are there, and waits only for the inputs
    /// before the last.
    ///
    /// # Errors
    /// More bytes than fit, or a failing GPU, maybe in something before.
    pub fn send(&mut self, inputs: &[u8], to: u64, branch: &CudaStream) -> Result<()> {
        ensure!(inputs.len() <= self.bytes, "{} bytes of inputs do not fit into {}", inputs.len(), self.bytes);
        let slot = self.slots.get(self.next).context("there are two slots")?;
        self.next = 1 - self.next;
        slot.arrived.synchronize()?;
        // SAFETY: the slot is as long, and nobody reads it: its last copy has arrived.
        let pinned = unsafe {
            copy_nonoverlapping(inputs.as_ptr(), slot.host, inputs.len());
            slice::from_raw_parts(slot.host, inputs.len())
        };
        self.stream.wait(&slot.taken)?;
        // SAFETY: both are as long; the pinned memory is not written before the copy has arrived.
        unsafe { result::memcpy_htod_async(slot.device, pinned, self.stream.cu_stream()) }?;
        slot.arrived.record(&self.stream)?;
        branch.wait(&slot.arrived)?;
        // SAFETY: both are as long; in the branch's order nobody reads the inputs' place any more.
        unsafe { result::memcpy_dtod_async(to, slot.device, inputs.len(), branch.cu_stream()) }?;
        Ok(slot.taken.record(branch)?)
    }
}

impl Slot {
    fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self> {
        let (arrived, taken) = (context.new_event(None)?, context.new_event(None)?);
        // SAFETY: the context is current; the memory is written before it is read.
        let host = unsafe { result::malloc_host(bytes, 0) }.context("no pinned memory is left for batches")?;
        // SAFETY: as above.
        let device = unsafe { result::malloc_sync(bytes) }.context("the GPU has no memory left for batches")?;
        Ok(Self { host: host.cast(), device, arrived, taken })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: allocated above and freed once. Both calls wait for copies under way; a failure means that the context is gone.
        unsafe {
            let _ = result::free_sync(self.device);
            let _ = result::free_host(self.host.cast());
        }
    }
}
