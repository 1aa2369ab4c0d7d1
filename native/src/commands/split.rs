//! `native split`: one note, or every note of a file, as the pipeline sees it.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinicalbert_core::text::{SentenceRules, SplitNote};
use clinicalbert_core::tokenizer::WordPiece;
use serde_json::{Value, json};

use super::Answer;
use crate::cli::{Common, NotesInput, SentencesBy, SplitFlags};
use crate::notes::{self, Content};
use crate::splitting::{
    Splitting,
    differences::{self, Mode, Pair},
};
use crate::vocabulary;

/// Flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Text files of one note each; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    input: NotesInput,
    #[command(flatten)]
    split: SplitFlags,
    /// Instead of the notes, show how many of --notes the splitters cut differently
    #[arg(long, requires = "notes", conflicts_with_all = ["files", "row", "pieces", "splitter", "boundaries"])]
    differences: bool,
    /// Only the note with this id
    #[arg(long, value_name = "ID")]
    row: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show the word pieces of every sentence too; needs --vocab
    #[arg(long, requires = "vocab")]
    pieces: bool,
    /// Vocabulary for --pieces: vocab.txt, tokenizer.json, or a folder that has one
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading: sections coloured on a terminal, sentences numbered
    Text,
    /// One JSON object a note, with byte offsets
    Jsonl,
}

/// Splits and shows.
///
/// # Errors
/// No input was given, it cannot be read, or the asked-for row is not there.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Answer> {
    if arguments.differences {
        return differences(arguments, common);
    }
    let splitting = arguments.split.splitting()?;
    let tokenizer = match &arguments.vocab {
        Some(path) if arguments.pieces => Some(vocabulary::load(path, None)?),
        _ => None,
    };
    let mut view = View {
        format: if common.json { Format::Jsonl } else { arguments.format },
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        tokenizer,
        splitting,
        out: std::io::BufWriter::new(std::io::stdout().lock()),
    };
    let mut shown = 0usize;
    for file in &arguments.files {
        let text = read_text(file)?;
        view.show(&file.display().to_string(), &text)?;
        shown += 1;
    }
    if !arguments.input.notes.is_empty() {
        for row in notes::open(&arguments.input)? {
            let row = row?;
            if arguments.row.as_ref().is_some_and(|wanted| *wanted != row.id) {
                continue;
            }
            match row.content {
                Content::Note(text) => {
                    view.show(&row.id, &text)?;
                    shown += 1;
                }
                Content::Unreadable { offset, reason } => eprintln!("row {} at byte {offset} left out: {reason}", row.id),
                Content::ErrorFlag if arguments.row.is_some() => {
                    bail!("row {} is marked as an error: --include-errors shows it", row.id)
                }
                Content::ErrorFlag | Content::Filtered => {}
            }
            if arguments.row.is_some() {
                break;
            }
        }
    }
    view.out.flush()?;
    match (&arguments.row, shown) {
        (Some(row), 0) => {
            bail!("no note has the id {row}: ids are the column ROW_ID or note_id, or the one named by --id-column")
        }
        (None, 0) if arguments.files.is_empty() && arguments.input.notes.is_empty() => {
            bail!("nothing to split: give text files, - for standard input, or --notes FILE.csv")
        }
        _ => Ok(Answer::Yes),
    }
}

/// The report on how many notes are cut differently.
fn differences(arguments: &Arguments, common: &Common) -> Result<Answer> {
    let rules = match arguments.split.sentences_by {
        SentencesBy::Rules => SentenceRules::Rules,
        SentencesBy::OriginalRules => SentenceRules::OriginalRules,
        SentencesBy::File => bail!("--differences compares rules; leave --sentences-by file out"),
    };
    let found = differences::count(notes::open(&arguments.input)?, rules, common.threads())?;
    let mut out = std::io::stdout().lock();
    if common.json {
        writeln!(out, "{}", serde_json::to_string(&found)?)?;
        return Ok(Answer::Yes);
    }
    writeln!(out, "{} notes\n\n{:<22}{:>12}{:>12}{:>12}", found.notes, "splitter", "notes lost", "sections", "sentences")?;
    for (name, _) in differences::MODES {
        let Mode { lost, sections, sentences } = found.modes.get(name).copied().unwrap_or_default();
        writeln!(out, "{name:<22}{lost:>12}{sections:>12}{sentences:>12}")?;
    }
    writeln!(out, "\n{:<22}{:>24}{:>24}", "notes that differ", "in sections", "in sentences")?;
    for (name, Pair { sections, sentences }) in &found.pairs {
        let share = |count: u64| format!("{count} ({:.1} %)", 100.0 * count as f64 / found.notes.max(1) as f64);
        writeln!(out, "{:<22}{:>24}{:>24}", name.replace('/', " / "), share(*sections), share(*sentences))?;
    }
    Ok(Answer::Yes)
}

fn read_text(file: &PathBuf) -> Result<String> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        if file.is_dir() {
            bail!("{} is a folder: give the text files in it", file.display());
        }
        bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    String::from_utf8(bytes).map_err(|error| {
        anyhow::anyhow!("{} is not UTF-8: first bad byte at {}", file.display(), error.utf8_error().valid_up_to())
    })
}

struct View<W: Write> {
    format: Format,
    colour: bool,
    tokenizer: Option<WordPiece>,
    splitting: Splitting,
    out: W,
}

impl<W: Write> View<W> {
    fn show(&mut self, id: &str, text: &str) -> Result<()> {
        let note = match self.splitting.split(id, text) {
            Ok(note) => note,
            Err(error) => {
                eprintln!("note {id}: {error}");
                return Ok(());
            }
        };
        match self.format {
            Format::Jsonl => self.json(id, text, &note),
            Format::Text => self.text(id, text, &note),
        }
    }

    fn json(&mut self, id: &str, text: &str, note: &SplitNote<'_>) -> Result<()> {
        let sections: Vec<Value> = note
            .sections
            .iter()
            .map(|section| {
                let title = section.title.map(|title| title.of(text));
                json!({ "title": title, "text": section.text, "start": section.span.start, "end": section.span.end })
            })
            .collect();
        let mut sentences = Vec::with_capacity(note.sentences.len());
        for sentence in &note.sentences {
            let mut value = json!({ "text": sentence.text, "start": sentence.span.start, "end": sentence.span.end });
            if let (Some(pieces), Some(object)) = (self.pieces(&sentence.text)?, value.as_object_mut()) {
                object.insert("ids".into(), pieces.iter().map(|(id, _)| *id).collect());
                object.insert("pieces".into(), pieces.into_iter().map(|(_, piece)| piece).collect());
            }
            sentences.push(value);
        }
        let placeholders: Vec<Value> =
            note.placeholders.iter().map(|span| json!({ "start": span.start, "end": span.end })).collect();
        let note = json!({ "id": id, "sections": sections, "sentences": sentences, "placeholders": placeholders });
        writeln!(self.out, "{note}")?;
        Ok(())
    }

    fn text(&mut self, id: &str, text: &str, note: &SplitNote<'_>) -> Result<()> {
        let (title_on, dim, off) = if self.colour { ("\x1b[1;36m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        writeln!(self.out, "{dim}note {id}: {} sections, {} sentences{off}", note.sections.len(), note.sentences.len())?;
        for (number, section) in note.sections.iter().enumerate() {
            let title = section.title.map_or("(no header)", |title| title.of(text).trim());
            writeln!(self.out, "\n{title_on}{title}{off} {dim}[{}..{}]{off}", section.span.start, section.span.end)?;
            for (index, sentence) in note.sentences.iter().enumerate().filter(|(_, sentence)| sentence.section == number) {
                writeln!(self.out, "  {dim}{:>3}{off} {}", index + 1, sentence.text.trim())?;
                if let Some(pieces) = self.pieces(&sentence.text)? {
                    let pieces: Vec<String> = pieces.into_iter().map(|(_, piece)| piece).collect();
                    writeln!(self.out, "      {dim}{}{off}", pieces.join(" "))?;
                }
            }
        }
        writeln!(self.out)?;
        Ok(())
    }

    fn pieces(&self, sentence: &str) -> Result<Option<Vec<(u32, String)>>> {
        let Some(tokenizer) = &self.tokenizer else { return Ok(None) };
        let pieces = tokenizer.pieces(sentence)?;
        Ok(Some(pieces.into_iter().map(|piece| (piece.id, tokenizer.token(piece.id).unwrap_or("?").to_owned())).collect()))
    }
}
