//! Parts prepared apart (by an array of jobs, say) become one prepared folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::summary::{self, Counts, SettingsRecord, Summary};
use super::{report, shards};
use crate::checksum::hexadecimal;
use crate::dataset::index::index_path;
use crate::whole_file::{write_file, write_folder};

/// Puts the parts into `out`: their files of examples under new numbers (linked, or copied where links are impossible), their ledgers one
/// after another, their counts added up.
///
/// # Errors
/// Parts that were made with different settings, that overlap or of which one is missing; a disk that refuses.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Summary> {
    ensure!(folders.len() > 1, "--merge needs at least two prepared folders");
    ensure!(!out.exists(), "{} exists already: choose another --out, or remove it", out.display());
    let mut parts = Vec::new();
    for folder in folders {
        parts.push((folder.as_path(), summary::read(folder)?));
    }
    check(&parts)?;
    parts.sort_by_key(|(_, summary)| summary.settings.part_number());
    let merged = added(&parts).context("nothing to merge")?;
    write_folder(out, |target| {
        link_examples(&parts, "", target)?;
        if merged.holdout_examples > 0 {
            link_examples(&parts, "holdout", &target.join("holdout"))?;
        }
        write_file(&target.join("ledger.csv"), |file| {
            for (number, (folder, _)) in parts.iter().enumerate() {
                let path = folder.join("ledger.csv");
                let ledger = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                // Every ledger starts with the same line of column names.
                let header = ledger.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                file.write_all(ledger.get(if number == 0 { 0 } else { header }..).unwrap_or_default())?;
            }
            Ok(())
        })?;
        if let Some((first, _)) = parts.first() {
            for name in ["vocab.txt", "tokenizer.json"] {
                fs::copy(first.join(name), target.join(name))
                    .with_context(|| format!("cannot copy {name} of {}", first.display()))?;
            }
        }
        let json = serde_json::to_string_pretty(&merged)? + "\n";
        write_file(&target.join("summary.json"), |file| Ok(file.write_all(json.as_bytes())?))?;
        let html = report::html(&merged);
        write_file(&target.join("report.html"), |file| Ok(file.write_all(html.as_bytes())?))
    })?;
    Ok(merged)
}

/// The parts belong together: same settings, each part once, none missing.
fn check(parts: &[(&Path, Summary)]) -> Result<()> {
    let comparable = |settings: &SettingsRecord| SettingsRecord { part: None, ..settings.clone() };
    if let Some((first, rest)) = parts.split_first() {
        for (folder, summary) in rest {
            ensure!(
                comparable(&summary.settings) == comparable(&first.1.settings),
                "{} and {} were prepared with different settings; native prepare --compare tells which",
                first.0.display(),
                folder.display()
            );
        }
    }
    let numbers: Vec<_> = parts.iter().map(|(_, summary)| summary.settings.part_number()).collect();
    let present: BTreeSet<_> = numbers.iter().flatten().map(|(number, _)| *number).collect();
    let count = numbers.iter().flatten().map(|(_, count)| *count).max().unwrap_or_default();
    ensure!(
        present.len() == numbers.iter().flatten().count() && numbers.iter().flatten().all(|(_, parts)| *parts == count),
        "the folders overlap: the same --shard is there twice, or they were counted differently"
    );
    if let Some(missing) = (0..count).find(|number| !present.contains(number)) {
        ensure!(present.is_empty(), "part {missing}/{count} is missing: {} of {count} parts are given", present.len());
    }
    Ok(())
}

fn added(parts: &[(&Path, Summary)]) -> Option<Summary> {
    let mut counts = Counts::default();
    let mut fingerprint = Sha256::new();
    for (_, summary) in parts {
        counts.merge(&summary.counts);
        fingerprint.update(summary.fingerprint.as_bytes());
    }
    let (_, first) = parts.first()?;
    let shards = parts.iter().map(|(_, summary)| summary.settings.shards).sum();
    Some(Summary {
        fingerprint: hexadecimal(fingerprint),
        settings: SettingsRecord { part: None, shards, ..first.settings.clone() },
        counts,
        examples: parts.iter().map(|(_, summary)| summary.examples).sum(),
        holdout_examples: parts.iter().map(|(_, summary)| summary.holdout_examples).sum(),
        stages: Vec::new(),
    })
}

fn link_examples(parts: &[(&Path, Summary)], inner: &str, target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let mut files = Vec::new();
    for (folder, summary) in parts {
        let count = if inner.is_empty() { summary.settings.shards } else { 1 };
        let folder = folder.join(inner);
        files.extend((0..count).map(|shard| folder.join(shards::file_name(shard, count))));
    }
    if !inner.is_empty() {
        files.retain(|file| file.exists());
    }
    for (number, file) in files.iter().enumerate() {
        let new = target.join(shards::file_name(number, files.len()));
        link(file, &new)?;
        link(&index_path(file), &index_path(&new))?;
    }
    Ok(())
}

fn link(file: &Path, new: &Path) -> Result<()> {
    let copy = |_| fs::copy(file, new).and_then(|_| fs::File::open(new)?.sync_all());
    fs::hard_link(file, new).or_else(copy).with_context(|| format!("cannot copy {} to {}", file.display(), new.display()))
}
