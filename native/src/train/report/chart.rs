//! A line chart as SVG.

use std::fmt::Write;

use crate::html::escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Room for the numbers at the left and below, and for half of the last one.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 25.0;
const BELOW: f64 = 20.0;
/// Points that a curve is drawn with at most; more do not fit the width.
const MOST_POINTS: usize = 600;
/// Numbers on an axis, about.
const TICKS: f64 = 4.0;
/// Colours, by curve: variables of the page's style.
const COLOURS: [&str; 2] = ["--first", "--second"];

/// A line of a chart.
pub struct Curve<'a> {
    /// What it shows.
    pub name: &'a str,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
}

/// Appends a chart under a heading; nothing if there are no points.
pub fn chart(body: &mut String, heading: &str, curves: [Curve<'_>; 2]) {
    let curves = curves.map(|curve| Curve { points: thinned(&curve.points), ..curve });
    let all = || curves.iter().flat_map(|curve| &curve.points).copied();
    let Some((x, y)) = range(all().map(|point| point.0)).zip(range(all().map(|point| point.1))) else { return };
    let place_x = |value: f64| LEFT + (value - x.0) / (x.1 - x.0) * (WIDTH - LEFT - RIGHT);
    let place_y = |value: f64| 5.0 + (y.1 - value) / (y.1 - y.0) * (HEIGHT - BELOW - 10.0);
    let _ = write!(body, "<h2>{}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">", escaped(heading));
    for value in ticks(y) {
        let at = place_y(value);
        let _ = write!(body, "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = write!(body, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, shown(value));
    }
    for value in ticks(x) {
        let _ = write!(body, "<text x=\"{:.1}\" y=\"{HEIGHT}\" text-anchor=\"middle\">{}</text>", place_x(value), shown(value));
    }
    for (curve, colour) in curves.iter().zip(COLOURS).filter(|(curve, _)| !curve.points.is_empty()) {
        let points = curve.points.iter().map(|(x, y)| format!("{:.1},{:.1}", place_x(*x), place_y(*y)));
        let path = points.collect::<Vec<_>>().join("L");
        // A closed dot makes a curve of one point visible.
        let dot = if curve.points.len() == 1 { "h.1" } else { "" };
        let _ = write!(body, "<path style=\"stroke:var({colour})\" stroke-linecap=\"round\" d=\"M{path}{dot}\"/>");
    }
    body.push_str("</svg>");
    for (curve, colour) in curves.iter().zip(COLOURS) {
        if let Some((_, last)) = curve.points.last() {
            let _ = write!(body, "<span style=\"color:var({colour})\">— {} (last {})</span> ", escaped(curve.name), shown(*last));
        }
    }
    body.push('\n');
}

/// Means of equally many neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let size = finite.len().div_ceil(MOST_POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let count = chunk.len() as f64;
        (chunk.iter().map(|point| point.0).sum::<f64>() / count, chunk.iter().map(|point| point.1).sum::<f64>() / count)
    };
    finite.chunks(size).map(mean).collect()
}

/// Least and largest value, widened where they are equal.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (least, most) = values.fold(None, |range: Option<(f64, f64)>, value| {
        Some(range.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
    })?;
    let margin = if most > least { 0.0 } else { most.abs().max(1.0) * 0.1 };
    Some((least - margin, most + margin))
}

/// Round numbers in a range.
fn ticks((least, most): (f64, f64)) -> Vec<f64> {
    let rough = (most - least) / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (least / step).ceil();
    (0..20).map(|count| (first + f64::from(count)) * step).take_while(|value| *value <= most).collect()
}

/// A number in few digits.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size < 1e-12 => "0".into(),
        size if size < 1e-3 => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        size if size < 1000.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(training: &[(f64, f64)], held_out: &[(f64, f64)]) -> String {
        let mut body = String::new();
        let curve = |name, points: &[(f64, f64)]| Curve { name, points: points.to_vec() };
        chart(&mut body, "Loss", [curve("training", training), curve("held out", held_out)]);
        body
    }

    #[test]
    fn curves_fill_the_chart_and_ticks_are_round() {
        let body = drawn(&[(0.0, 8.0), (100.0, 3.0)], &[(50.0, 4.0)]);
        assert!(body.contains("d=\"M60.0,5.0L695.0,175.0\""), "{body}");
        assert!(body.contains("text-anchor=\"end\">4</text>") && body.contains("text-anchor=\"middle\">50</text>"), "{body}");
        assert!(body.contains("training (last 3)") && body.contains("held out (last 4)"), "{body}");
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        assert_eq!(drawn(&[], &[]), "");
        assert_eq!(drawn(&[(1.0, f64::NAN)], &[]), "");
        assert!(drawn(&[(1.0, 2.0)], &[]).contains("h.1"), "a single point is a dot");
    }

    #[test]
    fn long_runs_are_thinned_to_their_means() {
        let points: Vec<_> = (0..6000).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        let thin = thinned(&points);
        assert_eq!(thin.len(), MOST_POINTS);
        assert!(thin.iter().all(|(_, y)| *y == 0.5));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 5e-5, 0.25, 3.0, 12.5, 150_000.0].map(shown), ["0", "5.0e-5", "0.25", "3", "12.5", "150000"]);
    }
}
