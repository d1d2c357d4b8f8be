//! A football stadium: three tiers all around the pitch.

use super::super::{Attributes, LevelIndex, Manifest, Point};
use super::oval::{Oval, RowPlace, Tier};

/// How many places [`stadium`] has.
pub const STADIUM_CAPACITY: u64 = 80_000;

/// How many places [`great_stadium`] has at least.
pub const GREAT_STADIUM_CAPACITY: u64 = 100_000;

const CLUB: LevelIndex = LevelIndex(0);
const LOWER_SIDE: LevelIndex = LevelIndex(1);
const MIDDLE: LevelIndex = LevelIndex(2);
const LOWER_END: LevelIndex = LevelIndex(3);
const UPPER_SIDE: LevelIndex = LevelIndex(4);
const UPPER: LevelIndex = LevelIndex(5);

/// A pitch of 105 by 68 metres and about 9 metres around it. The long sides are above and below.
const OVAL: Oval = Oval { half_width_m: 61.5, half_depth_m: 42.9, corner_m: 22.0 };

const LOWER_TIER: Tier = Tier {
    first_code: 101,
    name: "Lower tier",
    sections: 36,
    out_m: 1.0,
    rows: 30,
    row_pitch_m: 0.8,
    seat_pitch_m: 0.5,
    platform: Some((29, 2)),
};

const MIDDLE_TIER: Tier = Tier {
    first_code: 201,
    name: "Middle tier",
    sections: 48,
    out_m: 28.0,
    rows: 16,
    row_pitch_m: 0.85,
    seat_pitch_m: 0.5,
    platform: Some((15, 1)),
};

const UPPER_TIER: Tier = Tier {
    first_code: 301,
    name: "Upper tier",
    sections: 64,
    out_m: 45.0,
    rows: 31,
    row_pitch_m: 0.8,
    seat_pitch_m: 0.5,
    platform: None,
};

/// Where the great stadium goes on.
const TOP_TIER: Tier = Tier {
    first_code: 401,
    name: "Top tier",
    sections: 64,
    out_m: 72.0,
    rows: 22,
    row_pitch_m: 0.8,
    seat_pitch_m: 0.5,
    platform: None,
};

/// A stadium of [`STADIUM_CAPACITY`] seats with 6 price levels.
#[must_use]
pub fn stadium() -> Manifest {
    let view = |_: Point| Attributes::NONE;
    let lower = |place| Some(if is_side(place) { LOWER_SIDE } else { LOWER_END });
    let middle = |place| Some(if is_halfway(place) { CLUB } else { MIDDLE });
    let upper =
        |place: RowPlace| Some(if is_side(place) && place.row < 12 { UPPER_SIDE } else { UPPER });
    let mut sections = LOWER_TIER.build(&OVAL, lower, view);
    sections.extend(MIDDLE_TIER.build(&OVAL, middle, view));
    sections.extend(UPPER_TIER.build(&OVAL, upper, view));
    Manifest {
        name: "National Stadium".to_owned(),
        focus: Point { x: 0.0, y: 0.0 },
        levels: super::price_levels(&[
            ("C1", "Club, half-way line", "#7f3c8d"),
            ("C2", "Lower tier, sides", "#0072b2"),
            ("C3", "Middle tier", "#56b4e9"),
            ("C4", "Lower tier, ends and corners", "#009e73"),
            ("C5", "Upper tier, sides", "#e69f00"),
            ("C6", "Upper tier", "#d55e00"),
        ]),
        sections,
    }
}

/// The same with a fourth tier: [`GREAT_STADIUM_CAPACITY`] seats or more.
#[must_use]
pub fn great_stadium() -> Manifest {
    let mut manifest = stadium();
    let view = |_: Point| Attributes::NONE;
    manifest.sections.extend(TOP_TIER.build(&OVAL, |_| Some(UPPER), view));
    Manifest { name: "Great Stadium".to_owned(), ..manifest }
}

/// Whether the section runs along the pitch.
fn is_side(place: RowPlace) -> bool {
    place.section.0.abs() < OVAL.half_width_m - OVAL.corner_m
}

/// Whether the section is close to the half-way line.
fn is_halfway(place: RowPlace) -> bool {
    let (x, y) = place.section;
    x.abs() < OVAL.half_width_m / 2.0 && y.abs() > OVAL.half_depth_m
}
