//! What came of it: figures, and whether they may be believed.

mod judge;
mod report;
pub mod tally;
mod text;
mod windows;

pub use self::report::{Facts, Report};
