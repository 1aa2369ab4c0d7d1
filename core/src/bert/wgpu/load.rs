//! Weights on their way to the GPU: written to their final place as they come, in the bytes that they come in.

use super::{
    Wgpu,
    gpu::Gpu,
    memory::lock,
    operations::head_quads,
    tensor::{Part, Tensor},
};
use crate::{
    Error, Result,
    bert::{Config, Encoding, Load, Parameter, fused_shape},
};

/// A weight of which some rows are there.
#[derive(Debug)]
pub struct Partial {
    name: String,
    rows: usize,
    width: usize,
    encoding: Encoding,
    row_bytes: u64,
    parts: Vec<Part>,
    written: u64,
}

impl Load for Wgpu {
    type Partial = Partial;

    fn accepts(&self, config: &Config) -> Result<()> {
        for (key, width) in [("hidden_size", config.hidden_size), ("intermediate_size", config.intermediate_size)] {
            if !width.is_multiple_of(4) {
                return Err(Error::Config(format!("on a GPU {key} must be a multiple of 4, found {width}; use the CPU")));
            }
        }
        head_quads(config.hidden_size, config.num_attention_heads)?;
        // Other tables are cut up where they are too large; this one is only ever used whole.
        let positions = (config.max_position_embeddings * config.hidden_size * 4) as u64;
        match positions <= self.0.largest_binding {
            true => Ok(()),
            false => Err(self.0.too_large("the table of positions", positions, "use the CPU")),
        }
    }

    fn begin(&self, group: &[Parameter], encoding: Encoding) -> Result<Partial> {
        let name = group.first().map(|parameter| parameter.name.clone()).unwrap_or_default();
        let problem = |reason: &str| Error::Tensor { name: name.clone(), reason: reason.into() };
        let shape = fused_shape(group);
        let (rows, width) = match *shape {
            [width] => (1, width),
            [rows, width] => (rows, width),
            _ => return Err(problem("expected one or two axes")),
        };
        if encoding.of(group) != encoding {
            return Err(problem("expected f32, because it is no matrix of a linear layer"));
        }
        let row_bytes = encoding.row_bytes(width) as u64;
        let parts = self.0.parts(&name, rows, row_bytes)?;
        Ok(Partial { name, rows, width, encoding, row_bytes, parts, written: 0 })
    }

    fn append(&self, partial: &mut Partial, bytes: &[u8]) -> Result<()> {
        let Partial { row_bytes, parts, written, .. } = partial;
        let mut left = bytes;
        for part in parts {
            let (start, end) = (part.first_row as u64 * *row_bytes, (part.first_row + part.rows) as u64 * *row_bytes);
            if (start..end).contains(written) {
                let room = usize::try_from(end - *written).unwrap_or(usize::MAX);
                let (now, later) = left.split_at(room.min(left.len()));
                self.0.write(part, *written - start, now)?;
                *written += now.len() as u64;
                left = later;
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(Error::Tensor {
                name: partial.name.clone(),
                reason: format!("{} bytes more than its {} rows have", left.len(), partial.rows),
            }),
        }
    }

    fn finish(&self, partial: Partial) -> Result<Tensor> {
        let Partial { name, rows, width, encoding, row_bytes, parts, written } = partial;
        let expected = rows as u64 * row_bytes;
        if written != expected {
            return Err(Error::Tensor { name, reason: format!("expected {expected} bytes, found {written}") });
        }
        self.0.check()?;
        Ok(Tensor { rows, width, encoding, parts: parts.into() })
    }
}

impl Gpu {
    /// Room for rows, in as many buffers as it takes.
    fn parts(&self, name: &str, rows: usize, row_bytes: u64) -> Result<Vec<Part>> {
        let most = usize::try_from(self.largest_binding / row_bytes.max(1)).unwrap_or(usize::MAX).min(rows);
        if most == 0 {
            return Err(self.too_large(&format!("a row of {name}"), row_bytes, "use the CPU"));
        }
        let part = |first_row| {
            let rows = most.min(rows - first_row);
            Ok(Part { first_row, rows, storage: self.weight(rows as u64 * row_bytes)? })
        };
        (0..rows).step_by(most).map(part).collect()
    }

    /// Writes a part's bytes from `at`.
    fn write(&self, part: &Part, at: u64, bytes: &[u8]) -> Result<()> {
        if !bytes.len().is_multiple_of(4) {
            return Err(Error::Backend(format!("expected whole rows of a weight, found {} bytes", bytes.len())));
        }
        self.queue.write_buffer(part.storage.buffer(), at, bytes);
        if lock(&self.memory).wrote(bytes.len() as u64) {
            self.queue.submit([]);
            // Natively the copies are freed when somebody looks whether they have arrived; a browser does so by itself.
            let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
            self.check()?;
            waited.map_err(|error| Error::Backend(error.to_string()))?;
        }
        Ok(())
    }
}
