//! Cuts a run of lines into sentences.

use super::lists::{Enumerator, Mark, is_bullet_sign};
use super::neighbours::{Opening, closers, head, tail, word_before};
use super::words::{Point, leaves_open, opens_sentence, point_after, takes_label};
use crate::text::Span;

/// Longest placeholder content in bytes; those of MIMIC-III stay under 60.
const LONGEST_PLACEHOLDER: usize = 200;
/// Longest bracketed title in bytes. Together with the limit above it keeps the work per sign constant.
const LONGEST_TITLE: usize = 400;

/// Appends the sentences of `run` to `spans`.
pub(super) fn split(text: &str, run: Span, spans: &mut Vec<Span>) {
    let mut prose = Prose { text, run, start: run.start, item: None, spans };
    prose.note_item();
    let bytes = text.as_bytes();
    let mut at = run.start;
    while let Some(found) = bytes.get(at..run.end).and_then(|rest| rest.iter().position(|&byte| is_trigger(byte))) {
        at = prose.look(at + found);
    }
    prose.cut(run.end);
}

/// Bytes at which [`Prose::look`] has something to decide; 0xE2 leads `…` and the bullets.
const fn is_trigger(byte: u8) -> bool {
    matches!(byte, b'.' | b'!' | b'?' | b')' | b'[' | b']' | 0xE2)
}

struct Prose<'text, 'spans> {
    text: &'text str,
    run: Span,
    /// Where the current sentence starts.
    start: usize,
    /// The enumerator with which the current sentence starts.
    item: Option<Enumerator>,
    spans: &'spans mut Vec<Span>,
}

impl<'text> Prose<'text, '_> {
    fn slice(&self, start: usize, end: usize) -> &'text str {
        self.text.get(start..end).unwrap_or("")
    }

    /// The text from `at` to the end of the run.
    fn rest(&self, at: usize) -> &'text str {
        self.slice(at, self.run.end)
    }

    /// Ends the current sentence at `end`; the next one starts at the next character that is not white space.
    fn cut(&mut self, end: usize) {
        let span = Span::new(self.start, end).trimmed(self.text);
        if !span.is_empty() {
            self.spans.push(span);
        }
        let rest = self.rest(end);
        self.start = end + (rest.len() - rest.trim_start().len());
        self.note_item();
    }

    fn note_item(&mut self) {
        let rest = self.rest(self.start);
        let after_bullet = rest.trim_start_matches(|c: char| is_bullet_sign(c) || c == '-' || c == '*').trim_start();
        self.item = Enumerator::at(after_bullet);
    }

    /// Decides about the sign at `at`, cuts there if a sentence ends, and says where to go on.
    fn look(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        match rest.chars().next() {
            Some('[') => {
                // No boundary inside a placeholder.
                let inside = rest.strip_prefix("[**").map(|inside| head(inside, LONGEST_PLACEHOLDER));
                at + inside.and_then(|inside| inside.find("**]")).map_or(1, |length| length + 6)
            }
            Some('.') => self.look_at_point(at),
            Some('!' | '?' | '…') => self.look_at_mark(at),
            Some(')') => {
                self.is_item_mark(at, Mark::Bracket);
                at + 1
            }
            Some(']') => self.look_at_bracket(at),
            Some(c) => {
                if is_bullet_sign(c) && at > self.start && self.slice(self.start, at).ends_with(char::is_whitespace) {
                    self.cut(at);
                }
                at + c.len_utf8()
            }
            None => self.run.end,
        }
    }

    /// Whether the mark at `at` belongs to an enumerator inside the sentence. Before `2.` in `1. The first item 2. The second item` the first
    /// item is cut off; `1.` after a colon begins a list.
    fn is_item_mark(&mut self, at: usize, mark: Mark) -> bool {
        let word = word_before(self.text, self.start, at);
        let from = at - word.len();
        let Some(item) = Enumerator::at(self.rest(from)).filter(|item| item.mark == mark || item.mark == Mark::Both) else {
            return false;
        };
        let before = self.slice(self.start, from);
        let previous = word_before(self.text, self.start, self.start + before.trim_end().len());
        if !before.ends_with(char::is_whitespace) {
            return false;
        }
        if previous.ends_with([':', ';']) {
            if item.value == 1 {
                self.item = Some(item);
            }
            return !item.is_letter;
        }
        let is_next = self.item.is_some_and(|current| current.is_followed_by(item));
        let is_item = is_next && !previous.ends_with(',') && !takes_label(previous) && !leaves_open(previous);
        if is_item {
            self.cut(from);
        }
        is_item
    }

    /// `[see comments]`, `[published erratum appears in …]` and a translated title in brackets end the title of a PubMed abstract.
    fn look_at_bracket(&mut self, at: usize) -> usize {
        let after = self.rest(at + 1);
        let before = tail(self.slice(self.start, at), LONGEST_TITLE);
        let ends = before.rsplit_once('[').is_some_and(|(outside, inside)| {
            let is_note =
                ["see comment", "published erratum", "comment", "letter", "review"].iter().any(|note| inside.starts_with(note));
            is_note || (outside.is_empty() && inside.len() > 24)
        });
        if ends && after.starts_with(' ') && matches!(Opening::of(after), Opening::Capital(_) | Opening::Symbol) {
            self.cut(at + 1);
        }
        at + 1
    }

    /// `!`, `?`, `…` and runs of them.
    fn look_at_mark(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        let marks = rest.len() - rest.trim_start_matches(['!', '?', '.', '…']).len();
        let end = at + marks + closers(self.rest(at + marks));
        // `? pneumonia`: a doubt, not a question.
        let is_attached = at > self.start && !self.slice(self.start, at).ends_with(char::is_whitespace);
        let after = self.rest(end);
        let ends = match Opening::of(after) {
            Opening::Capital(_) | Opening::Placeholder | Opening::Label | Opening::Digit | Opening::Symbol => is_attached,
            Opening::Sign => is_attached && rest.starts_with(['!', '?']),
            _ => false,
        };
        if ends && after.starts_with(char::is_whitespace) {
            self.cut(end);
        }
        end
    }

    fn look_at_point(&mut self, at: usize) -> usize {
        let rest = self.rest(at);
        let points = rest.bytes().take_while(|&byte| byte == b'.').count();
        if points > 1 {
            let is_omission = self.slice(self.start, at).ends_with(['[', '(']);
            return if is_omission { at + points } else { self.look_at_mark(at) };
        }
        let is_attached = at > self.start && !self.slice(self.start, at).ends_with(char::is_whitespace);
        let spaced = spaced_points(rest);
        if spaced > 1 {
            return self.look_at_spaced_points(at, spaced, is_attached);
        }
        let end = at + 1 + closers(self.rest(at + 1));
        let after = self.rest(end);
        if !is_attached {
            if after.starts_with(char::is_whitespace) && matches!(Opening::of(after), Opening::Capital(_)) {
                self.cut(end);
            }
            return end;
        }
        if let Some(next) = after.trim_start().strip_prefix(',') {
            return self.look_at_comma(at, self.run.end - next.len());
        }
        if !after.starts_with(char::is_whitespace) {
            return self.look_at_glued(at, end);
        }
        if !self.is_item_mark(at, Mark::Point) && self.ends_at_point(at, end) {
            self.cut(end);
        }
        end
    }

    /// `. . .` leaves words out; after a full stop it opens the next sentence, and with a fourth point it ends one.
    fn look_at_spaced_points(&mut self, at: usize, points: usize, is_attached: bool) -> usize {
        let length = points * 2 - 1;
        let end = at + length;
        let is_followed = matches!(Opening::of(self.rest(end)), Opening::Capital(_) | Opening::Placeholder | Opening::Digit);
        if is_followed && is_attached {
            self.cut(at + 1);
        } else if is_followed && points > 3 {
            self.cut(end);
        }
        end
    }

    /// A point and a comma up to `end`. Where line breaks became commas, as in MTSamples, a sentence ends: `joint.,PROCEDURE:`.
    fn look_at_comma(&mut self, at: usize, end: usize) -> usize {
        let word = word_before(self.text, self.start, at);
        let is_sentence = word.len() >= 3 && !is_acronym(word) && point_after(word) == Point::Ends;
        if is_sentence && matches!(Opening::of(self.rest(end)), Opening::Capital(_) | Opening::Digit) {
            self.cut(end);
        }
        end
    }

    /// A point with no white space after it: a missing blank (`pain.Patient`) or a reference (`cells.12 The`), else part of a word.
    fn look_at_glued(&mut self, at: usize, end: usize) -> usize {
        let word = word_before(self.text, self.start, at);
        let is_word = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase()) && point_after(word) == Point::Ends;
        let after = self.rest(at + 1);
        if !is_word {
            return end;
        }
        let reference = after.len()
            - after.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '-' | '–' | '[' | ']')).len();
        if reference > 0 {
            let rest = self.rest(at + 1 + reference);
            if rest.starts_with(char::is_whitespace) && matches!(Opening::of(rest), Opening::Capital(_)) {
                self.cut(at + 1 + reference);
            }
            return at + 1 + reference;
        }
        let letters = after.bytes().take(32).take_while(u8::is_ascii_alphabetic).count();
        let next = after.get(..letters).unwrap_or("");
        let is_capitalized =
            next.starts_with(|c: char| c.is_ascii_uppercase()) && next.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
        let beyond = after.get(letters..).unwrap_or("").trim_start_matches([',', '.', ';', ':', ')']);
        let is_alone = beyond.is_empty() || beyond.starts_with(char::is_whitespace);
        if is_capitalized && is_alone && (letters > 1 || opens_sentence(next)) {
            self.cut(at + 1);
        }
        end
    }

    /// Whether the single point at `at`, closers up to `end`, white space after, ends the sentence.
    fn ends_at_point(&self, at: usize, end: usize) -> bool {
        let after = self.rest(end);
        let opening = Opening::of(after);
        let word = word_before(self.text, self.start, at);
        if matches!(opening, Opening::Nothing | Opening::Punctuation) || self.is_marker(at) {
            return false;
        }
        let closers = self.slice(at + 1, end);
        let is_closed = !closers.is_empty();
        if (closers.contains(['"', '”', '’', '\'']) && is_citation(after, '(', ')')) || is_citation(after, '[', ']') {
            return false;
        }
        let Some(last) = word.chars().next_back() else { return matches!(opening, Opening::Capital(_) | Opening::Label) };
        let point = match word.strip_suffix(last) {
            Some("") if last.is_ascii_alphabetic() => return self.ends_after_letter(at, word, opening),
            _ if last.is_ascii_digit() && is_glued_marker(word) => return false,
            _ if last.is_ascii_digit() => Point::Ends,
            _ if is_acronym(word) && point_after(word) == Point::Ends => self.point_after_acronym(at, word),
            _ => point_after(word),
        };
        let opens = matches!(opening, Opening::Capital(next) if opens_sentence(next));
        // "At 5 a.m. Mr. Smith went": two words after a preposition are no sentence yet.
        let is_fragment = point == Point::Shortens && is_opening_phrase(self.slice(self.start, at));
        match point {
            Point::Joins => false,
            Point::Names => opens || (opening == Opening::Label && is_closed),
            Point::Numbers => match opening {
                Opening::Capital(next) => !next.bytes().any(|byte| byte.is_ascii_digit()),
                opening => opening == Opening::Placeholder,
            },
            Point::Shortens => matches!(opening, Opening::Capital(_) | Opening::Placeholder | Opening::Sign) && !is_fragment,
            Point::Ends => match opening {
                Opening::Small(_) => !is_closed && is_ordinary(word),
                _ => true,
            },
        }
    }

    /// `q.d.` closes an order where it follows a dose (`40 mg p.o. q.d. Lasix …`), else a name may follow: `p.o. Lasix`, `U.S. Navy`.
    fn point_after_acronym(&self, at: usize, acronym: &str) -> Point {
        let before = self.slice(self.start, at - acronym.len()).trim_end();
        let previous = word_before(self.text, self.start, self.start + before.len()).trim_end_matches('.');
        let is_dose = is_acronym(previous)
            || previous.bytes().any(|byte| byte.is_ascii_digit())
            || point_after(previous) == Point::Shortens;
        if acronym.starts_with(char::is_lowercase) && is_dose { Point::Shortens } else { Point::Names }
    }

    /// Whether the point at `at` belongs to the enumerator with which the sentence starts.
    fn is_marker(&self, at: usize) -> bool {
        if at - self.start > 16 {
            return false;
        }
        let is_before = |c: char| is_bullet_sign(c) || matches!(c, '-' | '*' | '(') || c.is_whitespace();
        let mark = self.slice(self.start, at).trim_start_matches(is_before).trim_end_matches(')');
        let is_number = mark.len() <= 3 && mark.bytes().all(|byte| byte.is_ascii_digit());
        let is_letter = mark.len() == 1 && mark.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_roman = mark.len() <= 4 && mark.bytes().all(|byte| matches!(byte, b'I' | b'V' | b'X' | b'i' | b'v' | b'x'));
        is_number || is_letter || is_roman
    }

    /// A single letter before the point: an initial, unless the sentence plainly goes on without it.
    fn ends_after_letter(&self, at: usize, letter: &str, opening: Opening) -> bool {
        let before = self.slice(self.start, at - letter.len()).trim_end();
        let previous = word_before(self.text, self.start, self.start + before.len());
        let is_unit = letter.starts_with(|c: char| c.is_ascii_lowercase()) && previous.ends_with(|c: char| c.is_ascii_digit());
        // Labels come from the front of the alphabet or are Roman numbers; initials from anywhere.
        let part = previous.rsplit('-').next().unwrap_or(previous);
        let is_early = matches!(letter, "A" | "B" | "C" | "D" | "E" | "F" | "I" | "V" | "X");
        let is_label = takes_label(previous) || (is_early && is_ordinary(part) && !leaves_open(part));
        match opening {
            Opening::Capital(next) => opens_sentence(next) || is_label || is_unit,
            Opening::Label if is_unit => true,
            Opening::Digit | Opening::Placeholder | Opening::Label => takes_label(previous),
            _ => false,
        }
    }
}

/// Points of `. . .` at the front of `rest`, single blanks between them.
fn spaced_points(rest: &str) -> usize {
    let pairs = rest.as_bytes().chunks(2).take_while(|pair| matches!(pair, [b'.', b' '])).count();
    let has_last = rest.as_bytes().get(pairs * 2) == Some(&b'.');
    pairs + usize::from(has_last)
}

/// `(Smith 55).` after a quotation, `[13].`: brackets with a full stop right after them belong to the sentence before.
fn is_citation(after: &str, open: char, close: char) -> bool {
    let Some(inside) = after.trim_start().strip_prefix(open) else { return false };
    let length = inside.char_indices().take(80).find(|&(_, c)| c == close).map(|(at, _)| at);
    length.is_some_and(|length| inside.get(length + 1..).is_some_and(|rest| rest.starts_with('.')))
}

/// Letters with points between them: `U.S`, `b.i.d`, `Ph.D`.
fn is_acronym(word: &str) -> bool {
    word.contains('.')
        && word
            .split(['.', '-'])
            .filter(|part| !part.is_empty())
            .all(|part| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `DIAGNOSES:,1`: a list marker without a blank before it, where line breaks became commas.
fn is_glued_marker(word: &str) -> bool {
    let before = word.trim_end_matches(|c: char| c.is_ascii_digit());
    before.strip_suffix(',').is_some_and(|rest| rest.ends_with([':', '.', ';', ')']))
}

/// At most three words that begin with a preposition.
fn is_opening_phrase(sentence: &str) -> bool {
    let mut words = head(sentence, 48).split_ascii_whitespace();
    let first = words.next().unwrap_or("");
    matches!(first, "At" | "By" | "From" | "Until" | "Around" | "On" | "Before" | "After" | "In") && words.nth(2).is_none()
}

/// An ordinary word in small letters, after which even a small letter may begin a sentence.
fn is_ordinary(word: &str) -> bool {
    word.len() >= 4
        && word.bytes().all(|byte| byte.is_ascii_lowercase())
        && word.bytes().any(|byte| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y'))
}
