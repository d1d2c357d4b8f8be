use proptest::prelude::*;

use super::super::generate;
use super::*;

const SAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/manifests/pretix-club.json"));

fn read(text: &str) -> Manifest {
    parse(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Replaces one piece of the sample and reads it.
fn spoiled(piece: &str, by: &str) -> Result<Manifest, ManifestErrors> {
    assert!(SAMPLE.contains(piece), "the sample has no {piece}");
    parse(SAMPLE.replacen(piece, by, 1).as_bytes())
}

#[track_caller]
fn check(piece: &str, by: &str, at: &str, words: &str) {
    let errors = spoiled(piece, by).expect_err("it was spoiled");
    assert_eq!(errors.as_slice()[0].at, at, "{errors}");
    assert!(errors.as_slice()[0].message.contains(words), "{errors}");
}

/// A plan of one zone with these rows.
fn plan_of(rows: &str) -> String {
    format!(
        r#"{{"name": "Plan", "size": {{"width": 100, "height": 100}},
            "categories": [{{"name": "C"}}],
            "zones": [{{"position": {{"x": 0, "y": 0}}, "rows": [{rows}]}}]}}"#
    )
}

fn row_of(label: &str, first: i32, xs: &[f64]) -> String {
    let seats = xs.iter().zip(first..).map(|(x, number)| {
        format!(
            r#"{{"seat_guid": "{label}-{number}", "seat_number": "{number}", "category": "C",
                "position": {{"x": {x}, "y": 0}}}}"#
        )
    });
    let seats = seats.collect::<Vec<_>>().join(",");
    format!(r#"{{"row_number": "{label}", "position": {{"x": 0, "y": 0}}, "seats": [{seats}]}}"#)
}

#[test]
fn the_sample_is_read() {
    let manifest = read(SAMPLE);
    assert_eq!(manifest.name, "Harbour Club");
    assert_eq!(manifest.capacity(), 19);
    let codes: Vec<_> = manifest.sections.iter().map(|section| section.code.as_str()).collect();
    assert_eq!(codes, ["parquet", "gallery", "Tables"]);
    let [parquet, gallery, tables] = manifest.sections.as_slice() else { panic!("three") };
    assert_eq!((parquet.name.as_str(), gallery.name.as_str()), ("Parquet", "Gallery"));
    let labels = |section: &Section| {
        let rows = section.rows().iter();
        rows.map(|row| (row.label.clone(), row.seats[0].label.clone())).collect::<Vec<_>>()
    };
    let pair = |row: &str, seat: &str| (row.to_owned(), seat.to_owned());
    assert_eq!(labels(parquet), [pair("1", "1"), pair("2", "1")]);
    assert_eq!(labels(tables), [pair("Table 7", "Chair 1")]);
    assert!(manifest.sections.iter().all(|section| section.outline.len() >= 3));
}

#[test]
fn categories_become_levels_in_their_order() {
    let manifest = read(SAMPLE);
    let levels: Vec<_> =
        manifest.levels.iter().map(|l| (l.code.as_str(), l.color.as_str())).collect();
    assert_eq!(levels, [("Front", "#cc2244"), ("Rear", "#1188aa"), ("Tables", PALETTE_THIRD)]);
    let seats = &manifest.sections[0].rows()[1].seats;
    assert!(seats.iter().all(|seat| seat.level == LevelIndex(1)));
}

/// The sample names this level's colour in words, which we don't read.
const PALETTE_THIRD: &str = "#009e73";

#[test]
fn positions_add_up_and_are_metres() {
    let manifest = read(SAMPLE);
    let rows = manifest.sections[0].rows();
    let (a, b) = (&rows[0].seats[0], &rows[0].seats[1]);
    assert!((b.x - a.x - 0.55).abs() < 0.011 && (b.y - a.y).abs() < 0.001, "{a:?} {b:?}");
    // The second row is 40 pixels lower, at 25 pixels a pitch.
    assert!((rows[1].seats[0].y - a.y - 0.88).abs() < 0.011, "{a:?}");
    let gallery = &manifest.sections[1].rows()[0].seats[0];
    assert!((gallery.y - a.y - 150.0 / 25.0 * 0.55).abs() < 0.011, "{gallery:?} {a:?}");
}

#[test]
fn a_stage_is_where_people_look() {
    let manifest = read(SAMPLE);
    let first = &manifest.sections[0].rows()[0].seats[0];
    // The stage is a rectangle of 200 by 60 at (100, 20); the first seat is at (100, 150).
    assert!((manifest.focus.x - first.x - 100.0 / 25.0 * 0.55).abs() < 0.011);
    assert!((manifest.focus.y - first.y + 100.0 / 25.0 * 0.55).abs() < 0.011);
    let without = spoiled("Main stage", "Bar").unwrap();
    assert!(without.focus.y < without.sections[0].rows()[0].seats[0].y);
}

#[test]
fn wide_gaps_are_aisles() {
    let manifest = read(&plan_of(&row_of("A", 1, &[0.0, 25.0, 50.0, 100.0, 125.0, 150.0])));
    let seats = &manifest.sections[0].rows()[0].seats;
    let neighbours: Vec<_> = seats.windows(2).map(|two| two[0].is_neighbour_of(&two[1])).collect();
    assert_eq!(neighbours, [true, true, false, true, true]);
    assert!(!seats[0].attributes.contains(Attributes::AISLE));
}

#[test]
fn rows_of_one_label_are_one_row_with_an_aisle() {
    let rows = [row_of("A", 1, &[0.0, 25.0, 50.0]), row_of("A", 4, &[75.0, 100.0])].join(",");
    let manifest = read(&plan_of(&rows));
    let [row] = manifest.sections[0].rows() else { panic!("one row") };
    assert_eq!(row.seats.len(), 5);
    assert!(!row.seats[2].is_neighbour_of(&row.seats[3]));
    let rows = [row_of("A", 1, &[0.0, 25.0]), row_of("A", 2, &[75.0])].join(",");
    let errors = parse(plan_of(&rows).as_bytes()).unwrap_err();
    assert_eq!(errors.as_slice()[0].at, "zones[0].rows[1].seats[0].seat_number");
}

#[test]
fn zones_of_one_name_get_codes_of_their_own() {
    let name = "A zone with a name that is longer than a code may be";
    let zone = format!(
        r#"{{"name": "{name}", "position": {{"x": 0, "y": 0}}, "rows": [{}]}}"#,
        row_of("A", 1, &[0.0])
    );
    let zones = [zone.as_str(), zone.as_str(), zone.as_str()].join(",");
    let plan = plan_of("")
        .replace(r#"[{"position": {"x": 0, "y": 0}, "rows": []}]"#, &format!("[{zones}]"));
    let manifest = read(&plan);
    let codes: Vec<_> = manifest.sections.iter().map(|s| s.code.as_str()).collect();
    let expected = [
        "A zone with a name that is longe",
        "A zone with a name that is lon-2",
        "A zone with a name that is lon-3",
    ];
    assert_eq!(codes, expected);
    assert!(manifest.sections.iter().all(|section| section.name == name));
}

#[test]
fn numbers_that_are_empty_are_counted() {
    let plan =
        plan_of(&row_of("", 1, &[0.0])).replace(r#""seat_number": "1""#, r#""seat_number": """#);
    let manifest = read(&plan);
    assert_eq!(manifest.sections[0].name, "Zone 1");
    assert_eq!(manifest.sections[0].rows()[0].label, "1");
    assert_eq!(manifest.sections[0].rows()[0].seats[0].label, "1");
}

#[test]
fn faults_are_named_by_their_path_in_the_plan() {
    check("\"Rear\", \"color\"", "\"Front\", \"color\"", "categories[1].name", "twice");
    let at = "zones[1].rows[0].seats[1].category";
    check(
        "\"seat_number\": \"2\", \"category\": \"Rear\"",
        "\"seat_number\": \"2\", \"category\": \"Best\"",
        "zones[0].rows[1].seats[1].category",
        "Best",
    );
    let gallery = "\"g-2\", \"seat_number\": \"2\", \"category\": \"Rear\"";
    check(gallery, "\"g-2\", \"seat_number\": \"2\", \"category\": \"\"", at, "no category");
    let at = "zones[1].rows[0].seats[1].seat_number";
    check(gallery, "\"g-2\", \"seat_number\": \"1\", \"category\": \"Rear\"", at, "twice");
    check("\"Harbour Club\"", "\"\"", "name", "empty");
    check("\"Table %s\"", "\"Table %s\\u0007\"", "zones[3].rows[0].row_number", "invisible");
    let at = "zones[1].rows[0].seats[0].position.x";
    check("\"x\": 100, \"y\": 300", "\"x\": 1e300, \"y\": 300", at, "±");
}

#[test]
fn what_the_schema_demands_must_be_there() {
    for piece in ["\"categories\"", "\"zones\"", "\"rows\"", "\"seat_number\"", "\"row_number\""] {
        let errors = spoiled(piece, "\"other\"").expect_err("it is required");
        assert!(errors.as_slice()[0].message.contains("missing field"), "{errors}");
        assert!(errors.as_slice()[0].at.starts_with("line "), "{errors}");
    }
    assert!(spoiled("\"size\"", "\"rotation\"").is_ok());
    for bad in ["", "[]", "{}", "{\"name\": 1}", "nul", "[[[["] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let empty = plan_of("");
    assert_eq!(parse(empty.as_bytes()).unwrap_err().as_slice()[0].at, "zones");
}

#[test]
fn long_templates_do_not_fill_the_memory() {
    let rows = row_of("A", 1, &[0.0; 400]);
    let template = "%s".repeat(1_000_000);
    let rows = rows.replacen('{', &format!("{{\"seat_label\": \"{template}\","), 1);
    assert!(parse(plan_of(&rows).as_bytes()).is_err());
}

#[test]
fn imported_plans_can_be_written_in_our_own_formats() {
    let manifest = read(SAMPLE);
    let json = super::super::json::to_string(&manifest).unwrap();
    assert_eq!(super::super::json::parse(json.as_bytes()).unwrap(), manifest);
    let table = super::super::csv::to_string(&manifest).unwrap();
    assert_eq!(super::super::csv::parse(table.as_bytes()).unwrap().capacity(), 19);
    assert!(generate::min_seat_distance_m(&manifest) > 0.4);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..SAMPLE.len(), byte in any::<u8>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = parse(&bytes);
    }

    #[test]
    fn no_position_panics(x in any::<f64>(), y in any::<f64>(), z in any::<f64>()) {
        let number = |value: f64| serde_json::to_string(&value).unwrap().replace("null", "1e999");
        let plan = SAMPLE
            .replacen("\"x\": 100", &format!("\"x\": {}", number(x)), 1)
            .replacen("\"y\": 40", &format!("\"y\": {}", number(y)), 1)
            .replacen("\"x\": 25", &format!("\"x\": {}", number(z)), 1);
        let _ = parse(plan.as_bytes());
    }
}
