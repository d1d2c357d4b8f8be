//! What problems may say beyond RFC 9457's own members, for the OpenAPI document.

use serde_json::Value;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::problem::Code;
use crate::catalog::BuyerTerms;
use crate::holds::http::HoldView;
use crate::ids::{AskId, OfferId, OrderId};

/// Further members of a problem; which ones it has depends on its code.
#[derive(utoipa::ToSchema)]
pub struct Members {
    /// What is wrong, one by one: `invalid`, `details_needed`, `exists`, `manifest_invalid`.
    pub errors: Option<Vec<ErrorMember>>,
    /// Place numbers. `places_taken`, `claim_lost`: those that are not free. `orphan_seat`: those
    /// that would be left single. `details_needed`: those whose tickets need a name.
    pub places: Option<Vec<i32>>,
    /// The terms as they are now: `details_needed`, `terms_changed`.
    pub terms: Option<BuyerTerms>,
    /// How many more are possible: `account_limit`, `quota_reached`.
    pub left: Option<i64>,
    /// The offer that it is about: `quota_reached`, `offer_unavailable`.
    pub offer: Option<OfferId>,
    /// The line of the wish that it is about, counted from 0: `none_left`.
    pub line: Option<usize>,
    /// The most free neighbours that were seen: `none_left`.
    pub longest: Option<i64>,
    /// The event's status: `not_on_sale`; the turn's: `not_your_turn`.
    pub state: Option<String>,
    /// The order that the hold became, or is becoming: `hold_in_checkout`.
    pub order: Option<OrderId>,
    /// A hold of equally good places, at the same prices: `claim_lost`, if you allowed it.
    pub equivalent: Option<HoldView>,
    /// The ask that there is already: `ask_exists`.
    pub ask: Option<AskId>,
    /// When one can join the waiting room: `not_open_yet`.
    pub joins_at: Option<String>,
    /// The limit that was reached: `too_many_requests`.
    pub limit: Option<String>,
    /// The lowest value that is possible: `places_taken`, `quota_reached` (organizers).
    pub least: Option<i64>,
    /// How many of the places are not free: `places_taken` (organizers).
    pub count: Option<usize>,
    /// The names of what counts against the buyer, the weightiest first: `cooldown`, `blocked`.
    pub reasons: Option<Vec<String>>,
    /// What a buyer who disagrees can do: `cooldown`, `blocked`.
    pub appeal: Option<String>,
}

/// One thing that is wrong: of a request `pointer` and `detail`, of a manifest `at` and `message`.
#[derive(utoipa::ToSchema)]
pub struct ErrorMember {
    /// Where in the body, as a JSON pointer.
    #[schema(example = "/lines/0/places")]
    pub pointer: Option<String>,
    /// What is wrong there.
    pub detail: Option<String>,
    /// Where in the file.
    pub at: Option<String>,
    /// What is wrong there.
    pub message: Option<String>,
}

/// The schema of a problem's `code`: every code that there is.
#[must_use]
pub fn code() -> Object {
    let codes = Code::ALL.iter().map(|code| Value::from(code.code()));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes))
        .description(Some("The stable code; act on this. `/problems/` and the code explains it."))
        .build()
}
