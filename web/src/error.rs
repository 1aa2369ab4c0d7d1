//! Failures as JavaScript sees them: an `Error` whose `code` programs may rely on and whose message people read.

use clinicalbert_core::Error;
use wasm_bindgen::JsValue;

/// The stable code of a core error.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Tokenizer(_) => "tokenizer",
        Error::LostByOriginalRules(_) => "note-lost",
        Error::Examples(_) => "examples",
        Error::Record { .. } => "record",
        Error::Config(_) => "config",
        Error::Tensor { .. } => "tensor",
        Error::Weights(_) => "weights",
        Error::Batch(_) => "batch",
        Error::Backend(_) => "backend",
        _ => "internal",
    }
}

/// A core error for JavaScript.
pub fn from_core(error: &Error) -> JsValue {
    with_code(code(error), &error.to_string())
}

/// Options that are not what the function takes.
pub fn invalid_options(reason: &str) -> JsValue {
    with_code("invalid-options", &format!("options: {reason}"))
}

/// A fault of this package.
pub fn internal(reason: &str) -> JsValue {
    with_code("internal", reason)
}

fn with_code(code: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    // Setting a property of a plain new object cannot fail; if it did, the message would still arrive.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_what_users_meet_first_are_stable() {
        assert_eq!(code(&Error::Tokenizer(String::new())), "tokenizer");
        assert_eq!(code(&Error::LostByOriginalRules("")), "note-lost");
    }
}
