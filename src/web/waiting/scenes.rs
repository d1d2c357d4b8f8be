//! What the waiting room says, and the numbers in it.

use crate::catalog::Listing;
use crate::waiting_room::board::Board;
use crate::waiting_room::poll::{Eta, Odds, PlaceView, Standing};
use crate::waiting_room::{DRAWN, Lane, LaneKind, Phase, Room, RoomState};
use crate::web::words::{self, When};

/// A moment in somebody's waiting: its name in styles and scripts, and what is said.
pub struct Scene {
    /// The standing's name in the API, or one of the page's own.
    pub word: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What it means, and what there is to do.
    pub text: &'static str,
}

/// All of them.
pub static SCENES: [Scene; 14] = [
    Scene {
        word: "soon",
        title: "The waiting room opens soon",
        text: "You can’t join yet, and being early is no advantage. This page opens by itself.",
    },
    Scene {
        word: "join",
        title: "Waiting room",
        text: "Many people want these tickets, so they are let in one after the other.",
    },
    Scene {
        word: "shut",
        title: "Nobody can join any more",
        text: "The line is closed. Who is in it already is still let in.",
    },
    Scene {
        word: "pre_queue",
        title: "You are in the draw",
        text: "When joining closes, places in line are drawn by lot among everybody here. It \
               doesn’t matter when you came, and more tabs don’t help: you can just wait.",
    },
    Scene {
        word: "drawing",
        title: "Your place is being drawn",
        text: "Joining the draw has closed. In a moment the first are let in.",
    },
    Scene {
        word: "waiting",
        title: "You are in line",
        text: "Your place is kept, also if you close this page and come back to it in this \
               browser.",
    },
    Scene {
        word: "your_turn",
        title: "It’s your turn",
        text: "Go in and choose your tickets. Your turn waits for you, but not for ever.",
    },
    Scene {
        word: "second_chance",
        title: "You missed your turn",
        text: "It comes once more, by itself. Be here then: after that you would have to join \
               again, behind everyone.",
    },
    Scene {
        word: "missed",
        title: "Your turn is over",
        text: "It was not taken in time, so others were let in. You can join again, behind \
               everyone who waits now.",
    },
    Scene {
        word: "paused",
        title: "The line stands still",
        text: "Nobody is let in for the moment. Your place is kept; there is nothing that you \
               have to do.",
    },
    Scene {
        word: "sold_out",
        title: "Nothing is left at this moment",
        text: "Tickets come back when others don’t pay in time, and then the line moves on. Your \
               place is kept.",
    },
    Scene {
        word: "closed",
        title: "The line is closed",
        text: "Nobody is let in any more. We are sorry that it didn’t work out this time.",
    },
    Scene {
        word: "lifted",
        title: "No more waiting",
        text: "The waiting room is open to everybody. Go in and choose your tickets.",
    },
    Scene {
        word: "inside",
        title: "You are in",
        text: "Choose your tickets while your time lasts. What you hold by then, you can still \
               pay for.",
    },
];

/// The scene of a standing.
#[must_use]
pub const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::PreQueue => "pre_queue",
        Standing::Drawing => "drawing",
        Standing::Waiting => "waiting",
        Standing::YourTurn => "your_turn",
        Standing::SecondChance => "second_chance",
        Standing::Missed => "missed",
        Standing::Paused => "paused",
        Standing::SoldOut => "sold_out",
        Standing::Closed => "closed",
        Standing::Lifted => "lifted",
    }
}

/// The scene for who has no place.
#[must_use]
pub fn unjoined(room: &Room, lanes: &[LaneChoice]) -> &'static str {
    let shut = !room.joining || room.state == RoomState::Closed || lanes.is_empty();
    match shut {
        true => "shut",
        false if lanes.iter().any(|lane| lane.open) => "join",
        false => "soon",
    }
}

/// A line that can be joined, now or later.
pub struct LaneChoice {
    /// Its number.
    pub number: i16,
    /// The form's value.
    pub code: String,
    /// Its name.
    pub name: String,
    /// For whom it is; empty for everybody.
    pub note: &'static str,
    /// Whether it needs an access code.
    pub needs_code: bool,
    /// Whether it can be joined now.
    pub open: bool,
    /// When it can be joined, if that is later.
    pub opens: String,
    /// Whether it is the one that is wished.
    pub chosen: bool,
}

/// The lines that can be joined; the wished one is chosen, or else the first that is open.
#[must_use]
pub fn lanes(room: &Room, wished: Option<&str>, zone: &str, now_ms: i64) -> Vec<LaneChoice> {
    let choice = |lane: &Lane| {
        let phase = room.phase(lane, now_ms);
        (phase != Phase::Closed).then(|| LaneChoice {
            number: lane.number,
            code: lane.code.clone(),
            name: lane.name.clone(),
            note: match lane.kind {
                LaneKind::General => "",
                LaneKind::Presale => "for invited people",
                LaneKind::Accessible => "for orders with an accessible seat",
            },
            needs_code: lane.access_code.is_some() || lane.code_set.is_some(),
            open: phase != Phase::Announced,
            opens: When::new(lane.joins_at, zone).short(),
            chosen: false,
        })
    };
    let mut lanes: Vec<_> = room.lanes.iter().filter_map(choice).collect();
    let at = |found: &dyn Fn(&LaneChoice) -> bool| lanes.iter().position(found);
    let chosen = at(&|lane| lane.open && wished == Some(lane.code.as_str()))
        .or_else(|| at(&|lane| lane.open && !lane.needs_code && lane.note.is_empty()))
        .or_else(|| at(&|lane| lane.open))
        .unwrap_or(0);
    if let Some(lane) = lanes.get_mut(chosen) {
        lane.chosen = true;
    }
    lanes
}

/// What is left of a price level.
pub struct LevelLeft {
    /// Its code.
    pub code: String,
    /// Its number, which names its colour in style sheets.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// The lowest price, fees and taxes included.
    pub price: String,
    /// Free places.
    pub free: u32,
}

/// What is left, of the levels that are sold.
#[must_use]
pub fn levels(board: &Board, listing: &Listing) -> Vec<LevelLeft> {
    let number = |code: &str| {
        listing.levels.iter().find(|level| level.code == code).map_or(0, |level| level.number)
    };
    let left = |level: &crate::waiting_room::board::LevelView| {
        let (from, to) = (level.from?, level.to?);
        let price = words::price(from, listing.event.currency);
        Some(LevelLeft {
            code: level.level.clone(),
            number: number(&level.level),
            name: level.name.clone(),
            price: if from == to { price } else { format!("from {price}") },
            free: level.free,
        })
    };
    board.levels.iter().filter_map(left).collect()
}

/// The numbers of a place in line, as they stand when the page is made.
pub struct Figures {
    /// The lane's number.
    pub lane: i16,
    /// Its name.
    pub lane_name: String,
    /// `1,234`; empty while there is none.
    pub position: String,
    /// `1,233`.
    pub ahead: String,
    /// `about 4 min`.
    pub eta: String,
    /// `2 to 8 min`.
    pub range: String,
    /// `good`, `fair`, `poor` or `unknown`.
    pub odds: &'static str,
    /// Enough is left for about so many.
    pub enough: String,
    /// How far the line has come to this place, from 0 to 1.
    pub progress: f64,
    /// About how many joined the draw.
    pub joined: u64,
    /// About how many wait.
    pub waiting: u64,
    /// The server's clock and the lane's times, in milliseconds.
    pub now_ms: i64,
    /// When one can join.
    pub joins_ms: i64,
    /// When joining the draw ends.
    pub draw_ms: i64,
    /// When the first are called.
    pub opens_ms: i64,
    /// Until when the turn lasts, or when it comes again; 0 if there is none.
    pub turn_ms: i64,
    /// When the script asks again if it has no stream, in milliseconds.
    pub poll_ms: u64,
}

impl Figures {
    /// Of a place in line, or of the lane that is looked at.
    #[must_use]
    pub fn new(board: &Board, view: Option<&PlaceView>, lane: Option<i16>, now_ms: i64) -> Self {
        let lane = lane.and_then(|number| board.room.lane(number));
        let at =
            board.room.lanes.iter().position(|known| Some(known.number) == lane.map(|l| l.number));
        let time = |of: fn(&Lane) -> jiff::Timestamp| lane.map_or(0, |l| of(l).as_millisecond());
        let number = |number: Option<u64>| number.map(grouped).unwrap_or_default();
        let eta = view.and_then(|view| view.eta);
        Self {
            lane: lane.map_or(0, |lane| lane.number),
            lane_name: lane.map(|lane| lane.name.clone()).unwrap_or_default(),
            position: number(view.and_then(|view| view.position)),
            ahead: number(view.and_then(|view| view.ahead)),
            eta: eta.map(|eta| format!("about {}", span(eta.likely_s))).unwrap_or_default(),
            range: eta.map(range).unwrap_or_default(),
            odds: odds(view.map_or(Odds::Unknown, |view| view.odds)),
            enough: number(board.enough_for.map(u64::from)),
            progress: view.zip(lane).map_or(0.0, |(view, lane)| progress(view, lane)),
            joined: lane.map_or(0, |lane| u64::try_from(lane.joined).unwrap_or(0)),
            waiting: at.map_or(0, |at| board.paces[at].waiting as u64),
            now_ms,
            joins_ms: time(|lane| lane.joins_at),
            draw_ms: time(|lane| lane.draw_at),
            opens_ms: time(|lane| lane.opens_at),
            turn_ms: view.and_then(|view| view.turn_at_ms).unwrap_or(0),
            poll_ms: view.map_or(0, |view| view.poll_after_ms),
        }
    }

    /// Minutes or seconds until a time, for who has no script that counts.
    #[must_use]
    pub fn until(&self, at_ms: &i64) -> String {
        span(u64::try_from((at_ms - self.now_ms) / 1_000).unwrap_or(0))
    }
}

const fn odds(odds: Odds) -> &'static str {
    match odds {
        Odds::Unknown => "unknown",
        Odds::Good => "good",
        Odds::Fair => "fair",
        Odds::Poor => "poor",
    }
}

/// How far the line has come to a place: the share of all who were before it that were called.
fn progress(view: &PlaceView, lane: &Lane) -> f64 {
    let Some(place) = view.place.as_deref().and_then(|place| place.parse::<i64>().ok()) else {
        return 0.0;
    };
    let Some(ahead) = view.ahead else { return if place < lane.serving { 1.0 } else { 0.0 } };
    let all = if place < DRAWN {
        place as f64 / DRAWN as f64 * lane.joined as f64
    } else {
        lane.joined as f64 + (place - DRAWN) as f64
    };
    if all < 1.0 { 0.0 } else { (1.0 - ahead as f64 / all).clamp(0.0, 1.0) }
}

/// A number with separators of thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time as precise as an estimate may be: `40 seconds`, `7 min`, `2 hours`.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{} seconds", seconds.max(1).div_ceil(10) * 10),
        90..5_400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} hours", (seconds + 1_800) / 3_600),
    }
}

/// `20 to 40 seconds`: the unit is said once, if it is the same.
fn range(eta: Eta) -> String {
    let (from, to) = (span(eta.from_s), span(eta.to_s));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((from, unit)), Some((_, same))) if unit == same => format!("{from} to {to}"),
        _ => format!("{from} to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_has_a_scene() {
        for standing in [
            Standing::PreQueue,
            Standing::Drawing,
            Standing::Waiting,
            Standing::YourTurn,
            Standing::SecondChance,
            Standing::Missed,
            Standing::Paused,
            Standing::SoldOut,
            Standing::Closed,
            Standing::Lifted,
        ] {
            let word = word(standing);
            assert!(SCENES.iter().any(|scene| scene.word == word), "{word}");
            // The API's word, so that the script needs no list of its own.
            assert_eq!(serde_json::to_value(standing).unwrap(), word);
        }
    }

    #[test]
    fn estimates_are_as_rough_as_they_are() {
        assert_eq!(span(0), "10 seconds");
        assert_eq!(span(41), "50 seconds");
        assert_eq!(span(100), "2 min");
        assert_eq!(span(7_300), "2 hours");
        let range = |from_s, to_s| range(Eta { likely_s: from_s, from_s, to_s });
        assert_eq!(range(15, 40), "20 to 40 seconds");
        assert_eq!(range(60, 120), "60 seconds to 2 min");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
