//! Reads how long a server asks to wait before the next request.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};

/// Returns the wait in `retry-after-ms` (milliseconds) or `retry-after` (seconds, which may have a fraction, or an HTTP date).
/// `None` means that neither header is present and valid. A date in the past is a wait of zero.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait(headers, SystemTime::now())
}

fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|value| seconds(value, 0.001));
    millis.or_else(|| {
        let value = text(RETRY_AFTER.as_str())?;
        seconds(value, 1.0).or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        })
    })
}

fn seconds(value: &str, unit: f64) -> Option<Duration> {
    value.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn waits(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        // Fri, 15 May 2026 12:00:00 GMT
        wait(&headers.collect(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_778_846_400))
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
    fn milliseconds_take_precedence_if_valid() {
        assert_eq!(waits(&[("retry-after", "7"), ("retry-after-ms", "6500")]), Some(Duration::from_millis(6500)));
        assert_eq!(waits(&[("retry-after", "7"), ("retry-after-ms", "soon")]), Some(Duration::from_secs(7)));
    }

    #[test]
    fn invalid_values_are_ignored() {
        for value in ["", "soon", "-3", "NaN", "inf", "1e300"] {
            assert_eq!(waits(&[("retry-after", value)]), None, "{value:?}");
        }
        assert_eq!(waits(&[]), None);
    }
}
