//! A plan as one CUDA graph: its launches are captured once in two branches and replayed as a whole, which costs the host one call.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use cudarc::driver::{
    CudaGraph, CudaStream,
    sys::{CUgraphInstantiate_flags, CUstreamCaptureMode},
};

use super::{
    machine::{BESIDE, GpuMachine, MAIN},
    plan::Plan,
};

impl GpuMachine {
    /// Captures a plan that has run once: libraries load code and take memory at the first launch, which a capture forbids.
    ///
    /// # Errors
    /// The driver refuses; nothing has run then.
    pub fn capture(&mut self, plan: &Plan) -> Result<CudaGraph> {
        let main = self.branch(MAIN);
        main.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let recorded = self.record(plan);
        // Whatever happened: a capture that is not ended blocks the stream. The chain goes before what runs beside it.
        let graph = main.end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY);
        recorded?;
        let graph = graph?.context("the driver captured nothing")?;
        graph.upload()?;
        Ok(graph)
    }

    fn record(&mut self, plan: &Plan) -> Result<()> {
        let (main, beside) = (self.branch(MAIN), self.branch(BESIDE));
        let forks = plan.order.iter().any(|order| order.beside);
        if forks {
            beside.join(&main)?;
        }
        let waited: HashSet<usize> = plan.order.iter().filter_map(|order| order.after).collect();
        let mut done = HashMap::new();
        for (index, (launch, order)) in plan.launches.iter().zip(&plan.order).enumerate() {
            let number = if order.beside { BESIDE } else { MAIN };
            let stream: &CudaStream = if order.beside { &beside } else { &main };
            if let Some(after) = order.after {
                stream.wait(done.get(&after).with_context(|| format!("launch {after} comes after {index}"))?)?;
            }
            self.launch(plan, launch, number)?;
            if waited.contains(&index) {
                done.insert(index, stream.record_event(None)?);
            }
        }
        if forks {
            main.join(&beside)?;
        }
        Ok(())
    }
}
