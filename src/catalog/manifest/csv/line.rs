//! One line of a table.

use super::super::error::{Findings, error, quoted};
use super::super::{Attributes, ManifestErrors};

/// The columns a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Section,
    SectionName,
    Row,
    Seat,
    X,
    Y,
    Level,
    Attributes,
    Capacity,
}

impl Column {
    pub const ALL: [Self; 9] = [
        Self::Section,
        Self::SectionName,
        Self::Row,
        Self::Seat,
        Self::X,
        Self::Y,
        Self::Level,
        Self::Attributes,
        Self::Capacity,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Section => "section",
            Self::SectionName => "section_name",
            Self::Row => "row",
            Self::Seat => "seat",
            Self::X => "x",
            Self::Y => "y",
            Self::Level => "level",
            Self::Attributes => "attributes",
            Self::Capacity => "capacity",
        }
    }
}

/// Where in a record each column is.
pub(super) struct Columns {
    at: [Option<usize>; Column::ALL.len()],
    count: usize,
}

impl Columns {
    /// Reads the names of the columns. A name that means nothing is refused, for a misspelt
    /// `attributes` must not lose the wheelchair places without a word.
    pub fn read(record: &::csv::StringRecord, number: u64) -> Result<Self, ManifestErrors> {
        let mut findings = Findings::default();
        let mut columns = Self { at: [None; Column::ALL.len()], count: record.len() };
        for (index, title) in record.iter().enumerate() {
            let name = title.to_lowercase().replace([' ', '-'], "_");
            let at = || format!("line {number}, column {}", index + 1);
            let Some(column) = Column::ALL.into_iter().find(|column| column.name() == name) else {
                let known = Column::ALL.map(Column::name).join(", ");
                findings.add(at(), format!("{} is not one of {known}", quoted(title)));
                continue;
            };
            if columns.at[column as usize].replace(index).is_some() {
                findings.add(at(), format!("{} is there twice", column.name()));
            }
        }
        let has = |column: Column| columns.at[column as usize].is_some();
        let mut require = |wanted: bool, what: &str| {
            if !wanted {
                findings.add(format!("line {number}"), format!("{what} missing"));
            }
        };
        require(has(Column::Section), "the column section is");
        require(has(Column::Level), "the column level is");
        let seats = has(Column::Row) && has(Column::Seat);
        require(seats || has(Column::Capacity), "the columns row and seat are");
        require(has(Column::X) == has(Column::Y), "one of the columns x and y is");
        findings.into_result()?;
        Ok(columns)
    }
}

/// One line after the first.
pub(super) struct Line<'a> {
    /// In the file, from 1.
    pub number: u64,
    pub record: &'a ::csv::StringRecord,
    pub columns: &'a Columns,
    /// Whether `1,5` is one and a half.
    pub decimal_comma: bool,
}

/// What a line stands for.
pub(super) enum Kind {
    Seat,
    Area { capacity: u32 },
}

impl<'a> Line<'a> {
    /// The line and one of its columns, for messages.
    pub fn at(&self, column: Column) -> String {
        at(self.number, column)
    }

    /// The text in a column; empty if there is no such column.
    pub fn text(&self, column: Column) -> &'a str {
        let cell = self.columns.at[column as usize].and_then(|index| self.record.get(index));
        without_formula_guard(cell.unwrap_or_default())
    }

    /// The text in a column that must not be empty.
    pub fn required(&self, column: Column) -> Result<&'a str, ManifestErrors> {
        let text = self.text(column);
        if text.is_empty() { Err(error(self.at(column), "is empty")) } else { Ok(text) }
    }

    /// Refuses a line that is longer or shorter than the first: something has slipped.
    pub fn check_width(&self) -> Result<(), ManifestErrors> {
        let (found, wanted) = (self.record.len(), self.columns.count);
        if found == wanted {
            return Ok(());
        }
        Err(error(format!("line {}", self.number), format!("{found} columns instead of {wanted}")))
    }

    pub fn kind(&self) -> Result<Kind, ManifestErrors> {
        let capacity = self.text(Column::Capacity);
        if capacity.is_empty() {
            return Ok(Kind::Seat);
        }
        if !self.text(Column::Row).is_empty() || !self.text(Column::Seat).is_empty() {
            return Err(error(self.at(Column::Capacity), "a line is of a seat or of an area"));
        }
        let capacity = capacity.parse().map_err(|_| {
            error(self.at(Column::Capacity), format!("{} is not a count", quoted(capacity)))
        })?;
        Ok(Kind::Area { capacity })
    }

    /// Both coordinates in metres, or none.
    pub fn position(&self) -> Result<Option<(f32, f32)>, ManifestErrors> {
        Ok(match (self.metres(Column::X)?, self.metres(Column::Y)?) {
            (Some(x), Some(y)) => Some((x, y)),
            (None, None) => None,
            (Some(_), None) => return Err(error(self.at(Column::Y), "is empty, but x is not")),
            (None, Some(_)) => return Err(error(self.at(Column::X), "is empty, but y is not")),
        })
    }

    fn metres(&self, column: Column) -> Result<Option<f32>, ManifestErrors> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let number = if self.decimal_comma && text.contains(',') {
            text.replacen(',', ".", 1).parse()
        } else {
            text.parse()
        };
        let fault = |_| error(self.at(column), format!("{} is not a number", quoted(text)));
        number.map(Some).map_err(fault)
    }

    pub fn attributes(&self) -> Result<Attributes, ManifestErrors> {
        let words = self.text(Column::Attributes).split([';', ',', ' ']);
        words.filter(|word| !word.is_empty()).try_fold(Attributes::NONE, |set, word| {
            let known = Attributes::from_word(&word.to_lowercase());
            known.map(|attribute| set.with(attribute)).ok_or_else(|| {
                let known = Attributes::known_words();
                let message = format!("{} is not one of {known}", quoted(word));
                error(self.at(Column::Attributes), message)
            })
        })
    }
}

/// A line and one of its columns, for messages.
pub(super) fn at(number: u64, column: Column) -> String {
    format!("line {number}, column {}", column.name())
}

/// What a spreadsheet would take for a formula starts with one of these.
const FORMULA_STARTS: [char; 4] = ['=', '+', '-', '@'];

/// Whether a text is a formula to a spreadsheet, or looks like a guarded one to us.
fn needs_formula_guard(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA_STARTS)
}

/// The text with an apostrophe in front if a spreadsheet would run it. Export guards every
/// text of others; import takes the guard away, so nothing changes on the way round.
pub(super) fn with_formula_guard(text: &str) -> String {
    if needs_formula_guard(text) { format!("'{text}") } else { text.to_owned() }
}

fn without_formula_guard(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if needs_formula_guard(rest) => rest,
        _ => text,
    }
}
