//! Changing price types and the promo code of what is held.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::event::find;
use super::hold::{self, Told};
use super::page::{Fields, Oops, see_other};
use super::session::Visitor;
use super::{codes, lines, offers, people, words};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{Listing, Offer, Promo};
use crate::holds::http::{self as holds, HoldView, LineView, PlaceView};
use crate::holds::retype::{ChangedLine, HoldChange, http as changes};
use crate::http::extract::Path;
use crate::http::problem::Problem;
use crate::ids::{AccountId, HoldId};
use crate::organizers::rules::Patch;
use crate::say;

/// How the fields of offers begin; the place's number follows.
const FIELD: &str = "offer-";
/// Most characters of a code that is worth looking at.
const MAX_CODE_CHARS: usize = 64;

/// A place that can be sold at several prices.
pub struct Choice {
    /// Its number.
    pub place: i32,
    /// How it is called.
    pub label: String,
    /// The prices.
    pub prices: Vec<Price>,
}

/// One of them.
pub struct Price {
    /// The offer's number.
    pub offer: i16,
    /// For whom, and what it costs in the end.
    pub text: String,
    /// The same in minor units.
    pub amount: i64,
    /// Whether it is the one that counts, or that was chosen in a form.
    pub chosen: bool,
}

/// The promo code, as the form asks for it.
pub struct PromoField {
    /// What counts, or what was entered.
    pub code: String,
    /// Whether a code counts.
    pub counts: bool,
}

/// What may be changed of a hold.
pub struct Changes {
    /// Places with other prices to choose from.
    pub choices: Vec<Choice>,
    /// What all other places cost, in minor units.
    pub rest: i64,
    /// The promo code; none if the event has none.
    pub promo: Option<PromoField>,
    /// Whether something else was chosen than what counts: the form is shown open then.
    pub open: bool,
}

/// What may be changed of this hold, with what was chosen in `fields`.
#[must_use]
pub fn changes(app: &App, listing: &Listing, view: &HoldView, fields: &Fields) -> Changes {
    let promo = view.promo_code.as_deref().and_then(|code| listing.promo(code));
    let mut choices = Vec::new();
    for line in &view.lines {
        for place in &line.places {
            choices.extend(choice(app, listing, (line, place), promo, fields));
        }
    }
    number_units(&mut choices);
    let current = |choice: &Choice| choice.prices.first().map_or(0, |price| price.amount);
    let wanted = wanted(listing, view, fields);
    let entered = fields.text("promo").map(str::to_owned);
    let known = view.promo_code.is_some() || listing.promos.iter().any(|promo| promo.active);
    Changes {
        rest: view.total - choices.iter().map(current).sum::<i64>(),
        choices,
        open: wanted.is_some_and(|wanted| !wanted.lines.is_empty()),
        promo: known.then(|| PromoField {
            code: entered.or_else(|| view.promo_code.clone()).unwrap_or_default(),
            counts: view.promo_code.is_some(),
        }),
    }
}

/// The prices of a place: its own first. None if there is no other.
fn choice(
    app: &App,
    listing: &Listing,
    (line, place): (&LineView, &PlaceView),
    promo: Option<&Promo>,
    fields: &Fields,
) -> Option<Choice> {
    let now = app.now();
    let own = listing.offer(line.offer?).filter(|own| own.package_size == 1)?;
    let alike = |offer: &&Offer| {
        offer.number != own.number
            && (offer.level, offer.channel, offer.package_size) == (own.level, own.channel, 1)
            && offer.active
            && !offers::needs_code(offer)
            && offers::is_open(offer, now)
    };
    let others: Vec<&Offer> = listing.offers.iter().filter(alike).collect();
    let name = |offer: &Offer| {
        let same = |other: &&&Offer| other.price_type == offer.price_type;
        let several = others.iter().filter(same).count() + usize::from(same(&&own));
        let name = if several > 1 { &*offer.name } else { offers::price_type(listing, offer) };
        name.to_owned()
    };
    let chosen = fields.text(&format!("{FIELD}{}", place.place));
    let chosen = chosen.and_then(|number| number.parse().ok()).unwrap_or(own.number);
    let price = |offer: &Offer, amount: i64| Price {
        offer: offer.number,
        text: format!("{} · {}", name(offer), words::price(amount, listing.event.currency)),
        amount,
        chosen: offer.number == chosen,
    };
    let mut prices = vec![price(own, line.unit.total())];
    prices.extend(others.iter().filter_map(|offer| {
        let tier = offers::tier_now(offer, now)?;
        Some(price(offer, offer.unit_price(tier, promo).total()))
    }));
    (prices.len() > 1).then(|| Choice {
        place: place.place,
        label: lines::place_name(listing, place),
        prices,
    })
}

/// Units of an area are all called alike: here they are counted.
fn number_units(choices: &mut [Choice]) {
    for at in 0..choices.len() {
        let alike = |other: &&Choice| other.label == choices[at].label;
        let (all, so_far) =
            (choices.iter().filter(alike).count(), choices[..at].iter().filter(alike).count());
        if all > 1 && so_far == 0 {
            let label = choices[at].label.clone();
            let same = choices.iter_mut().filter(|other| other.label == label);
            for (number, one) in (1..).zip(same) {
                one.label = format!("{label} ({number})");
            }
        }
    }
}

/// What the form changes of the hold; none if nothing.
#[must_use]
pub fn wanted(listing: &Listing, view: &HoldView, fields: &Fields) -> Option<HoldChange> {
    let offer_of = |place: i32| {
        let line = view.lines.iter().find(|line| line.places.iter().any(|one| one.place == place));
        line.and_then(|line| line.offer)
    };
    let mut change = HoldChange::default();
    for (place, number) in fields.beginning(FIELD) {
        let (Ok(place), Ok(number)) = (place.parse(), number.parse()) else { continue };
        let offer = listing.offer_numbered(number).map(|offer| offer.id);
        let (Some(offer), Some(own)) = (offer, offer_of(place)) else { continue };
        if offer == own {
            continue;
        }
        match change.lines.iter_mut().find(|line| line.offer == offer) {
            Some(line) => line.places.push(place),
            None => change.lines.push(ChangedLine { offer, places: vec![place] }),
        }
    }
    if fields.has("promo") {
        let code = fields.text("promo").map(|code| code.chars().take(MAX_CODE_CHARS).collect());
        let normal = code.as_deref().map(Promo::normalise);
        if normal.as_deref() != view.promo_code.as_deref() {
            change.promo_code = Patch::To(code);
        }
    }
    let nothing = change.lines.is_empty() && change.promo_code == Patch::Keep;
    (!nothing).then_some(change)
}

/// Does what the form changes; whether it changes anything.
///
/// # Errors
/// The refusal: then nothing has changed.
pub async fn apply(
    app: &App,
    sale: &Sale,
    visitor: &Visitor,
    (hold, account): (HoldId, AccountId),
    fields: &Fields,
) -> Result<bool, Problem> {
    if fields.beginning(FIELD).next().is_none() && !fields.has("promo") {
        return Ok(false);
    }
    let view = holds::find(app, sale, hold, account).await?;
    if view.status != "held" {
        return Ok(false);
    }
    let Some(mut change) = wanted(&sale.listing, &view, fields) else { return Ok(false) };
    change.grants = codes::kept(app, visitor, sale.listing.event.id);
    changes::apply(app, sale, hold, account, &change).await?;
    Ok(true)
}

/// Changes price types and promo code as the form says. What was entered for the checkout comes
/// with the form, and stays.
pub async fn change(
    State(app): State<Arc<App>>,
    Path((slug, hold)): Path<(String, HoldId)>,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let account = hold::known(&visitor, &slug)?;
    let built = app.built(sale.clone()).await?;
    let told = match apply(&app, &built, &visitor, (hold, account), &fields).await {
        Ok(changed) if !people::is_begun(&fields) => {
            let query = if changed { "?changed=yes" } else { "" };
            return Ok(see_other(&format!("/events/{slug}/holds/{hold}{query}")));
        }
        Ok(true) => Told { said: say("hold.changed").into(), ..Told::default() },
        Ok(false) => Told::default(),
        Err(problem) => Told { refused: Some(problem), ..Told::default() },
    };
    hold::render(&app, &sale, hold, &visitor, &fields, told).await
}
