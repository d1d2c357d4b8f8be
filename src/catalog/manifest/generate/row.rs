//! A row before it has a place: blocks of seats with aisles between, measured along the row.

use super::super::{Attributes, LevelIndex, Point, Seat};

/// The width of a wheelchair place, in metres.
pub(super) const WHEELCHAIR_M: f64 = 0.9;

/// Seats side by side, between two aisles or an aisle and a wall.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    /// Ordinary seats.
    pub seats: usize,
    /// Accessible places, each with a companion's seat, at the start of the block.
    pub pairs_at_start: usize,
    /// The same at its end.
    pub pairs_at_end: usize,
}

/// The measures of a row, in metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    /// Between the centres of neighbouring seats.
    pub pitch_m: f64,
    /// Between two blocks.
    pub aisle_m: f64,
}

/// A seat in its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The block it is in, from 0.
    pub block: usize,
    /// Metres along the row from its middle.
    pub along_m: f64,
    pub attributes: Attributes,
}

impl Block {
    pub fn of(seats: usize) -> Self {
        Self { seats, ..Self::default() }
    }

    fn width_m(self, pitch_m: f64) -> f64 {
        let pairs = (self.pairs_at_start + self.pairs_at_end) as f64;
        self.seats as f64 * pitch_m + pairs * (WHEELCHAIR_M + pitch_m)
    }

    /// The attributes of each seat, outermost places at aisles.
    fn attributes(self) -> Vec<Attributes> {
        let pair = [Attributes::ACCESSIBLE, Attributes::COMPANION];
        let mut list: Vec<_> = pair.into_iter().cycle().take(2 * self.pairs_at_start).collect();
        list.extend(std::iter::repeat_n(Attributes::NONE, self.seats));
        list.extend(pair.into_iter().rev().cycle().take(2 * self.pairs_at_end));
        if let Some(first) = list.first_mut() {
            *first = first.with(Attributes::AISLE);
        }
        if let Some(last) = list.last_mut() {
            *last = last.with(Attributes::AISLE);
        }
        list
    }
}

/// The seats of a row of these blocks, placed around the middle of the row.
pub(super) fn slots(blocks: &[Block], measures: Measures) -> Vec<Slot> {
    let mut along_m = -width_m(blocks, measures) / 2.0;
    let mut slots = Vec::new();
    for (block, it) in blocks.iter().enumerate() {
        for attributes in it.attributes() {
            let accessible = attributes.contains(Attributes::ACCESSIBLE);
            let width = if accessible { WHEELCHAIR_M } else { measures.pitch_m };
            slots.push(Slot { block, along_m: along_m + width / 2.0, attributes });
            along_m += width;
        }
        along_m += measures.aisle_m;
    }
    slots
}

/// How long a row of these blocks is, in metres.
pub(super) fn width_m(blocks: &[Block], measures: Measures) -> f64 {
    let aisles = blocks.len().saturating_sub(1) as f64 * measures.aisle_m;
    blocks.iter().map(|block| block.width_m(measures.pitch_m)).sum::<f64>() + aisles
}

/// A seat at a point, numbered from 1.
pub(super) fn seat(index: usize, at: Point, level: LevelIndex, attributes: Attributes) -> Seat {
    Seat { label: (index + 1).to_string(), x: at.x, y: at.y, level, attributes }
}

/// The letters of a row, from 0: A to Z, AA to AZ, BA and so on.
pub(super) fn letters(index: usize) -> String {
    const ALPHABET: usize = 26;
    let mut rest = index + 1;
    let mut letters = String::new();
    while rest > 0 {
        rest -= 1;
        letters.insert(0, char::from(b'A' + (rest % ALPHABET) as u8));
        rest /= ALPHABET;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lettered() {
        let expected = [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")];
        for (index, label) in expected {
            assert_eq!(letters(index), label);
        }
    }

    #[test]
    fn a_row_is_laid_out_around_its_middle() {
        let measures = Measures { pitch_m: 0.5, aisle_m: 1.0 };
        let blocks = [Block { seats: 2, pairs_at_start: 1, pairs_at_end: 0 }, Block::of(3)];
        assert!((width_m(&blocks, measures) - 4.9).abs() < 1e-9);
        let slots = slots(&blocks, measures);
        let along: Vec<_> = slots.iter().map(|slot| slot.along_m).collect();
        for (is, wanted) in along.iter().zip([-2.0, -1.3, -0.8, -0.3, 1.2, 1.7, 2.2]) {
            assert!((is - wanted).abs() < 1e-9, "{along:?}");
        }
        assert_eq!(slots[0].attributes, Attributes::ACCESSIBLE.with(Attributes::AISLE));
        assert_eq!(slots[1].attributes, Attributes::COMPANION);
        assert_eq!(slots[3].attributes, Attributes::AISLE);
        assert_eq!(slots.iter().map(|slot| slot.block).sum::<usize>(), 3);
    }
}
