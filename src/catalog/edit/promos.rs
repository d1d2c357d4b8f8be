//! Promo codes. Their uses are counted from the hold on, with or without a limit.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::{Edit, next_number, refused};
use crate::catalog::Promo;
use crate::http::problem::Problem;
use crate::organizers::rules;

/// What can be changed of a promo code.
#[derive(Clone, Debug)]
pub struct PromoTerms {
    /// Discount in basis points of the price.
    pub percent_bp: i32,
    /// Discount per unit in minor units.
    pub amount_off: i64,
    /// Most orders that use it.
    pub max_uses: Option<i32>,
    /// The window in which it counts.
    pub starts_at: Option<Timestamp>,
    /// End of the window.
    pub ends_at: Option<Timestamp>,
    /// Whether it counts at all.
    pub active: bool,
}

impl From<&Promo> for PromoTerms {
    fn from(promo: &Promo) -> Self {
        Self {
            percent_bp: promo.percent_bp,
            amount_off: promo.amount_off,
            max_uses: promo.max_uses,
            starts_at: promo.starts_at,
            ends_at: promo.ends_at,
            active: promo.active,
        }
    }
}

impl PromoTerms {
    /// Checks every field.
    ///
    /// # Errors
    /// `invalid`, naming the first field that is.
    pub fn check(&self) -> Result<(), Problem> {
        rules::within("/percent_bp", self.percent_bp, &rules::BASIS_POINTS)?;
        rules::amount("/amount_off", self.amount_off)?;
        if self.percent_bp == 0 && self.amount_off == 0 {
            return Err(Problem::field("/percent_bp", "a code must take something off"));
        }
        if let Some(most) = self.max_uses {
            rules::within("/max_uses", most, &rules::COUNT)?;
        }
        match (self.starts_at, self.ends_at) {
            (Some(from), Some(until)) if from >= until => {
                Err(Problem::field("/ends_at", "must be after starts_at"))
            }
            _ => Ok(()),
        }
    }
}

/// Adds a promo code, as it is compared; its number.
///
/// # Errors
/// `exists`, `invalid` if there are too many, or Postgres fails.
pub async fn add(
    edit: &mut Edit,
    id: Uuid,
    code: &str,
    terms: &PromoTerms,
) -> Result<i32, Problem> {
    let known = &edit.listing().promos;
    if known.len() >= rules::MAX_PROMOS {
        let most = rules::MAX_PROMOS;
        return Err(Problem::field("/code", format!("an event has at most {most} promo codes")));
    }
    let number: i32 = next_number(known.iter().map(|known| known.number));
    let event = edit.event();
    sqlx::query!(
        "INSERT INTO promo_codes (id, event_id, promo, code, percent_bp, amount_off, max_uses,
                                  starts_at, ends_at, active)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id,
        event.0,
        number,
        code,
        terms.percent_bp,
        terms.amount_off,
        terms.max_uses,
        terms.starts_at.map(Timestamp::to_sqlx) as _,
        terms.ends_at.map(Timestamp::to_sqlx) as _,
        terms.active
    )
    .execute(edit.pg())
    .await
    .map_err(|error| refused(error, "/code"))?;
    Ok(number)
}

/// Writes what can be changed of a promo code. Holds keep the prices that they locked.
///
/// # Errors
/// If Postgres fails.
pub async fn update(edit: &mut Edit, number: i32, terms: &PromoTerms) -> Result<(), Problem> {
    let event = edit.event();
    sqlx::query!(
        "UPDATE promo_codes SET percent_bp = $3, amount_off = $4, max_uses = $5, starts_at = $6,
                                ends_at = $7, active = $8
         WHERE event_id = $1 AND promo = $2",
        event.0,
        number,
        terms.percent_bp,
        terms.amount_off,
        terms.max_uses,
        terms.starts_at.map(Timestamp::to_sqlx) as _,
        terms.ends_at.map(Timestamp::to_sqlx) as _,
        terms.active
    )
    .execute(edit.pg())
    .await?;
    Ok(())
}
