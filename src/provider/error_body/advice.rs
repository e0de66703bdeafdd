//! What to do about an error, where the server's words do not say it.

use super::ErrorBody;
use crate::config::Provider;
use crate::error::ErrorKind;
use crate::provider::Target;
use crate::transport::host_and_port;

/// Paths that belong to a request and not to a base URL.
const REQUEST_PATHS: [&str; 9] = [
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/messages",
    "/models",
    "/api/chat",
    "/api/generate",
    "/api",
];

/// The words of `error`, with what to do about an error of class `kind`.
pub(super) fn message(target: &Target, error: &ErrorBody, status: u16, kind: ErrorKind) -> String {
    let words = &error.message;
    match (kind, target.provider) {
        (ErrorKind::DailyQuota, _) => format!("the quota of the day is used up: {words}"),
        (ErrorKind::InsufficientQuota, _) => format!("the account's quota is used up: {words}"),
        (ErrorKind::ModelMissing, Provider::Ollama) => {
            format!("the model is not installed: run `ollama pull {}`", target.model)
        }
        (ErrorKind::ContextTooLong, Provider::Ollama) => {
            format!("{words} (set ollama_num_ctx higher, or OLLAMA_CONTEXT_LENGTH where the server runs)")
        }
        (ErrorKind::Rejected, _) if matches!(status, 404 | 405) => match address_advice(target) {
            Some(advice) => format!("{}; {advice}", words.trim_end_matches('.')),
            None => words.clone(),
        },
        _ => words.clone(),
    }
}

/// What is wrong with the base URL of `target`, whose server does not know the address of the request. Repeats no path: it
/// may contain a key.
fn address_advice(target: &Target) -> Option<String> {
    let url = target.base_url.url()?;
    let path = url.path().trim_end_matches('/');
    let (setting, version) = match target.provider {
        Provider::OpenAi => ("openai_base_url or OPENAI_BASE_URL", "/v1"),
        Provider::Anthropic => ("anthropic_base_url or ANTHROPIC_BASE_URL", "/v1"),
        Provider::Gemini => ("gemini_base_url or GEMINI_BASE_URL", "/v1beta"),
        Provider::Ollama => ("ollama_host or OLLAMA_HOST", ""),
        Provider::Mock => return None,
    };
    if let Some(request) = REQUEST_PATHS.iter().find(|request| path.ends_with(*request)) {
        return Some(format!("the base URL must not contain {request}, which is added to it: change {setting}"));
    }
    let server = format!("{}://{}", url.scheme(), host_and_port(url));
    if target.provider == Provider::Ollama {
        return Some(if path.ends_with("/v1") {
            format!("the base URL ends with /v1, the OpenAI protocol of the server: set {setting} to {server}")
        } else {
            format!("is this Ollama? Check {setting}")
        });
    }
    let has_version = path.split('/').any(|step| {
        let number = step.strip_prefix('v').unwrap_or_default();
        number.starts_with(|c: char| c.is_ascii_digit())
    });
    Some(if target.provider == Provider::Anthropic {
        format!("the server has no /v1/messages: check {setting}, to which /v1 is added where it is missing")
    } else if has_version {
        format!("the server has no such address: check {setting}")
    } else {
        format!("the base URL names no version: set {setting}, for example to {server}{version}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::target;

    fn advice(provider: Provider, base: &str) -> String {
        let target = target(provider, base, None);
        let error = ErrorBody::parse(404, b"{\"detail\":\"Not Found.\"}");
        message(&target, &error, 404, ErrorKind::Rejected)
    }

    #[test]
    fn an_unknown_address_says_what_is_wrong_with_the_base_url() {
        for (provider, base, hint) in [
            (Provider::OpenAi, "http://h:1", "set openai_base_url or OPENAI_BASE_URL, for example to http://h:1/v1"),
            (Provider::OpenAi, "https://h/", "https://h:443/v1"),
            (Provider::OpenAi, "http://h/v1/chat/completions", "must not contain /chat/completions"),
            (Provider::OpenAi, "http://h/openai/v1", "check openai_base_url"),
            (Provider::Anthropic, "http://h/v1/messages", "must not contain /messages"),
            (Provider::Anthropic, "http://h", "has no /v1/messages: check anthropic_base_url"),
            (Provider::Gemini, "http://h:1", "http://h:1/v1beta"),
            (Provider::Ollama, "http://h:11434/v1", "set ollama_host or OLLAMA_HOST to http://h:11434"),
            (Provider::Ollama, "http://h:11434/api", "must not contain /api"),
            (Provider::Ollama, "http://h:1", "is this Ollama?"),
        ] {
            let message = advice(provider, base);
            assert!(message.starts_with("Not Found; "), "{message}");
            assert!(message.contains(hint), "{base}: {message}");
        }
    }

    #[test]
    fn advice_repeats_neither_a_password_nor_a_path() {
        for base in ["http://user:secret@h/x", "http://h/secret/v1", "http://h/x?key=secret"] {
            assert!(!advice(Provider::OpenAi, base).contains("secret"), "{base}");
        }
    }
}
