//! Expands sentence templates and keeps account of every identifier that it writes.
//!
//! | in a template | becomes |
//! |---|---|
//! | `(a\|b\|c)` | one of the choices, itself a template without choices |
//! | `{n:20-45}` | a whole number of the range |
//! | `{d:1.2-3.8}` | a number of the range with one decimal |
//! | `{pick:5,10,20}` | one of the list |
//! | `{he}` `{He}` `{his}` `{His}` `{him}` | pronouns of the patient |
//! | `{sex}` `{age}` | `woman` or `man`, age in years |
//! | `{name}` `{doctor}` `{hospital}` `{date}` `{phone}` `{record}` | an identifier: a placeholder, or an invented one in the clear |

use serde::Serialize;

use super::patient::Patient;

/// An identifier in a note and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identifier {
    /// First byte in the note's text.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// `name`, `doctor`, `hospital`, `date`, `phone` or `record`.
    pub kind: String,
}

/// The text of a note while it is being written.
pub struct Writer<'a> {
    /// The text so far.
    pub text: String,
    /// Identifiers written in the clear so far.
    pub planted: Vec<Identifier>,
    patient: &'a Patient,
    plant: f64,
    random: &'a mut fastrand::Rng,
}

impl<'a> Writer<'a> {
    /// An empty note about `patient`; each identifier is written in the clear with probability `plant`.
    pub fn new(patient: &'a Patient, plant: f64, random: &'a mut fastrand::Rng) -> Self {
        Self { text: String::new(), planted: Vec::new(), patient, plant, random }
    }

    /// One item of a list, or nothing from an empty one.
    pub fn choose<'t>(&mut self, items: &[&'t str]) -> &'t str {
        self.random.choice(items).copied().unwrap_or("")
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.random.usize(..n.max(1)) == 0
    }

    /// Expands a template onto the end of the text.
    pub fn push(&mut self, template: &str) {
        let mut rest = template;
        while let Some(at) = rest.find(['{', '(']) {
            let (plain, marked) = rest.split_at(at);
            self.text.push_str(plain);
            let closing = if marked.starts_with('{') { '}' } else { ')' };
            let Some(end) = marked.find(closing) else {
                self.text.push_str(marked);
                return;
            };
            let (marker, after) = marked.split_at(end + 1);
            let inner = marker.get(1..end).unwrap_or("");
            match closing {
                '}' => self.value(inner),
                _ if inner.contains('|') => {
                    let choices: Vec<&str> = inner.split('|').collect();
                    let choice = self.choose(&choices);
                    self.push(choice);
                }
                _ => self.text.push_str(marker),
            }
            rest = after;
        }
        self.text.push_str(rest);
    }

    /// Expands a template and ends the line.
    pub fn line(&mut self, template: &str) {
        self.push(template);
        self.text.push('\n');
    }

    /// Expands sentences one after another as a paragraph, wrapped like dictated notes at about 75 characters.
    pub fn paragraph(&mut self, sentences: &[&str]) {
        let start = self.text.len();
        for sentence in sentences {
            if self.text.len() > start {
                self.text.push(' ');
            }
            self.push(sentence);
        }
        self.wrap(start);
        self.text.push('\n');
    }

    /// Breaks lines longer than 75 bytes at blanks outside placeholders; byte for byte, so that offsets stay true.
    fn wrap(&mut self, start: usize) {
        let (mut line, mut last_blank, mut inside) = (start, None, false);
        let mut breaks = Vec::new();
        for (at, byte) in self.text.bytes().enumerate().skip(start) {
            match byte {
                b'[' => inside = true,
                b']' => inside = false,
                b' ' if !inside => last_blank = Some(at),
                _ => {}
            }
            if let Some(blank) = last_blank.filter(|_| at - line >= 75) {
                breaks.push(blank);
                line = blank + 1;
                last_blank = None;
            }
        }
        for at in breaks {
            // An identifier in the clear may hold the blank: the break is then inside it, as in real notes.
            self.text.replace_range(at..=at, "\n");
        }
    }

    fn value(&mut self, marker: &str) {
        let (kind, argument) = marker.split_once(':').unwrap_or((marker, ""));
        let patient = self.patient;
        let written = match kind {
            "n" => {
                range::<u32>(argument).map_or_else(String::new, |(low, high)| self.random.u32(low..=high.max(low)).to_string())
            }
            "d" => range::<f64>(argument)
                .map_or_else(String::new, |(low, high)| format!("{:.1}", low + self.random.f64() * (high - low))),
            "pick" => {
                let items: Vec<&str> = argument.split(',').collect();
                self.choose(&items).to_owned()
            }
            "he" => if patient.female { "she" } else { "he" }.to_owned(),
            "He" => if patient.female { "She" } else { "He" }.to_owned(),
            "his" => if patient.female { "her" } else { "his" }.to_owned(),
            "His" => if patient.female { "Her" } else { "His" }.to_owned(),
            "him" => if patient.female { "her" } else { "him" }.to_owned(),
            "sex" => if patient.female { "woman" } else { "man" }.to_owned(),
            "age" => patient.age.to_string(),
            _ => return self.identifier(kind),
        };
        self.text.push_str(&written);
    }

    fn identifier(&mut self, kind: &str) {
        let start = self.text.len();
        if self.random.f64() < self.plant {
            self.text.push_str(&self.patient.identifier(kind, self.random));
            self.planted.push(Identifier { start, end: self.text.len(), kind: kind.to_owned() });
        } else {
            self.text.push_str(&self.patient.placeholder(kind, self.random));
        }
    }
}

fn range<T: std::str::FromStr>(argument: &str) -> Option<(T, T)> {
    let (low, high) = argument.split_once('-')?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_ranges_and_pronouns_are_expanded() {
        let mut random = fastrand::Rng::with_seed(1);
        let patient = Patient::invent(&mut random);
        let mut writer = Writer::new(&patient, 0.0, &mut random);
        writer.push("(a|a) {n:3-3} {d:1.5-1.5} {pick:x} (kept)");
        assert_eq!(writer.text, "a 3 1.5 x (kept)");
    }

    #[test]
    fn planted_identifiers_are_where_they_are_said_to_be() {
        let mut random = fastrand::Rng::with_seed(2);
        let patient = Patient::invent(&mut random);
        let mut writer = Writer::new(&patient, 1.0, &mut random);
        writer.paragraph(&["Seen by {doctor} on {date}.", "Call {phone}.", "{name} agreed with the plan and went home by car."]);
        assert_eq!(writer.planted.len(), 4);
        assert!(
            writer.planted.iter().all(|span| writer.text.get(span.start..span.end).is_some_and(|text| !text.contains("[**")))
        );
        assert!(!writer.text.contains("[**"));
    }

    #[test]
    fn wrapping_keeps_placeholders_whole() {
        let mut random = fastrand::Rng::with_seed(3);
        let patient = Patient::invent(&mut random);
        let mut writer = Writer::new(&patient, 0.0, &mut random);
        writer.paragraph(&["Followed by {doctor} at {hospital} since {date}."; 12]);
        assert!(writer.text.lines().all(|line| line.matches("[**").count() == line.matches("**]").count()));
        assert!(writer.text.lines().count() > 4);
    }
}
