//! Examples of answers, for the OpenAPI document. A test compares them with their schemas.

use serde_json::{Value, json};

/// One id from hold to order.
const ID: &str = "6f1c2a64-5f1f-8d52-9a3b-0c4b7e21d9aa";
/// The event.
const EVENT: &str = "0198c0de-7a00-7b31-8c55-3f2d9b6a1e10";
/// The offer.
const OFFER: &str = "0198c0de-7a11-7c02-9d4e-51b8a2f07c33";

fn place(number: i32, seat: &str) -> Value {
    json!({
        "place": number,
        "label": format!("Section 101, row F, seat {seat}"),
        "section": "101",
        "row": "F",
        "seat": seat,
    })
}

fn lines() -> Value {
    json!([{
        "offer": OFFER,
        "name": "Adult",
        "price_type": "Adult",
        "tier": "",
        "quantity": 2,
        "unit": {"price": 14_900, "fee": 473, "tax": 2_455, "discount": 0},
        "total": 30_746,
        "places": [place(1_203, "12"), place(1_204, "13")],
    }])
}

/// A hold of two neighbours.
#[must_use]
pub fn hold() -> Value {
    json!({
        "id": ID,
        "event": EVENT,
        "status": "held",
        "expires_at": "2027-05-01T18:08:00Z",
        "server_time": "2027-05-01T18:00:00Z",
        "lines": lines(),
        "currency": "EUR",
        "total": 30_746,
    })
}

/// The order that it became, paid.
#[must_use]
pub fn order() -> Value {
    let key = "01c0ffee5eedc0ffee5eedc0ffee5eed00";
    let base = "https://tickets.example";
    let ticket = |number: i32, seat: &str| {
        json!({
            "place": place(number, seat),
            "serial": 1,
            "status": "valid",
            "code": "AQGYwN56AHsxjFU_LZtqHhAAAASzAAAAAQ…",
            "qr": format!("{base}/v1/orders/{ID}/tickets/{number}-1/qr.svg?key={key}"),
        })
    };
    json!({
        "id": ID,
        "code": "6F1C2A64",
        "event": EVENT,
        "status": "paid",
        "email": "ada@example.org",
        "lines": lines(),
        "currency": "EUR",
        "total": 30_746,
        "pay_by": "2027-05-01T18:16:40Z",
        "created_at": "2027-05-01T18:01:40Z",
        "link": format!("{base}/orders/{ID}?key={key}"),
        "tickets": [ticket(1_203, "12"), ticket(1_204, "13")],
    })
}
