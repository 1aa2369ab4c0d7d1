//! How long a text takes on the GPU that is there: `cargo run --example wgpu_time -- mini|base TOKENS f32|f16|int8 [RUNS]`.
//!
//! On software Vulkan the driver does all the work, so a debug build measures as well as any. Another driver: `VK_DRIVER_FILES=…/icd.json`.

use std::time::Instant;

use clinicalbert_core::bert::{Batch, Config, Encoding, Model, Wgpu, WgpuOptions, initialize};
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |place: usize, default: &'static str| arguments.get(place).map_or(default, String::as_str);
    let config = match argument(0, "mini") {
        "mini" => Config {
            hidden_size: 256,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            intermediate_size: 1024,
            ..Config::default()
        },
        _ => Config::default(),
    };
    let tokens: u32 = argument(1, "118").parse()?;
    let encoding = match argument(2, "f32") {
        "f16" => Encoding::F16,
        "int8" => Encoding::Int8,
        _ => Encoding::F32,
    };
    let runs: usize = argument(3, "5").parse()?;
    let gpu = block_on(Wgpu::open(WgpuOptions::default()))?;
    let tensors = initialize(&config, 1);
    let start = Instant::now();
    let model = Model::encoded(gpu.clone(), &config, &tensors, encoding)?;
    println!("{}: weights in {:.0} ms", gpu.name(), start.elapsed().as_secs_f64() * 1e3);
    let ids: Vec<u32> = (0..tokens).map(|place| 1000 + place * 37 % 20_000).collect();
    let batch = Batch::from_rows([(ids.as_slice(), vec![0; ids.len()].as_slice())])?;
    for run in 0..=runs {
        let start = Instant::now();
        block_on(model.last_hidden_state(&batch))?;
        let what = if run == 0 { "first" } else { "then" };
        println!("{what} {:.1} ms, {} MiB on the GPU", start.elapsed().as_secs_f64() * 1e3, gpu.bytes() >> 20);
    }
    Ok(())
}
