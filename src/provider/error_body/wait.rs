//! How long an error asks to wait, in its headers, its fields or its words.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::ErrorBody;
use super::parse::squashed;
use crate::error::ErrorKind;
use crate::transport::{leading_duration, parse_wait, rate_limit_reset, retry_after};

/// Words before a wait.
const TRIGGERS: [&str; 9] =
    ["try again", "retry", "retrying", "wait", "available", "reset", "resets", "back off", "come back"];

/// Words between these and the wait.
const LINKS: [&str; 14] = [
    "in",
    "after",
    "for",
    "at",
    "least",
    "about",
    "approximately",
    "another",
    "again",
    "around",
    "up",
    "to",
    "the",
    "next",
];

impl ErrorBody {
    /// Returns how long to wait before the next request after an error of class `kind`: the longest of what `Retry-After`,
    /// the fields and the words of the error state. If none of them does, a rate limit ends when its headers say.
    pub(super) fn wait(&self, kind: ErrorKind, headers: &HeaderMap) -> Option<Duration> {
        let requested = retry_after(headers);
        let is_limit = matches!(kind, ErrorKind::RateLimited | ErrorKind::DailyQuota);
        if !is_limit && !matches!(kind, ErrorKind::Overloaded | ErrorKind::Loading | ErrorKind::Server) {
            return requested;
        }
        let forwarded = forwarded_headers(&self.document, 0);
        let stated = [
            requested,
            forwarded.as_ref().and_then(retry_after),
            wait_in_fields(&self.document, 0),
            wait_in_words(&self.message.to_lowercase()),
        ];
        let longest = stated.into_iter().flatten().max();
        longest.or_else(|| {
            let resets = || rate_limit_reset(headers).or_else(|| rate_limit_reset(forwarded.as_ref()?));
            if is_limit { resets() } else { None }
        })
    }
}

/// Reads a wait in prose, such as `try again in 2.961s`, `Please wait 1 seconds` or `retry after 1h2m`.
fn wait_in_words(words: &str) -> Option<Duration> {
    let waits = TRIGGERS.iter().flat_map(|trigger| words.match_indices(trigger)).filter_map(|(at, trigger)| {
        let is_word = words[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let mut rest = words.get(at + trigger.len()..).filter(|_| is_word)?;
        loop {
            rest = rest.trim_start_matches([' ', ':', '=', '-', '_', '~', '"', '\'']);
            let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().filter(|word| LINKS.contains(word));
            match word {
                Some(word) => rest = &rest[word.len()..],
                None => return leading_duration(rest).or_else(|| bare_seconds(rest, words.get(at..)?)),
            }
        }
    });
    waits.max()
}

/// A number without a unit counts as seconds only where it follows `retry after`.
fn bare_seconds(rest: &str, phrase: &str) -> Option<Duration> {
    let is_header = ["retry after", "retry-after", "retry_after"].iter().any(|name| phrase.starts_with(name));
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let is_whole = rest[end..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '-' && c != ':');
    parse_wait(rest[..end].trim_end_matches('.')).filter(|_| is_header && is_whole)
}

/// Reads fields such as Google's `retryDelay: "7s"`, `retry_after: 5` and `retry_after_ms: 250`.
fn wait_in_fields(value: &Value, depth: usize) -> Option<Duration> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::Array(items) => items.iter().filter_map(|item| wait_in_fields(item, depth + 1)).max(),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(name, value)| match &*squashed(name) {
                "retryafter" | "retryafterseconds" | "retryaftersec" | "retryafters" | "retrydelay" | "retryin"
                | "retryinseconds" | "resetsinseconds" | "waitseconds" => seconds(value, 1.0),
                "retryafterms" | "retryaftermilliseconds" | "retrydelayms" | "retryinms" => seconds(value, 0.001),
                _ => wait_in_fields(value, depth + 1),
            })
            .max(),
        _ => None,
    }
}

fn seconds(value: &Value, unit: f64) -> Option<Duration> {
    match value {
        Value::Number(number) => Duration::try_from_secs_f64(number.as_f64()? * unit).ok(),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => Duration::try_from_secs_f64(number * unit).ok(),
            Err(_) => parse_wait(text),
        },
        Value::Object(fields) => seconds(fields.get("seconds")?, unit),
        _ => None,
    }
}

/// The headers of an upstream's reply that a gateway repeats in the error, such as OpenRouter's `metadata.headers`.
fn forwarded_headers(value: &Value, depth: usize) -> Option<HeaderMap> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| forwarded_headers(item, depth + 1)),
        Value::Object(fields) => match fields.get("headers").and_then(Value::as_object) {
            Some(headers) => Some(headers.iter().filter_map(|(name, value)| header(name, value)).collect()),
            None => fields.values().find_map(|value| forwarded_headers(value, depth + 1)),
        },
        _ => None,
    }
}

fn header(name: &str, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let value = match value {
        Value::String(text) => HeaderValue::from_str(text),
        Value::Number(number) => HeaderValue::from_str(&number.to_string()),
        _ => return None,
    };
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(message: &str) -> Option<u128> {
        wait_in_words(&message.to_lowercase()).map(|wait| wait.as_millis())
    }

    #[test]
    fn a_wait_in_words_is_read() {
        for (message, millis) in [
            ("Limit 6000, Used 5900, Requested 400. Please try again in 2.961s. Visit https://x for more.", 2961),
            ("You exceeded your current quota. Please retry in 1.5s.", 1500),
            ("Please try again in 6m0s.", 360_000),
            ("Please retry in 1h2m", 3_720_000),
            ("Please try again in 20ms.", 20),
            ("Rate limit of 15 per 60s exceeded. Please wait 1 seconds before retrying.", 1000),
            ("Please retry after 26 seconds.", 26_000),
            ("Too many requests, retry after 5", 5000),
            ("Retry-After: 3", 3000),
            ("Try again in 1 minute and 30 seconds", 90_000),
            ("try again in about 2 hours", 7_200_000),
            ("Your limit resets in 45 s", 45_000),
            ("Please wait for at least 10 sec", 10_000),
        ] {
            assert_eq!(wait(message), Some(millis), "{message}");
        }
    }

    #[test]
    fn other_numbers_are_no_wait() {
        for message in [
            "Limit 60s per 10 requests",
            "try again later",
            "wait until 10:30",
            "retry 3 of 5",
            "retry after 2026-01-01",
            "",
        ] {
            assert_eq!(wait(message), None, "{message}");
        }
    }

    #[test]
    fn fields_and_forwarded_headers_are_read() {
        let wait = |body: &str| {
            let error = ErrorBody::parse(429, body.as_bytes());
            error.wait(ErrorKind::RateLimited, &HeaderMap::new()).map(|wait| wait.as_millis())
        };
        assert_eq!(wait(r#"{"error":{"message":"no","retry_after":5}}"#), Some(5000));
        assert_eq!(wait(r#"{"error":{"details":[{"retryDelay":"7s"}]}}"#), Some(7000));
        assert_eq!(wait(r#"{"error":{"details":[{"retryDelay":{"seconds":7}}]}}"#), Some(7000));
        assert_eq!(wait(r#"{"message":"no","retryAfterMs":250}"#), Some(250));
        assert_eq!(wait(r#"{"error":{"metadata":{"headers":{"Retry-After":"4"}}}}"#), Some(4000));
        assert_eq!(wait(r#"{"error":{"metadata":{"headers":{"X-RateLimit-Reset":"9"}}}}"#), Some(9000));
    }
}
