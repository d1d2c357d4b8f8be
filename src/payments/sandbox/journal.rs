//! What the acquirer remembers across restarts: an append-only file of JSON lines.
//!
//! A line is the whole state of one intent after a change, so the last line of an intent is
//! its state. A line is written while the intent's entry is locked and before anybody is told,
//! hence lines of one intent are in order and a killed process forgets nothing that it said.
//! (It isn't flushed to the platter: a sandbox outlives its process, not a power cut.)
//! The file is rewritten without superseded lines when it is opened.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::ids::AttemptId;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Intent(Box<Record>),
    /// Finished intents first heard of until then may have been dropped.
    ForgottenUntil(Timestamp),
}

/// What a journal remembered.
#[derive(Default)]
pub struct Remembered {
    pub records: Vec<Record>,
    pub forgotten_until: Option<Timestamp>,
}

/// An open journal.
pub struct Journal {
    file: Mutex<File>,
}

impl Journal {
    /// Reads `path`, compacts it and opens it for more.
    ///
    /// # Errors
    /// Whatever the file system says. A torn last line, left by a killed process, is dropped;
    /// so is any other unreadable line, with a warning.
    pub fn open(path: &Path) -> io::Result<(Self, Remembered)> {
        let remembered = match File::open(path) {
            Ok(file) => read(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Remembered::default(),
            Err(error) => return Err(error),
        };
        let mut next = path.as_os_str().to_owned();
        next.push(".next");
        write_all(Path::new(&next), &remembered)?;
        fs::rename(&next, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Self { file: Mutex::new(file) }, remembered))
    }

    /// Appends the state of one intent.
    pub fn write(&self, record: &Record) {
        self.append(&Line::Intent(Box::new(record.clone())));
    }

    /// Appends until when intents may have been dropped.
    pub fn write_forgotten(&self, until: Timestamp) {
        self.append(&Line::ForgottenUntil(until));
    }

    /// One `write` call per line, so that a kill tears at most the last line. A full disk
    /// costs the memory across restarts and nothing else, so it is reported, not passed on.
    fn append(&self, line: &Line) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write_line(&mut *file, line) {
            tracing::error!(%error, "the sandbox journal could not be written");
        }
    }
}

fn write_line(to: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}

fn write_all(path: &Path, remembered: &Remembered) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    if let Some(until) = remembered.forgotten_until {
        write_line(&mut file, &Line::ForgottenUntil(until))?;
    }
    for record in &remembered.records {
        write_line(&mut file, &Line::Intent(Box::new(record.clone())))?;
    }
    file.flush()?;
    file.get_ref().sync_all()
}

fn read(file: File) -> io::Result<Remembered> {
    let mut latest: HashMap<AttemptId, Record> = HashMap::new();
    let mut forgotten_until = None;
    let mut unreadable = 0_u64;
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(Line::Intent(record)) => {
                latest.insert(record.attempt, *record);
            }
            Ok(Line::ForgottenUntil(until)) => {
                forgotten_until = forgotten_until.max(Some(until));
            }
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::warn!(unreadable, "lines of the sandbox journal were dropped");
    }
    let mut records: Vec<Record> = latest.into_values().collect();
    records.sort_by_key(|record| (record.created_at, record.attempt));
    Ok(Remembered { records, forgotten_until })
}
