mod faults;

use std::fmt::Write;

use proptest::prelude::*;

use super::super::{
    Attributes, Body, LevelIndex, MAX_COORDINATE_M, MAX_ROWS_PER_SECTION, MAX_SEATS_PER_ROW,
    MAX_SECTIONS, Section, generate,
};
use super::*;

const SAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/manifests/small-hall.csv"));

const HEADER: &str = "section,row,seat,x,y,level,attributes,section_name,capacity\n";

fn read(text: &str) -> Manifest {
    parse(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_sample_is_read() {
    let manifest = read(SAMPLE);
    assert_eq!(manifest.name, DEFAULT_NAME);
    assert_eq!(manifest.capacity(), 206);
    assert_eq!(manifest.levels[1].code, "P2");
    let section = &manifest.sections[0];
    assert_eq!((section.code.as_str(), section.name.as_str()), ("ST", "Stalls, ground floor"));
    assert!(section.outline.len() > 3);
    let seat = &section.rows()[1].seats[0];
    assert_eq!((seat.label.as_str(), seat.x, seat.y), ("1", -0.55, 0.9));
    assert_eq!(seat.level, LevelIndex(1));
    assert_eq!(seat.attributes, Attributes::ACCESSIBLE.with(Attributes::AISLE));
    assert_eq!(manifest.sections[1].body, Body::Area { level: LevelIndex(1), capacity: 200 });
}

#[test]
fn every_dialect_says_the_same() {
    let table = "\
        section,row,seat,x,y,level\nA,1,1,0.5,0,P\nA,1,2,1.5,0,P\n";
    let expected = read(table);
    assert_eq!(read(&format!("\u{feff}{table}")), expected);
    assert_eq!(read(&table.replace('\n', "\r\n")), expected);
    assert_eq!(read(&table.replace('\n', "\n\n\r\n")), expected);
    assert_eq!(read(&table.replace(',', ";")), expected);
    assert_eq!(read(&table.replace(',', ";").replace('.', ",")), expected);
    assert_eq!(read(&table.replace(',', "\t")), expected);
    assert_eq!(read(&table.replace("section,row", " Section , ROW ")), expected);
    assert_eq!(read("level,y,x,seat,row,section\nP,0,0.5,1,1,A\nP,0,1.5,2,1,A\n"), expected);
    assert_eq!(read(table.trim_end()), expected);
}

#[test]
fn attributes_are_separated_by_semicolons_or_spaces() {
    let manifest =
        read(&format!("{HEADER}A,1,1,0,0,P,aisle;accessible,,\nA,1,2,1,0,P,Aisle  companion,,\n"));
    let seats = &manifest.sections[0].rows()[0].seats;
    assert_eq!(seats[0].attributes, Attributes::AISLE.with(Attributes::ACCESSIBLE));
    assert_eq!(seats[1].attributes, Attributes::AISLE.with(Attributes::COMPANION));
}

#[test]
fn lines_may_come_in_any_order() {
    let manifest = read(&format!(
        "{HEADER}B,1,1,0,0,P2,,,\nA,2,1,0,9,P1,,Stalls,\nB,1,2,1,0,P2,,,\nA,1,1,0,8,P2,,,\n"
    ));
    let codes: Vec<_> = manifest.sections.iter().map(|section| section.code.as_str()).collect();
    assert_eq!(codes, ["B", "A"]);
    assert_eq!(manifest.sections[0].rows()[0].seats.len(), 2);
    assert_eq!(manifest.sections[0].name, "B");
    assert_eq!(manifest.sections[1].name, "Stalls");
    let levels: Vec<_> = manifest.levels.iter().map(|level| level.code.as_str()).collect();
    assert_eq!(levels, ["P2", "P1"]);
}

#[test]
fn tables_without_coordinates_are_drawn() {
    let mut table = "section,row,seat,level,capacity\n".to_owned();
    for (section, row, seat) in
        (0..5).flat_map(|s| (0..8).flat_map(move |r| (0..9).map(move |n| (s, r, n))))
    {
        writeln!(table, "S{section},{row},{seat},P,").unwrap();
    }
    table.push_str("GA,,,P,300\n");
    let manifest = read(&table);
    assert!(generate::min_seat_distance_m(&manifest) > 0.5);
    let mut outlines: Vec<_> = manifest.sections.iter().map(|s| bounds(&s.outline)).collect();
    while let Some(one) = outlines.pop() {
        for other in &outlines {
            let apart = one[0] >= other[1]
                || other[0] >= one[1]
                || one[2] >= other[3]
                || other[2] >= one[3];
            assert!(apart, "{one:?} overlaps {other:?}");
        }
    }
    assert!(manifest.focus.y < 0.0);
}

/// Left, right, top and bottom.
fn bounds(outline: &[super::super::Point]) -> [f32; 4] {
    outline.iter().fold([f32::MAX, f32::MIN, f32::MAX, f32::MIN], |[l, r, t, b], p| {
        [l.min(p.x), r.max(p.x), t.min(p.y), b.max(p.y)]
    })
}

#[test]
fn the_largest_drawings_stay_within_the_limit_on_coordinates() {
    let row = |seats: usize| super::super::Row {
        label: String::new(),
        seats: vec![read(SAMPLE).sections[0].rows()[0].seats[0].clone(); seats],
    };
    let block = |rows: usize, seats: usize| Section {
        body: Body::Seated { rows: vec![row(seats); rows] },
        ..read(SAMPLE).sections[0].clone()
    };
    // In each line of blocks the deepest counts, so one per line suffices for the worst case.
    let mut tall = vec![block(1, 1); MAX_SECTIONS];
    tall.iter_mut().step_by(23).for_each(|section| *section = block(MAX_ROWS_PER_SECTION, 1));
    let mut wide = vec![block(1, MAX_SEATS_PER_ROW); MAX_SECTIONS];
    for sections in [&mut tall, &mut wide] {
        layout::side_by_side(sections);
        for seat in sections.iter().flat_map(super::super::Section::rows).flat_map(|row| &row.seats)
        {
            assert!(seat.x.abs() < MAX_COORDINATE_M && seat.y.abs() < MAX_COORDINATE_M);
        }
    }
}

#[test]
fn generated_venues_survive_the_way_round() {
    for manifest in [generate::theatre(), generate::arena(), generate::stadium()] {
        let back = read(&to_string(&manifest).unwrap());
        assert_eq!(back.sections.len(), manifest.sections.len());
        for (before, after) in manifest.sections.iter().zip(&back.sections) {
            assert_eq!((&before.code, &before.name), (&after.code, &after.name));
            assert_eq!(before.rows().len(), after.rows().len());
            for (before, after) in before.rows().iter().zip(after.rows()) {
                assert_eq!(before.label, after.label);
                for (before, after) in before.seats.iter().zip(&after.seats) {
                    let levels = (manifest.level(before.level), back.level(after.level));
                    assert_eq!(levels.0.map(|l| &l.code), levels.1.map(|l| &l.code));
                    let like_before = super::super::Seat { level: before.level, ..after.clone() };
                    assert_eq!(before, &like_before);
                }
            }
        }
        assert_eq!(back.capacity(), manifest.capacity());
    }
}

#[test]
fn formulas_are_guarded_on_the_way_out_and_back() {
    let mut manifest = read(SAMPLE);
    for name in ["=1+1", "+1", "-1", "@x", "'=1", "''-2", "'quoted'", "a=b", "=\"x\";y"] {
        name.clone_into(&mut manifest.sections[0].name);
        let table = to_string(&manifest).unwrap();
        let formula = |cell: &str| cell.trim_matches('"').starts_with(['=', '+', '@']);
        assert!(!table.split([',', '\n']).any(formula), "{table}");
        assert_eq!(read(&table).sections[0].name, name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let _ = parse(&[HEADER.as_bytes(), &bytes].concat());
    }

    #[test]
    fn no_lines_panic(lines in "([AB1,;\"'\r\n.=-]{0,12}(P,,,)?\n?){0,12}") {
        let _ = parse(format!("{HEADER}{lines}").as_bytes());
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..SAMPLE.len(), byte in any::<u8>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = parse(&bytes);
    }
}
