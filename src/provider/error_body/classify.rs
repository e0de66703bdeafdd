//! Classifies an error by its status, its codes and its words. All providers share one list: gateways forward the errors of
//! any provider in the envelope of another one.

#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;

use super::ErrorBody;
use super::parse::squashed;
use crate::error::ErrorKind;
use words::{
    BLOCKED, BLOCKED_CODES, CREDIT, CREDIT_CODES, DAILY, FILTERED, FORBIDDEN_CODES, KEY_CODES, KEY_FAULTS, KEYS,
    LOAD_FAILURES, LOADING, MODEL_CODES, MODEL_FAULTS, NO_FILTER, OVERLOADED_CODES, RATE, RATE_CODES, REQUEST_CODES,
    RUNNER_STOPPED, SCHEMA, SCHEMA_PARAMETERS, TOO_LONG,
};

impl ErrorBody {
    /// Classifies an error with `status`.
    pub(in crate::provider) fn kind(&self, status: u16) -> ErrorKind {
        let kind = match kind_of_status(status) {
            ErrorKind::Server if self.has_code(&REQUEST_CODES) => ErrorKind::Rejected,
            kind => kind,
        };
        match kind {
            _ if self.is_blocked(status) => ErrorKind::Blocked,
            _ if status == 402 || self.has_code_with(&CREDIT_CODES) || self.mentions_any(&CREDIT) => {
                ErrorKind::InsufficientQuota
            }
            ErrorKind::Unauthorized => ErrorKind::Unauthorized,
            ErrorKind::Overloaded | ErrorKind::Server | ErrorKind::RateLimited if self.is_loading() => {
                ErrorKind::Loading
            }
            ErrorKind::RateLimited => self.rate_limited(),
            ErrorKind::Rejected | ErrorKind::Server if self.mentions_any(&TOO_LONG) => ErrorKind::ContextTooLong,
            // A request that exceeds the limit of a minute by itself never fits.
            ErrorKind::Rejected if status == 413 && self.has_code_with(&RATE_CODES) => ErrorKind::ContextTooLong,
            _ if self.has_code_with(&RATE_CODES) => self.rate_limited(),
            ErrorKind::Rejected | ErrorKind::Forbidden | ErrorKind::Server if self.mentions_any(&RATE) => {
                self.rate_limited()
            }
            _ if self.has_code(&OVERLOADED_CODES) => ErrorKind::Overloaded,
            ErrorKind::Rejected | ErrorKind::Forbidden | ErrorKind::Server if self.is_model_code() => {
                ErrorKind::ModelMissing
            }
            ErrorKind::Rejected | ErrorKind::Forbidden | ErrorKind::Server if self.is_wrong_key(status) => {
                ErrorKind::Unauthorized
            }
            ErrorKind::Rejected if self.is_model_missing(status) => ErrorKind::ModelMissing,
            ErrorKind::Rejected | ErrorKind::Server if self.has_code(&FORBIDDEN_CODES) => ErrorKind::Forbidden,
            ErrorKind::Rejected if self.is_about_schema() => ErrorKind::SchemaRejected,
            // llama.cpp and servers built on it fail if they cannot compile the schema to a grammar.
            ErrorKind::Server if matches!(status, 500 | 501) && self.is_about_schema() => ErrorKind::SchemaRejected,
            ErrorKind::Server if status == 500 && self.has_lost_runner() => ErrorKind::SchemaRejected,
            kind => kind,
        }
    }

    /// The HTTP status of an error that was sent in a reply of status 200: its code if that is a number from 400 on,
    /// otherwise the status that its code's name implies, otherwise 500.
    pub(in crate::provider) fn status(&self) -> u16 {
        match self.statuses.first() {
            Some(status) => *status,
            _ if self.mentions("rate_limit") || self.mentions("resource_exhausted") => 429,
            _ if self.mentions("overloaded") || self.mentions("unavailable") => 503,
            _ if self.mentions("authentication") || self.mentions("unauthenticated") => 401,
            _ if self.mentions("permission") => 403,
            _ if self.has_code(&REQUEST_CODES) => 400,
            _ => 500,
        }
    }

    /// Whether the words or the codes contain `needle`, which is in lower case.
    pub(super) fn mentions(&self, needle: &str) -> bool {
        self.words.contains(needle)
    }

    fn mentions_any(&self, needles: &[&str]) -> bool {
        needles.iter().any(|needle| self.mentions(needle))
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&&**code))
    }

    /// Whether a code contains one of `parts`.
    fn has_code_with(&self, parts: &[&str]) -> bool {
        self.codes.iter().any(|code| parts.iter().any(|part| code.contains(part)))
    }

    /// Whether one of `faults` is near one of `nouns`, in the same sentence.
    fn says_near(&self, nouns: &[&str], faults: &[&str]) -> bool {
        const REACH: usize = 48;
        let words = self.words.as_bytes();
        nouns.iter().flat_map(|noun| self.words.match_indices(noun)).any(|(at, noun)| {
            let (before, after) = words.split_at(at);
            let before = &before[before.len().saturating_sub(REACH)..];
            let after = &after[..after.len().min(noun.len() + REACH)];
            let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
            let before = before.rsplit(['\n', ';', '!']).next().unwrap_or_default();
            let before = before.rsplit(". ").next().unwrap_or_default();
            let after = after.split(['\n', ';', '!']).next().unwrap_or_default();
            let after = after.split(". ").next().unwrap_or_default();
            let near = format!("{before}{after}");
            faults.iter().any(|fault| near.contains(fault))
        })
    }

    fn is_blocked(&self, status: u16) -> bool {
        if matches!(status, 401 | 402 | 404 | 408 | 429) {
            return false;
        }
        let is_prompt = self.has_code(&["invalidprompt"]) && !self.mentions_any(&TOO_LONG);
        if is_prompt || self.has_code_with(&BLOCKED_CODES) || is_filtered(&self.document, 0) {
            return true;
        }
        let is_stopped = self.mentions("blocked") || self.mentions("flagged");
        (self.mentions_any(&BLOCKED) || (is_stopped && self.mentions_any(&FILTERED))) && !self.mentions_any(&NO_FILTER)
    }

    fn is_loading(&self) -> bool {
        let is_loading = self.has_code(&["modelloading", "loading", "modelnotready"]) || self.mentions_any(&LOADING);
        is_loading && !self.mentions_any(&LOAD_FAILURES)
    }

    fn rate_limited(&self) -> ErrorKind {
        if self.mentions_any(&DAILY) { ErrorKind::DailyQuota } else { ErrorKind::RateLimited }
    }

    fn is_wrong_key(&self, status: u16) -> bool {
        status != 404 && (self.has_code(&KEY_CODES) || self.says_near(&KEYS, &KEY_FAULTS))
    }

    fn is_model_code(&self) -> bool {
        self.has_code_with(&MODEL_CODES) || (self.has_code(&["notfounderror", "notfound"]) && self.mentions("model"))
    }

    fn is_model_missing(&self, status: u16) -> bool {
        if status == 404 {
            return self.mentions("model") && !self.mentions_any(&["this path", "url"]);
        }
        let is_named = self.refused_parameters().is_empty() && self.says_near(&["model", "deployment"], &MODEL_FAULTS);
        matches!(status, 400 | 410 | 422) && is_named
    }

    /// Whether the words mention a schema or its field in a request, or a field of the error names it.
    fn is_about_schema(&self) -> bool {
        let named = self.named_parameters();
        if named.is_empty() {
            return self.mentions_any(&SCHEMA);
        }
        named.iter().any(|name| SCHEMA_PARAMETERS.contains(&&*squashed(name)))
    }

    fn has_lost_runner(&self) -> bool {
        self.mentions_any(&RUNNER_STOPPED) && !self.mentions("out of memory") && !self.mentions("cudamalloc")
    }
}

/// The class of an HTTP status, for bodies without further information.
pub(in crate::provider) const fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::RateLimited,
        // 408: the server timed out waiting for the request. 425: too early.
        408 | 425 | 503 | 529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Rejected,
    }
}

/// Whether a content filter reports its findings next to the error: the flagged text, or a category that it filtered.
fn is_filtered(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth > 8 => false,
        Value::Array(items) => items.iter().any(|item| is_filtered(item, depth + 1)),
        Value::Object(fields) => fields.iter().any(|(name, value)| match name.as_str() {
            "flagged_input" => !value.is_null(),
            "filtered" => value == &Value::Bool(true),
            _ => is_filtered(value, depth + 1),
        }),
        _ => false,
    }
}
