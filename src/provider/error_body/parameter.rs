//! Finds the parameters of a request that an error refuses.

use serde_json::Value;

use super::ErrorBody;
use super::parse::squashed;

/// The optional parameters of the requests of every protocol, without separators and in lower case, the longer ones of
/// a common ending first.
const PARAMETERS: [&str; 35] = [
    "anthropicversion",
    "temperature",
    "topp",
    "topk",
    "maxcompletiontokens",
    "maxoutputtokens",
    "maxtokens",
    "numpredict",
    "streamoptions",
    "includeusage",
    "responseformat",
    "responseschema",
    "responsejsonschema",
    "responsemimetype",
    "reasoningeffort",
    "reasoning",
    "servicetier",
    "thinkingconfig",
    "thinkingbudget",
    "thinkinglevel",
    "thinking",
    "think",
    "outputconfig",
    "outputformat",
    "systeminstruction",
    "frequencypenalty",
    "presencepenalty",
    "paralleltoolcalls",
    "effort",
    "keepalive",
    "numctx",
    "store",
    "seed",
    "stream",
    "stop",
];

/// Of these only those that are no ordinary words count where the message does not mark them as a name.
const WORDS: [&str; 9] =
    ["effort", "reasoning", "thinking", "think", "store", "seed", "stream", "stop", "systeminstruction"];

/// Words of a refusal.
const REFUSALS: [&str; 32] = [
    "unsupported",
    "not supported",
    "n't support",
    "not support",
    "no longer support",
    "not allowed",
    "not permitted",
    "not available",
    "not accept",
    "n't accept",
    "not compatible",
    "not recognized",
    "incompatible",
    "unknown",
    "unrecognized",
    "unexpected",
    "cannot find field",
    "invalid",
    "illegal",
    "deprecated",
    "disallowed",
    "forbidden",
    "cannot",
    "only ",
    "must ",
    "should ",
    "extra ",
    "instead",
    "remove",
    "too large",
    "too high",
    "range",
];

/// Words before the name of the parameter to use in place of the refused one.
const REPLACEMENTS: [&str; 7] =
    ["use ", "using ", "did you mean ", "replaced by ", "replaced with ", "in favor of ", "in favour of "];

impl ErrorBody {
    /// Returns the parameters that a 4xx error refuses, as the server names them, without those that it names as the ones
    /// to use instead. They come from the fields that name a parameter, or from names in the message of a refusal. Empty if
    /// the error names none.
    pub(in crate::provider) fn refused_parameters(&self) -> Vec<String> {
        let mut names = self.named_parameters();
        let replacement = self.replacement();
        let message = self.message.to_lowercase();
        let is_refusal = REFUSALS.iter().any(|words| message.contains(words))
            || self.codes.iter().any(|code| code.contains("unsupported") || code.contains("unknownparameter"));
        if names.is_empty() && is_refusal {
            let found = identifiers(&self.message).filter(Identifier::is_parameter).map(|found| found.name);
            names.extend(found.map(str::to_owned));
            if names.is_empty() && message.contains("support thinking") {
                names.push("think".to_owned());
            }
        }
        let mut refused: Vec<String> = Vec::new();
        for name in names {
            if replacement != Some(&*name) && !refused.contains(&name) {
                refused.push(name);
            }
        }
        refused
    }

    /// The parameters in fields of the error: OpenAI's `param`, FastAPI's `loc`, and Google's `fieldViolations`.
    pub(super) fn named_parameters(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect_paths(&self.document, &mut paths, 0);
        paths.iter().filter_map(|path| parameter_in(path)).map(str::to_owned).collect()
    }

    /// The parameter that the message names as the one to use.
    fn replacement(&self) -> Option<&str> {
        let lower = self.message.to_ascii_lowercase();
        REPLACEMENTS.iter().find_map(|words| {
            lower.match_indices(words).find_map(|(at, _)| {
                let found = identifiers(self.message.get(at + words.len()..)?).next()?;
                (found.start < 8 && found.is_parameter()).then_some(found.name)
            })
        })
    }
}

/// A name within a message.
struct Identifier<'a> {
    name: &'a str,
    /// Where it begins, in bytes.
    start: usize,
    /// Whether it stands between quotes, before a colon or an equals sign.
    is_marked: bool,
}

impl Identifier<'_> {
    fn is_parameter(&self) -> bool {
        let name = squashed(self.name);
        PARAMETERS.contains(&&*name) && (self.is_marked || !WORDS.contains(&&*name))
    }
}

/// Iterates over the names in `message`; the steps of a dotted path are names of their own.
fn identifiers(message: &str) -> impl Iterator<Item = Identifier<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut rest = message;
    std::iter::from_fn(move || {
        let start = message.len() - rest.len() + rest.find(is_part)?;
        let tail = message.get(start..)?;
        let name = tail.get(..tail.find(|c| !is_part(c)).unwrap_or(tail.len()))?;
        rest = message.get(start + name.len()..)?;
        let before = message.get(..start).and_then(|text| text.chars().next_back());
        let is_marked = matches!(before, Some('\'' | '"' | '`' | '“' | '‘' | '*' | '.'))
            || rest.starts_with([':', '=', '.'])
            || message
                .get(..start)
                .is_some_and(|text| text.ends_with("parameter: ") || text.ends_with("argument supplied: "));
        Some(Identifier { name, start, is_marked })
    })
}

/// The last step of `path` that is a parameter.
fn parameter_in(path: &str) -> Option<&str> {
    let mut steps = path.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    steps.rfind(|step| PARAMETERS.contains(&&*squashed(step)))
}

fn collect_paths(value: &Value, paths: &mut Vec<String>, depth: usize) {
    if depth > 8 {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_paths(item, paths, depth + 1)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (&*squashed(name), value) {
                    ("param" | "parameter" | "field", Value::String(path)) => paths.push(path.clone()),
                    ("loc", Value::Array(steps)) => {
                        let steps: Vec<_> = steps.iter().filter_map(Value::as_str).collect();
                        paths.push(steps.join("."));
                    }
                    // Some servers repeat the request in it.
                    ("input" | "ctx", _) => {}
                    ("raw" | "message" | "error" | "detail", Value::String(text))
                        if text.trim_start().starts_with(['{', '[']) =>
                    {
                        if let Ok(inner) = serde_json::from_str(text) {
                            collect_paths(&inner, paths, depth + 1);
                        }
                    }
                    (_, value) => collect_paths(value, paths, depth + 1),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Vec<String> {
        ErrorBody::parse(400, body.as_bytes()).refused_parameters()
    }

    fn names(message: &str) -> Vec<String> {
        refused(&serde_json::json!({"error": {"message": message}}).to_string())
    }

    #[test]
    fn a_field_names_the_parameter() {
        let temperature = r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#;
        assert_eq!(refused(temperature), ["temperature"]);
        let tokens = r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#;
        assert_eq!(refused(tokens), ["max_tokens"]);
        let fastapi = r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"response_format":1}},{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}"#;
        assert_eq!(refused(fastapi), ["stream_options", "seed"]);
        let google = r#"{"error":{"code":400,"message":"Invalid value","details":[{"fieldViolations":[{"field":"generation_config.thinking_config","description":"no"}]}]}}"#;
        assert_eq!(refused(google), ["thinking_config"]);
        let nested = r#"{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"no\",\"param\":\"temperature\"}}"}}}"#;
        assert_eq!(refused(nested), ["temperature"]);
    }

    #[test]
    fn the_message_of_a_refusal_names_the_parameter() {
        for (message, expected) in [
            (
                "Unsupported parameter: 'max_tokens' is not supported. Use `max_completion_tokens` instead.",
                "max_tokens",
            ),
            ("Unrecognized request argument supplied: stream_options", "stream_options"),
            ("property 'stream_options' is unsupported", "stream_options"),
            ("Unknown name \"thinkingConfig\" at 'generation_config': Cannot find field.", "thinkingConfig"),
            ("json: unknown field \"keep_alive\"", "keep_alive"),
            ("`temperature` is deprecated for this model.", "temperature"),
            ("gpt-5 models don't support temperature=0.7. Only temperature=1 is supported.", "temperature"),
            ("invalid temperature: only 1 is allowed for this model", "temperature"),
            ("azure does not support parameters: ['stream_options'], for model=m", "stream_options"),
            ("temperature: Extra inputs are not permitted", "temperature"),
            ("temperature: range: 0..1", "temperature"),
            ("\"m\" does not support thinking", "think"),
            ("The parameter reasoning_effort is not available for this model", "reasoning_effort"),
            ("'think' value \"high\" is not supported for this model", "think"),
        ] {
            assert_eq!(names(message), [expected], "{message}");
        }
        assert_eq!(names("`temperature` and `top_p` cannot both be specified"), ["temperature", "top_p"]);
        assert_eq!(
            names("this model does not support max_tokens, please use max_completion_tokens instead"),
            ["max_tokens"]
        );
    }

    #[test]
    fn other_errors_name_none() {
        for message in [
            "Invalid request",
            "stop thinking that this is valid",
            "messages: at least one message is required",
            "the model is unknown",
            "The seed of the idea is invalid",
        ] {
            assert_eq!(names(message), Vec::<String>::new(), "{message}");
        }
    }
}
