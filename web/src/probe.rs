//! A short piece of a model's own work, for finding out which device does it faster.

use clinicalbert_core::bert::{Batch, Config, Heads, Load, Model, parameters};
use clinicalbert_core::weights::{HostTensor, Tensors, web::Manifest};
use wasm_bindgen::prelude::*;

use crate::device::{self, Gpu};
use crate::error;
use crate::model::AnyModel;

/// Tokens of the text: those of a short note.
const LENGTH: usize = 128;

/// One layer as wide as the model's, over a small vocabulary.
#[wasm_bindgen]
pub struct Probe(AnyModel);

#[wasm_bindgen]
impl Probe {
    /// In wasm.
    ///
    /// # Errors
    /// As `Loading.intoWasm` for the manifest.
    #[wasm_bindgen(js_name = onWasm)]
    pub fn on_wasm(manifest: &[u8]) -> Result<Self, JsValue> {
        Manifest::from_json(manifest)
            .and_then(|manifest| one_layer(device::wasm(), &manifest))
            .map(AnyModel::Wasm)
            .map(Self)
            .map_err(js)
    }

    /// On a GPU.
    ///
    /// # Errors
    /// As `Loading.ontoGpu` for the manifest.
    #[wasm_bindgen(js_name = onGpu)]
    pub fn on_gpu(manifest: &[u8], gpu: &Gpu) -> Result<Self, JsValue> {
        Manifest::from_json(manifest)
            .and_then(|manifest| one_layer(gpu.machine(), &manifest))
            .map(AnyModel::WebGpu)
            .map(Self)
            .map_err(js)
    }

    /// Does the work once; time it from outside.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn run(&self) -> Result<(), JsValue> {
        let length = LENGTH.min(self.0.config().max_position_embeddings);
        let ids: Vec<u32> = (0..length as u32).map(|at| at % self.0.config().vocab_size as u32).collect();
        let batch = Batch::from_rows([(ids.as_slice(), vec![0; length].as_slice())]).map_err(js)?;
        self.0.run(&batch).await.map_err(js)
    }
}

/// Weights of no meaning: speed does not depend on them.
fn one_layer<B: Load>(machine: B, manifest: &Manifest) -> clinicalbert_core::Result<Model<B>> {
    let config = Config {
        vocab_size: 64,
        num_hidden_layers: 1,
        max_position_embeddings: LENGTH.min(manifest.config.max_position_embeddings),
        ..manifest.config.clone()
    };
    let heads = Heads { pooler: false, mlm: false, nsp: false };
    let mut tensors = Tensors::new();
    for parameter in parameters(&config).into_iter().filter(|parameter| heads.include(parameter.part)) {
        let data = (0..parameter.elements()).map(|at| (at % 61) as f32 / 1000.0 - 0.03).collect();
        tensors.insert(parameter.name, HostTensor { shape: parameter.shape, data });
    }
    Model::encoded(machine, &config, &tensors, manifest.encoding)
}

fn js(error: clinicalbert_core::Error) -> JsValue {
    error::from_core(&error)
}
