//! `report.html`: the summary for a reader. One file, no script, nothing from elsewhere, and no note text: what is shown of the text are
//! counts and single characters.

use std::fmt::Write;

use super::summary::{Counts, Summary};
use crate::html::{self, escaped, table};

/// Characters shown of those that the vocabulary lacks.
const MOST_CHARACTERS: usize = 40;
/// Categories shown.
const MOST_CATEGORIES: usize = 60;

/// The page.
pub fn html(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut page = String::new();
    let mut rows = vec![("rows read".to_owned(), counts.rows_read.to_string())];
    rows.extend(counts.outcomes.iter().map(|(outcome, count)| (outcome.name().replace('_', " "), count.to_string())));
    table(&mut page, "Rows", &rows);
    let text = [
        ("words", counts.words),
        ("sections", counts.sections),
        ("sentences", counts.sentences),
        ("tokens", counts.tokens),
        ("unknown pieces", counts.unknown_pieces),
        ("held-out rows", counts.held_out),
        ("examples", summary.examples),
        ("held-out examples", summary.holdout_examples),
    ];
    table(&mut page, "Text", &text.map(|(name, count)| (name.to_owned(), count.to_string())));
    let _ = write!(page, "<p>{} pieces a word; {} of a thousand pieces are unknown.</p>", ratio(counts), per_thousand(counts));
    bars(&mut page, "Notes by number of tokens", &histogram(counts));
    let mut categories: Vec<_> = counts.categories.iter().map(|(name, count)| (name.clone(), *count)).collect();
    categories.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    categories.truncate(MOST_CATEGORIES);
    bars(&mut page, "Kept notes by category", &categories);
    let mut characters: Vec<_> = counts.unknown_characters.iter().collect();
    characters.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let characters: Vec<_> = characters
        .into_iter()
        .take(MOST_CHARACTERS)
        .map(|(character, count)| {
            let shown = if character.is_control() { String::new() } else { format!("{character} ") };
            (format!("{shown}U+{:04X}", *character as u32), *count)
        })
        .collect();
    bars(&mut page, "Characters that the vocabulary lacks", &characters);
    let settings = serde_json::to_value(&summary.settings).unwrap_or_default();
    let settings: Vec<_> =
        settings.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.to_string())).collect();
    table(&mut page, "Settings", &settings);
    html::page("Preparation", "Counts only: no text of any note is in this file.", &page)
}

fn ratio(counts: &Counts) -> String {
    format!("{:.2}", counts.tokens as f64 / counts.words.max(1) as f64)
}

fn per_thousand(counts: &Counts) -> String {
    format!("{:.2}", 1000.0 * counts.unknown_pieces as f64 / counts.tokens.max(1) as f64)
}

fn histogram(counts: &Counts) -> Vec<(String, u64)> {
    let label = |class: usize| match class {
        0 => "0".to_owned(),
        1 => "1".to_owned(),
        _ => format!("{} to {}", 1u64 << (class - 1), (1u64 << class) - 1),
    };
    let classes = counts.tokens_histogram.iter().enumerate();
    classes.skip_while(|(_, count)| **count == 0).map(|(class, count)| (label(class), *count)).collect()
}

fn bars(page: &mut String, title: &str, rows: &[(String, u64)]) {
    if rows.is_empty() {
        return;
    }
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let _ = write!(page, "<h2>{title}</h2><table>");
    for (name, count) in rows {
        let width = 100.0 * *count as f64 / most as f64;
        let bar = format!("<i style=\"width:{width:.1}%\"></i>");
        let _ = write!(page, "<tr><th>{}</th><td>{count}</td><td class=\"bar\">{bar}</td></tr>", escaped(name));
    }
    page.push_str("</table>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let mut page = String::new();
        bars(&mut page, "Categories", &[("<script>\"&".to_owned(), 3)]);
        assert!(page.contains("&lt;script&gt;&quot;&amp;"), "{page}");
    }

    #[test]
    fn histogram_classes_are_powers_of_two() {
        let counts = Counts { tokens_histogram: vec![0, 2, 0, 5], ..Counts::default() };
        assert_eq!(histogram(&counts), [("1".to_owned(), 2), ("2 to 3".to_owned(), 0), ("4 to 7".to_owned(), 5)]);
    }
}
