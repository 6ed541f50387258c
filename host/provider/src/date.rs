//! A civil date. Today's date always comes in from outside: nothing here reads a
//! clock.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar, written `2027-01-06`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    // The order of the fields makes the derived order the order in time.
    year: u16,
    month: u8,
    day: u8,
}

/// A text that is not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a date of the form 2027-01-31", tunesmith_core::text::quoted(.0))]
pub struct NotADate(pub String);

impl Date {
    /// The date, if the calendar has it.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        if year > 9999 || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        Some(Self { year, month, day })
    }

    /// A date that is written in the code.
    ///
    /// # Panics
    /// At compile time, when used for a constant that the calendar does not have.
    pub(crate) const fn known(year: u16, month: u8, day: u8) -> Self {
        match Self::new(year, month, day) {
            Some(date) => date,
            None => panic!("not a date"),
        }
    }

    /// The date (UTC) of a Unix time in seconds.
    pub fn from_unix_seconds(seconds: u64) -> Option<Self> {
        // Days to civil date, after Howard Hinnant's "chrono-compatible low-level
        // date algorithms"; eras of 400 years that begin on 0000-03-01.
        let days = i64::try_from(seconds / 86_400).ok()? + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self::new(u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    }

    /// Days from this date to the other; negative if the other is earlier.
    pub fn days_until(self, other: Self) -> i64 {
        other.day_number() - self.day_number()
    }

    fn day_number(self) -> i64 {
        // The inverse of `from_unix_seconds`, by the same source.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let month = i64::from(self.month);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
    }
}

const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (year, rest) = text.split_once('-')?;
            let (month, day) = rest.split_once('-')?;
            let digits =
                |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
            if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
                return None;
            }
            Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
        };
        parse().ok_or_else(|| NotADate(text.to_owned()))
    }
}

impl TryFrom<String> for Date {
    type Error = NotADate;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_strictly() {
        assert_eq!("2027-01-06".parse(), Ok(Date::known(2027, 1, 6)));
        assert_eq!("2024-02-29".parse(), Ok(Date::known(2024, 2, 29)));
        for wrong in [
            "",
            "2027-1-6",
            "2027-02-29",
            "2027-13-01",
            "2027-00-10",
            "2027-01-00",
            "+027-01-01",
            "2027-01-06 ",
        ] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_between_dates() {
        let today = Date::known(2026, 11, 23);
        assert_eq!(today.days_until(Date::known(2027, 1, 6)), 44);
        assert_eq!(today.days_until(Date::known(2026, 10, 23)), -31);
        assert_eq!(Date::known(2024, 2, 28).days_until(Date::known(2024, 3, 1)), 2);
    }

    #[test]
    fn unix_times() {
        assert_eq!(Date::from_unix_seconds(0), Some(Date::known(1970, 1, 1)));
        assert_eq!(Date::from_unix_seconds(1_795_409_753), Some(Date::known(2026, 11, 23)));
        assert_eq!(Date::from_unix_seconds(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn every_day_reads_back(days in 0_u64..2_000_000) {
            let date = Date::from_unix_seconds(days * 86_400).unwrap();
            prop_assert_eq!(Date::known(1970, 1, 1).days_until(date), days as i64);
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }
    }
}
