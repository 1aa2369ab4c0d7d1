//! What a GPU reports outside of any call: it becomes the error of the next call.

use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Faults that nobody has been told of yet.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Why the device is gone; for good.
    lost: Option<String>,
    /// The first error since the last call. Those after it mostly follow from it.
    error: Option<Error>,
}

impl Faults {
    /// The device is gone.
    pub fn lose(&self, reason: &str) {
        self.lock().lost.get_or_insert_with(|| reason.to_owned());
    }

    /// An operation failed.
    pub fn report(&self, error: &wgpu::Error) {
        let error = match error {
            wgpu::Error::OutOfMemory { source } => Error::OutOfMemory(source.to_string()),
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Error::Backend(description.clone())
            }
        };
        self.lock().error.get_or_insert(error);
    }

    /// # Errors
    /// What was reported since the last call; again and again if the device is gone.
    pub fn check(&self) -> Result<()> {
        let mut told = self.lock();
        if let Some(reason) = &told.lost {
            return Err(Error::DeviceLost(reason.clone()));
        }
        told.error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(description: &str) -> wgpu::Error {
        wgpu::Error::Validation { source: description.into(), description: description.into() }
    }

    #[test]
    fn the_first_error_is_told_once_and_a_lost_device_always() {
        let faults = Faults::default();
        faults.check().unwrap();
        faults.report(&invalid("first"));
        faults.report(&invalid("second"));
        assert!(matches!(faults.check(), Err(Error::Backend(text)) if text == "first"));
        faults.check().unwrap();
        faults.report(&wgpu::Error::OutOfMemory { source: "heap".into() });
        assert!(matches!(faults.check(), Err(Error::OutOfMemory(_))));
        faults.lose("driver update");
        faults.lose("destroyed");
        for _ in 0..2 {
            assert!(matches!(faults.check(), Err(Error::DeviceLost(reason)) if reason == "driver update"));
        }
    }
}
