//! Google's `BasicTokenizer` (google-research/bert @ eedf571, `tokenization.py`) as rules for the `tokenizers` crate.
//!
//! The crate's own BERT rules differ in private-use characters (it drops them), in part of an ideograph block (U+2B820 to U+2B91F), in
//! the final sigma, and in that their tables of character categories date from Unicode 8. Google's code follows the tables of the Python that
//! runs it; here they are held at Unicode 14, that of Python 3.11, by the version of `unicode-general-category`: ids must not change with a table.

use tokenizers::{NormalizedString, Normalizer, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};
use unicode_general_category::{GeneralCategory, get_general_category};

use super::Case;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GoogleRules {
    pub case: Case,
}

impl Normalizer for GoogleRules {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        text.filter(|character| !is_dropped(character)).map(|character| if is_blank(character) { ' ' } else { character });
        set_ideographs_apart(text);
        if self.case == Case::Uncased {
            lower(text);
            text.nfd().filter(|character| get_general_category(character) != GeneralCategory::NonspacingMark);
        }
        Ok(())
    }
}

impl PreTokenizer for GoogleRules {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        text.split(|_, part| part.split(char::is_whitespace, SplitDelimiterBehavior::Removed))?;
        text.split(|_, part| part.split(is_punctuation, SplitDelimiterBehavior::Isolated))
    }
}

fn is_dropped(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => matches!(get_general_category(character), GeneralCategory::Control | GeneralCategory::Format),
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r') || get_general_category(character) == GeneralCategory::SpaceSeparator
}

/// Every ASCII character that is no letter, digit, blank or control counts, `$` and `^` too.
fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation()
        || matches!(
            get_general_category(character),
            GeneralCategory::ConnectorPunctuation
                | GeneralCategory::DashPunctuation
                | GeneralCategory::OpenPunctuation
                | GeneralCategory::ClosePunctuation
                | GeneralCategory::InitialPunctuation
                | GeneralCategory::FinalPunctuation
                | GeneralCategory::OtherPunctuation
        )
}

/// Hiragana, katakana and hangul are not among them: those scripts are written with blanks or as words.
fn is_ideograph(character: char) -> bool {
    matches!(
        character,
        '\u{4e00}'..='\u{9fff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b73f}'
            | '\u{2b740}'..='\u{2b81f}'
            | '\u{2b820}'..='\u{2ceaf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

fn set_ideographs_apart(text: &mut NormalizedString) {
    if !text.get().contains(is_ideograph) {
        return;
    }
    let mut characters = Vec::with_capacity(text.len());
    for character in text.get().chars() {
        if is_ideograph(character) {
            characters.extend([(' ', 0), (character, 1), (' ', 1)]);
        } else {
            characters.push((character, 0));
        }
    }
    text.transform(characters, 0);
}

/// Python's `str.lower`, which knows the final sigma. The crate lowers character by character.
fn lower(text: &mut NormalizedString) {
    let lowered = text.get().to_lowercase();
    let mut lowered = lowered.chars();
    let mut characters = Vec::with_capacity(text.len());
    for character in text.get().chars() {
        let count = character.to_lowercase().count();
        characters.extend(lowered.by_ref().take(count).enumerate().map(|(place, character)| (character, isize::from(place > 0))));
    }
    text.transform(characters, 0);
}
