//! Time, always in UTC. Stored moments are Unix milliseconds.

use jiff::tz::TimeZone;

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
        assert_eq!("2027-01-06".parse::<Date>().unwrap(), day);
        for wrong in ["", "2027-1-6", "2027-02-29", "2027-13-01", "2027-01-00", "2027-01-06 "] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
    }
}
