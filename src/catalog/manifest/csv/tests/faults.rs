use std::fmt::Write;

use super::super::super::{MAX_BYTES, MAX_ERRORS, MAX_LEVELS};
use super::super::parse;
use super::{HEADER, bounds, read};

/// Expects one finding in a table of these lines.
#[track_caller]
fn check(lines: &str, at: &str, words: &str) {
    let errors = parse(format!("{HEADER}{lines}").as_bytes()).expect_err("it has a fault");
    assert_eq!(errors.as_slice().len(), 1, "{errors}");
    assert_eq!(errors.as_slice()[0].at, at, "{errors}");
    assert!(errors.as_slice()[0].message.contains(words), "{errors}");
}

#[test]
fn columns_are_checked() {
    for (header, at, words) in [
        ("", "line 1", "names of the columns"),
        ("\n\n", "line 1", "names of the columns"),
        ("row,seat,level", "line 1", "section is missing"),
        ("section,row,seat", "line 1", "level is missing"),
        ("section,level,row", "line 1", "row and seat are missing"),
        ("section,level,row,seat,x", "line 1", "x and y is missing"),
        ("section,level,row,seat,attribute", "line 1, column 5", "\"attribute\" is not one of"),
        ("\nsection,row,seat,level,Row", "line 2, column 5", "twice"),
        ("section,row,seat,level", "file", "nothing to sell"),
    ] {
        let errors = parse(header.as_bytes()).unwrap_err();
        assert_eq!(errors.as_slice()[0].at, at, "{errors}");
        assert!(errors.as_slice()[0].message.contains(words), "{errors}");
    }
}

#[test]
fn lines_are_checked() {
    check("A,1,1,0,0,,,,\n", "line 2, column level", "empty");
    check("A,1,1,0,0,P,,,\n,1,2,0,0,P,,,\n", "line 3, column section", "empty");
    check("A,,1,0,0,P,,,\n", "line 2, column row", "empty");
    check("A,1,,0,0,P,,,\n", "line 2, column seat", "empty");
    check("A,1,1,0,0,P,,\n", "line 2", "8 columns instead of 9");
    check("A,1,1,0,0,P,,,,\n", "line 2", "10 columns instead of 9");
    check("A,1,1,zero,0,P,,,\n", "line 2, column x", "\"zero\" is not a number");
    check("A,1,1,0,1e999,P,,,\n", "line 2, column y", "±");
    check("A,1,1,NaN,0,P,,,\n", "line 2, column x", "±");
    check("A,1,1,0,,P,,,\n", "line 2, column y", "x is not");
    check("A,1,1,,0,P,,,\n", "line 2, column x", "y is not");
    check("A,1,1,0,0,P,,,\nA,1,2,,,P,,,\n", "line 3, column x", "all seats or for none");
    check("A,1,1,0,0,P,window,,\n", "line 2, column attributes", "restricted_view");
    check("A,1,1,0,0,P,,North,\nA,1,2,0,0,P,,South,\n", "line 3, column section_name", "North");
    check("A,1,1,0,0,P,,,\n\nA,1,1,0,0,P,,,\n", "line 4, column seat", "twice");
    check("A,1,1,0,0,P,,\"a\nb\",\nA,1,,0,0,P,,,\n", "line 4, column seat", "empty");
    check("A,1,1,0,0,P,,\u{202e}x,\n", "line 2, column section_name", "direction");
    check("A,1,\"1\n2\",0,0,P,,,\n", "line 2, column seat", "invisible");
    let long = "x".repeat(1_000_000);
    check(&format!("A,{long},1,0,0,P,,,\n"), "line 2, column row", "more than 32");
    // As the level is called by its code, code and name are both too long.
    let errors = parse(format!("{HEADER}A,1,1,0,0,{long},,,\n").as_bytes()).unwrap_err();
    assert_eq!(errors.as_slice()[0].at, "line 2, column level");
    assert!(errors.as_slice()[0].message.len() < 100, "{errors}");
}

#[test]
fn areas_are_checked() {
    check("A,1,1,0,0,P,,,\nB,,,,,P,,,0\n", "line 3, column capacity", "between 1 and");
    check("A,,,inf,0,P,,,5\n", "line 2, column x", "±");
    check("A,,,,,P,,,-1\n", "line 2, column capacity", "not a count");
    check("A,,,,,P,,,1.5\n", "line 2, column capacity", "not a count");
    check("A,,,,,P,,,4294967296\n", "line 2, column capacity", "not a count");
    check("A,1,1,0,0,P,,,5\n", "line 2, column capacity", "a seat or of an area");
    check("A,,,,,P,,,5\nA,,,,,P,,,5\n", "line 3, column section", "already");
    check("A,,,,,P,,,5\nA,1,1,0,0,P,,,\n", "line 3, column seat", "is an area");
    check("A,1,1,0,0,P,,,\nA,,,,,P,,,5\n", "line 3, column section", "already");
    let drawn = read(&format!("{HEADER}A,,,3,4,P,,,200\n"));
    assert_eq!(bounds(&drawn.sections[0].outline), [-2.0, 8.0, -1.0, 9.0]);
}

#[test]
fn line_numbers_are_those_of_an_editor() {
    let spoiled = "section,row,seat,level\r\nA,1,1,P\r\n\r\nA,1,2,P\r\n\n\nA,1,3,\r\n";
    let errors = parse(spoiled.as_bytes()).unwrap_err();
    assert_eq!(errors.as_slice()[0].at, "line 7, column level");
    let mut latin = b"section,row,seat,level\nA,1,1,P\n".to_vec();
    latin.extend(b"Balc\xf3n,1,1,P\n");
    let errors = parse(&latin).unwrap_err();
    assert_eq!(errors.to_string(), "line 3: is not UTF-8; save the file as \"CSV UTF-8\"");
}

#[test]
fn errors_are_collected_up_to_the_limit() {
    let lines = "A,1,,0,0,P,,,\n".repeat(1_000);
    let errors = parse(format!("{HEADER}{lines}").as_bytes()).unwrap_err();
    assert_eq!(errors.as_slice().len(), MAX_ERRORS);
    assert_eq!(errors.as_slice()[19].at, "line 21, column seat");
}

#[test]
fn files_beyond_the_limits_are_refused() {
    let errors = parse(&vec![b' '; MAX_BYTES + 1]).unwrap_err();
    assert!(errors.to_string().contains("larger than"), "{errors}");
    let mut levels = HEADER.to_owned();
    for n in 0..100_000 {
        writeln!(levels, "A,{},{n},0,0,P{n},,,", n / 100).unwrap();
    }
    let errors = parse(levels.as_bytes()).unwrap_err();
    assert_eq!(errors.as_slice()[0].at, "column level");
    assert!(errors.to_string().contains(&format!("{MAX_LEVELS}")), "{errors}");
}
