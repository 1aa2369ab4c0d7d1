//! The part of `cargo xtask bench-web` that is about arriving: a first and a second visit in a browser that nothing listens to, where both
//! pages keep the model (`tests/browser/bench/visits.js`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bench_web::{OURS, number};

/// Seconds to the first vector of our first visits, our second ones, theirs and theirs.
#[derive(Debug, Default, PartialEq)]
struct Seconds([Vec<f64>; 4]);

/// Prints a line for every model, device and precision; of several rounds the medians. A visit that failed leaves its place empty.
pub fn print_table(rows: &[Value]) {
    println!("\n| model | device | precision | first visit, ours s | theirs | second visit, ours s | theirs |");
    println!("|---|---|---|--:|--:|--:|--:|");
    for ([model, device, precision], Seconds(mut seconds)) in by_case(rows) {
        let [ours, ours_again, theirs, theirs_again] = seconds.each_mut().map(|seconds| match seconds.as_mut_slice() {
            [] => "-".to_owned(),
            seconds => {
                seconds.sort_by(f64::total_cmp);
                seconds.get(seconds.len() / 2).map_or_else(String::new, |seconds| format!("{seconds:.2}"))
            }
        });
        println!("| {model} | {device} | {precision} | {ours} | {theirs} | {ours_again} | {theirs_again} |");
    }
}

fn by_case(rows: &[Value]) -> BTreeMap<[String; 3], Seconds> {
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut cases: BTreeMap<[String; 3], Seconds> = BTreeMap::new();
    for row in rows {
        let Seconds([ours, ours_again, theirs, theirs_again]) =
            cases.entry(["model", "device", "dtype"].map(|key| text(row, key))).or_default();
        let place = match (text(row, "page") == OURS, number(row, "visit") > 1.0) {
            (true, false) => ours,
            (true, true) => ours_again,
            (false, false) => theirs,
            (false, true) => theirs_again,
        };
        if row.get("failed").is_none() {
            place.push((number(row, "load_ms") + number(row, "first_ms")) / 1e3);
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn visits_are_sorted_by_page_and_number() {
        let row = |page: &str, visit: u32, load: f64| json!({ "page": page, "model": "m", "device": "wasm", "dtype": "q8", "visit": visit, "load_ms": load, "first_ms": 500.0 });
        let failed =
            json!({ "page": "transformers.js", "model": "m", "device": "wasm", "dtype": "q8", "visit": 2, "failed": "gone" });
        let rows = [row(OURS, 1, 1500.0), row(OURS, 2, 500.0), row("transformers.js", 1, 3500.0), failed];
        let cases = by_case(&rows);
        let expected = Seconds([vec![2.0], vec![1.0], vec![4.0], vec![]]);
        assert_eq!(cases.into_values().collect::<Vec<_>>(), [expected]);
    }
}
