//! Reads how long a server asks to wait before the next request.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};

/// Numbers from here on are points in time, in seconds since 1970. As a wait it would be 31 years.
const FIRST_EPOCH: f64 = 1e9;

/// Such a number from here on is in milliseconds.
const FIRST_EPOCH_MILLIS: f64 = 1e12;

/// The units of a wait, the longer of a common beginning first.
const UNITS: [(&str, f64); 24] = [
    ("milliseconds", 1e-3),
    ("millisecond", 1e-3),
    ("minutes", 60.0),
    ("minute", 60.0),
    ("seconds", 1.0),
    ("second", 1.0),
    ("hours", 3600.0),
    ("hour", 3600.0),
    ("days", 86_400.0),
    ("day", 86_400.0),
    ("msec", 1e-3),
    ("mins", 60.0),
    ("min", 60.0),
    ("secs", 1.0),
    ("sec", 1.0),
    ("hrs", 3600.0),
    ("hr", 3600.0),
    ("ms", 1e-3),
    ("us", 1e-6),
    ("ns", 1e-9),
    ("h", 3600.0),
    ("m", 60.0),
    ("s", 1.0),
    ("d", 86_400.0),
];

/// Returns the wait in `retry-after-ms` (milliseconds) or `retry-after` (seconds, which may have a fraction, a duration such as
/// `1m30s`, or a date); of both the longer one. `None` means that neither header is present and valid. A date in the past
/// is a wait of zero.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait(headers, SystemTime::now())
}

/// Returns when the rate limit that a reply reports ends, for a reply without `retry-after`. Of several limits, such as
/// `x-ratelimit-reset-requests` and `x-ratelimit-reset-tokens`, the one with the least left counts. `None` if no header
/// states it.
pub(crate) fn rate_limit_reset(headers: &HeaderMap) -> Option<Duration> {
    reset(headers, SystemTime::now())
}

/// Parses a wait: seconds, a duration such as `6m0s` or `20ms`, a date of HTTP or of RFC 3339, or seconds or milliseconds
/// since 1970.
pub(crate) fn parse_wait(text: &str) -> Option<Duration> {
    wait_in(text, SystemTime::now())
}

/// Parses the duration at the beginning of `text`, which is in lower case: numbers with units, such as `1h2m`, `2.961s` or
/// `1 minute and 30 seconds`.
pub(crate) fn leading_duration(text: &str) -> Option<Duration> {
    split_duration(text).map(|(duration, _)| duration)
}

fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|value| seconds(value.parse().ok()?, 0.001));
    millis.max(text(RETRY_AFTER.as_str()).and_then(|value| wait_in(value, now)))
}

fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = |name: &str| headers.get(name)?.to_str().ok();
    let number = |name: &str| value(name)?.trim().parse::<f64>().ok();
    let limits = headers.keys().filter_map(|header| {
        let name = header.as_str();
        let is_reset = name.contains("reset") && (name.contains("ratelimit") || name.contains("rate-limit"));
        let wait = wait_in(value(name).filter(|_| is_reset)?, now)?;
        let left = number(&name.replace("reset", "remaining"));
        let of = number(&name.replace("reset", "limit")).or_else(|| number(&name.replace("reset-", "limit-")));
        let share = match (left, of) {
            (Some(left), _) if left <= 0.0 => 0.0,
            (Some(left), Some(of)) if of > 0.0 => left / of,
            _ => 1.0,
        };
        Some((share, wait))
    });
    // Of two that are used up the longer one, of two that are not known to be the shorter one.
    let order = |(share, wait): &(f64, Duration)| {
        (*share, if *share > 0.0 { *wait } else { Duration::MAX.saturating_sub(*wait) })
    };
    limits.min_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(Ordering::Equal)).map(|(_, wait)| wait)
}

fn wait_in(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            FIRST_EPOCH_MILLIS.. => Some(until(seconds(number, 0.001)?, now)),
            FIRST_EPOCH.. => Some(until(seconds(number, 1.0)?, now)),
            _ => seconds(number, 1.0),
        };
    }
    if let Some((duration, rest)) = split_duration(&text.to_ascii_lowercase()) {
        return rest.trim().is_empty().then_some(duration);
    }
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date.duration_since(now).unwrap_or_default());
    }
    Some(until(rfc3339(text)?, now))
}

/// The time from `now` to `date`, which is given since 1970; zero if it is past.
fn until(date: Duration, now: SystemTime) -> Duration {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    date.saturating_sub(now)
}

fn seconds(number: f64, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number * unit).ok()
}

/// Splits the duration off the beginning of `text`.
fn split_duration(text: &str) -> Option<(Duration, &str)> {
    let mut total = None;
    let mut rest = text;
    loop {
        let separator = |c: char| c == ' ' || c == ',';
        let start = rest.trim_start_matches(separator);
        let start = if total.is_some() { start.strip_prefix("and ").unwrap_or(start) } else { start };
        let Some((part, after)) = split_part(start) else { return Some((total?, rest)) };
        total = Some(total.map_or(part, |total: Duration| total.saturating_add(part)));
        rest = after;
    }
}

/// Splits a number with its unit off the beginning of `text`.
fn split_part(text: &str) -> Option<(Duration, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim_start_matches([' ', '-']).trim_start_matches(['µ', 'μ']);
    let is_micro = text[end..].starts_with(['µ', 'μ']);
    let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let (name, factor) = UNITS.iter().find(|(name, _)| unit.strip_prefix(name).is_some_and(is_whole))?;
    Some((seconds(number, if is_micro { 1e-6 } else { *factor })?, &unit[name.len()..]))
}

/// Parses a date such as `2026-05-15T12:00:30.5Z` or `2026-05-15T14:00:30+02:00`, as the time since 1970.
fn rfc3339(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.rfind(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<i64>().ok()?, time.next()?.parse::<i64>().ok()?);
    let second: f64 = time.next()?.parse().ok()?;
    let offset = match zone.as_bytes().first()? {
        b'Z' | b'z' => 0,
        sign => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
    };
    if !((1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, with years that begin in March so that a leap day ends one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let minutes = days * 1440 + hour * 60 + minute - offset;
    let whole = Duration::from_secs(u64::try_from(minutes).ok()?.checked_mul(60)?);
    whole.checked_add(Duration::try_from_secs_f64(second).ok()?)
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    /// Fri, 15 May 2026 12:00:00 GMT
    const NOW: Duration = Duration::from_secs(1_778_846_400);

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    fn waits(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        wait(&headers(pairs), SystemTime::UNIX_EPOCH + NOW)
    }

    #[test]
    fn every_format_is_parsed() {
        assert_eq!(waits(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(waits(&[("retry-after", " 1.5 ")]), Some(Duration::from_millis(1500)));
        assert_eq!(waits(&[("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        assert_eq!(waits(&[("retry-after", "Fri, 15 May 2026 12:01:30 GMT")]), Some(Duration::from_secs(90)));
        assert_eq!(waits(&[("retry-after", "Fri, 15 May 2026 11:00:00 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn the_longer_of_both_headers_counts() {
        assert_eq!(waits(&[("retry-after", "7"), ("retry-after-ms", "7500")]), Some(Duration::from_millis(7500)));
        assert_eq!(waits(&[("retry-after", "1"), ("retry-after-ms", "0")]), Some(Duration::from_secs(1)));
        assert_eq!(waits(&[("retry-after", "7"), ("retry-after-ms", "soon")]), Some(Duration::from_secs(7)));
    }

    #[test]
    fn durations_and_dates_are_parsed() {
        for (text, millis) in [
            ("2s", 2000),
            ("6m0s", 360_000),
            ("1h2m3.5s", 3_723_500),
            ("20ms", 20),
            ("1 minute 30 seconds", 90_000),
            ("2026-05-15T12:00:30.5Z", 30_500),
            ("2026-05-15T14:00:30+02:00", 30_000),
            ("2026-05-15T11:00:00Z", 0),
            ("1778846409", 9000),
            ("1778846409500", 9500),
        ] {
            assert_eq!(waits(&[("retry-after", text)]).map(|wait| wait.as_millis()), Some(millis), "{text}");
        }
    }

    #[test]
    fn the_limit_with_the_least_left_ends_the_wait() {
        let resets = |pairs: &[(&'static str, &'static str)]| {
            reset(&headers(pairs), SystemTime::UNIX_EPOCH + NOW).map(|wait| wait.as_millis())
        };
        assert_eq!(resets(&[("x-ratelimit-reset-requests", "2s")]), Some(2000));
        assert_eq!(resets(&[("x-ratelimit-reset-requests", "20ms"), ("x-ratelimit-reset-tokens", "6m0s")]), Some(20));
        let tokens = [
            ("x-ratelimit-reset-requests", "20ms"),
            ("x-ratelimit-remaining-requests", "99"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
        ];
        assert_eq!(resets(&tokens), Some(360_000));
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-05-15T12:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "40000"),
            ("anthropic-ratelimit-input-tokens-remaining", "1000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-05-15T12:00:44Z"),
        ];
        assert_eq!(resets(&anthropic), Some(44_000));
        assert_eq!(resets(&[("x-ratelimit-reset", "1778846409")]), Some(9000));
        assert_eq!(resets(&[("x-ratelimit-limit", "5"), ("retry-after", "5")]), None);
    }

    #[test]
    fn invalid_values_are_ignored() {
        for value in ["", "soon", "-3", "NaN", "inf", "1e300"] {
            assert_eq!(waits(&[("retry-after", value)]), None, "{value:?}");
        }
        assert_eq!(waits(&[]), None);
    }
}
