//! A machine for the tests that runs plans on the CPU: the kernels themselves, compiled by a C++ compiler around `emulator.cpp`, and
//! plain loops for matrix products.

#![allow(unsafe_code, reason = "calls into the library that was just compiled")]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libloading::Library;

use super::{
    arguments::pack,
    kernels::{Real, Variant, names, source},
    plan::{Launch, Matrix, Memory, Place, Plan, Product, Storage},
    trainer::Machine,
};

type Entry = unsafe extern "C" fn(*const c_char, *const c_uint, c_uint, *mut *mut c_void) -> c_int;

/// Memory as aligned as a GPU's.
#[derive(Clone, Copy)]
#[repr(align(256))]
struct Line([u8; 256]);

/// Kernels and memory.
pub struct Emulator {
    library: Library,
    real: Real,
    memory: HashMap<Memory, Vec<Line>>,
}

impl Emulator {
    /// Compiles the kernels; nothing if there is no C++ compiler.
    pub fn new(variant: Variant) -> Option<Self> {
        if Command::new("g++").arg("--version").output().is_err() {
            println!("skipped: needs g++ to run the kernels on the CPU");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let [program, library] = ["kernels.cpp", "kernels.so"].map(|name| folder.path().join(name));
        let kernels = source();
        let table: String = names().map(|name| format!("    {{\"{name}\", Call<{name}>::call}},\n")).collect();
        let find = "static const Known *find(const char *name) {\n    for (const Known &known : table) if (!strcmp(known.name, name)) return &known;\n    return nullptr;\n}\n";
        let text = format!("{}{kernels}static const Known table[] = {{\n{table}}};\n{find}", include_str!("emulator.cpp"));
        fs::write(&program, text).unwrap();
        let mut compiler = Command::new("g++");
        compiler.args(["-std=c++17", "-O1", "-w", "-ffp-contract=off", "-fPIC", "-shared"]).arg(&program).arg("-o").arg(&library);
        compiler.args(variant.macros().map(|(name, value)| format!("-D{name}={value}")));
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // SAFETY: the library has nothing but the kernels and the emulator.
        let library = unsafe { Library::new(&library) }.unwrap();
        Some(Self { library, real: variant.real, memory: HashMap::new() })
    }

    fn address(&self, plan: &Plan, place: Place) -> u64 {
        let (memory, offset) = match place.memory {
            Memory::Buffer(buffer) => (Memory::Buffer(0), plan.offset(buffer)),
            other => (other, 0),
        };
        let start = self.memory.get(&memory).unwrap_or_else(|| panic!("{memory:?} was not reserved"));
        let at = offset + place.offset;
        assert!(at <= start.len() * 256, "{place:?} lies outside its memory");
        start.as_ptr() as u64 + at as u64
    }

    fn value(&self, start: u64, at: usize, storage: Storage) -> f32 {
        // SAFETY: plans stay inside their memory, which the address was made from.
        match (storage, self.real) {
            (Storage::Real, Real::Bf16) => half::bf16::from_bits(unsafe { *(start as *const u16).add(at) }).to_f32(),
            _ => unsafe { *(start as *const f32).add(at) },
        }
    }

    fn set(&self, start: u64, at: usize, storage: Storage, value: f32) {
        // SAFETY: as above; nobody else has the memory while a plan runs.
        match (storage, self.real) {
            (Storage::Real, Real::Bf16) => unsafe { *(start as *mut u16).add(at) = half::bf16::from_f32(value).to_bits() },
            _ => unsafe { *(start as *mut f32).add(at) = value },
        }
    }

    fn product(&self, plan: &Plan, product: &Product) {
        let Product { m, n, k, a, b, out, storage, bias, accumulate } = product;
        let [first, second, result] = [a, b, out].map(|matrix| self.address(plan, matrix.place));
        let bias = bias.map(|bias| self.address(plan, bias));
        let at = |matrix: &Matrix, row: usize, column: usize| match matrix.transposed {
            true => column * matrix.stride + row,
            false => row * matrix.stride + column,
        };
        for row in 0..*m {
            for column in 0..*n {
                let mut sum = bias.map_or(0.0, |bias| self.value(bias, column, Storage::Real));
                if *accumulate {
                    sum += self.value(result, at(out, row, column), *storage);
                }
                for inner in 0..*k {
                    sum += self.value(first, at(a, row, inner), Storage::Real)
                        * self.value(second, at(b, inner, column), Storage::Real);
                }
                self.set(result, at(out, row, column), *storage, sum);
            }
        }
    }
}

impl Machine for Emulator {
    fn reserve(&mut self, memory: Memory, bytes: usize) -> Result<()> {
        let lines = self.memory.entry(memory).or_default();
        if lines.len() * 256 < bytes {
            // A buffer that is read before it is written shows: 0xff is no number in every type.
            let fresh = if matches!(memory, Memory::Buffer(_)) { 0xff } else { 0 };
            *lines = vec![Line([fresh; 256]); bytes.div_ceil(256)];
        }
        Ok(())
    }

    fn write(&mut self, memory: Memory, bytes: &[u8]) -> Result<()> {
        let lines = self.memory.get_mut(&memory).context("not reserved")?;
        ensure!(bytes.len() <= lines.len() * 256, "too long");
        for (line, bytes) in lines.iter_mut().zip(bytes.chunks(256)) {
            line.0[..bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn read(&self, memory: Memory, bytes: &mut [u8]) -> Result<()> {
        let lines = self.memory.get(&memory).context("not reserved")?;
        for (line, bytes) in lines.iter().zip(bytes.chunks_mut(256)) {
            bytes.copy_from_slice(&line.0[..bytes.len()]);
        }
        Ok(())
    }

    fn run(&mut self, plan: &Plan) -> Result<()> {
        // SAFETY: the signature is that of `launch` in emulator.cpp.
        let entry = unsafe { self.library.get::<Entry>(b"launch\0") }?;
        for launch in &plan.launches {
            match launch {
                Launch::Product(product) => self.product(plan, product),
                Launch::Zero { place, bytes } => {
                    // SAFETY: the place is inside its memory.
                    unsafe { std::ptr::write_bytes(self.address(plan, *place) as *mut u8, 0, *bytes) }
                }
                Launch::Kernel { name, grid, threads, arguments } => {
                    let mut words = pack(arguments, |place| self.address(plan, place));
                    let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
                    let (name, grid) = (CString::new(*name)?, grid.map(|blocks| blocks as c_uint));
                    // SAFETY: kernels stay inside the memory that the plan gives them.
                    let known = unsafe { entry(name.as_ptr(), grid.as_ptr(), *threads as c_uint, pointers.as_mut_ptr()) };
                    ensure!(known == 1, "no kernel {name:?}");
                }
            }
        }
        Ok(())
    }
}
