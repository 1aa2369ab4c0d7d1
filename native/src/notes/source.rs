//! Which files are meant, and their bytes: plain, gzip or Zstandard, told apart by content.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows with a header line: CSV, TSV.
    Delimited,
    /// One JSON object a line.
    JsonLines,
    /// Parquet.
    Parquet,
    /// One note.
    Text,
}

/// A file of notes.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub path: PathBuf,
    /// `None`: the first byte decides.
    pub declared: Option<Kind>,
    pub kind: Kind,
    /// Name of a text file within the folder that was given.
    pub id: String,
    pub bytes: u64,
}

impl Source {
    /// The file name, for messages and row ids.
    pub fn short_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// An open file.
pub(super) struct Opened {
    pub name: String,
    pub kind: Kind,
    /// Unpacked bytes.
    pub bytes: Box<dyn BufRead + Send>,
    pub tab: bool,
}

/// Files that are meant by paths and patterns; a pattern's matches in the order of their names. `-` stays as it is.
///
/// # Errors
/// A pattern that cannot be read or that no file matches.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let pattern = path.to_string_lossy();
        if path.exists() || !pattern.contains(['*', '?', '[']) {
            files.push(path.clone());
            continue;
        }
        let matches = glob::glob(&pattern).with_context(|| format!("{pattern} is no pattern for files"))?;
        let before = files.len();
        for file in matches {
            files.push(file.with_context(|| format!("cannot look for {pattern}"))?);
        }
        ensure!(files.len() > before, "no file matches {pattern}; check the folder and the pattern");
    }
    Ok(files)
}

/// Every file behind the given paths, folders and patterns.
pub(super) fn list(paths: &[PathBuf]) -> Result<Vec<Source>> {
    ensure!(!paths.is_empty(), "no notes are given; name the files with --notes");
    let mut sources = Vec::new();
    for path in expand(paths)? {
        if path.is_dir() {
            let before = sources.len();
            add_folder(&path, &path, &mut sources)?;
            ensure!(
                sources.len() > before,
                "{} is a folder without .txt files; name a file of notes (CSV, TSV or JSON lines), or a folder of .txt notes",
                path.display()
            );
        } else {
            sources.push(source(path, None)?);
        }
    }
    Ok(sources)
}

fn add_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let read = || -> io::Result<Vec<PathBuf>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut entries = read().with_context(|| format!("cannot list {}", folder.display()))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            add_folder(root, &entry, sources)?;
        } else if entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt")) {
            sources.push(source(entry, Some(root))?);
        }
    }
    Ok(())
}

fn source(path: PathBuf, root: Option<&Path>) -> Result<Source> {
    let name = path.to_string_lossy().to_lowercase();
    let bare = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let declared = match bare.rsplit('.').next() {
        Some("csv" | "tsv" | "tab") => Some(Kind::Delimited),
        Some("jsonl" | "ndjson" | "json") => Some(Kind::JsonLines),
        Some("txt") => Some(Kind::Text),
        Some("parquet") => Some(Kind::Parquet),
        _ => None,
    };
    let bytes = if path == Path::new("-") { 0 } else { checked_length(&path)? };
    let relative = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(&path);
    let id = match root {
        Some(_) => relative.with_extension("").to_string_lossy().into_owned(),
        None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    Ok(Source { kind: declared.unwrap_or(Kind::Delimited), declared, id, bytes, path })
}

fn checked_length(path: &Path) -> Result<u64> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {shown}; check the name"))?;
    ensure!(!metadata.is_dir(), "{shown} is a folder; name the file in it");
    // A text file may be empty: it is a note without text. A pipe or device has no length.
    let may_be_empty = !metadata.is_file() || path.extension().is_some_and(|extension| extension == "txt");
    ensure!(may_be_empty || metadata.len() > 0, "{shown} is empty; expected notes with a header line; fetch or export it again");
    Ok(metadata.len())
}

/// Opens a file of rows and finds out what it holds.
pub(super) fn open(source: &Source, counter: Arc<AtomicU64>) -> Result<Opened> {
    let mut bytes = open_decoded(&source.path, counter)?;
    let name = if source.path == Path::new("-") { "standard input".into() } else { source.short_name() };
    let start = bytes.fill_buf().with_context(|| format!("cannot read {name}"))?;
    ensure!(!start.is_empty(), "{name} is empty; expected notes with a header line");
    let kind = source.declared.unwrap_or(if start.trim_ascii_start().first() == Some(&b'{') {
        Kind::JsonLines
    } else {
        Kind::Delimited
    });
    let lower = name.to_lowercase();
    Ok(Opened { kind, bytes, tab: lower.contains(".tsv") || lower.contains(".tab"), name })
}

/// The unpacked bytes of a file, or of standard input for `-`; `counter` follows the bytes as they lie on disk.
///
/// # Errors
/// A file that is missing, a folder, or not readable.
pub fn open_decoded(path: &Path, counter: Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>> {
    let raw: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        checked_length(path)?;
        Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
    };
    let mut raw = BufReader::with_capacity(BUFFER, Counted { raw, counter });
    let magic = raw.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let packed: Box<dyn Read + Send> = match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(
            ruzstd::decoding::StreamingDecoder::new(raw).with_context(|| format!("{} is no Zstandard file", path.display()))?,
        ),
        _ => return Ok(Box::new(raw)),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, Unpacked(packed))))
}

const BUFFER: usize = 1 << 18;

struct Counted {
    raw: Box<dyn Read + Send>,
    counter: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Says in plain words what is wrong with a packed file.
struct Unpacked(Box<dyn Read + Send>);

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "the compressed file was cut before its end; fetch it again and check its checksum")
            }
            kind => {
                io::Error::new(kind, format!("the compressed file is damaged ({error}); fetch it again and check its checksum"))
            }
        })
    }
}
