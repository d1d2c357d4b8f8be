//! Where Stripe's smallest unit is ISO 4217's, and where it isn't.
//!
//! Stripe calls some currencies zero-decimal and the rest two- or three-decimal. It differs from
//! ISO 4217 for a few (ISK and UGX are sent with two decimals, MGA with none), and amounts of
//! three-decimal currencies must be multiples of ten. Charging a hundred times too much is no
//! risk worth a currency: these are refused.

use iso_currency::Currency;

use crate::money::{MAX_AMOUNT, Money};
use crate::payments::ProviderError;

/// The largest amount that Stripe takes, in minor units (eight digits).
const MAX_STRIPE_AMOUNT: i64 = 99_999_999;

/// Whether an amount in ISO 4217's minor units means the same to Stripe.
pub fn agrees(currency: Currency) -> bool {
    match currency.exponent() {
        Some(0) => matches!(
            currency,
            Currency::BIF
                | Currency::CLP
                | Currency::DJF
                | Currency::GNF
                | Currency::JPY
                | Currency::KMF
                | Currency::KRW
                | Currency::PYG
                | Currency::RWF
                | Currency::VND
                | Currency::VUV
                | Currency::XAF
                | Currency::XOF
                | Currency::XPF
        ),
        Some(2) => currency != Currency::MGA,
        _ => false,
    }
}

/// Refuses what Stripe would misread or not take.
pub fn check(money: Money) -> Result<(), ProviderError> {
    let refused = |code: &str, message: String| {
        Err(ProviderError::Refused { code: code.to_owned(), message })
    };
    if !agrees(money.currency) {
        let code = money.currency.code();
        return refused("currency", format!("{code} can't be charged through Stripe"));
    }
    if !(1..=MAX_STRIPE_AMOUNT.min(MAX_AMOUNT)).contains(&money.amount) {
        return refused("amount", "the amount must be positive and at most 8 digits".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_that_stripe_reads_differently_are_refused() {
        for currency in [Currency::EUR, Currency::USD, Currency::HUF, Currency::JPY, Currency::XPF]
        {
            assert!(check(Money::new(500, currency)).is_ok(), "{currency}");
        }
        let differing = [
            Currency::ISK,
            Currency::UGX,
            Currency::MGA,
            Currency::BHD,
            Currency::JOD,
            Currency::KWD,
            Currency::OMR,
            Currency::TND,
        ];
        for currency in differing {
            assert!(check(Money::new(500, currency)).is_err(), "{currency}");
        }
    }

    #[test]
    fn amounts_are_positive_and_at_most_eight_digits() {
        for amount in [0, -1, 100_000_000, i64::MAX] {
            assert!(check(Money::new(amount, Currency::EUR)).is_err(), "{amount}");
        }
        assert!(check(Money::new(99_999_999, Currency::EUR)).is_ok());
    }
}
