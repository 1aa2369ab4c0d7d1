//! The kinds of notes: which sections they have and which of the patient's sentences go there.

use super::patient::Patient;
use super::template::Writer;

/// A kind of note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Long, sectioned, at the end of a stay.
    Discharge,
    /// A few lines of a shift.
    Nursing,
    /// One study.
    Radiology,
    /// A day's visit, by problem.
    Physician,
    /// A line or two.
    Ecg,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Discharge, Self::Nursing, Self::Radiology, Self::Physician, Self::Ecg];

    /// `CATEGORY` and `DESCRIPTION` as MIMIC-III spells them (the blank after `Physician` is MIMIC's).
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Discharge => ("Discharge summary", "Report"),
            Self::Nursing => ("Nursing/other", "Report"),
            Self::Radiology => ("Radiology", "CHEST (PORTABLE AP)"),
            Self::Physician => ("Physician ", "Physician Resident Progress Note"),
            Self::Ecg => ("ECG", "Report"),
        }
    }

    /// Writes such a note about the patient.
    pub fn write(self, writer: &mut Writer<'_>, patient: &Patient) {
        match self {
            Self::Discharge => discharge(writer, patient),
            Self::Nursing => nursing(writer, patient),
            Self::Radiology => radiology(writer, patient),
            Self::Physician => physician(writer, patient),
            Self::Ecg => ecg(writer, patient),
        }
    }
}

fn discharge(writer: &mut Writer<'_>, patient: &Patient) {
    let Some(first) = patient.conditions.first() else { return };
    writer.line("Admission Date:  {date}       Discharge Date:  {date}\n");
    writer.line("Service: (MEDICINE|CARDIOLOGY|SURGERY|NEUROLOGY)\n");
    writer.line("Allergies:\n(Penicillins|Sulfonamides|Codeine|No Known Allergies to Drugs)\n");
    writer.line("Attending: {doctor}\n");
    writer.line("Chief Complaint:");
    writer.line(first.complaint);
    writer.line("\nHistory of Present Illness:");
    writer.push("{name} is a {age} year old {sex} with a history of ");
    let names: Vec<String> = patient.conditions.iter().map(|condition| condition.name.to_lowercase()).collect();
    writer.line(&format!("{} who presents with {}.", names.join(", "), first.complaint.to_lowercase()));
    writer.paragraph(first.history);
    writer.line("\nPast Medical History:");
    for (number, condition) in patient.conditions.iter().enumerate() {
        writer.line(&format!("{}. {}", number + 1, condition.name));
    }
    writer.line("\nSocial History:\nLives (alone|with {his} daughter|with {his} spouse). (Former smoker|Never smoked). (No alcohol use|Drinks alcohol occasionally).");
    writer.line("\nPhysical Exam:\nVS: T {d:97.2-101.4} BP {n:98-168}/{n:52-94} HR {n:58-122} RR {n:12-26} O2 sat {n:90-99}% RA");
    for condition in &patient.conditions {
        for line in condition.examination {
            writer.line(line);
        }
    }
    writer.line("\nPertinent Results:");
    for condition in &patient.conditions {
        writer.line(&format!("{{date}} 06:{{n:10-59}}AM BLOOD {}", condition.laboratory));
    }
    writer.line("\nBrief Hospital Course:");
    for (number, condition) in patient.conditions.iter().enumerate() {
        writer.push(&format!("# {}: ", condition.name));
        writer.paragraph(condition.course);
        if number + 1 < patient.conditions.len() {
            writer.text.push('\n');
        }
    }
    writer.line("\nDischarge Medications:");
    let medications = patient.conditions.iter().flat_map(|condition| condition.medications);
    for (number, medication) in medications.enumerate() {
        writer.line(&format!("{}. {medication} Sig: One (1) Tablet PO (DAILY|BID|TID).", number + 1));
    }
    writer.line("\nDischarge Disposition:\n(Home|Home With Service|Extended Care)\n\nFacility:\n{hospital}");
    writer.line(&format!("\nDischarge Diagnosis:\n{}", first.name));
    writer.line("\nDischarge Condition:\n(Stable|Good|Fair)");
    writer.line(
        "\nFollowup Instructions:\nPlease follow up with {doctor} in (one week|two weeks|one month). Call {phone} with any questions.",
    );
}

fn nursing(writer: &mut Writer<'_>, patient: &Patient) {
    writer.line("NPN {n:1-12}{pick:a,p}-{n:1-12}{pick:a,p}\n");
    writer.line("Neuro: (alert and oriented x3|awake, follows commands|lethargic but arousable), moves all extremities.");
    writer.line("CV: HR {n:58-118}, BP {n:92-162}/{n:48-90}. (No ectopy|Rare PVCs).");
    writer.line("Resp: (lungs clear|lungs coarse|diminished at bases), O2 sat {n:91-100}% on (room air|2 L NC|4 L NC).");
    for condition in &patient.conditions {
        for line in condition.nursing {
            writer.line(line);
        }
    }
    if writer.one_in(2) {
        writer.line("GI: abd soft, (positive|hypoactive) bowel sounds, tolerating (clears|cardiac diet|tube feeds).");
    }
    writer.line("Social: (daughter|son|spouse) {name} in to visit, updated by {doctor}.");
    writer.line("A/P: continue to monitor (hemodynamics|resp status|urine output), (call out to floor|skin care|pain control) as ordered.");
}

fn radiology(writer: &mut Writer<'_>, patient: &Patient) {
    let Some(condition) = patient.conditions.iter().find(|condition| condition.imaging.0 != "ECG").or(patient.conditions.first())
    else {
        return;
    };
    let (study, findings) = condition.imaging;
    writer.line(&format!("{{date}} {{n:1-12}}:{{n:10-59}} {{pick:AM,PM}}\n {study}   Clip # {{record}}"));
    writer.line(&format!(" Reason: {}\n", condition.complaint.to_lowercase()));
    writer.line(" UNDERLYING MEDICAL CONDITION:");
    writer.line(&format!("  {{age}} year old {{sex}} with {}", condition.name.to_lowercase()));
    writer.line(" ______________________________________________________________________________");
    writer.line("                                 FINAL REPORT\n");
    writer.line(&format!("INDICATION:  {{age}}-year-old {{sex}} with {}.\n", condition.complaint.to_lowercase()));
    writer.line("COMPARISON:  (None|Study of {date}).\n");
    writer.push("FINDINGS:  ");
    writer.paragraph(findings);
    writer.line(&format!("\nIMPRESSION:\n\n{}", condition.impression));
}

fn physician(writer: &mut Writer<'_>, patient: &Patient) {
    let Some(first) = patient.conditions.first() else { return };
    writer.line(&format!("Chief Complaint:  {}\n\n24 Hour Events:", first.complaint));
    for condition in &patient.conditions {
        let event = writer.choose(condition.course);
        writer.line(&format!(" - {event}"));
    }
    writer.line("\nPhysical Examination:\nGeneral Appearance: (No acute distress|Ill appearing|Comfortable)");
    for condition in &patient.conditions {
        for line in condition.examination {
            writer.line(line);
        }
    }
    writer.line(&format!("\nLabs / Radiology:\n{}", first.laboratory));
    writer.line("\nAssessment and Plan\nThis is a {age} year old {sex} with the problems listed below.\n");
    for (number, condition) in patient.conditions.iter().enumerate() {
        writer.push(&format!("{}. {}: ", number + 1, condition.name));
        let sentences: Vec<&str> = condition.course.iter().skip(1).copied().collect();
        writer.paragraph(&sentences);
    }
    writer.line("\nCode status: (Full code|DNR / DNI)\nDisposition: (ICU|Transfer to floor)\nSeen with {doctor}.");
}

fn ecg(writer: &mut Writer<'_>, patient: &Patient) {
    let found = patient.conditions.iter().find(|condition| condition.imaging.0 == "ECG");
    match found {
        Some(condition) => writer.paragraph(condition.imaging.1),
        None => writer.paragraph(&[
            "Sinus (rhythm|bradycardia|tachycardia) at a rate of {n:52-112}.",
            "(Normal|Left) axis and normal intervals.",
            "(Normal tracing|Left ventricular hypertrophy|Non-specific T wave changes).",
            "Compared to the previous tracing of {date} there is no significant change.",
        ]),
    }
}
