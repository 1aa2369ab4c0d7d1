//! The GPU's buffers. A result's buffer goes back to a pool when its last handle is dropped, so batches of one shape meet the same
//! buffers again, and with them the same bind groups.
//!
//! Commands run in the order in which they are recorded, so a result may reuse a buffer that recorded commands still read. What the host
//! writes arrives before everything that is recorded but not submitted, so the host may not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches after which a buffer that nobody used is given back to the GPU.
const IDLE_BATCHES: u64 = 2;

/// What the host writes is copied, and the copies are kept until the next submission: after so many bytes of weights there is one.
const SUBMIT_AFTER: u64 = 16 << 20;

/// A buffer in use.
#[derive(Debug)]
pub struct Storage {
    id: u64,
    buffer: wgpu::Buffer,
    pooled: bool,
    age: u64,
    home: Arc<Mutex<Memory>>,
}

impl Storage {
    /// Never used again, unlike the buffer's address.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The buffer; of results it can be longer than what is in it.
    pub const fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let mut memory = lock(&self.home);
        // What was made before an error may be no valid buffer.
        if self.pooled && self.age == memory.age {
            let free = Free { buffer: self.buffer.clone(), settled: memory.next_settled(), batch: memory.batches };
            memory.free.entry(self.buffer.size()).or_default().insert(self.id, free);
        } else {
            memory.release(self.id, self.buffer.clone());
        }
    }
}

/// Who will write to a buffer first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A recorded command.
    Kernel,
    /// The host.
    Host,
}

#[derive(Debug)]
struct Free {
    buffer: wgpu::Buffer,
    /// Submission after which no recorded command needs it any more.
    settled: u64,
    /// Batch in which it was last used.
    batch: u64,
}

/// All buffers of a GPU.
#[derive(Debug, Default)]
pub struct Memory {
    /// By size and then by number: always the lowest is taken, so equal batches take equal buffers.
    free: BTreeMap<u64, BTreeMap<u64, Free>>,
    /// Dropped while recorded commands still needed them.
    doomed: Vec<wgpu::Buffer>,
    /// Buffers that are gone and that bind groups may still name.
    gone: Vec<u64>,
    made: u64,
    bytes: u64,
    /// Written since the last submission for it.
    written: u64,
    submissions: u64,
    batches: u64,
    /// Whether commands are recorded and not submitted.
    recorded: bool,
    /// Grows with every error.
    age: u64,
}

/// Locks; a panic elsewhere cannot leave these values half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer for a result of `bytes`.
pub fn pooled(home: &Arc<Mutex<Memory>>, device: &wgpu::Device, bytes: u64, writer: Writer) -> Storage {
    let mut memory = lock(home);
    let size = rounded(bytes);
    let (id, buffer) = memory.take(size, writer).unwrap_or_else(|| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        memory.make(device, size, usage)
    });
    let age = memory.age;
    drop(memory);
    Storage { id, buffer, pooled: true, age, home: Arc::clone(home) }
}

/// A buffer of its own for a weight.
pub fn owned(home: &Arc<Mutex<Memory>>, device: &wgpu::Device, bytes: u64) -> Storage {
    let mut memory = lock(home);
    let (id, buffer) =
        memory.make(device, bytes.next_multiple_of(16), wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    let age = memory.age;
    drop(memory);
    Storage { id, buffer, pooled: false, age, home: Arc::clone(home) }
}

/// Up to an eighth more, so that batches of nearly one length share buffers.
pub const fn rounded(bytes: u64) -> u64 {
    let bytes = if bytes < 256 { 256 } else { bytes };
    bytes.next_multiple_of(1 << (bytes.ilog2() - 3))
}

impl Memory {
    /// Bytes of all buffers, those in the pool included.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The host wrote a part of a weight. Tells whether it is time for a submission.
    pub const fn wrote(&mut self, bytes: u64) -> bool {
        self.written += bytes;
        let due = self.written >= SUBMIT_AFTER;
        if due {
            self.written = 0;
        }
        due
    }

    /// Commands were recorded.
    pub const fn record(&mut self) {
        self.recorded = true;
    }

    /// All recorded commands were submitted, or thrown away.
    pub fn submitted(&mut self) {
        self.submissions += 1;
        self.recorded = false;
        self.doomed.drain(..).for_each(|buffer| buffer.destroy());
    }

    /// A batch begins: buffers that the last ones had no use for are given back.
    pub fn begin_batch(&mut self) {
        self.batches += 1;
        let batches = self.batches;
        self.release_free(|free| free.batch + IDLE_BATCHES < batches);
    }

    /// After an error no buffer in the pool, and none in use, can be trusted to be valid.
    pub fn distrust(&mut self) {
        self.age += 1;
        self.release_free(|_| true);
    }

    /// Numbers of the buffers that have gone since the last call.
    pub fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }

    fn next_settled(&self) -> u64 {
        self.submissions + u64::from(self.recorded)
    }

    fn take(&mut self, size: u64, writer: Writer) -> Option<(u64, wgpu::Buffer)> {
        let free = self.free.get_mut(&size)?;
        let usable = |free: &Free| writer == Writer::Kernel || free.settled <= self.submissions;
        let id = free.iter().find(|(_, free)| usable(free)).map(|(id, _)| *id)?;
        free.remove(&id).map(|free| (id, free.buffer))
    }

    fn make(&mut self, device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> (u64, wgpu::Buffer) {
        self.made += 1;
        self.bytes += size;
        (self.made, device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false }))
    }

    fn release_free(&mut self, unwanted: impl Fn(&Free) -> bool) {
        let mut released = Vec::new();
        for free in self.free.values_mut() {
            released.extend(free.extract_if(.., |_, free| unwanted(free)));
        }
        released.into_iter().for_each(|(id, free)| self.release(id, free.buffer));
    }

    /// A browser frees a buffer when its handle is collected, which can take long; destroyed, it is free at once.
    fn release(&mut self, id: u64, buffer: wgpu::Buffer) {
        self.gone.push(id);
        self.bytes -= buffer.size();
        if self.recorded {
            self.doomed.push(buffer);
        } else {
            buffer.destroy();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_at_most_an_eighth() {
        assert_eq!([1, 256, 257, 300, 1 << 20].map(rounded), [256, 256, 288, 320, 1 << 20]);
        for bytes in (256..100_000).step_by(97) {
            let size = rounded(bytes);
            assert!(size >= bytes && size <= bytes + bytes / 8 && size.is_multiple_of(32), "{bytes} {size}");
            assert_eq!(rounded(size), size);
        }
    }
}
