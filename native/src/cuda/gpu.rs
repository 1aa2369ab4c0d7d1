//! The GPUs of this machine.

#![allow(unsafe_code, reason = "questions to the driver")]

use anyhow::{Context, Result, ensure};
use cudarc::driver::{
    result,
    sys::{self, CUdevice_attribute_enum as Attribute},
};
use serde::Serialize;

use super::libraries::libraries;

/// Oldest compute capability with matrix products in bf16.
const OLDEST: (i32, i32) = (8, 0);
/// Oldest CUDA whose driver has every function that is called: `cuEventElapsedTime_v2` came last. cudarc panics where one is missing.
const OLDEST_DRIVER: (i32, i32) = (12, 8);

/// Facts about a GPU.
#[derive(Debug, Clone, Serialize)]
pub struct Gpu {
    /// Its number, as in `cuda:N`.
    pub number: usize,
    /// The driver's name for it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Its memory in bytes.
    pub memory: usize,
    /// Streaming multiprocessors.
    pub multiprocessors: i32,
    /// Newest CUDA that the driver knows, major and minor.
    pub driver_cuda: (i32, i32),
}

/// All GPUs that the driver shows to this process.
///
/// # Errors
/// No driver, or one that does not work.
pub fn gpus() -> Result<Vec<Gpu>> {
    let libraries = libraries();
    ensure!(libraries.driver.is_there(), "{}", libraries.missing().swap_remove(0));
    let broken = "NVIDIA's driver is there but does not start: see what nvidia-smi says";
    result::init().context(broken)?;
    let mut version = 0;
    // SAFETY: the driver writes one integer.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().context(broken)?;
    let count = result::device::get_count().context(broken)?;
    ensure!(count > 0, "NVIDIA's driver shows no GPU: see what nvidia-smi and CUDA_VISIBLE_DEVICES say");
    (0..count).map(|number| describe(number, version)).collect()
}

fn describe(number: i32, version: i32) -> Result<Gpu> {
    let device = result::device::get(number)?;
    // SAFETY: `device` was just given to us by the driver.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) };
    Ok(Gpu {
        number: usize::try_from(number)?,
        name: result::device::get_name(device)?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        driver_cuda: (version / 1000, version % 1000 / 10),
    })
}

impl Gpu {
    /// What NVRTC calls the architecture.
    pub fn architecture(&self) -> String {
        let (major, minor) = self.capability;
        format!("sm_{major}{minor}")
    }

    /// Whether kernels can run here.
    ///
    /// # Errors
    /// It or its driver is too old.
    pub fn check(&self) -> Result<()> {
        let ((major, minor), (oldest, _)) = (self.capability, OLDEST);
        ensure!(
            self.capability >= OLDEST,
            "{} has compute capability {major}.{minor}; {oldest}.0 (Ampere) or later is needed, for bf16",
            self.name
        );
        let ((major, minor), (oldest, oldest_minor)) = (self.driver_cuda, OLDEST_DRIVER);
        ensure!(
            self.driver_cuda >= OLDEST_DRIVER,
            "the driver of the {} knows CUDA {major}.{minor}; one that knows {oldest}.{oldest_minor} is needed (570 or later)",
            self.name
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_and_a_driver_that_are_too_old_are_told() {
        let gpu = |capability, driver_cuda| Gpu {
            number: 0,
            name: "GPU".into(),
            capability,
            memory: 1,
            multiprocessors: 1,
            driver_cuda,
        };
        assert!(gpu((8, 0), (12, 8)).check().is_ok() && gpu((12, 1), (13, 0)).check().is_ok());
        for (old, expected) in [(gpu((7, 5), (13, 0)), "compute capability 7.5"), (gpu((9, 0), (12, 4)), "knows CUDA 12.4")] {
            let told = old.check().unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }
}
