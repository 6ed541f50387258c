//! Times for people: how long ago, how long, and when.

use tunesmith_core::time::Timestamp;

/// A span in its two largest units where the second says something: `12 s`, `3 min`,
/// `1 h 20 min`, `2 d`.
pub fn span(ms: i64) -> String {
    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match ms.max(0) {
        ms @ ..SECOND => format!("{ms} ms"),
        ms @ ..MINUTE => format!("{} s", ms / SECOND),
        ms @ ..HOUR => format!("{} min", ms / MINUTE),
        ms @ ..DAY => match ms % HOUR / MINUTE {
            0 => format!("{} h", ms / HOUR),
            minutes => format!("{} h {minutes} min", ms / HOUR),
        },
        ms => format!("{} d", ms / DAY),
    }
}

/// How long ago something was, to a second.
pub fn age(now_ms: i64, then_ms: i64) -> String {
    let ms = now_ms.saturating_sub(then_ms);
    if ms < 1_000 { "now".to_owned() } else { span(ms) }
}

/// The same in a sentence: `3 min ago`, `just now`.
pub fn ago(now_ms: i64, then_ms: i64) -> String {
    match age(now_ms, then_ms).as_str() {
        "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    }
}

/// The moment in UTC: `2026-11-26 17:05:28`.
pub fn stamp(ms: i64) -> String {
    utc(ms, "%F %T")
}

/// The time of day in UTC: `17:05:28`.
pub fn clock(ms: i64) -> String {
    utc(ms, "%T")
}

fn utc(ms: i64, format: &str) -> String {
    // Beyond the calendar's last year, its end has to do.
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_that_people_use() {
        let cases = [
            (-5, "0 ms"),
            (999, "999 ms"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_600_000, "1 h"),
            (4_800_000, "1 h 20 min"),
            (200_000_000, "2 d"),
        ];
        for (ms, expected) in cases {
            assert_eq!(span(ms), expected);
        }
        assert_eq!(age(5_000, 4_500), "now");
        assert_eq!(age(0, 5_000), "now", "clocks differ");
        assert_eq!((ago(0, 0).as_str(), ago(61_000, 0).as_str()), ("just now", "1 min ago"));
        assert_eq!(stamp(1_795_712_728_999), "2026-11-26 17:05:28");
    }
}
