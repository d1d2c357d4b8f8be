//! The way to an event's tickets: straight in, or through its waiting room.

use super::session::Visitor;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::http::problem::Code;
use crate::say;
use crate::waiting_room::passes;
use crate::waiting_room::token::Pass;

/// Where whoever wants tickets goes.
pub struct Door {
    /// The address.
    pub leads: String,
    /// What the way is called.
    pub label: String,
    /// Whether one has to wait first.
    pub shut: bool,
    /// The visitor's pass, while it lasts.
    pub stay: Option<Stay>,
}

/// A pass as its owner sees it.
pub struct Stay {
    /// When it ends, by the server's clock in milliseconds.
    pub ends_ms: i64,
    /// The server's clock.
    pub now_ms: i64,
    /// Whole minutes that are left.
    pub minutes: i64,
}

impl Stay {
    fn new(app: &App, pass: &Pass) -> Self {
        let now_ms = app.rooms.now_ms();
        let left_ms = (pass.until_ms - now_ms).max(0);
        Self { ends_ms: pass.until_ms, now_ms, minutes: (left_ms + 59_999) / 60_000 }
    }
}

impl Door {
    /// The visitor's way to this event's tickets. No page fails for it: the hold decides.
    pub async fn of(app: &App, sale: &Sale, visitor: &Visitor) -> Self {
        let event = &sale.listing.event;
        let choose = Self {
            leads: format!("/events/{}/choose", event.slug),
            label: say("go.choose").into(),
            shut: false,
            stay: None,
        };
        if !event.waiting_room {
            return choose;
        }
        let (account, pass) = match visitor.account {
            Some(account) => (account, visitor.pass(event.id)),
            // Nobody's pass is good for nobody; what is needed is found out all the same.
            None => (crate::ids::AccountId::fresh(), None),
        };
        match passes::check(app, sale, account, pass.as_deref()).await {
            Ok(pass) => Self { stay: pass.map(|pass| Stay::new(app, &pass)), ..choose },
            Err(problem) if is_about_passes(problem.code) => Self {
                leads: format!("/events/{}/waiting-room", event.slug),
                label: match visitor.queue_token(event.id) {
                    Some(_) => say("go.my_place").into(),
                    None => say("go.waiting_room").into(),
                },
                shut: true,
                stay: None,
            },
            Err(_) => choose,
        }
    }
}

/// Whether a refusal is for the want of a pass.
#[must_use]
pub const fn is_about_passes(code: Code) -> bool {
    matches!(code, Code::PassNeeded | Code::PassInvalid)
}
