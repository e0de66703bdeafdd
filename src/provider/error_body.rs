//! Errors in replies: their class, and the words that the server sends with them.

mod advice;
mod classify;
mod parameter;
mod parse;
mod wait;

use http::header::HeaderMap;
use serde_json::Value;

use super::Target;
use crate::error::{Error, ErrorKind};
use crate::parameter::{Parameter, Refusal};

pub(super) use classify::kind_of_status;

/// The longest server message in an error, in characters.
const MAX_MESSAGE: usize = 500;

/// The error in the body of a reply, or in an event of a stream.
#[derive(Debug)]
pub(super) struct ErrorBody {
    /// The server's words, those of an outer error before those of its cause; never empty.
    pub(super) message: String,
    /// The words and the codes in lower case.
    words: String,
    /// The codes in lower case without separators.
    codes: Vec<String>,
    /// The codes that are HTTP statuses of an error.
    statuses: Vec<u16>,
    /// All of the error, or null if it is no JSON.
    document: Value,
}

impl ErrorBody {
    /// The error of `target` with these words, for a reply with `status` and `headers`.
    pub(super) fn into_error(self, target: &Target, status: u16, headers: &HeaderMap) -> Error {
        let kind = self.kind(status);
        let message = advice::message(target, &self, status, kind);
        let error = target_error(target, kind, &message).with_status(status).with_retry_after(self.wait(kind, headers));
        if kind != ErrorKind::Rejected {
            return error;
        }
        let refused = self.refused_parameters();
        match Refusal::new(refused.iter().filter_map(|name| Parameter::parse(name)), &self.message) {
            Some(refusal) => error.with_refusal(refusal).reclassified(ErrorKind::ParameterRejected),
            None => error,
        }
    }

    /// The error of `target` that a reply of status 200 or an event of a stream reports.
    pub(super) fn into_reply_error(self, target: &Target) -> Error {
        let status = self.status();
        self.into_error(target, status, &HeaderMap::new())
    }
}

/// An error of `target`. The message is one line of limited length without the target's key, which some servers repeat.
pub(super) fn target_error(target: &Target, kind: ErrorKind, message: &str) -> Error {
    let message = match target.api_key() {
        Some(key) => shorten(&message.replace(key, "***")),
        None => shorten(message),
    };
    target.locate(Error::new(kind, message))
}

/// `message` as one line of at most [`MAX_MESSAGE`] characters.
pub(super) fn shorten(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::config::Provider;

    fn message(status: u16, body: &'static str) -> String {
        ErrorBody::parse(status, body.as_bytes()).message
    }

    #[test]
    fn every_shape_of_error_body_is_parsed() {
        assert_eq!(message(500, r#"{"error":"no"}"#), "no");
        assert_eq!(message(500, r#"{"error":{"message":" no "}}"#), "no");
        assert_eq!(message(500, r#"[{"error":{"message":"no"}}]"#), "no");
        assert_eq!(message(500, r#"{"message":"no"}"#), "no");
        assert_eq!(message(500, r#"{"detail":"no"}"#), "no");
        let errors = r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"}]}"#;
        assert_eq!(message(422, errors), "body.messages.….role: Field required");
        assert_eq!(message(500, r#"{"error":"{\"error\":{\"code\":400,\"message\":\"inner\"}}"}"#), "inner");
        assert_eq!(message(500, "upstream connect error"), "upstream connect error");
        for silent in ["", "<html>502</html>", "{}", "[]", r#"{"error":{}}"#, r#"{"error":""}"#, "{\"err"] {
            assert_eq!(message(502, silent), "failed without saying why", "{silent}");
        }
        assert!(message(404, "<html>").contains("base URL"));
        assert!(message(301, "").contains("redirects"));
    }

    #[test]
    fn statuses_have_classes() {
        for (status, kind) in [
            (301, ErrorKind::Rejected),
            (400, ErrorKind::Rejected),
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::Rejected),
            (422, ErrorKind::Rejected),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (502, ErrorKind::Server),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Server),
            (529, ErrorKind::Overloaded),
        ] {
            assert_eq!(kind_of_status(status), kind, "{status}");
        }
    }

    #[test]
    fn the_key_is_removed_before_the_message_is_shortened() {
        let target = target(Provider::OpenAi, "http://h", Some("sk-0123456789"));
        let long = format!("{}sk-0123456789{}", "é".repeat(495), "x".repeat(500));
        let error = target_error(&target, ErrorKind::Unauthorized, &long);
        assert!(error.message().ends_with("é***xx…"), "{error}");
        assert_eq!(error.message().chars().count(), MAX_MESSAGE + 1);
    }
}
