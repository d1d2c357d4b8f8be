//! What can be changed of an offer, and the rules that it must keep.

use jiff::Timestamp;

use crate::catalog::{Offer, Tier};
use crate::http::problem::Problem;
use crate::organizers::rules;

/// What can be changed of an offer.
#[derive(Clone, Debug)]
pub struct OfferTerms {
    /// Its name.
    pub name: String,
    /// Fee per unit in minor units.
    pub fee_fixed: i64,
    /// Fee in basis points of the price.
    pub fee_bp: i32,
    /// Tax contained in price and fee, in basis points.
    pub tax_bp: i32,
    /// The window in which it sells.
    pub starts_at: Option<Timestamp>,
    /// End of the window.
    pub ends_at: Option<Timestamp>,
    /// Needed to buy it.
    pub access_code: Option<String>,
    /// A grant of this set is needed to buy it.
    pub code_set: Option<uuid::Uuid>,
    /// Most places sold through it.
    pub quota: Option<i32>,
    /// Fewest places per order.
    pub min_per_order: i32,
    /// Most places per order.
    pub max_per_order: i32,
    /// Places per order are a multiple of this.
    pub multiple_of: i32,
    /// Places that one price buys.
    pub package_size: i32,
    /// Whether it is offered.
    pub active: bool,
    /// Its prices.
    pub tiers: Vec<Tier>,
}

impl From<&Offer> for OfferTerms {
    fn from(offer: &Offer) -> Self {
        Self {
            name: offer.name.clone(),
            fee_fixed: offer.fee_fixed,
            fee_bp: offer.fee_bp,
            tax_bp: offer.tax_bp,
            starts_at: offer.starts_at,
            ends_at: offer.ends_at,
            access_code: offer.access_code.clone(),
            code_set: offer.code_set,
            quota: offer.quota,
            min_per_order: offer.min_per_order,
            max_per_order: offer.max_per_order,
            multiple_of: offer.multiple_of,
            package_size: offer.package_size,
            active: offer.active,
            tiers: offer.tiers.clone(),
        }
    }
}

impl OfferTerms {
    /// Checks every field; texts must have been read by [`rules`].
    ///
    /// # Errors
    /// `invalid`, naming the first field that is.
    pub fn check(&self) -> Result<(), Problem> {
        rules::amount("/fee_fixed", self.fee_fixed)?;
        rules::within("/fee_bp", self.fee_bp, &rules::BASIS_POINTS)?;
        rules::within("/tax_bp", self.tax_bp, &rules::BASIS_POINTS)?;
        rules::within("/min_per_order", self.min_per_order, &rules::PER_ORDER)?;
        rules::within("/max_per_order", self.max_per_order, &rules::PER_ORDER)?;
        rules::within("/multiple_of", self.multiple_of, &rules::PER_ORDER)?;
        rules::within("/package_size", self.package_size, &rules::PER_ORDER)?;
        if let Some(quota) = self.quota {
            rules::within("/quota", quota, &rules::COUNT)?;
        }
        if let (Some(from), Some(until)) = (self.starts_at, self.ends_at)
            && from >= until
        {
            return Err(Problem::field("/ends_at", "must be after starts_at"));
        }
        let step = if self.multiple_of % self.package_size == 0 {
            self.multiple_of
        } else {
            self.multiple_of * self.package_size
        };
        if self.max_per_order / step * step < self.min_per_order {
            let why = format!("no multiple of {step} places is within the bounds of an order");
            return Err(Problem::field("/max_per_order", why));
        }
        check_tiers(&self.tiers, self.ends_at.is_some())
    }
}

/// Tiers follow one another: each but the last ends, and never before the one before it.
fn check_tiers(tiers: &[Tier], offer_ends: bool) -> Result<(), Problem> {
    if tiers.is_empty() || tiers.len() > rules::MAX_TIERS {
        let most = rules::MAX_TIERS;
        return Err(Problem::field("/tiers", format!("must be 1 to {most} tiers")));
    }
    let (mut count, mut date) = (0, None);
    for (at, tier) in tiers.iter().enumerate() {
        let field = |name: &str| format!("/tiers/{at}/{name}");
        rules::amount(&field("price"), tier.price)?;
        if let Some(until) = tier.until_count {
            if until <= count || !rules::COUNT.contains(&until) {
                let why = "must be more than in the tiers before";
                return Err(Problem::field(&field("until_count"), why));
            }
            count = until;
        }
        if let Some(until) = tier.until {
            if date.is_some_and(|before| until <= before) {
                let why = "must be later than in the tiers before";
                return Err(Problem::field(&field("until"), why));
            }
            date = Some(until);
        }
        let ends = tier.until_count.is_some() || tier.until.is_some();
        let last = at + 1 == tiers.len();
        if !ends && !last {
            let why = "needs until or until_count: the tiers after it are never reached";
            return Err(Problem::field(&format!("/tiers/{at}"), why));
        }
        if ends && last && !offer_ends {
            let why = "the last tier must be endless, unless the offer has an end";
            return Err(Problem::field(&format!("/tiers/{at}"), why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(price: i64, until_count: Option<i32>, until_s: Option<i64>) -> Tier {
        let until = until_s.map(|second| Timestamp::from_second(second).unwrap());
        Tier { name: String::new(), price, until_count, until }
    }

    fn terms() -> OfferTerms {
        OfferTerms {
            name: "Adult".into(),
            fee_fixed: 0,
            fee_bp: 0,
            tax_bp: 0,
            starts_at: None,
            ends_at: None,
            access_code: None,
            code_set: None,
            quota: None,
            min_per_order: 1,
            max_per_order: 10,
            multiple_of: 1,
            package_size: 1,
            active: true,
            tiers: vec![tier(5_000, None, None)],
        }
    }

    async fn pointer(terms: &OfferTerms) -> String {
        use axum::response::IntoResponse;
        let problem = terms.check().expect_err("should be refused");
        let body = axum::body::to_bytes(problem.into_response().into_body(), 4_096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["errors"][0]["pointer"].as_str().unwrap().to_owned()
    }

    #[test]
    fn good_terms_pass() {
        assert!(terms().check().is_ok());
        let tiers =
            vec![tier(1, Some(10), Some(100)), tier(2, Some(20), None), tier(3, None, None)];
        assert!(OfferTerms { tiers, ..terms() }.check().is_ok());
        let ends_at = Some(Timestamp::from_second(1_000).unwrap());
        let tiers = vec![tier(1, Some(10), None)];
        assert!(OfferTerms { tiers, ends_at, ..terms() }.check().is_ok());
    }

    #[tokio::test]
    async fn each_bad_field_is_named() {
        let early = Some(Timestamp::from_second(1).unwrap());
        let cases = [
            (OfferTerms { fee_fixed: -1, ..terms() }, "/fee_fixed"),
            (OfferTerms { fee_bp: 10_001, ..terms() }, "/fee_bp"),
            (OfferTerms { tax_bp: -1, ..terms() }, "/tax_bp"),
            (OfferTerms { quota: Some(-1), ..terms() }, "/quota"),
            (OfferTerms { min_per_order: 0, ..terms() }, "/min_per_order"),
            (OfferTerms { max_per_order: 51, ..terms() }, "/max_per_order"),
            (OfferTerms { min_per_order: 3, max_per_order: 2, ..terms() }, "/max_per_order"),
            (OfferTerms { multiple_of: 11, ..terms() }, "/max_per_order"),
            (OfferTerms { package_size: 0, ..terms() }, "/package_size"),
            (OfferTerms { starts_at: early, ends_at: early, ..terms() }, "/ends_at"),
            (OfferTerms { tiers: vec![], ..terms() }, "/tiers"),
        ];
        for (terms, field) in cases {
            assert_eq!(pointer(&terms).await, field);
        }
    }

    #[tokio::test]
    async fn tiers_that_are_never_reached_or_never_end_well_are_refused() {
        let endless = || tier(1, None, None);
        let cases = [
            (vec![endless(), endless()], "/tiers/0"),
            (vec![tier(1, Some(5), None)], "/tiers/0"),
            (
                vec![tier(1, Some(5), None), tier(2, Some(5), None), endless()],
                "/tiers/1/until_count",
            ),
            (vec![tier(1, Some(0), None), endless()], "/tiers/0/until_count"),
            (vec![tier(1, None, Some(9)), tier(2, None, Some(9)), endless()], "/tiers/1/until"),
            (vec![tier(-1, None, None)], "/tiers/0/price"),
        ];
        for (tiers, field) in cases {
            assert_eq!(pointer(&OfferTerms { tiers, ..terms() }).await, field);
        }
    }
}
