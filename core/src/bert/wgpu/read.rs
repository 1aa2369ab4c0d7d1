//! Values on their way back to the host: the only wait. Natively it is the thread that waits, in a browser the promise.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::{gpu::Gpu, memory::lock, tensor::Tensor};
use crate::{Error, Result};

impl Gpu {
    /// Submits what is recorded and brings a tensor's values back.
    ///
    /// # Errors
    /// What the GPU reported, up to the end of all that was recorded.
    pub async fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        self.check()?;
        let bytes = (tensor.rows * tensor.width * 4) as u64;
        let staging = Staging(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }));
        self.submit(Some((tensor.storage()?.buffer(), &staging.0, bytes)));
        // An error by now, as of memory, leaves a buffer that cannot be mapped.
        self.check()?;
        let mapping = Mapping::default();
        let done = mapping.clone();
        staging.0.map_async(wgpu::MapMode::Read, .., move |outcome| done.finish(outcome.is_ok()));
        let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        waited.map_err(|error| Error::Backend(error.to_string()))?;
        let mapped = mapping.await;
        self.check()?;
        if !mapped {
            return Err(Error::Backend("results could not be read back from the GPU".into()));
        }
        let view = staging.0.get_mapped_range(..).map_err(|error| Error::Backend(error.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}

/// A buffer that the host reads, freed at once when it was read.
struct Staging(wgpu::Buffer);

impl Drop for Staging {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

/// Completes when the callback of `map_async` has been called.
#[derive(Debug, Clone, Default)]
struct Mapping(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<bool>,
    waker: Option<Waker>,
}

impl Mapping {
    fn finish(&self, outcome: bool) {
        let mut state = lock(&self.0);
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Mapping {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = lock(&self.0);
        match state.outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
