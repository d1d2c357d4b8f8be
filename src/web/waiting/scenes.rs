//! What the waiting room says, and the numbers in it.

use crate::catalog::Listing;
use crate::say;
use crate::waiting_room::board::Board;
use crate::waiting_room::poll::{Odds, PlaceView, Standing};
use crate::waiting_room::{DRAWN, Lane, LaneKind, Phase, Room, RoomState};
use crate::web::words::{self, When, grouped, range, span};

/// A moment in somebody's waiting: its name in styles and scripts, and the keys of what is said.
pub struct Scene {
    /// The standing's name in the API, or one of the page's own.
    pub word: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What it means, and what there is to do.
    pub text: &'static str,
}

macro_rules! scenes {
    ($($word:literal),* $(,)?) => {
        [$(Scene {
            word: $word,
            title: concat!("scene.", $word),
            text: concat!("scene.", $word, ".text"),
        }),*]
    };
}

/// All of them.
pub static SCENES: [Scene; 14] = scenes![
    "soon",
    "join",
    "shut",
    "pre_queue",
    "drawing",
    "waiting",
    "your_turn",
    "second_chance",
    "missed",
    "paused",
    "sold_out",
    "closed",
    "lifted",
    "inside",
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
    pub note: String,
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
                LaneKind::General => String::new(),
                LaneKind::Presale => say("wait.presale").into(),
                LaneKind::Accessible => say("wait.accessible").into(),
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
            price: if from == to {
                price
            } else {
                say("offer.from_price").put("price", price).into()
            },
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
        let number = |number: Option<u64>| number.as_ref().map(grouped).unwrap_or_default();
        let eta = view.and_then(|view| view.eta);
        Self {
            lane: lane.map_or(0, |lane| lane.number),
            lane_name: lane.map(|lane| lane.name.clone()).unwrap_or_default(),
            position: number(view.and_then(|view| view.position)),
            ahead: number(view.and_then(|view| view.ahead)),
            eta: eta.map(|eta| about(eta.likely_s)).unwrap_or_default(),
            range: eta.map(|eta| range(eta.from_s, eta.to_s)).unwrap_or_default(),
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
    let Some(place) = view.place else { return 0.0 };
    let Some(ahead) = view.ahead else { return if place < lane.serving { 1.0 } else { 0.0 } };
    let all = if place < DRAWN {
        place as f64 / DRAWN as f64 * lane.joined as f64
    } else {
        lane.joined as f64 + (place - DRAWN) as f64
    };
    if all < 1.0 { 0.0 } else { (1.0 - ahead as f64 / all).clamp(0.0, 1.0) }
}

fn about(seconds: u64) -> String {
    say("time.about").put("span", span(seconds)).into()
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
            let scene = SCENES.iter().find(|scene| scene.word == word);
            let scene = scene.unwrap_or_else(|| panic!("{word}"));
            assert_ne!(say(scene.title).to_string(), scene.title);
            assert_ne!(say(scene.text).to_string(), scene.text);
            // The API's word, so that the script needs no list of its own.
            assert_eq!(serde_json::to_value(standing).unwrap(), word);
        }
    }
}
