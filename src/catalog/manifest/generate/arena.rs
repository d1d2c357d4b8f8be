//! An arena set up for a concert: standing on the floor, two tiers around it, a stage at the
//! upper end of the plan with nobody behind it.

use super::super::{Attributes, Body, LevelIndex, Manifest, Point, Section};
use super::oval::{Oval, RowPlace, Tier};

/// How many places [`arena`] has.
pub const ARENA_CAPACITY: u64 = 20_000;
/// How many of them are standing on the floor.
pub const FLOOR_CAPACITY: u32 = 4_000;

const LOWER_SIDE: LevelIndex = LevelIndex(0);
const FLOOR: LevelIndex = LevelIndex(1);
const LOWER: LevelIndex = LevelIndex(2);
const UPPER_FRONT: LevelIndex = LevelIndex(3);
const UPPER_REAR: LevelIndex = LevelIndex(4);

/// The floor is an ice rink's with the boards removed.
const OVAL: Oval = Oval { half_width_m: 17.4, half_depth_m: 32.6, corner_m: 9.0 };
/// The stage fills the upper end of the floor as far as this, in metres.
const STAGE_FRONT_Y_M: f32 = -19.0;
/// Whose section begins above this sits behind the stage: those sections aren't sold.
const BACKSTAGE_Y_M: f64 = -27.0;
/// Whose seat is above this looks at the stage from the side.
const SIDE_VIEW_Y_M: f32 = -21.5;
const FOCUS: Point = Point { x: 0.0, y: -21.0 };

const LOWER_TIER: Tier = Tier {
    first_code: 101,
    name: "Lower tier",
    sections: 24,
    out_m: 2.0,
    rows: 22,
    row_pitch_m: 0.85,
    seat_pitch_m: 0.5,
    platform: Some((21, 2)),
};

const UPPER_TIER: Tier = Tier {
    first_code: 201,
    name: "Upper tier",
    sections: 32,
    out_m: 25.0,
    rows: 21,
    row_pitch_m: 0.82,
    seat_pitch_m: 0.5,
    platform: Some((0, 1)),
};

/// An arena of [`ARENA_CAPACITY`] places with 5 price levels, the floor being one area.
pub fn arena() -> Manifest {
    let mut sections = vec![floor()];
    sections.extend(LOWER_TIER.build(&OVAL, lower_level, view));
    sections.extend(UPPER_TIER.build(&OVAL, upper_level, view));
    Manifest {
        name: "City Arena".to_owned(),
        focus: FOCUS,
        levels: super::price_levels(&[
            ("P1", "Lower tier, side", "#7f3c8d"),
            ("FL", "Floor standing", "#d55e00"),
            ("P2", "Lower tier", "#0072b2"),
            ("P3", "Upper tier, front rows", "#009e73"),
            ("P4", "Upper tier", "#e69f00"),
        ]),
        sections,
    }
}

fn floor() -> Section {
    let (x, bottom) = (OVAL.half_width_m - 1.0, OVAL.half_depth_m - 1.0);
    let top = f64::from(STAGE_FRONT_Y_M) + 2.0;
    let bevel = OVAL.corner_m * 0.6;
    let corners = [
        (-x, top),
        (x, top),
        (x, bottom - bevel),
        (x - bevel, bottom),
        (bevel - x, bottom),
        (-x, bottom - bevel),
    ];
    Section {
        code: "FLOOR".to_owned(),
        name: "Floor standing".to_owned(),
        outline: corners.map(|(x, y)| Point::to_the_centimetre(x, y)).to_vec(),
        body: Body::Area { level: FLOOR, capacity: FLOOR_CAPACITY },
    }
}

fn is_backstage(place: RowPlace) -> bool {
    place.section.1 < BACKSTAGE_Y_M
}

fn lower_level(place: RowPlace) -> Option<LevelIndex> {
    let beside_the_floor =
        place.section.1 > f64::from(STAGE_FRONT_Y_M) && place.section.1 < OVAL.half_depth_m / 2.0;
    match (is_backstage(place), beside_the_floor && place.row < 14) {
        (true, _) => None,
        (false, true) => Some(LOWER_SIDE),
        (false, false) => Some(LOWER),
    }
}

fn upper_level(place: RowPlace) -> Option<LevelIndex> {
    (!is_backstage(place)).then_some(if place.row < 7 { UPPER_FRONT } else { UPPER_REAR })
}

fn view(at: Point) -> Attributes {
    if at.y < SIDE_VIEW_Y_M { Attributes::RESTRICTED_VIEW } else { Attributes::NONE }
}
