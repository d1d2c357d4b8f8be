use super::super::{Attributes, Level, MAX_OUTLINE_POINTS, Point, Seat};
use super::*;

fn seat(label: &str) -> Seat {
    Seat {
        label: label.to_owned(),
        x: 0.0,
        y: 0.0,
        level: LevelIndex(0),
        attributes: Attributes::NONE,
    }
}

/// One section of one row of two seats, and an area.
fn manifest() -> Manifest {
    let row = Row { label: "A".to_owned(), seats: vec![seat("1"), seat("2")] };
    let section = |code: &str, body| Section {
        code: code.to_owned(),
        name: "A section".to_owned(),
        outline: Vec::new(),
        body,
    };
    Manifest {
        name: "Hall".to_owned(),
        focus: Point { x: 0.0, y: 0.0 },
        levels: vec![Level {
            code: "P1".to_owned(),
            name: "Best".to_owned(),
            color: "#00aaFF".to_owned(),
        }],
        sections: vec![
            section("101", Body::Seated { rows: vec![row] }),
            section("GA", Body::Area { level: LevelIndex(0), capacity: 5 }),
        ],
    }
}

fn rows(manifest: &mut Manifest) -> &mut Vec<Row> {
    match &mut manifest.sections[0].body {
        Body::Seated { rows } => rows,
        Body::Area { .. } => panic!("the first section is seated"),
    }
}

/// Spoils a good manifest, and expects exactly one finding, at a path and with these words.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Manifest), at: &str, words: &str) {
    let mut manifest = manifest();
    spoil(&mut manifest);
    let errors = manifest.validate().expect_err("it was spoiled");
    assert_eq!(errors.as_slice().len(), 1, "{errors}");
    assert_eq!(errors.as_slice()[0].at, at, "{errors}");
    assert!(errors.as_slice()[0].message.contains(words), "{errors}");
}

fn area(capacity: u32) -> Body {
    Body::Area { level: LevelIndex(0), capacity }
}

#[test]
fn a_good_manifest_passes() {
    assert_eq!(manifest().validate(), Ok(()));
    assert_eq!(manifest().capacity(), 7);
}

#[test]
fn texts() {
    check(|m| m.name.clear(), "name", "empty");
    check(|m| m.name = " Hall".to_owned(), "name", "space");
    check(|m| m.name = "x".repeat(MAX_NAME_CHARS + 1), "name", "more than 120");
    check(|m| m.levels[0].code = "P\n1".to_owned(), "levels[0].code", "invisible");
    check(|m| m.levels[0].name = "\u{202e}tseB".to_owned(), "levels[0].name", "direction");
    check(|m| m.sections[1].code = "G\u{0}A".to_owned(), "sections[1].code", "invisible");
    check(|m| m.sections[1].name = "\u{a0}".to_owned(), "sections[1].name", "space");
    check(|m| rows(m)[0].label.clear(), "sections[0].rows[0].label", "empty");
    let at = "sections[0].rows[0].seats[1].label";
    check(|m| rows(m)[0].seats[1].label = "9".repeat(33), at, "more than 32");
    check(|m| rows(m)[0].seats[1].label = "\u{200b}1".to_owned(), at, "invisible");
}

#[test]
fn long_texts_count_characters_not_bytes() {
    let mut manifest = manifest();
    manifest.name = "é".repeat(MAX_NAME_CHARS);
    assert_eq!(manifest.validate(), Ok(()));
}

#[test]
fn duplicates() {
    check(|m| m.sections[1].code = "101".to_owned(), "sections[1].code", "twice");
    check(
        |m| {
            let again = m.levels[0].clone();
            m.levels.push(again);
        },
        "levels[1].code",
        "twice",
    );
    check(
        |m| {
            let again = rows(m)[0].clone();
            rows(m).push(again);
        },
        "sections[0].rows[1].label",
        "twice",
    );
    let at = "sections[0].rows[0].seats[1].label";
    check(|m| rows(m)[0].seats[1].label = "1".to_owned(), at, "twice");
}

#[test]
fn levels_and_colours() {
    for color in ["", "#fff", "#00aaFg", "00aaff0", "#00aaf", "#€aa"] {
        check(|m| m.levels[0].color = color.to_owned(), "levels[0].color", "colour");
    }
    let at = "sections[0].rows[0].seats[0].level";
    check(|m| rows(m)[0].seats[0].level = LevelIndex(1), at, "no level number 1");
    let unknown = Body::Area { level: LevelIndex(u16::MAX), capacity: 1 };
    check(|m| m.sections[1].body = unknown, "sections[1].level", "no level number 65535");
}

#[test]
fn coordinates() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 10_000.01, -1e30] {
        check(|m| m.focus.x = bad, "focus", "±10000");
        check(|m| rows(m)[0].seats[1].y = bad, "sections[0].rows[0].seats[1].y", "±10000");
        let outline = vec![Point { x: bad, y: 0.0 }; 3];
        check(|m| m.sections[1].outline = outline, "sections[1].outline", "±10000");
    }
    let origin = Point { x: 0.0, y: 0.0 };
    check(|m| m.sections[1].outline = vec![origin; 2], "sections[1].outline", "3 corners");
    let many = vec![origin; MAX_OUTLINE_POINTS + 1];
    check(|m| m.sections[1].outline = many, "sections[1].outline", "1001 corners");
}

#[test]
fn counts() {
    check(|m| rows(m)[0].seats.clear(), "sections[0].rows[0].seats", "none");
    check(|m| rows(m).clear(), "sections[0].rows", "none");
    check(|m| m.sections[1].body = area(0), "sections[1].capacity", "between 1 and");
    let too_large = area(MAX_AREA_CAPACITY + 1);
    check(|m| m.sections[1].body = too_large, "sections[1].capacity", "between 1 and");
    let numbered = |count: usize| (0..count).map(|n| seat(&n.to_string())).collect::<Vec<_>>();
    let at = "sections[0].rows[0].seats";
    check(|m| rows(m)[0].seats = numbered(MAX_SEATS_PER_ROW + 1), at, "501 are too many");
    check(
        |m| {
            let row = |n: usize| Row { label: n.to_string(), seats: numbered(1) };
            *rows(m) = (0..=MAX_ROWS_PER_SECTION).map(row).collect();
        },
        "sections[0].rows",
        "501 are too many",
    );
    check(
        |m| {
            let level = |n: usize| Level { code: n.to_string(), ..m.levels[0].clone() };
            m.levels = (0..=MAX_LEVELS).map(level).collect();
        },
        "levels",
        "65 are too many",
    );
    check(
        |m| {
            let section = |n: usize| Section { code: n.to_string(), ..m.sections[1].clone() };
            m.sections = (0..=MAX_SECTIONS).map(section).collect();
        },
        "sections",
        "501 are too many",
    );
}

#[test]
fn places() {
    let section = |code: &str| Section { code: code.to_owned(), ..manifest().sections[1].clone() };
    check(
        |m| {
            m.sections[1].body = area(MAX_AREA_CAPACITY);
            m.sections.push(Section { body: area(MAX_AREA_CAPACITY), ..section("GA2") });
        },
        "sections",
        "200002 places",
    );
    let mut manifest = manifest();
    manifest.sections.clear();
    let errors = manifest.validate().unwrap_err();
    assert_eq!(errors.as_slice()[0].message, "there is nothing to sell");
    manifest.levels.clear();
    assert!(manifest.validate().is_err());
}

#[test]
fn findings_are_limited() {
    let mut manifest = manifest();
    rows(&mut manifest)[0].seats = vec![seat(""); MAX_SEATS_PER_ROW];
    let errors = manifest.validate().unwrap_err();
    assert_eq!(errors.as_slice().len(), super::super::MAX_ERRORS);
}

#[test]
fn an_aisle_between_two_seats_parts_them() {
    let mut row = rows(&mut manifest())[0].clone();
    assert!(row.seats[0].is_neighbour_of(&row.seats[1]));
    row.seats[0].attributes = Attributes::AISLE;
    assert!(row.seats[0].is_neighbour_of(&row.seats[1]));
    row.seats[1].attributes = Attributes::AISLE.with(Attributes::ACCESSIBLE);
    assert!(!row.seats[0].is_neighbour_of(&row.seats[1]));
}
