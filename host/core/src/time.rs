//! Time, always in UTC. Stored moments are Unix milliseconds.

use crate::text::quoted;
use jiff::tz::TimeZone;
use serde::{Deserialize as _, Deserializer, de};

pub use jiff::Timestamp;
pub use jiff::civil::{Date, date};

/// Now, in Unix milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The day, by this machine's clock.
pub fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a date; write it like 2027-01-31", quoted(.0))]
pub struct InvalidDate(String);

/// Reads a date in the form `2027-01-31`.
///
/// # Errors
/// The text has another form, or the calendar has no such day.
pub fn parse_date(text: &str) -> Result<Date, InvalidDate> {
    // jiff also reads dates with a time, and takes the date out of them.
    const CHARACTERS: usize = "2027-01-31".len();
    let date = text.parse().ok().filter(|_| text.len() == CHARACTERS);
    date.ok_or_else(|| InvalidDate(text.to_owned()))
}

/// [`parse_date`] for a field that serde reads.
///
/// # Errors
/// As for [`parse_date`].
pub fn deserialize_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    parse_date(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Days from one date to another; negative if the other is earlier.
pub fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_in_both_directions() {
        let today = date(2026, 11, 23);
        assert_eq!(days_between(today, date(2027, 1, 6)), 44);
        assert_eq!(days_between(today, date(2026, 10, 23)), -31);
        assert_eq!(days_between(date(2024, 2, 28), date(2024, 3, 1)), 2);
    }

    #[test]
    fn dates_are_stored_as_people_write_them() {
        let day = date(2027, 1, 6);
        assert_eq!(serde_json::to_string(&day).unwrap(), "\"2027-01-06\"");
        assert_eq!(parse_date("2027-01-06"), Ok(day));
        for wrong in
            ["", "2027-1-6", "2027-02-29", "2027-13-01", "2027-01-00", "2027-01-06 ", "2027-01-06T10:00"]
        {
            let error = parse_date(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` is not a date; write it like 2027-01-31"));
        }
    }
}
