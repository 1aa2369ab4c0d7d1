//! The toolkit in a browser tab: what JavaScript sees of [`clinicalbert_core`].
//!
//! A thin layer with three duties. Offsets leave as UTF-16 code units, because those are what `string.slice` counts.
//! Every failure leaves as an `Error` with a stable `code`. Nothing here logs, stores or sends note text.
//!
//! The classes and functions are wrapped by the TypeScript front in `web/js`, which is what users import.

mod device;
mod error;
mod loading;
mod model;
mod note;
mod panic;
mod probe;
mod session;
mod tokenizer;
mod utf16;

use clinicalbert_core::text::split_note;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;

pub use device::Gpu;
pub use loading::Loading;
pub use probe::Probe;
pub use session::Session;
pub use tokenizer::Tokenizer;

/// Runs once, when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    panic::report_place_only();
}

/// Cuts a note into sections, sentences and placeholders; all offsets in UTF-16 code units of `note`.
///
/// # Errors
/// `invalid-options` for an unknown splitter or sentence rule; `note-lost` where the original program loses the note
/// (only with `splitter: "faithful"`).
#[wasm_bindgen]
pub fn split(note: &str, options: JsValue) -> Result<JsValue, JsValue> {
    let options: note::Options = from_js(options)?;
    let split = split_note(note, options.into()).map_err(|error| error::from_core(&error))?;
    to_js(&note::Cut::new(note, &split))
}

/// Options; absent ones are the default.
fn from_js<T: Default + DeserializeOwned>(options: JsValue) -> Result<T, JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok(T::default());
    }
    serde_wasm_bindgen::from_value(options).map_err(|error| error::invalid_options(&error.to_string()))
}

/// An object of values that are JavaScript's already.
fn object<const N: usize>(fields: [(&str, JsValue); N]) -> Result<JsValue, JsValue> {
    let object = js_sys::Object::new();
    for (name, value) in fields {
        js_sys::Reflect::set(&object, &name.into(), &value)?;
    }
    Ok(object.into())
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    // As in the command line's JSON: `null` for an absent title, and plain objects.
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true).serialize_maps_as_objects(true);
    value.serialize(&serializer).map_err(|error| error::internal(&error.to_string()))
}
