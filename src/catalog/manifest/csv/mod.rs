//! Manifests as a table, one line per seat: what venues have in their spreadsheets.
//!
//! ```csv
//! section,row,seat,x,y,level,attributes,section_name,capacity
//! ST,A,1,-0.55,0,P1,aisle,Stalls,
//! ST,A,2,0,0,P1,accessible;aisle,Stalls,
//! GA,,,,,P2,,Standing,200
//! ```
//!
//! The first line names the columns, in any order; `section` and `level` must be there. A line
//! has a seat (`row` and `seat`) or describes an area (`capacity`, and neither row nor seat).
//! Lines of a row are in the order of the seats in the room. `attributes` are separated by `;`
//! or spaces. `x` and `y` (metres) are given for all seats or for none: then the sections are
//! drawn side by side. Levels are listed in the order in which they first appear.
//!
//! UTF-8, with or without a byte order mark; lines end with LF or CRLF; the separator is the
//! one the first line uses: comma, semicolon or tab. Where it isn't the comma, numbers may be
//! written with a decimal comma.
//!
//! A table has no name, no focus and no colours. The name is [`DEFAULT_NAME`], the focus is
//! guessed from where people sit; whoever knows better sets them afterwards.

mod assemble;
mod export;
mod layout;
mod line;

pub use export::to_string;

use super::error::error;
use super::{MAX_BYTES, Manifest, ManifestErrors};
use assemble::Assembly;
use line::{Columns, Line};

/// What a manifest is called that came from a table.
pub const DEFAULT_NAME: &str = "Imported manifest";

/// The separators a first line is searched for. At equal counts the first wins.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Reads a manifest from a table (at most [`MAX_BYTES`]).
///
/// # Errors
/// The first errors by line and column, such as `line 12, column level`. Lines are numbered
/// from 1, the line of the column names.
pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestErrors> {
    if bytes.len() > MAX_BYTES {
        return Err(error("file", format!("is larger than {MAX_BYTES} bytes")));
    }
    let bytes = super::without_byte_order_mark(bytes);
    let text = str::from_utf8(bytes).map_err(|fault| {
        let line = 1 + line_breaks(&bytes[..fault.valid_up_to()]);
        error(format!("line {line}"), "is not UTF-8; save the file as \"CSV UTF-8\"")
    })?;
    let separator = separator(text);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .trim(::csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut lines = LineNumbers { text: text.as_bytes(), byte: 0, line: 1 };
    let mut record = ::csv::StringRecord::new();
    let mut columns = None;
    let mut assembly = Assembly::default();
    while reader.read_record(&mut record).map_err(|cause| error("file", cause.to_string()))? {
        let number = lines.of(record.position().map_or(0, ::csv::Position::byte));
        let Some(columns) = &columns else {
            columns = Some(Columns::read(&record, number)?);
            continue;
        };
        let decimal_comma = separator != b',';
        assembly.add(Line { number, record: &record, columns, decimal_comma });
        if assembly.is_full() {
            break;
        }
    }
    if columns.is_none() {
        return Err(error("line 1", "the names of the columns are missing"));
    }
    assembly.into_manifest()
}

/// The separator that the first line uses most.
fn separator(text: &str) -> u8 {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let uses = |separator: u8| first.bytes().filter(|byte| *byte == separator).count();
    let mut best = SEPARATORS[0];
    for separator in SEPARATORS {
        if uses(separator) > uses(best) {
            best = separator;
        }
    }
    best
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Numbers lines by where their records start in the file. The reader's own count is of the
/// place where it began to look for the record, which after CRLF or blank lines is too early.
struct LineNumbers<'a> {
    text: &'a [u8],
    byte: usize,
    line: u64,
}

impl LineNumbers<'_> {
    /// The line of the record that was looked for from byte `start` on; starts must not fall.
    fn of(&mut self, start: u64) -> u64 {
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(self.text.len());
        let rest = &self.text[start..];
        let blank = rest.iter().take_while(|byte| matches!(**byte, b'\r' | b'\n')).count();
        let end = start + blank;
        self.line += line_breaks(self.text.get(self.byte..end).unwrap_or_default());
        self.byte = end.max(self.byte);
        self.line
    }
}

#[cfg(test)]
mod tests;
