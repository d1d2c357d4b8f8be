//! Chosen places that are close together: what the hold script's short way is told of them.

use super::record::{HeldPlace, places_text};
use crate::catalog::{Class, Stretch};

/// Bits that the script looks at together.
const BITS: i32 = 32;
/// Whether somebody is left alone is seen from so many places on each side.
const AROUND: i32 = 2;

/// Chosen places of one row, and the bits of the row around them. The first bit is the highest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The place with which the bits begin.
    pub from: i32,
    /// The chosen places.
    pub chosen: i32,
    /// What has to be free lest the script takes a closer look.
    pub around: i32,
    /// Whether it takes one even then: all else being free, somebody would be left alone at the
    /// end of the row.
    pub closer: bool,
    /// The places as the record lists them.
    pub places: Vec<HeldPlace>,
}

impl Near {
    /// What to tell of these places of one row. `None` if they are too far apart, or not in it.
    #[must_use]
    pub fn of(row: &Stretch, places: Vec<HeldPlace>, orphan_rule: bool) -> Option<Self> {
        let numbers = || places.iter().map(|held| held.place);
        let beside = if orphan_rule && row.class == Class::Standard { AROUND } else { 0 };
        let (first, last, end) = (numbers().min()?, numbers().max()?, row.first + row.length);
        if first < row.first || last >= end {
            return None;
        }
        let (from, last) = ((first - beside).max(row.first), (last + beside).min(end - 1));
        if last - from >= BITS {
            return None;
        }
        let bit = |place: i32| 1_u32 << (BITS - 1 - (place - from));
        let chosen = numbers().fold(0, |bits, place| bits | bit(place));
        let around = if beside == 0 { chosen } else { (from..=last).map(bit).sum() };
        let left = around & !chosen;
        let alone = left & (chosen << 1 | chosen >> 1) & !(left << 1 | left >> 1);
        Some(Self {
            from,
            chosen: chosen.cast_signed(),
            around: around.cast_signed(),
            closer: alone != 0,
            places,
        })
    }

    /// `place:stretch:offer:tier,...`
    #[must_use]
    pub fn text(&self) -> String {
        places_text(&self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(length: i32, places: &[i32], orphan_rule: bool) -> Option<Near> {
        let class = Class::Standard;
        let row = Stretch { first: 40, length, level: 0, class, section: 0 };
        let held = |place: &i32| HeldPlace { place: *place, stretch: 5, offer: 1, tier: 0 };
        Near::of(&row, places.iter().map(held).collect(), orphan_rule)
    }

    fn bits(text: &str) -> i32 {
        let text = format!("{text:0<32}");
        u32::from_str_radix(&text, 2).unwrap().cast_signed()
    }

    #[test]
    fn two_on_each_side_are_looked_at_as_far_as_the_row_goes() {
        let middle = near(20, &[46, 47], true).unwrap();
        assert_eq!((middle.from, middle.chosen, middle.around), (44, bits("0011"), bits("111111")));
        assert!(!middle.closer);
        assert_eq!(middle.text(), "46:5:1:0,47:5:1:0");
        let start = near(20, &[40, 41], true).unwrap();
        assert_eq!((start.from, start.chosen, start.around), (40, bits("11"), bits("1111")));
        assert!(!start.closer);
        let end = near(20, &[57], true).unwrap();
        assert_eq!((end.from, end.chosen, end.around), (55, bits("001"), bits("11111")));
        assert!(!end.closer);
    }

    #[test]
    fn who_would_be_alone_in_an_empty_row_needs_a_closer_look() {
        assert!(near(20, &[41, 42], true).unwrap().closer, "40 at the aisle");
        assert!(near(20, &[57, 58], true).unwrap().closer, "59 at the aisle");
        assert!(near(20, &[46, 48], true).unwrap().closer, "47 between them");
        assert!(!near(20, &[46, 49], true).unwrap().closer);
        assert!(!near(20, &[41, 42], false).unwrap().closer, "the rule is off");
    }

    #[test]
    fn what_does_not_fit_goes_the_long_way() {
        assert_eq!(
            near(60, &[42, 69], true).unwrap().chosen,
            bits("00100000000000000000000000000100")
        );
        assert_eq!(near(60, &[42, 70], true), None);
        assert_eq!(
            near(60, &[42, 73], false).unwrap().around,
            bits("10000000000000000000000000000001")
        );
        assert_eq!(near(60, &[42, 74], false), None);
        assert_eq!(near(60, &[], true), None);
        assert_eq!(near(20, &[59, 60], true), None, "another row's");
        assert_eq!(near(20, &[39, 40], true), None, "another row's");
    }
}
