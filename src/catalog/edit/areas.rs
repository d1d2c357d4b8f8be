//! The capacity of an area, raised and lowered while it is sold.
//!
//! The capacity is the number of units that are not killed. Raising it revives killed units and
//! adds further ones as a stretch of their own, after all others; lowering it kills free ones.

use super::follow::{self, What};
use super::places::{self, Change};
use super::redis as bits;
use super::{Claims, Edit, stale};
use crate::app::App;
use crate::catalog::listing::bit;
use crate::catalog::manifest::{MAX_AREA_CAPACITY, MAX_PLACES};
use crate::catalog::{Listing, PUBLIC, Place, import, numbering};
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;

/// How often free units are looked for anew when others took some meanwhile.
const MAX_TRIES: u32 = 5;

/// The units of an area.
struct Units<'a> {
    section: i16,
    level: i16,
    on_sale: Vec<&'a Place>,
    killed: Vec<&'a Place>,
}

impl<'a> Units<'a> {
    fn of(listing: &'a Listing, code: &str) -> Result<Self, Problem> {
        let missing = || Problem::new(Code::NotFound);
        let section = listing.section_coded(code).filter(|s| s.area).ok_or_else(missing)?;
        let units = listing.places.iter().filter(|place| place.section == section.number);
        let (killed, on_sale): (Vec<_>, Vec<_>) = units.partition(|place| place.killed);
        let level = on_sale.iter().chain(&killed).next().map(|place| place.level);
        let level = level.ok_or_else(missing)?;
        Ok(Self { section: section.number, level, on_sale, killed })
    }

    fn capacity(&self) -> u32 {
        u32::try_from(self.on_sale.len()).unwrap_or(u32::MAX)
    }
}

/// How many units of an area are not killed. `None` if it is no area.
#[must_use]
pub fn capacity(listing: &Listing, code: &str) -> Option<u32> {
    Units::of(listing, code).ok().map(|units| units.capacity())
}

/// Makes an area's capacity what is asked for. Holds and orders stay as they are.
///
/// # Errors
/// `not_found` if there is no such area; `invalid`; `places_taken` if too many units are taken
/// to lower it so far, with the `least` that is possible; see also [`places::change`].
pub async fn set_capacity(
    app: &App,
    event: EventId,
    code: &str,
    wanted: u32,
) -> Result<(), Problem> {
    if !(1..=MAX_AREA_CAPACITY).contains(&wanted) {
        let why = format!("must be 1 to {MAX_AREA_CAPACITY}");
        return Err(Problem::field("/capacity", why));
    }
    for _ in 0..MAX_TRIES {
        let edit = Edit::begin_alive(app, event).await?;
        let sale = edit.sale.clone();
        let units = Units::of(&sale.listing, code)?;
        let now = units.capacity();
        if wanted < now {
            if lower(app, edit, &units, now - wanted).await? {
                return Ok(());
            }
            continue;
        }
        let more = usize::try_from(wanted - now).unwrap_or(usize::MAX);
        let revived = more.min(units.killed.len());
        if revived > 0 {
            let numbers: Vec<i32> =
                units.killed[..revived].iter().map(|place| place.number).collect();
            places::apply(app, edit, &numbers, Change::Revive).await?;
        } else {
            drop(edit);
        }
        let added = u32::try_from(more - revived).unwrap_or(0);
        if added > 0 {
            add(app, event, code, added).await?;
        }
        return Ok(());
    }
    Err(Problem::new(Code::Unavailable).detail("units are being taken too fast; try again"))
}

/// Kills free units. False: some were taken meanwhile.
async fn lower(app: &App, edit: Edit, units: &Units<'_>, count: u32) -> Result<bool, Problem> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let taken = if edit.is_live() { bits::taken(app, &edit.sale).await? } else { Vec::new() };
    let mut free: Vec<&Place> =
        units.on_sale.iter().copied().filter(|unit| !bit(&taken, unit.number)).collect();
    if free.len() < count {
        let least = units.on_sale.len() - free.len();
        return Err(Problem::new(Code::PlacesTaken)
            .detail(format!("{least} units are held, claimed or sold"))
            .with("least", least.max(1)));
    }
    // Units that nobody was promised go first, and the last ones of them.
    free.sort_by_key(|unit| (unit.channel != PUBLIC, std::cmp::Reverse(unit.number)));
    let numbers: Vec<i32> = free[..count].iter().map(|unit| unit.number).collect();
    match places::apply(app, edit, &numbers, Change::Kill).await {
        Ok(_) => Ok(true),
        Err(problem) if problem.code == Code::PlacesTaken => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// Adds units after everything that is there.
async fn add(app: &App, event: EventId, code: &str, count: u32) -> Result<(), Problem> {
    let mut edit = Edit::begin_alive(app, event).await?;
    let sale = edit.sale.clone();
    let units = Units::of(&sale.listing, code)?;
    let places = sale.listing.capacity() + usize::try_from(count).unwrap_or(usize::MAX);
    if u64::try_from(places).unwrap_or(u64::MAX) > MAX_PLACES {
        return Err(Problem::field(
            "/capacity",
            format!("an event has at most {MAX_PLACES} places"),
        ));
    }
    let next_stretch = i32::try_from(sale.listing.stretches.len()).unwrap_or(i32::MAX);
    let next_place = sale.listing.places.last().map_or(0, |last| last.number + 1);
    let (stretches, places) =
        numbering::more_units(units.section, units.level, count, next_stretch, next_place);
    let built = edit.is_built();
    // Redis knows of them before Postgres has them: no listing names them until then, and what a
    // try leaves behind that fails after this is overwritten by the next.
    if built && !bits::grow(app, &sale, next_stretch, &stretches).await? {
        return Err(stale(app, event));
    }
    import::write_places(edit.pg(), event, next_stretch, &stretches, &places).await?;
    edit.pin_epoch(app, Claims::GoOn).await?;
    edit.commit(app).await?;
    if built {
        // Viewers look again: they may have looked between Redis's growth and the commit.
        follow::now_or_soon(app, event, What::State).await?;
    }
    Ok(())
}
