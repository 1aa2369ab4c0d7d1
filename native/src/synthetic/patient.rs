//! An invented patient: who they are, what they suffer from, and how identifiers are written about them.

use super::conditions::{CONDITIONS, Condition};

const FIRST_NAMES: &[&str] = &["Maria", "Helen", "Ruth", "Alma", "Doris", "James", "Walter", "Peter", "Samuel", "Victor"];
const LAST_NAMES: &[&str] =
    &["Lindqvist", "Okafor", "Marchetti", "Delacroix", "Hathaway", "Novak", "Ferreira", "Yamada", "Brandt", "Osei"];
const HOSPITALS: &[&str] = &["Harbor View Hospital", "St. Brendan Medical Center", "Lakeside Rehabilitation", "Northgate Clinic"];

/// An invented patient.
pub struct Patient {
    /// `SUBJECT_ID`.
    pub subject: u32,
    /// Years.
    pub age: u32,
    /// Which pronouns notes use.
    pub female: bool,
    /// One to three conditions; the first is the reason for admission.
    pub conditions: Vec<&'static Condition>,
    first_name: &'static str,
    last_name: &'static str,
    /// Year to which the dates were shifted, as in MIMIC.
    pub year: u32,
    /// Month of the admission.
    pub month: u32,
    /// Day of the admission.
    pub day: u32,
}

impl Patient {
    /// Draws a patient.
    pub fn invent(random: &mut fastrand::Rng) -> Self {
        let conditions = random.choose_multiple(CONDITIONS, 3);
        let keep = random.usize(1..=3);
        Self {
            subject: random.u32(10_000..99_999),
            age: random.u32(38..89),
            female: random.bool(),
            conditions: conditions.into_iter().take(keep).collect(),
            first_name: random.choice(FIRST_NAMES).copied().unwrap_or(""),
            last_name: random.choice(LAST_NAMES).copied().unwrap_or(""),
            year: random.u32(2101..2199),
            month: random.u32(1..=12),
            day: random.u32(1..=24),
        }
    }

    /// A placeholder as MIMIC-III writes them.
    pub fn placeholder(&self, kind: &str, random: &mut fastrand::Rng) -> String {
        match kind {
            "name" => format!("[**Known lastname {}**]", random.u32(1..9999)),
            "doctor" => format!("Dr. [**Last Name (STitle) {}**]", random.u32(1..9999)),
            "hospital" => format!("[**Hospital{} {}**]", random.u32(1..4), random.u32(1..99)),
            "date" => format!("[**{}-{}-{}**]", self.year, self.month, self.day + random.u32(0..5)),
            "phone" => format!("[**Telephone/Fax (1) {}**]", random.u32(1..9999)),
            "record" => format!("[**Numeric Identifier {}**]", random.u32(1..9999)),
            _ => String::new(),
        }
    }

    /// The same kind of identifier in the clear; invented, telephone numbers from the range kept for fiction.
    pub fn identifier(&self, kind: &str, random: &mut fastrand::Rng) -> String {
        match kind {
            "name" => format!("{} {}", self.first_name, self.last_name),
            "doctor" => format!("Dr. {}", random.choice(LAST_NAMES).copied().unwrap_or("")),
            "hospital" => random.choice(HOSPITALS).copied().unwrap_or("").to_owned(),
            "date" => format!("{}/{}/{}", self.month, self.day + random.u32(0..5), self.year),
            "phone" => format!("617-555-01{:02}", random.u32(0..100)),
            "record" => format!("{:07}", random.u32(1_000_000..9_999_999)),
            _ => String::new(),
        }
    }
}
