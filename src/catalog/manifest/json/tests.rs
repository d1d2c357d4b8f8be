use proptest::prelude::*;

use super::super::{Attributes, Body, LevelIndex, generate};
use super::*;

const SAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/manifests/small-hall.json"));

/// Replaces one piece of the sample, and expects this first finding.
#[track_caller]
fn check(piece: &str, by: &str, at: &str, words: &str) {
    assert!(SAMPLE.contains(piece), "the sample has no {piece}");
    let errors = parse(SAMPLE.replacen(piece, by, 1).as_bytes()).expect_err("it was spoiled");
    assert_eq!(errors.as_slice()[0].at, at, "{errors}");
    assert!(errors.as_slice()[0].message.contains(words), "{errors}");
}

#[test]
fn the_sample_is_read() {
    let manifest = parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(manifest.name, "Small hall");
    assert_eq!(manifest.capacity(), 206);
    let seat = &manifest.sections[0].rows()[1].seats[0];
    assert_eq!((seat.label.as_str(), seat.x, seat.y), ("1", -0.55, 0.9));
    assert_eq!(seat.level, LevelIndex(1));
    assert_eq!(seat.attributes, Attributes::ACCESSIBLE.with(Attributes::AISLE));
    assert_eq!(manifest.sections[1].body, Body::Area { level: LevelIndex(1), capacity: 200 });
}

#[test]
fn what_is_written_is_read_back_equal() {
    for manifest in [generate::theatre(), generate::arena(), generate::stadium()] {
        assert_eq!(parse(to_string(&manifest).unwrap().as_bytes()).unwrap(), manifest);
    }
    let sample = parse(SAMPLE.as_bytes()).unwrap();
    let value = serde_json::to_value(&sample).unwrap();
    assert_eq!(serde_json::from_value::<Manifest>(value).unwrap(), sample);
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    assert!(parse(format!("\u{feff}{SAMPLE}").as_bytes()).is_ok());
}

#[test]
fn what_has_not_the_right_shape_is_refused_by_line() {
    for (piece, by, at, words) in [
        ("\"name\": \"Small hall\",", "\"nome\": 1,", "line 2, character 8", "nome"),
        ("\"name\": \"Small hall\",", "", "line 18, character 92", "missing field `name`"),
        ("\"focus\"", "\"name\": \"\", \"focus\"", "line 3, character 8", "duplicate field"),
        ("\"capacity\": 200", "\"capacity\": -1", "line 18, character 85", "invalid value"),
        ("\"capacity\": 200", "\"capacity\": 1.5", "line 18, character 86", "invalid type"),
        ("[\"aisle\"]", "[\"window\"]", "line 11, character 86", "companion"),
        ("\"seated\"", "\"sofa\"", "line 9, character 67", "unknown variant"),
    ] {
        check(piece, by, at, words);
    }
}

#[test]
fn what_is_not_one_json_document_is_refused() {
    for bad in ["", "null", "[]", "{", "{}", "\u{0}", "{\"name\": \"\\ud800\"}"] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let trailing = parse(format!("{SAMPLE} x").as_bytes()).unwrap_err();
    assert!(trailing.to_string().contains("trailing characters"), "{trailing}");
    let twice = parse(format!("{SAMPLE}{SAMPLE}").as_bytes()).unwrap_err();
    assert!(twice.to_string().contains("trailing characters"), "{twice}");
    assert!(parse(&[b'{', b'"', 0xff, b'"', b'}']).is_err());
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
    let deep = format!("{{\"sections\": {}", "[".repeat(1_000_000));
    assert!(parse(deep.as_bytes()).is_err());
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let errors = parse(&vec![b' '; MAX_BYTES + 1]).unwrap_err();
    assert!(errors.to_string().contains("larger than"), "{errors}");
}

#[test]
fn what_breaks_a_rule_is_refused_by_path() {
    let level = "sections[0].rows[0].seats[1].level";
    check("\"y\": 0, \"level\": \"P1\" }", "\"y\": 0, \"level\": \"P9\" }", level, "\"P9\"");
    check(
        "\"level\": \"P2\", \"capacity\"",
        "\"level\": \"\", \"capacity\"",
        "sections[1].level",
        "",
    );
    check("\"capacity\": 200", "\"capacity\": 0", "sections[1].capacity", "between");
    check("\"x\": 0, \"y\": 0,", "\"x\": 1e39, \"y\": 0,", "sections[0].rows[0].seats[1].x", "±");
    check("Small hall", "Small\\u202ehall", "name", "invisible");
}

#[test]
fn the_fields_of_a_section_follow_its_kind() {
    check("\"capacity\": 200", "\"rows\": []", "sections[1].capacity", "missing");
    check("\"capacity\": 200", "\"capacity\": 2, \"rows\": []", "sections[1].rows", "not belong");
    check("\"seated\",", "\"seated\", \"level\": \"P1\",", "sections[0].level", "not belong");
    check("\"seated\"", "\"area\"", "sections[0].level", "missing");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..SAMPLE.len(), byte in any::<u8>(), cut: bool) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at + 1);
        }
        let _ = parse(&bytes);
    }
}
