//! What a panic tells: its place in our source, never its message.
//!
//! Messages of the standard library's panics quote the string they failed on (`byte index 3 is not a char boundary; it is
//! inside …`), which could be a note. `console_error_panic_hook` prints the whole message, so it is used in debug builds only.

/// Installs the hook.
pub fn report_place_only() {
    #[cfg(debug_assertions)]
    console_error_panic_hook::set_once();
    #[cfg(not(debug_assertions))]
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        console_error(&format!("clinicalbert: internal error at {place}"));
    }));
}

#[cfg(not(debug_assertions))]
#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}
