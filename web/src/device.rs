//! What a model can run on: this module's own memory and instructions, or a GPU.

use clinicalbert_core::bert::{Cpu, Wgpu, WgpuOptions};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::{error, from_js, to_js};

/// Where a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// In wasm.
    Wasm,
    /// On a GPU through WebGPU.
    Webgpu,
}

/// A GPU that was opened. It is given back when this and everything on it is freed.
#[wasm_bindgen]
pub struct Gpu(Wgpu);

impl Gpu {
    pub(crate) fn machine(&self) -> Wgpu {
        self.0.clone()
    }
}

/// For tests: a GPU that allows less, or computes wrongly.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OpenOptions {
    largest_binding: u64,
    broken: bool,
}

/// What came of running a model whose answer is known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    passed: bool,
    max_abs: f64,
    adapter: String,
}

#[wasm_bindgen]
impl Gpu {
    /// Opens the fastest GPU that the browser gives.
    ///
    /// # Errors
    /// `no-gpu` if it gives none, or none that allows what WebGPU promises.
    pub async fn open(options: JsValue) -> Result<Self, JsValue> {
        let OpenOptions { largest_binding, broken } = from_js(options)?;
        let gpu = Wgpu::open(WgpuOptions { largest_binding, broken }).await;
        gpu.map(Self).map_err(|error| error::from_core(&error))
    }

    /// Runs a tiny model whose answers are known, with matrices stored as in a real one's manifest: `{passed, maxAbs, adapter}`.
    ///
    /// # Errors
    /// Those of the device, which is not to be used then either.
    #[wasm_bindgen(js_name = selfTest)]
    pub async fn self_test(&self, encoding: JsValue) -> Result<JsValue, JsValue> {
        let gpu = self.0.clone();
        let verdict = gpu.self_test(from_js(encoding)?).await.map_err(|error| error::from_core(&error))?;
        let (passed, max_abs) = (verdict.passed(), f64::from(verdict.largest_error));
        to_js(&Verdict { passed, max_abs, adapter: verdict.gpu })
    }

    /// Its name and the interface it is reached by.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// Bytes of its memory in use.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> f64 {
        self.0.bytes() as f64
    }
}

/// The machine that this module is.
pub fn wasm() -> Cpu {
    Cpu::default()
}

/// Asks for the room that weights need, all at once and before any is fetched: a tab that cannot give it says so now.
pub fn check_room(bytes: u64) -> Result<(), JsValue> {
    let room = usize::try_from(bytes).ok().and_then(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).ok());
    room.ok_or_else(|| error::out_of_memory(bytes))
}
