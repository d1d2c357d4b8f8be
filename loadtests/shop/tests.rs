use serde_json::json;

use super::*;

/// Two levels: row A has 6 neighbours, a gap, then 2 accessible seats; row B has 4 of the
/// lower level; an area of 5. Numbers 0-5, 8-9, 16-19; the area's units are 24-28.
pub fn small() -> Shop {
    let offer = |id: &str, level: &str, seated: bool, areas: &[&str]| {
        json!({ "id": id, "level": level, "areas": areas, "seated": seated, "min_per_order": 1,
                "max_per_order": 4, "multiple_of": 1, "package_size": 1,
                "needs_access_code": false })
    };
    let mut secret = offer("secret", "P1", true, &[]);
    secret["needs_access_code"] = json!(true);
    let event = json!({ "id": "e", "capacity": 17, "offers": [
        offer("best", "P1", true, &[]), offer("lower", "P2", true, &[]), secret,
        offer("floor", "FL", false, &["FLOOR"]) ] });
    let row = |places: &[i32], level: usize, marked: &[i32]| {
        let attributes: Vec<_> =
            marked.iter().map(|place| json!([place, ["accessible"]])).collect();
        json!({ "row": "A", "places": places, "seats": [], "x": [], "y": [],
                "levels": vec![level; places.len()], "attributes": attributes })
    };
    let manifest = json!({
        "levels": [{ "code": "P1" }, { "code": "P2" }, { "code": "FL" }],
        "sections": [
            { "code": "FLOOR", "area": true, "rows": [] },
            { "code": "1", "area": false, "rows": [
                row(&[0, 1, 2, 3, 4, 5, 8, 9], 0, &[8, 9]), row(&[16, 17, 18, 19], 1, &[]) ] },
        ] });
    let bytes = |value: &serde_json::Value| serde_json::to_vec(value).unwrap();
    Shop::read(&bytes(&event), &bytes(&manifest)).unwrap()
}

/// A snapshot in which only these seats, and so many units of the area, are free.
pub fn free(shop: &Shop, seq: i64, seats: &[i32], units: u32) -> Arc<Snapshot> {
    let mut bitmap = [0xff_u8; 4];
    for seat in seats {
        let seat = usize::try_from(*seat).unwrap();
        bitmap[seat / 8] &= !(0x80 >> (seat % 8));
    }
    let lower = u32::try_from(seats.iter().filter(|seat| **seat >= 16).count()).unwrap();
    let best = u32::try_from(seats.len()).unwrap() - lower;
    use base64::Engine;
    let body = json!({ "epoch": 1, "seq": seq, "state": "on_sale",
        "unavailable": base64::engine::general_purpose::STANDARD.encode(bitmap),
        "levels": [{ "level": "P1", "free": best }, { "level": "P2", "free": lower },
                   { "level": "FL", "free": units }],
        "sections": [{ "section": "FLOOR", "free": units }] });
    let etag = HeaderValue::try_from(format!("\"1-{seq}-1\"")).unwrap();
    shop.note(Some(etag), &serde_json::to_vec(&body).unwrap()).unwrap()
}

#[test]
fn a_shop_is_read_from_what_the_api_says() {
    let shop = small();
    let run = |first, length, level, accessible| Run { first, length, level, accessible };
    assert_eq!(shop.runs, [run(0, 6, 0, false), run(8, 2, 0, true), run(16, 4, 1, false)]);
    assert_eq!(shop.levels[0].runs, [0]);
    assert_eq!(shop.levels[0].seats.len(), 1, "the offer behind a code is left out");
    assert!(shop.levels[2].seats.is_empty());
    assert_eq!(&*shop.areas[0].offers[0].id, "floor");
    assert_eq!((shop.path.as_str(), shop.capacity), ("/v1/events/e", 17));
}

#[test]
fn a_snapshot_says_what_is_free_and_an_older_one_is_not_kept() {
    let shop = small();
    let snapshot = free(&shop, 7, &[2, 3, 9, 17], 5);
    assert_eq!(snapshot.free, 9);
    assert_eq!((snapshot.levels.as_slice(), snapshot.areas.as_slice()), (&[3, 1, 5][..], &[5][..]));
    assert_eq!(snapshot.last, [(2, 0), (3, 0), (9, 0), (17, 1)]);
    assert!(snapshot.is_free(9) && !snapshot.is_free(8) && !snapshot.is_free(-1));
    free(&shop, 6, &[0], 0);
    assert_eq!(shop.seen().unwrap().order(), (1, 7));
    free(&shop, 8, &[], 0);
    assert_eq!(shop.seen().unwrap().free, 0);
}

#[test]
fn nonsense_is_an_error() {
    assert!(Shop::read(b"{}", b"{}").is_err());
    let shop = small();
    assert!(shop.note(None, b"{}").is_err());
    assert!(shop.note(Some(HeaderValue::from_static("x")), b"{\"epoch\":1}").is_err());
}
