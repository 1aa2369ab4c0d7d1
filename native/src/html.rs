//! What the HTML reports share: one file each, no script, nothing from elsewhere, light and dark.

use std::fmt::Write;

/// A page of its own around `body`; `note` stands under the title.
pub fn page(title: &str, note: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n{POLICY}\n<style>{STYLE}</style>\n\
         <main><h1>{title}</h1>\n<p>{note}</p>\n{body}</main></html>\n",
        title = escaped(title),
        note = escaped(note)
    )
}

/// A table of names and values under a heading; nothing if there are no rows.
pub fn table(body: &mut String, heading: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(body, "<h2>{}</h2><table>", escaped(heading));
    for (name, value) in rows {
        let _ = write!(body, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    body.push_str("</table>\n");
}

/// Text as it may stand in HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page may load nothing, not even from its own folder.
const POLICY: &str = r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"#;

const STYLE: &str = "
:root { --paper: #fff; --ink: #222; --faint: #ddd; --first: #27a; --second: #c51; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --paper: #181818; --ink: #ddd; --faint: #444; --first: #6be; --second: #f96 } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink); margin: 2rem }
main { max-width: 46rem; margin: auto }
table { border-collapse: collapse }
th { font-weight: normal; text-align: left; padding-right: 2rem; vertical-align: top }
td { font-variant-numeric: tabular-nums; text-align: right; overflow-wrap: anywhere }
td.bar { width: 18rem; padding-left: 1rem; text-align: left }
i { display: inline-block; height: .7em; background: var(--first) }
svg { width: 100%; font-size: 12px }
svg text { fill: var(--ink) }
svg path { fill: none; stroke-width: 1.5 }
svg line { stroke: var(--faint) }
";
