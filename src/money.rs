//! Money is a whole number of minor units (cents) and a currency, never a fraction.

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

/// Basis points in a whole: 10,000 of them are 100 %.
pub const BASIS_POINTS: i64 = 10_000;

/// The largest price, fee or total that is accepted, in minor units (10 billion).
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// An amount in minor units of a currency (cents for EUR, yen for JPY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; never negative where it names a price or a charge.
    pub amount: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl Money {
    /// `amount` minor units of `currency`.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The amount as people write it: `49.50 EUR`.
    #[must_use]
    pub fn display(self) -> String {
        let digits = usize::from(self.currency.exponent().unwrap_or(0));
        let code = self.currency.code();
        if digits == 0 {
            return format!("{} {code}", self.amount);
        }
        let unit = 10_i64.pow(u32::try_from(digits).unwrap_or(0));
        let (whole, rest) = (self.amount / unit, (self.amount % unit).abs());
        let sign = if self.amount < 0 && whole == 0 { "-" } else { "" };
        format!("{sign}{whole}.{rest:0digits$} {code}")
    }
}

/// `points` basis points of `amount`, rounded half up: how percentage fees and taxes are taken.
#[must_use]
pub fn basis_points_of(amount: i64, points: i64) -> i64 {
    let scaled = i128::from(amount) * i128::from(points);
    let whole = i128::from(BASIS_POINTS);
    let rounded = (scaled + whole / 2).div_euclid(whole);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// The tax contained in a gross `amount` at `points` basis points, rounded half up.
#[must_use]
pub fn tax_included_in(amount: i64, points: i64) -> i64 {
    let gross = i128::from(amount) * i128::from(points);
    let divisor = i128::from(BASIS_POINTS + points);
    i64::try_from((gross + divisor / 2).div_euclid(divisor)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_half_up() {
        assert_eq!(basis_points_of(4_950, 250), 124); // 123.75
        assert_eq!(basis_points_of(100, 50), 1); // 0.5
        assert_eq!(basis_points_of(99, 50), 0); // 0.495
        assert_eq!(basis_points_of(0, 9_999), 0);
    }

    #[test]
    fn the_tax_inside_a_gross_price() {
        assert_eq!(tax_included_in(11_900, 1_900), 1_900);
        assert_eq!(tax_included_in(10_700, 700), 700);
        assert_eq!(tax_included_in(0, 700), 0);
    }

    #[test]
    fn amounts_are_written_with_the_currencys_own_digits() {
        assert_eq!(Money::new(4_950, Currency::EUR).display(), "49.50 EUR");
        assert_eq!(Money::new(5, Currency::EUR).display(), "0.05 EUR");
        assert_eq!(Money::new(-5, Currency::EUR).display(), "-0.05 EUR");
        assert_eq!(Money::new(1_200, Currency::JPY).display(), "1200 JPY");
    }
}
