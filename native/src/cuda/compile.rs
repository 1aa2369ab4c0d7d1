//! NVRTC: CUDA source in, machine code (CUBIN) for one architecture out. Needs no GPU.

#![allow(unsafe_code, reason = "cudarc's safe wrapper stops at PTX, which the driver would have to compile once more")]

use std::ffi::{CStr, CString};

use anyhow::{Context, Result, bail, ensure};
use cudarc::nvrtc::{result, sys};

use super::libraries::libraries;

/// NVRTC's version, major and minor.
///
/// # Errors
/// It is missing.
pub fn version() -> Result<(i32, i32)> {
    ensure!(libraries().nvrtc.is_there(), "NVRTC is not there, which compiles kernels");
    let (mut major, mut minor) = (0, 0);
    // SAFETY: NVRTC writes two integers.
    unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result()?;
    Ok((major, minor))
}

/// Machine code of `source` for `architecture` (`sm_90a`), with these macros defined.
///
/// # Errors
/// NVRTC is missing or too old for the architecture; an error in the source, with the compiler's own messages.
pub fn compile(name: &str, source: &str, architecture: &str, macros: &[(&str, String)]) -> Result<Vec<u8>> {
    ensure!(libraries().nvrtc.is_there(), "NVRTC is not there, which compiles kernels");
    let (source, file) = (CString::new(source)?, CString::new(name)?);
    let program = Program(result::create_program(&source, Some(&file)).context("NVRTC does not start")?);
    let mut options = vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into()];
    options.extend(macros.iter().map(|(name, value)| format!("--define-macro={name}={value}")));
    // SAFETY: the program was made above and lives until the end of this function.
    let compiled = unsafe { result::compile_program(program.0, &options) };
    if let Err(error) = compiled {
        bail!("NVRTC cannot compile {name} for {architecture}: {error}: {}", program.log());
    }
    let mut size = 0;
    // SAFETY: NVRTC writes the size, and then as many bytes.
    unsafe { sys::nvrtcGetCUBINSize(program.0, &raw mut size) }.result()?;
    let mut code = vec![0_u8; size];
    // SAFETY: as above.
    unsafe { sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast()) }.result()?;
    Ok(code)
}

struct Program(sys::nvrtcProgram);

impl Program {
    /// The compiler's messages.
    fn log(&self) -> String {
        // SAFETY: the program has not been destroyed.
        let log = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|byte| byte.cast_unsigned()).collect();
        CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: nobody else has the program, and it is destroyed once.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}
