//! Commands that wait for their submission: a batch is one submission, unless it is so large that a slow GPU would seem to hang.

use std::collections::HashMap;

use super::{
    gpu::Gpu,
    kernel::Kernel,
    memory::{Storage, lock},
};
use crate::{Error, Result};

/// Workgroups of a dispatch along one dimension, WebGPU's default.
const MOST_GROUPS: u64 = 65_535;
/// Bytes between the shapes of two dispatches: the largest `minUniformBufferOffsetAlignment` there is.
const SHAPE_STRIDE: usize = 256;
/// Bytes of a shape that a kernel sees: at most eight numbers.
const SHAPE_BYTES: u64 = 32;
/// Dispatches of a submission.
const MOST_DISPATCHES: usize = 1024;
/// Multiplications of a submission: six sequences of 128 tokens through BERT-base, half a second on a slow GPU. Windows takes a GPU
/// away from a program after two.
const MOST_WORK: u64 = 1 << 36;

/// One run of a kernel.
#[derive(Debug)]
pub struct Dispatch<'a> {
    /// Which.
    pub kernel: Kernel,
    /// What it reads, in the order of its bindings.
    pub inputs: &'a [&'a Storage],
    /// What it writes.
    pub result: &'a Storage,
    /// Its uniform; of floats, their bits.
    pub shape: &'a [u32],
    /// Workgroups.
    pub groups: [u64; 3],
    /// Multiplications, roughly.
    pub work: u64,
}

/// Commands, and what they are made of.
#[derive(Debug)]
pub struct Recorder {
    broken: bool,
    uniforms: wgpu::Buffer,
    pipelines: HashMap<Kernel, Pipeline>,
    /// By kernel and buffers.
    bindings: HashMap<(Kernel, Vec<u64>), wgpu::BindGroup>,
    commands: Vec<Command>,
    shapes: Vec<u8>,
    work: u64,
}

#[derive(Debug)]
struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

#[derive(Debug)]
struct Command {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
}

/// A grid of at least this many workgroups, of as few rows as fit.
pub const fn folded(groups: u64) -> [u64; 3] {
    let rows = if groups == 0 { 1 } else { groups.div_ceil(MOST_GROUPS) };
    [groups.div_ceil(rows), rows, 1]
}

impl Gpu {
    /// Records a run of a kernel.
    ///
    /// # Errors
    /// What the GPU reported meanwhile; [`Error::Limit`] if it would be too many workgroups.
    pub fn dispatch(&self, dispatch: &Dispatch<'_>) -> Result<()> {
        self.check()?;
        let mut groups = [1_u32; 3];
        for (group, wanted) in groups.iter_mut().zip(dispatch.groups) {
            *group = u32::try_from(wanted).ok().filter(|groups| u64::from(*groups) <= MOST_GROUPS).ok_or(Error::Limit {
                what: "the batch".to_owned(),
                limit: "maxComputeWorkgroupsPerDimension",
                needed: wanted,
                allowed: MOST_GROUPS,
                fix: "use a smaller batch",
            })?;
        }
        let gone = lock(&self.memory).take_gone();
        let mut recorder = lock(&self.recorder);
        recorder.forget(&gone);
        recorder.record(&self.device, dispatch, groups);
        lock(&self.memory).record();
        let full = recorder.commands.len() == MOST_DISPATCHES || recorder.work >= MOST_WORK;
        drop(recorder);
        if full {
            self.submit(None);
        }
        Ok(())
    }

    /// Submits what is recorded, and then a copy from one buffer to another.
    pub fn submit(&self, copy: Option<(&wgpu::Buffer, &wgpu::Buffer, u64)>) {
        let mut recorder = lock(&self.recorder);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if !recorder.commands.is_empty() {
            self.queue.write_buffer(&recorder.uniforms, 0, &recorder.shapes);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (offset, command) in (0..).step_by(SHAPE_STRIDE).zip(&recorder.commands) {
                let [x, y, z] = command.groups;
                pass.set_pipeline(&command.pipeline);
                pass.set_bind_group(0, &command.bindings, &[offset]);
                pass.dispatch_workgroups(x, y, z);
            }
        }
        if let Some((from, to, bytes)) = copy {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
        }
        self.queue.submit([encoder.finish()]);
        recorder.clear();
        lock(&self.memory).submitted();
    }
}

impl Recorder {
    /// Nothing recorded, nothing compiled.
    pub fn new(device: &wgpu::Device, broken: bool) -> Self {
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: (MOST_DISPATCHES * SHAPE_STRIDE) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let (pipelines, bindings) = (HashMap::new(), HashMap::new());
        Self { broken, uniforms, pipelines, bindings, commands: Vec::new(), shapes: Vec::new(), work: 0 }
    }

    /// Throws away what is not submitted.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.shapes.clear();
        self.work = 0;
    }

    /// Bind groups made so far.
    #[cfg(test)]
    pub fn bindings(&self) -> usize {
        self.bindings.len()
    }

    fn forget(&mut self, gone: &[u64]) {
        if !gone.is_empty() {
            self.bindings.retain(|(_, buffers), _| !buffers.iter().any(|buffer| gone.contains(buffer)));
        }
    }

    fn record(&mut self, device: &wgpu::Device, dispatch: &Dispatch<'_>, groups: [u32; 3]) {
        let Self { broken, uniforms, pipelines, bindings, .. } = self;
        let kernel = dispatch.kernel;
        let pipeline = pipelines.entry(kernel).or_insert_with(|| Pipeline::new(device, kernel, *broken));
        let storages = || dispatch.inputs.iter().copied().chain([dispatch.result]);
        let buffers = storages().map(Storage::id).collect();
        let bindings = bindings.entry((kernel, buffers)).or_insert_with(|| {
            let uniform = wgpu::BufferBinding { buffer: uniforms, offset: 0, size: wgpu::BufferSize::new(SHAPE_BYTES) };
            let resources = storages().map(|storage| storage.buffer().as_entire_binding());
            let resources = resources.chain([wgpu::BindingResource::Buffer(uniform)]);
            let entries: Vec<_> =
                (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries })
        });
        self.commands.push(Command { pipeline: pipeline.pipeline.clone(), bindings: bindings.clone(), groups });
        self.shapes.extend(dispatch.shape.iter().flat_map(|value| value.to_le_bytes()));
        self.shapes.resize(self.commands.len() * SHAPE_STRIDE, 0);
        self.work = self.work.saturating_add(dispatch.work);
    }
}

impl Pipeline {
    fn new(device: &wgpu::Device, kernel: Kernel, broken: bool) -> Self {
        let buffer = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let inputs = kernel.inputs();
        let mut entries: Vec<_> = (0..inputs).map(|binding| buffer(binding, storage(true), false)).collect();
        entries.push(buffer(inputs, storage(false), false));
        entries.push(buffer(inputs + 1, wgpu::BufferBindingType::Uniform, true));
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let label = format!("{kernel:?}");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(kernel.source(broken).into()),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        Self { pipeline, layout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_folded_where_one_dimension_is_too_short() {
        assert_eq!([0, 1, 65_535].map(folded), [[0, 1, 1], [1, 1, 1], [65_535, 1, 1]]);
        for groups in [65_536, 131_071, 10_000_000] {
            let [x, y, z] = folded(groups);
            assert!(x <= MOST_GROUPS && y <= MOST_GROUPS && x * y * z >= groups && x * (y - 1) < groups, "{groups}");
        }
    }
}
