//! US dollars, exactly: prices come per million tokens, so a token's price has many
//! decimals.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tunesmith_core::text::grouped;

/// Units of [`Money`] in a dollar: a trillionth is a millionth of a dollar per
/// million tokens, the finest price that is kept.
const PER_DOLLAR: u128 = 1_000_000_000_000;
const PER_CENT: u128 = PER_DOLLAR / 100;

/// The price of a million training tokens, in millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PerMillion(u64);

/// An amount of US dollars. Shown in cents, rounded up; in JSON a number of dollars,
/// rounded to millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(u128);

impl PerMillion {
    /// Above this a price is a mistake: one public table lists an hourly rate as a
    /// price per million tokens, and even that is 100.
    pub const MOST_DOLLARS: f64 = 10_000.0;

    /// The price, if it is a sensible number of dollars with at most six decimals
    /// that count.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        if !(dollars.is_finite() && (0.0..=Self::MOST_DOLLARS).contains(&dollars)) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 1e10")]
        let micro = (dollars * 1e6).round() as u64;
        Some(Self(micro))
    }

    /// What so many tokens cost.
    pub fn times(self, tokens: u64) -> Money {
        // 2^64 times 2^64 fits 128 bits.
        Money(u128::from(self.0) * u128::from(tokens))
    }
}

impl Money {
    /// The amount, if it is a sensible number of dollars.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        /// Above this an amount is a mistake.
        const MOST: f64 = 1e9;
        if !(dollars.is_finite() && (0.0..=MOST).contains(&dollars)) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 1e15")]
        let micro = (dollars * 1e6).round() as u128;
        Some(Self(micro * (PER_DOLLAR / 1_000_000)))
    }
}

impl Serialize for PerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "at most 1e10, exact in 53 bits")]
        serializer.serialize_f64(self.0 as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for PerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars).ok_or_else(|| D::Error::custom("expected a price in dollars"))
    }
}

impl fmt::Display for PerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let kept = decimals.trim_end_matches('0');
        write!(f, "${}.{kept:0<2}", grouped(u128::from(self.0 / 1_000_000)))
    }
}

/// To the millionth of a dollar that JSON has.
impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars).ok_or_else(|| D::Error::custom("expected an amount in dollars"))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "for reading; the exact figure is the product of others"
        )]
        serializer.serialize_f64(self.0.div_ceil(1_000_000) as f64 / 1e6)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0 < PER_CENT {
            return f.write_str("less than $0.01");
        }
        let cents = self.0.div_ceil(PER_CENT);
        write!(f, "${}.{:02}", grouped(cents / 100), cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let price = |dollars| PerMillion::from_dollars(dollars).unwrap();
        let shown = |dollars: f64, tokens| price(dollars).times(tokens).to_string();
        assert_eq!(shown(3.0, 0), "$0.00");
        assert_eq!(shown(3.0, 1), "less than $0.01");
        assert_eq!(shown(3.0, 3_333), "less than $0.01");
        assert_eq!(shown(3.0, 3_334), "$0.02");
        assert_eq!(shown(25.0, 1_000_000), "$25.00");
        assert_eq!(shown(25.0, 1_000_001), "$25.01");
        assert_eq!(shown(25.0, 50_000_000), "$1,250.00");
        assert_eq!(shown(10_000.0, u64::MAX), "$184,467,440,737,095,516.15");
        assert_eq!(price(0.4).to_string(), "$0.40");
        assert_eq!(price(25.0).to_string(), "$25.00");
        assert_eq!(price(0.0125).to_string(), "$0.0125");
        assert_eq!(serde_json::to_string(&price(3.0).times(5_000)).unwrap(), "0.015");
    }

    #[test]
    fn senseless_prices_are_none() {
        for dollars in [-1.0, f64::NAN, f64::INFINITY, 10_001.0] {
            assert_eq!(PerMillion::from_dollars(dollars), None, "{dollars}");
        }
    }
}
