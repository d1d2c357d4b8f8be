//! What came of it: figures, and whether they may be believed.

mod bars;
mod belief;
pub mod compare;
mod fairness;
pub mod html;
mod judge;
mod machine;
mod people;
mod plot;
pub mod report;
mod seconds;
pub mod shards;
mod steps;
mod stored;
pub mod summary;
pub mod tally;
#[cfg(test)]
mod tests;
mod text;
mod windows;
mod words;
