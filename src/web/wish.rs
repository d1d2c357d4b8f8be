//! From a form to what is asked to be held.

use super::chart;
use super::free::Free;
use super::offers;
use super::page::Fields;
use crate::app::App;
use crate::catalog::Listing;
use crate::holds::plan::{Wish, WishLine};
use crate::http::problem::{Code, Problem};

/// Most characters of a code that is worth looking at.
const MAX_CODE_CHARS: usize = 64;

fn wish(lines: Vec<WishLine>, fields: &Fields) -> Wish {
    let code = |name: &str| {
        let text = fields.text(name)?;
        Some(text.chars().take(MAX_CODE_CHARS).collect())
    };
    Wish {
        lines,
        accept_equivalent: fields.ticked("equivalent"),
        promo_code: code("promo"),
        access_code: code("access"),
        grants: Vec::new(),
    }
}

fn nothing_chosen() -> Problem {
    Problem::field("/lines", "choose how many tickets you want")
}

/// The best that there is: so many of each offer, as the quantities say.
///
/// # Errors
/// `invalid` if nothing was chosen.
pub fn best(listing: &Listing, free: &Free, fields: &Fields) -> Result<Wish, Problem> {
    let (split, accessible) = (fields.ticked("split"), fields.ticked("accessible"));
    let mut lines = Vec::new();
    for offer in offers::public(listing) {
        let wanted = fields.number(&offers::field(offer));
        if wanted == 0 {
            continue;
        }
        let seats = offers::has_seats(listing, offer.level);
        lines.push(match offers::area_of(listing, free, offer.level).filter(|_| !seats) {
            Some(area) => {
                WishLine { area: Some(area), quantity: Some(wanted), ..WishLine::of(offer.id) }
            }
            None => WishLine {
                best: Some(wanted),
                allow_split: split,
                accessible,
                ..WishLine::of(offer.id)
            },
        });
    }
    if lines.is_empty() { Err(nothing_chosen()) } else { Ok(wish(lines, fields)) }
}

/// Units of the area with this code.
///
/// # Errors
/// `invalid` if nothing was chosen.
pub fn area(listing: &Listing, code: &str, fields: &Fields) -> Result<Wish, Problem> {
    let lines: Vec<WishLine> = offers::public(listing)
        .filter_map(|offer| {
            let wanted = fields.number(&offers::field(offer));
            let area = Some(code.to_owned());
            (wanted > 0).then(|| WishLine {
                area,
                quantity: Some(wanted),
                ..WishLine::of(offer.id)
            })
        })
        .collect();
    if lines.is_empty() { Err(nothing_chosen()) } else { Ok(wish(lines, fields)) }
}

/// What was chosen on the chart: seats and units of areas, together.
///
/// # Errors
/// See [`seats`].
pub fn picked(app: &App, listing: &Listing, fields: &Fields) -> Result<Wish, Problem> {
    let mut lines = Vec::new();
    if fields.all("place").next().is_some() {
        lines = seats(app, listing, fields)?.lines;
    }
    for section in listing.sections.iter().filter(|section| section.area) {
        lines.extend(offers::public(listing).filter_map(|offer| {
            let wanted = fields.number(&chart::area_field(section, offer));
            let area = Some(section.code.clone());
            (wanted > 0).then(|| WishLine {
                area,
                quantity: Some(wanted),
                ..WishLine::of(offer.id)
            })
        }));
    }
    if lines.is_empty() { Err(nothing_chosen()) } else { Ok(wish(lines, fields)) }
}

/// The ticked seats. The page asks how many of them are for other price types than the first;
/// the last ticked seats get these, as the page's script shows it.
///
/// # Errors
/// `invalid` if nothing was ticked or more price types than seats were asked for;
/// `offer_unavailable` if a seat is not offered so.
pub fn seats(app: &App, listing: &Listing, fields: &Fields) -> Result<Wish, Problem> {
    let invalid = || Problem::field("/places", "choose one seat or more");
    let places = fields.all("place").map(str::parse).collect::<Result<Vec<i32>, _>>();
    let places = places.map_err(|_| invalid())?;
    if places.is_empty() {
        return Err(invalid());
    }
    let mut types = Vec::with_capacity(places.len());
    for price_type in &listing.price_types {
        let wanted = fields.number(&format!("t-{}", price_type.number));
        for _ in 0..wanted {
            if types.len() == places.len() {
                let why = "there are more reduced tickets than seats";
                return Err(Problem::field("/places", why));
            }
            types.push(Some(price_type.number));
        }
    }
    let standard = places.len() - types.len();
    let types = std::iter::repeat_n(None, standard).chain(types);
    let mut lines: Vec<WishLine> = Vec::new();
    for (number, price_type) in places.into_iter().zip(types) {
        let place = listing.place(number).ok_or_else(invalid)?;
        let has_code = fields.text("access").is_some();
        let offer = offers::offer_for(listing, place.level, price_type, has_code, app.now())
            .ok_or_else(|| Problem::new(Code::OfferUnavailable))?;
        let known = lines.iter_mut().find(|line| line.offer == offer.id);
        match known.and_then(|line| line.places.as_mut()) {
            Some(places) => places.push(number),
            None => lines.push(WishLine { places: Some(vec![number]), ..WishLine::of(offer.id) }),
        }
    }
    Ok(wish(lines, fields))
}
