use jiff::SignedDuration;
use serde_json::{Value, json};

use super::difficulty::Difficulty;
use super::*;
use crate::config::{KeyConfig, Keys};

/// Hard enough that guessing a number doesn't solve it, and quick to solve.
const EASY: Difficulty = Difficulty(500);

fn keyring(byte: &str) -> Keyring {
    let key = || vec![KeyConfig { id: 1, secret: byte.repeat(32) }];
    Keyring::new(&Keys { tokens: key(), tickets: key() }).unwrap()
}

fn purpose() -> Purpose {
    Purpose { event: EventId::fresh(), account: AccountId::fresh() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const NOW: i64 = 1_789_999_500;

fn issued(keyring: &Keyring, purpose: Purpose) -> Challenge {
    issue(keyring, &ProofConfig::default(), purpose, EASY, at(NOW))
}

fn encoded(payload: &Value) -> String {
    STANDARD.encode(payload.to_string())
}

fn members(payload: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

#[test]
fn what_was_solved_is_believed_for_its_time_and_nobody_else() {
    let (ring, mine) = (keyring("11"), purpose());
    let payload = solve(&issued(&ring, mine)).unwrap();
    let judged = |purpose, second| verify(&ring, purpose, &payload, at(second)).map(|p| p.left_s);
    assert_eq!(judged(mine, NOW), Ok(600));
    assert_eq!(judged(mine, NOW + 599), Ok(1));
    assert_eq!(judged(mine, NOW + 600), Err(Flaw::Expired));
    let (event, account) = (EventId::fresh(), AccountId::fresh());
    assert_eq!(judged(Purpose { event, ..mine }, NOW), Err(Flaw::Event));
    assert_eq!(judged(Purpose { account, ..mine }, NOW), Err(Flaw::Account));
    assert_eq!(verify(&keyring("22"), mine, &payload, at(NOW)), Err(Flaw::Signature));
}

#[test]
fn every_changed_or_missing_character_is_refused() {
    let (ring, mine) = (keyring("11"), purpose());
    let payload = solve(&issued(&ring, mine)).unwrap();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    for at_byte in 0..payload.len() {
        for byte in alphabet {
            let mut changed = payload.clone().into_bytes();
            if changed[at_byte] == *byte {
                continue;
            }
            changed[at_byte] = *byte;
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&ring, mine, &changed, at(NOW)).is_err(), "{changed}");
        }
        assert_eq!(verify(&ring, mine, &payload[..at_byte], at(NOW)), Err(Flaw::Malformed));
    }
}

#[test]
fn each_flaw_is_named() {
    let (ring, mine) = (keyring("11"), purpose());
    let challenge = issued(&ring, mine);
    let good = members(&solve(&challenge).unwrap());
    let with = |name: &str, value: Value| {
        let mut payload = good.clone();
        payload[name] = value;
        verify(&ring, mine, &encoded(&payload), at(NOW)).map(|_| ())
    };
    assert_eq!(with("took", json!(12.5)), Ok(()));
    let number = good["number"].as_u64().unwrap();
    for wrong in [json!(number + 1), json!(0), json!(u32::MAX)] {
        assert_eq!(with("number", wrong), Err(Flaw::Unsolved));
    }
    let texts = [json!(number.to_string()), json!(-1), json!(1.5), json!(4_294_967_296_u64)];
    for wrong in texts.into_iter().chain([Value::Null, json!([1])]) {
        assert_eq!(with("number", wrong), Err(Flaw::Malformed));
    }
    assert_eq!(with("algorithm", json!("SHA-512")), Err(Flaw::Malformed));
    assert_eq!(with("challenge", json!("00")), Err(Flaw::Malformed));
    assert_eq!(with("challenge", json!("0".repeat(64))), Err(Flaw::Signature));
    assert_eq!(with("challenge", json!(challenge.challenge.to_uppercase())), Err(Flaw::Signature));
    assert_eq!(with("signature", json!("")), Err(Flaw::Signature));
    assert_eq!(with("salt", json!(challenge.salt.replace("expires=1", "expires=2"))), {
        Err(Flaw::Signature)
    });
    assert_eq!(with("took", json!("x".repeat(MAX_PAYLOAD))), Err(Flaw::Malformed));
}

#[test]
fn the_border_between_salt_and_number_does_not_move() {
    let (ring, mine) = (keyring("11"), purpose());
    let challenge = loop {
        let challenge = issued(&ring, mine);
        let solved = members(&solve(&challenge).unwrap());
        if solved["number"].as_u64().unwrap() >= 10 {
            break challenge;
        }
    };
    let good = members(&solve(&challenge).unwrap());
    let digits = good["number"].to_string();
    for cut in 1..digits.len() {
        let mut payload = good.clone();
        payload["salt"] = json!(format!("{}{}", challenge.salt, &digits[..cut]));
        payload["number"] = digits[cut..].parse::<u32>().unwrap().into();
        assert_eq!(verify(&ring, mine, &encoded(&payload), at(NOW)), Err(Flaw::Signature));
    }
}

#[test]
fn nonsense_is_malformed() {
    let (ring, mine) = (keyring("11"), purpose());
    let deep = STANDARD.encode("[".repeat(1_500));
    let twice = STANDARD.encode(r#"{"number":1,"number":2}"#);
    let long = "A".repeat(MAX_PAYLOAD + 4);
    let full = "A".repeat(MAX_PAYLOAD);
    let bytes = STANDARD.encode([0xff, 0xfe, 0x00]);
    for bad in ["", "=", "e30=", "bnVsbA==", "é", "{}", &deep, &twice, &long, &full, &bytes] {
        assert_eq!(verify(&ring, mine, bad, at(NOW)), Err(Flaw::Malformed), "{bad}");
    }
}

/// Programs in Go and PHP write some characters of JSON in another way.
#[test]
fn escapes_are_read() {
    let (ring, mine) = (keyring("11"), purpose());
    let json = STANDARD.decode(solve(&issued(&ring, mine)).unwrap()).unwrap();
    let escaped = String::from_utf8(json).unwrap().replace('&', "\\u0026");
    assert!(verify(&ring, mine, &STANDARD.encode(escaped), at(NOW)).is_ok());
}

#[test]
fn no_two_challenges_are_alike_and_none_is_beyond_its_bound() {
    let (ring, mine) = (keyring("11"), purpose());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let challenge = issued(&ring, mine);
        assert_eq!(challenge.maxnumber, 1_000);
        let number = members(&solve(&challenge).unwrap())["number"].as_u64().unwrap();
        assert!(number <= 1_000);
        let proof = verify(&ring, mine, &solve(&challenge).unwrap(), at(NOW)).unwrap();
        assert!(seen.insert(proof.nonce().to_owned()));
    }
    let unsolvable = Challenge { challenge: "0".repeat(64), ..issued(&ring, mine) };
    assert_eq!(solve(&unsolvable), None);
    let other = Challenge { algorithm: "SHA-1".into(), ..issued(&ring, mine) };
    assert_eq!(solve(&other), None);
}

/// Computed elsewhere (with Python's hashlib), as the protocol's libraries compute them.
#[test]
fn hashes_are_those_of_the_protocol() {
    let known = [
        ("", 0, "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"),
        ("salt", 100, SALT_100),
        ("salt?expires=1&", 4_294_967_295, SALT_MOST),
    ];
    for (salt, number, expected) in known {
        assert_eq!(hex::encode(hash(salt, number)), expected, "{salt}{number}");
    }
}

const SALT_100: &str = "ca38e5a5e99e9510abfe7a031e5d097463acf8edd01470d56da42c8a05c2f917";
const SALT_MOST: &str = "86edecb1633881b4f6023e01b453a36d347ae7cc2fd85da79a850e0cd7578a63";

/// The documented example is true, to the last character.
#[test]
fn the_documented_example_works() {
    let document = crate::http::openapi::document().to_json().unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let operation = &document["paths"]["/v1/events/{event}/waiting-room/challenge"]["get"];
    let text = operation["description"].as_str().unwrap();
    let code: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let challenge = code.iter().find_map(|code| serde_json::from_str::<Challenge>(code).ok());
    let challenge = challenge.expect("a challenge among the code");
    let answer = *code.iter().find(|code| code.starts_with("ey")).expect("an answer");
    assert_eq!(solve(&challenge).as_deref(), Some(answer));
    let number = members(answer)["number"].to_string();
    assert!(code.contains(&number.as_str()), "{number}");
    let id = |digit| format!("0190000000007000800000000000000{digit}");
    let purpose = Purpose { event: id('e').parse().unwrap(), account: id('a').parse().unwrap() };
    let now = at(1_790_000_000).saturating_sub(SignedDuration::from_secs(1)).unwrap();
    assert_eq!(verify(&keyring("07"), purpose, answer, now).map(|proof| proof.left_s), Ok(1));
}
