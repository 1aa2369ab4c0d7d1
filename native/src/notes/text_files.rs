//! A text file is one note.

use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::source::{Source, open_decoded};
use super::{Content, LONGEST_ROW, Row, columns};

/// The note in a file; `None` never, but an iterator is wanted.
pub(super) fn row(source: &Source) -> Option<Result<Row>> {
    Some(read(source))
}

fn read(source: &Source) -> Result<Row> {
    let mut bytes = Vec::new();
    let file = open_decoded(&source.path, Arc::default())?;
    file.take(LONGEST_ROW + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", source.path.display()))?;
    let content = if bytes.len() as u64 > LONGEST_ROW {
        Content::Unreadable { offset: 0, reason: format!("longer than {} MiB", LONGEST_ROW >> 20) }
    } else {
        columns::text(&bytes, 0)
    };
    Ok(Row { id: source.id.clone(), patient: None, category: String::new(), content })
}
