//! Parquet files, compressed with snappy or gzip or not at all (Zstandard would need a C compiler to build).

use std::fs::File;

use anyhow::{Context, Result, ensure};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;

use super::Row;
use super::columns::Columns;
use super::source::Source;
use crate::cli::NotesInput;

/// Rows of one file.
pub(super) struct ParquetFile {
    name: String,
    rows: RowIter<'static>,
    columns: Columns,
    number: u64,
    prefix: String,
}

impl ParquetFile {
    /// Reads the schema.
    ///
    /// # Errors
    /// No Parquet file, or one without the columns that are asked for.
    pub fn new(source: &Source, input: &NotesInput, prefix: String) -> Result<Self> {
        let name = source.short_name();
        let file = File::open(&source.path).with_context(|| format!("cannot open {}", source.path.display()))?;
        let reader =
            SerializedFileReader::new(file).with_context(|| format!("{name} is no Parquet file, or was cut; fetch it again"))?;
        let metadata = reader.metadata().file_metadata();
        ensure!(metadata.num_rows() > 0, "{name} has no rows; expected notes");
        let fields = metadata.schema().get_fields();
        let header: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        let columns = Columns::find(&header, input, &name)?;
        Ok(Self { rows: reader.into_iter(), name, columns, number: 0, prefix })
    }
}

impl Iterator for ParquetFile {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        self.number += 1;
        let place = || {
            format!(
                "{}, row {}: cannot be read (Zstandard and LZ4 are not supported: write it with snappy)",
                self.name, self.number
            )
        };
        let row = match row.with_context(place) {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let values: Vec<String> = row.get_column_iter().map(|(_, field)| plain(field)).collect();
        let number = || format!("{}{}", self.prefix, self.number);
        Some(Ok(self.columns.row(|place| values.get(place).map(String::as_bytes), number, 0)))
    }
}

/// A value as it would stand in a CSV field.
fn plain(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::{Content, Row, open};
    use super::*;

    fn write(path: &std::path::Path) {
        let schema = "message notes { required int64 note_id; required binary category (UTF8); optional binary TEXT (UTF8); }";
        let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[7, 8], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("ECG"), ByteArray::from("Echo")], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&[ByteArray::from("Sinus rhythm.\nNo change.")], Some(&[1, 0]), None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
        file.close().unwrap();
    }

    #[test]
    fn rows_of_a_parquet_file_are_notes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.parquet");
        write(&path);
        let rows: Vec<Row> =
            open(&NotesInput { notes: vec![path], ..NotesInput::default() }).unwrap().map(Result::unwrap).collect();
        let row = |id: &str, category: &str, text: &str| Row {
            id: id.into(),
            patient: None,
            category: category.into(),
            content: Content::Note(text.into()),
        };
        assert_eq!(rows, [row("7", "ECG", "Sinus rhythm.\nNo change."), row("8", "Echo", "")]);
    }

    #[test]
    fn a_cut_parquet_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.parquet");
        write(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let told = format!("{:#}", open(&NotesInput { notes: vec![path], ..NotesInput::default() }).err().unwrap());
        assert!(told.contains("notes.parquet is no Parquet file, or was cut"), "{told}");
    }
}
