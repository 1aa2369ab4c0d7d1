//! What the GPU's matrix units reach at most: one large product, to which updates are compared.

use anyhow::{Context, Result};

use super::{
    kernels::Real,
    machine::GpuMachine,
    plan::{Launch, Memory, Plan, Product, Storage},
    record::{plain, transposed},
};

/// Rows and columns of the product for every multiprocessor, and limits: 8192 on an H200. In f32, far slower, a quarter.
const LARGE: usize = 64;
const LIMITS: (usize, usize) = (256, 8192);
/// Launches that are not timed, and that are.
const UNTIMED: usize = 10;
const TIMED: usize = 30;
/// Random values that operands are made of: of zeros a product is faster, because it needs less power.
const PATTERN: usize = 1 << 20;

/// 10¹² operations a second of a large product in the machine's precision, by the median time.
///
/// # Errors
/// Not enough memory, or a failing GPU.
pub fn ceiling(machine: &mut GpuMachine) -> Result<f64> {
    let real = machine.real();
    let large = (LARGE * machine.gpu().multiprocessors.max(1) as usize).next_power_of_two().clamp(LIMITS.0, LIMITS.1);
    let (size, bytes) = match real {
        Real::Bf16 => (large, 2),
        Real::F32 => (large / 4, 4),
    };
    let mut plan = Plan::default();
    let [a, b, out] = ["a", "b", "out"].map(|name| plan.buffer(name, bytes * size * size));
    plan.launches.push(Launch::Product(Product {
        m: size,
        n: size,
        k: size,
        a: plain(a, size),
        b: transposed(b, size),
        out: plain(out, size),
        storage: Storage::Real,
        bias: None,
        accumulate: false,
    }));
    plan.complete();
    machine.reserve(Memory::Buffer(0), plan.bytes)?;
    let mut random = fastrand::Rng::with_seed(1);
    let values: Vec<f32> = (0..PATTERN).map(|_| random.f32() - 0.5).collect();
    let pattern: Vec<u8> = match real {
        Real::Bf16 => bytemuck::cast_slice(&super::trainer::in_bf16(&values)).to_vec(),
        Real::F32 => bytemuck::cast_slice(&values).to_vec(),
    };
    for place in [a, b] {
        let (memory, range) = plan.range(place);
        for offset in range.clone().step_by(pattern.len()) {
            let part = pattern.get(..pattern.len().min(range.end - offset)).context("a part of the pattern")?;
            machine.write(memory, offset, part)?;
        }
    }
    (0..UNTIMED).try_for_each(|_| machine.run_once(&plan, &[]))?;
    machine.intervals()?;
    for _ in 0..TIMED {
        machine.boundary()?;
        machine.run_once(&plan, &[])?;
    }
    machine.boundary()?;
    let mut times = machine.intervals()?;
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().context("products were timed")?;
    Ok(2.0 * (size as f64).powi(3) / median / 1e9)
}
