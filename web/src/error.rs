//! Failures as JavaScript sees them: an `Error` whose `code` programs may rely on and whose message people read.
//!
//! All codes, those of the TypeScript front too, are listed in `web/js/errors.ts`.

use clinicalbert_core::{Error, FileFault};
use wasm_bindgen::JsValue;

/// The stable code of a core error.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Tokenizer(_) => "tokenizer",
        Error::LostByOriginalRules(_) => "note-lost",
        Error::Config(_) => "config",
        Error::Tensor { .. } => "tensor",
        Error::Weights(_) => "weights",
        Error::ManifestVersion { .. } => "manifest-version",
        Error::File { fault: FileFault::Missing, .. } => "file-missing",
        Error::File { fault: FileFault::Size { .. }, .. } => "file-size",
        Error::File { fault: FileFault::Hash { .. }, .. } => "file-hash",
        Error::Text(_) => "text",
        Error::Settings(_) => "invalid-options",
        Error::Batch(_) => "batch",
        Error::NoGpu(_) => "no-gpu",
        Error::Limit { .. } => "limit",
        Error::OutOfMemory(_) => "out-of-memory",
        Error::DeviceLost(_) => "device-lost",
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

/// This tab has no room for a model.
pub fn out_of_memory(needed: u64) -> JsValue {
    let reason = format!("the weights need {needed} bytes, more than this tab gives wasm: take int8 weights or a smaller model");
    with_code("out-of-memory", &reason)
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

    /// What TypeScript's users are told that there is, and everybody else.
    const LISTED: &str = include_str!("../js/errors.ts");
    const README: &str = include_str!("../README.md");

    #[test]
    fn every_code_is_listed_where_users_look() {
        let source = include_str!("error.rs");
        let (source, _) = source.split_once("#[cfg(test)]").unwrap();
        let codes = source.split('"').skip(1).step_by(2).filter(|text| {
            text.contains(|letter: char| letter.is_ascii_lowercase())
                && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
        });
        let codes: Vec<&str> = codes.filter(|text| *text != "code").collect();
        assert!(codes.len() > 12, "{codes:?}");
        for code in codes {
            assert!(LISTED.contains(&format!("| '{code}'")), "{code}");
        }
        let listed = LISTED.lines().filter_map(|line| line.trim().strip_prefix("| '")?.split('\'').next());
        for code in listed {
            assert!(README.contains(&format!("`{code}`")), "{code}");
        }
    }

    #[test]
    fn codes_of_what_users_meet_first_are_stable() {
        assert_eq!(code(&Error::Tokenizer(String::new())), "tokenizer");
        assert_eq!(code(&Error::LostByOriginalRules("")), "note-lost");
        assert_eq!(code(&Error::ManifestVersion { found: 2, expected: 1 }), "manifest-version");
        assert_eq!(code(&Error::File { name: "a".into(), fault: FileFault::Missing }), "file-missing");
    }
}
