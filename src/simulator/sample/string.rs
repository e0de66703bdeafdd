//! Samples of strings: formats, patterns, lengths.

use serde_json::{Map, Value};

use super::{Place, limit, mix, pattern, pick};

/// The default number of words.
const WORDS: usize = 12;
/// The number of words of a heading.
const HEADING_WORDS: usize = 4;

pub(super) fn string(keywords: &Map<String, Value>, place: &Place<'_>) -> String {
    let least = limit(keywords, "minLength").unwrap_or(0);
    let most = limit(keywords, "maxLength").unwrap_or(usize::MAX);
    let by_pattern = keywords
        .get("pattern")
        .and_then(Value::as_str)
        .and_then(|pattern| pattern::matching(pattern, place.seed, least, most));
    by_pattern
        .or_else(|| keywords.get("format").and_then(Value::as_str).and_then(|format| formatted(format, place)))
        .unwrap_or_else(|| place.words.text(place.seed, words(place, most), least, most))
}

/// A text for a schema without constraints.
pub(super) fn plain(place: &Place<'_>) -> String {
    place.words.text(place.seed, words(place, usize::MAX), 0, usize::MAX)
}

/// The name of a dictionary entry.
pub(super) fn key(place: &Place<'_>, turn: u64) -> String {
    let key = place.words.text(place.seed, 1, 0, 40).trim_end_matches(['.', '。']).to_lowercase().replace(' ', "_");
    if turn < 4 && !key.is_empty() { key } else { format!("{key}_{turn}") }
}

fn words(place: &Place<'_>, most: usize) -> usize {
    const HEADINGS: [&str; 10] =
        ["title", "name", "category", "label", "heading", "concern", "aspect", "assumption", "tag", "keyword"];
    if place.tight {
        return 2;
    }
    let name = place.name.to_ascii_lowercase();
    if HEADINGS.iter().any(|heading| name.contains(heading)) || most <= 60 { HEADING_WORDS } else { WORDS }
}

fn formatted(format: &str, place: &Place<'_>) -> Option<String> {
    let draw = |salt: u64, count: usize| pick(mix(place.seed, salt), count);
    let date = || format!("20{:02}-{:02}-{:02}", 20 + draw(1, 10), 1 + draw(2, 12), 1 + draw(3, 28));
    let time = || format!("{:02}:{:02}:{:02}Z", draw(4, 24), draw(5, 60), draw(6, 60));
    let host = || format!("host-{}.example.com", draw(7, 900) + 100);
    Some(match format {
        "date" => date(),
        "time" => time(),
        "date-time" => format!("{}T{}", date(), time()),
        "duration" => format!("P{}DT{}H", 1 + draw(8, 28), draw(9, 24)),
        "email" | "idn-email" => format!("user{}@example.com", draw(10, 9000) + 1000),
        "uri" | "url" | "iri" => format!("https://example.com/page/{}", draw(11, 9000) + 1000),
        "uri-reference" | "iri-reference" => format!("/page/{}", draw(11, 9000) + 1000),
        "uri-template" => format!("https://example.com/{{page}}/{}", draw(11, 9000)),
        "hostname" | "idn-hostname" => host(),
        "ipv4" => format!("192.0.2.{}", 1 + draw(12, 254)),
        "ipv6" => format!("2001:db8::{:x}", 1 + draw(13, 65000)),
        "uuid" => uuid(place.seed),
        "json-pointer" => format!("/item/{}", draw(14, 100)),
        "relative-json-pointer" => format!("{}/item", draw(15, 5)),
        "regex" => format!("^[a-z]{{{}}}$", 1 + draw(16, 9)),
        _ => return None,
    })
}

fn uuid(seed: u64) -> String {
    let (high, low) = (mix(seed, 0x1d), mix(seed, 0x2d));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
