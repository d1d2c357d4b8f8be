//! What was sold, and for how much.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use sqlx::PgPool;

use super::tagged;
use crate::app::App;
use crate::catalog::Listing;
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::{EventId, OfferId};
use crate::organizers::permit::{Orders, Own};

/// What was sold. Amounts are in minor units.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SalesView {
    /// Of all amounts.
    pub currency: String,
    /// Everything together.
    pub total: Figures,
    /// By offer; those that sold nothing are left out.
    pub offers: Vec<OfferSales>,
    /// By price level.
    pub levels: Vec<LevelSales>,
}

/// Places and money: of orders that are paid, also while a refund or a dispute is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Figures {
    /// Places sold.
    pub sold: i64,
    /// Places of orders that wait for their payment.
    pub claimed: i64,
    /// Prices of sold places, after discounts, tax contained.
    pub price: i64,
    /// Fees on top, tax contained.
    pub fees: i64,
    /// Tax contained in both.
    pub tax: i64,
    /// Discounts that were given.
    pub discount: i64,
}

/// An offer's sales.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OfferSales {
    /// The offer.
    pub offer: OfferId,
    /// Its name.
    pub name: String,
    /// The code of its price level.
    pub level: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A price level's sales.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LevelSales {
    /// The level's code.
    pub level: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.sold += other.sold;
        self.claimed += other.claimed;
        self.price += other.price;
        self.fees += other.fees;
        self.tax += other.tax;
        self.discount += other.discount;
    }
}

/// What was sold by offer and price level, and for how much.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/sales", tag = "organizer",
    operation_id = "getSales",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The sales", body = SalesView),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `orders`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    own: Own<Orders>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let figures = figures(&app.pg, own.event()).await?;
    tagged(&headers, &view(&own.sale.listing, &figures))
}

fn view(listing: &Listing, figures: &[(i16, Figures)]) -> SalesView {
    let mut total = Figures::default();
    let mut levels: Vec<(i16, Figures)> =
        listing.levels.iter().map(|level| (level.number, Figures::default())).collect();
    let mut offers = Vec::with_capacity(figures.len());
    let code = |number| listing.level(number).map(|level| level.code.clone()).unwrap_or_default();
    for (number, figures) in figures {
        total.add(*figures);
        let Some(offer) = listing.offer_numbered(*number) else { continue };
        if let Some((_, level)) = levels.iter_mut().find(|(level, _)| *level == offer.level) {
            level.add(*figures);
        }
        offers.push(OfferSales {
            offer: offer.id,
            name: offer.name.clone(),
            level: code(offer.level),
            figures: *figures,
        });
    }
    let level = |(number, figures)| LevelSales { level: code(number), figures };
    SalesView {
        currency: listing.event.currency.code().to_owned(),
        total,
        offers,
        levels: levels.into_iter().map(level).collect(),
    }
}

/// Figures by offer number.
async fn figures(pg: &PgPool, event: EventId) -> sqlx::Result<Vec<(i16, Figures)>> {
    let rows = sqlx::query!(
        r#"WITH lines AS (
             SELECT (l->>'offer')::smallint AS offer, o.status IN ('open', 'cancelling') AS open,
                    jsonb_array_length(l->'places')::bigint AS n,
                    (l->>'price')::bigint AS price, (l->>'fee')::bigint AS fee,
                    (l->>'tax')::bigint AS tax, coalesce((l->>'discount')::bigint, 0) AS discount
             FROM orders o CROSS JOIN jsonb_array_elements(o.lines) l
             WHERE o.event_id = $1 AND has_claims(o.status)
           )
           SELECT offer AS "offer!",
                  coalesce(sum(n) FILTER (WHERE NOT open), 0)::bigint AS "sold!",
                  coalesce(sum(n) FILTER (WHERE open), 0)::bigint AS "claimed!",
                  coalesce(sum(n * price) FILTER (WHERE NOT open), 0)::bigint AS "price!",
                  coalesce(sum(n * fee) FILTER (WHERE NOT open), 0)::bigint AS "fees!",
                  coalesce(sum(n * tax) FILTER (WHERE NOT open), 0)::bigint AS "tax!",
                  coalesce(sum(n * discount) FILTER (WHERE NOT open), 0)::bigint AS "discount!"
           FROM lines GROUP BY offer ORDER BY offer"#,
        event.0
    )
    .fetch_all(pg)
    .await?;
    let figures = rows.into_iter().map(|row| {
        let figures = Figures {
            sold: row.sold,
            claimed: row.claimed,
            price: row.price,
            fees: row.fees,
            tax: row.tax,
            discount: row.discount,
        };
        (row.offer, figures)
    });
    Ok(figures.collect())
}
