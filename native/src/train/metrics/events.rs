//! TensorBoard's event files (`events.out.tfevents.…`): TFRecord with `tensorflow.Event` (tensorflow/core/util/event.proto).
//!
//! Every start of a run, and every going back, opens a file of its own whose `SessionLog` says from which step on older events no longer
//! count; TensorBoard drops those. Rewriting one file would leave a running TensorBoard with the old one open.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clinicalbert_core::examples::tfrecord;
use serde_json::Value;

/// What every event file's name begins with.
const PREFIX: &str = "events.out.tfevents.";

/// Protobuf tags: field number and wire type in one byte.
mod tag {
    /// `Event.wall_time`, a double.
    pub const WALL_TIME: u8 = 0x09;
    /// `Event.step`, a varint.
    pub const STEP: u8 = 0x10;
    /// `Event.file_version`, a string.
    pub const FILE_VERSION: u8 = 0x1a;
    /// `Event.summary`, a message.
    pub const SUMMARY: u8 = 0x2a;
    /// `Event.session_log`, a message.
    pub const SESSION_LOG: u8 = 0x3a;
    /// `Summary.value`, and `Summary.Value.tag` in it.
    pub const VALUE: u8 = 0x0a;
    /// `Summary.Value.simple_value`, a float.
    pub const SIMPLE_VALUE: u8 = 0x15;
    /// `SessionLog.status`, a varint; 1 is START.
    pub const STATUS: u8 = 0x08;
}

/// An open event file.
#[derive(Debug)]
pub struct Events(File);

impl Events {
    /// Begins a file in `folder` after which events of step `from` and later in older files no longer count.
    ///
    /// # Errors
    /// The disk refused.
    pub fn create(folder: &Path, from: u64) -> Result<Self> {
        let context = || format!("cannot write TensorBoard's events in {}", folder.display());
        let names = fs::read_dir(folder).with_context(context)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let before = names.filter(|name| name.starts_with(PREFIX)).count();
        // TensorBoard reads files in the order of their names; the count orders those of one second.
        let name = format!("{PREFIX}{:010}.clinicalbert.{before:06}", seconds() as u64);
        let file = OpenOptions::new().create(true).append(true).open(folder.join(name)).with_context(context)?;
        let mut events = Self(file);
        events.record(&event(0, tag::FILE_VERSION, b"brain.Event:2")).with_context(context)?;
        if before > 0 {
            events.record(&event(from, tag::SESSION_LOG, &[tag::STATUS, 1])).with_context(context)?;
        }
        Ok(events)
    }

    /// Appends the numbers of a row as one event, tagged `train/…` or by the row's `split`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn write(&mut self, row: &Value) -> Result<()> {
        let (Some(fields), Some(step)) = (row.as_object(), row.get("step").and_then(Value::as_u64)) else { return Ok(()) };
        let split = row.get("split").and_then(Value::as_str).unwrap_or("train");
        let mut summary = Vec::new();
        for (name, number) in fields.iter().filter(|(name, _)| *name != "step") {
            let Some(number) = number.as_f64() else { continue };
            let mut value = Vec::new();
            field(&mut value, tag::VALUE, format!("{split}/{name}").as_bytes());
            value.push(tag::SIMPLE_VALUE);
            value.extend((number as f32).to_le_bytes());
            field(&mut summary, tag::VALUE, &value);
        }
        match summary.is_empty() {
            true => Ok(()),
            false => self.record(&event(step, tag::SUMMARY, &summary)),
        }
    }

    /// One write a record, so that a killed process leaves whole records.
    fn record(&mut self, payload: &[u8]) -> Result<()> {
        let mut bytes = Vec::new();
        tfrecord::append(&mut bytes, payload);
        let length = self.0.metadata()?.len();
        if let Err(error) = self.0.write_all(&bytes) {
            self.0.set_len(length)?;
            return Err(error).context("cannot write TensorBoard's events");
        }
        Ok(())
    }
}

fn event(step: u64, tag: u8, content: &[u8]) -> Vec<u8> {
    let mut event = vec![tag::WALL_TIME];
    event.extend(seconds().to_le_bytes());
    event.push(tag::STEP);
    varint(&mut event, step);
    field(&mut event, tag, content);
    event
}

fn field(bytes: &mut Vec<u8>, tag: u8, content: &[u8]) {
    bytes.push(tag);
    varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_event_with_a_value_for_each_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path(), 0).unwrap();
        events.write(&serde_json::json!({"step": 300, "split": "eval", "mlm_loss": 1.5})).unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(path).unwrap();
        let records: Vec<&[u8]> = tfrecord::Records::new(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 2);
        // Wall time takes nine bytes; 300 is the varint ac 02; 1.5 is 3fc00000.
        let expected = [b"\x10\xac\x02\x2a\x16\x0a\x14\x0a\x0deval/mlm_loss\x15".as_slice(), &1.5_f32.to_le_bytes()].concat();
        assert_eq!(records[1][9..], expected);
    }

    #[test]
    fn later_files_begin_by_taking_back_what_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        Events::create(folder.path(), 0).unwrap();
        Events::create(folder.path(), 5).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let second = fs::read(&names[1]).unwrap();
        let records: Vec<&[u8]> = tfrecord::Records::new(&second).collect::<Result<_, _>>().unwrap();
        assert_eq!(records[1][9..], *b"\x10\x05\x3a\x02\x08\x01");
    }
}
