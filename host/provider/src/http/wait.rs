//! How long to wait before asking again: as the server says, or longer each time.

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderMap;
use std::time::Duration;
use tunesmith_core::time::Timestamp;

/// The longest wait that a server may ask for. 120 s: beyond that the user is told
/// instead, and decides (OpenAI's own clients have the same bound).
pub const LONGEST_ASKED: Duration = Duration::from_secs(120);

/// The first wait of our own; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait of our own.
const LONGEST: Duration = Duration::from_secs(8);

/// The part of a wait that chance may take off, so that many clients do not ask all
/// at once.
const JITTER: f64 = 0.25;

/// How long the server asks to wait: `retry-after-ms`, or `retry-after` in seconds,
/// also with a fraction, or as a date. What cannot be read, and what is not in the
/// future, counts as not asked.
pub fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok();
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero());
    if let Some(milliseconds) = text("retry-after-ms").and_then(seconds) {
        return duration(milliseconds / 1000.0);
    }
    let after = text("retry-after")?;
    if let Some(seconds) = seconds(after) {
        return duration(seconds);
    }
    let date = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(after).ok()?;
    Duration::try_from(date.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

/// The wait before retry number `retry` (from 0) when the server asks for none.
/// `chance` is from 0 to 1.
pub fn own(retry: u32, chance: f64) -> Duration {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(retry)).min(LONGEST);
    whole.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        asked(&headers, "2026-11-23T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_servers_wish_is_read_in_every_form() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(read(&[("retry-after-ms", "250"), ("retry-after", "9")]), ms(250));
        assert_eq!(read(&[("retry-after", "1.5")]), ms(1500));
        assert_eq!(read(&[("retry-after", " 7 ")]), ms(7000));
        assert_eq!(read(&[("retry-after", "Mon, 23 Nov 2026 00:00:30 GMT")]), ms(30_000));
        assert_eq!(read(&[("retry-after", "86400")]), ms(86_400_000));
        for unusable in ["0", "-1", "NaN", "inf", "1e300", "soon", "", "Mon, 23 Nov 2020 00:00:30 GMT"] {
            assert_eq!(read(&[("retry-after", unusable)]), None, "{unusable}");
        }
    }

    #[test]
    fn our_own_waits_double_up_to_a_bound_and_vary() {
        let whole: Vec<u128> = (0..7).map(|retry| own(retry, 0.0).as_millis()).collect();
        assert_eq!(whole, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(own(0, 1.0).as_millis(), 375);
        assert_eq!(own(u32::MAX, 0.0), LONGEST);
    }
}
