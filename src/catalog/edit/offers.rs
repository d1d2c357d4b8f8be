//! Offers and their tiers. Holds keep the prices that they locked, whatever changes here.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::redis as bits;
use super::terms::OfferTerms;
use super::{Claims, Edit};
use crate::app::App;
use crate::catalog::{Offer, Tier};
use crate::http::problem::{Code, Problem};
use crate::ids::OfferId;
use crate::organizers::rules;

/// What an offer sells, to whom, and where: never changed.
#[derive(Clone, Copy, Debug)]
pub struct OfferSubject {
    /// The level whose places it sells.
    pub level: i16,
    /// For whom.
    pub price_type: i16,
    /// Through which channel.
    pub channel: i16,
}

/// Adds an offer; its number.
///
/// # Errors
/// `invalid` if there are too many, or Postgres fails.
pub async fn add(
    edit: &mut Edit,
    id: OfferId,
    subject: OfferSubject,
    terms: &OfferTerms,
) -> Result<i16, Problem> {
    let event = edit.event();
    // Not from the listing: one change may add several.
    let known = sqlx::query!(
        r#"SELECT count(*) AS "count!", coalesce(max(offer), 0)::smallint AS "last!"
           FROM offers WHERE event_id = $1"#,
        event.0
    )
    .fetch_one(edit.pg())
    .await?;
    if usize::try_from(known.count).unwrap_or(usize::MAX) >= rules::MAX_OFFERS {
        let most = rules::MAX_OFFERS;
        return Err(Problem::new(Code::Invalid).detail(format!("an event has {most} offers")));
    }
    let number = known.last + 1;
    sqlx::query!(
        "INSERT INTO offers (id, event_id, offer, name, level, price_type, channel, fee_fixed,
                             fee_bp, tax_bp, starts_at, ends_at, access_code, quota,
                             min_per_order, max_per_order, multiple_of, package_size, active,
                             code_set)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20)",
        id.0,
        event.0,
        number,
        terms.name,
        subject.level,
        subject.price_type,
        subject.channel,
        terms.fee_fixed,
        terms.fee_bp,
        terms.tax_bp,
        terms.starts_at.map(Timestamp::to_sqlx) as _,
        terms.ends_at.map(Timestamp::to_sqlx) as _,
        terms.access_code,
        terms.quota,
        terms.min_per_order,
        terms.max_per_order,
        terms.multiple_of,
        terms.package_size,
        terms.active,
        terms.code_set
    )
    .execute(edit.pg())
    .await?;
    write_tiers(edit, id, &terms.tiers).await?;
    Ok(number)
}

/// Writes what can be changed of an offer.
///
/// # Errors
/// `quota_reached` if more places are held and sold than a lower quota allows, `rebuilding`, or
/// Postgres or Redis fail.
pub async fn update(
    app: &App,
    edit: &mut Edit,
    offer: &Offer,
    terms: &OfferTerms,
) -> Result<(), Problem> {
    if let Some(quota) = terms.quota
        && edit.is_live()
        && offer.quota.is_none_or(|before| quota < before)
    {
        lower_quota(app, edit, offer, quota).await?;
    }
    sqlx::query!(
        "UPDATE offers SET name = $2, fee_fixed = $3, fee_bp = $4, tax_bp = $5, starts_at = $6,
                           ends_at = $7, access_code = $8, quota = $9, min_per_order = $10,
                           max_per_order = $11, multiple_of = $12, package_size = $13,
                           active = $14, code_set = $15
         WHERE id = $1",
        offer.id.0,
        terms.name,
        terms.fee_fixed,
        terms.fee_bp,
        terms.tax_bp,
        terms.starts_at.map(Timestamp::to_sqlx) as _,
        terms.ends_at.map(Timestamp::to_sqlx) as _,
        terms.access_code,
        terms.quota,
        terms.min_per_order,
        terms.max_per_order,
        terms.multiple_of,
        terms.package_size,
        terms.active,
        terms.code_set
    )
    .execute(edit.pg())
    .await?;
    if !terms.tiers.iter().map(key).eq(offer.tiers.iter().map(key)) {
        sqlx::query!("DELETE FROM offer_tiers WHERE offer_id = $1", offer.id.0)
            .execute(edit.pg())
            .await?;
        write_tiers(edit, offer.id, &terms.tiers).await?;
    }
    Ok(())
}

fn key(tier: &Tier) -> (&str, i64, Option<i32>, Option<Timestamp>) {
    (&tier.name, tier.price, tier.until_count, tier.until)
}

async fn write_tiers(edit: &mut Edit, offer: OfferId, tiers: &[Tier]) -> Result<(), Problem> {
    for (number, tier) in (0_i16..).zip(tiers) {
        sqlx::query!(
            "INSERT INTO offer_tiers (offer_id, tier, name, price, until_count, until)
             VALUES ($1, $2, $3, $4, $5, $6)",
            offer.0,
            number,
            tier.name,
            tier.price,
            tier.until_count,
            tier.until.map(Timestamp::to_sqlx) as _
        )
        .execute(edit.pg())
        .await?;
    }
    Ok(())
}

/// A quota where there was none, or a lower one: refused if more is held and sold already, since
/// those holds would fail at checkout. What is sold is counted anew if it wasn't counted.
async fn lower_quota(app: &App, edit: &mut Edit, offer: &Offer, quota: i32) -> Result<(), Problem> {
    let used = bits::count_of_offer(app, &edit.sale, offer.number).await?;
    if used > i64::from(quota) {
        return Err(Problem::new(Code::QuotaReached)
            .detail(format!("{used} places are held or sold through this offer"))
            .with("least", used));
    }
    if offer.quota.is_some() {
        return Ok(());
    }
    // Claims end first and later ones wait, so no order begins to have places; and the orders
    // that have some are locked, so none ceases to. Both then count with the quota.
    edit.pin_epoch(app, Claims::Wait).await?;
    let event = edit.event();
    let line = serde_json::json!([{ "offer": offer.number }]);
    sqlx::query!(
        "SELECT id FROM orders WHERE event_id = $1 AND has_claims(status) AND lines @> $2
         ORDER BY id FOR UPDATE",
        event.0,
        line
    )
    .fetch_all(edit.pg())
    .await?;
    sqlx::query!(
        "INSERT INTO offer_counts (event_id, offer, places)
         SELECT $1, $2, coalesce(sum(jsonb_array_length(l->'places')), 0)
         FROM orders o CROSS JOIN jsonb_array_elements(o.lines) l
         WHERE o.event_id = $1 AND has_claims(o.status) AND (l->>'offer')::smallint = $2
         ON CONFLICT (event_id, offer) DO UPDATE SET places = excluded.places",
        event.0,
        offer.number
    )
    .execute(edit.pg())
    .await?;
    Ok(())
}
