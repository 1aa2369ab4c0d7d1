//! Classes of texts and tokens for JavaScript.

use clinicalbert_core::tasks::classification::{Grouping, entities};
use js_sys::Float64Array;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::session::{Session, js};
use crate::utf16::{Cursor, Range};
use crate::{from_js, object, to_js};

/// Absent is the default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Aggregation {
    #[default]
    None,
    Simple,
    First,
}

impl Aggregation {
    const fn grouping(&self) -> Option<Grouping> {
        match self {
            Self::None => None,
            Self::Simple => Some(Grouping::Tokens),
            Self::First => Some(Grouping::Words),
        }
    }
}

/// A token or an entity.
#[derive(Serialize)]
struct Labelled<'a> {
    label: &'a str,
    score: f64,
    #[serde(flatten)]
    range: Range,
    word: &'a str,
}

#[wasm_bindgen]
impl Session {
    /// `{scores, isCut}`: a score for every class, in the order of `facts.labels`, and whether the end of a text that is too long was left
    /// out. `second` makes it a pair of texts.
    ///
    /// # Errors
    /// `tensor` if the model is no classifier of texts, `tokenizer`, and those of the device.
    #[wasm_bindgen(js_name = classifyText)]
    pub async fn classify_text(&self, text: String, second: Option<String>) -> Result<JsValue, JsValue> {
        let loaded = self.loaded();
        let classes = loaded.model.classify_text(&loaded.tokenizer, &text, second.as_deref()).await.map_err(js)?;
        let scores = Float64Array::from(classes.scores.as_slice());
        object([("scores", scores.into()), ("isCut", classes.is_cut.into())])
    }

    /// `[{label, score, start, end, word}]` for every token of the text, in order, or for neighbouring ones that belong together
    /// (`aggregation` `simple` or `first`, as transformers does it); offsets in UTF-16 code units.
    ///
    /// # Errors
    /// `tensor` if the model is no classifier of tokens, `tokenizer`, and those of the device.
    #[wasm_bindgen(js_name = classifyTokens)]
    pub async fn classify_tokens(&self, text: String, aggregation: JsValue) -> Result<JsValue, JsValue> {
        let loaded = self.loaded();
        let aggregation: Aggregation = from_js(aggregation)?;
        let tokens = loaded.model.classify_tokens(&loaded.tokenizer, &text).await.map_err(js)?;
        let labels = &loaded.model.config().labels;
        let mut cursor = Cursor::new(&text);
        let Some(grouping) = aggregation.grouping() else {
            let labelled = tokens.iter().map(|token| Labelled {
                label: labels.names().get(token.class).map_or("", String::as_str),
                score: token.score,
                range: cursor.range(token.span),
                word: loaded.tokenizer.token(token.id).unwrap_or_default(),
            });
            return to_js(&labelled.collect::<Vec<_>>());
        };
        let entities = entities(&tokens, labels, &loaded.tokenizer, grouping);
        let labelled = entities.iter().map(|entity| Labelled {
            label: &entity.tag,
            score: entity.score,
            range: cursor.range(entity.span),
            word: text.get(entity.span.start..entity.span.end).unwrap_or_default(),
        });
        to_js(&labelled.collect::<Vec<_>>())
    }
}
