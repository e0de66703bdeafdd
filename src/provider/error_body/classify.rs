//! Classifies an error by its status, its codes and its words. All providers share one list: gateways forward the errors of
//! any provider in the envelope of another one.

use serde_json::Value;

use super::ErrorBody;
use super::parse::squashed;
use crate::error::ErrorKind;

/// Parts of the codes of a content filter, without separators and in lower case.
const BLOCKED_CODES: [&str; 16] = [
    "contentfilter",
    "contentpolicy",
    "contentmoderation",
    "contentblocked",
    "contentviolation",
    "contentsafety",
    "contentrisk",
    "moderation",
    "guardrail",
    "datainspection",
    "responsibleai",
    "policyviolation",
    "promptblocked",
    "inappropriatecontent",
    "sensitivecontent",
    "safety",
];

/// Words of a content filter: Azure, OpenAI, Anthropic, OpenRouter, Bedrock, Vertex, xAI, DeepSeek, Moonshot, and the two
/// Chinese words for sensitive and for unlawful content.
const BLOCKED: [&str; 37] = [
    "content filter",
    "content_filter",
    "content-filter",
    "contentfilter",
    "contentpolicy",
    "was filtered",
    "content management policy",
    "content policy",
    "content_policy",
    "content policies",
    "content moderation",
    "requires moderation",
    "moderation policy",
    "moderation system",
    "usage polic",
    "usage guidelines",
    "use policy",
    "safety polic",
    "safety guideline",
    "safety filter",
    "safety system",
    "safety setting",
    "safety check",
    "safety reasons",
    "responsible ai",
    "guardrail",
    "model armor",
    "prohibited content",
    "prohibited use",
    "inappropriate content",
    "harmful content",
    "sensitive content",
    "unsafe content",
    "content exists risk",
    "considered high risk",
    "敏感",
    "违规",
];

/// What a filter blocks or flags. With these words alone it may as well be a firewall.
const FILTERED: [&str; 9] =
    ["content", "prompt", "safety", "harm", "moderation", "your input", "the input", "output", "response"];

/// Words of a block that is about the account or the network, not about the content.
const NO_FILTER: [&str; 10] = [
    "your account",
    "account has been",
    "account is",
    "organization has been",
    "suspended",
    "deactivated",
    "firewall",
    "cloudflare",
    "ip address",
    "service controls",
];

const CREDIT_CODES: [&str; 9] = [
    "insufficientquota",
    "insufficientbalance",
    "insufficientcredit",
    "insufficientfunds",
    "exceededcurrentquota",
    "billing",
    "arrear",
    "creditsexhausted",
    "paymentrequired",
];

const CREDIT: [&str; 14] = [
    "insufficient_quota",
    "credit balance",
    "insufficient balance",
    "insufficient credit",
    "insufficient account balance",
    "insufficient funds",
    "not enough credit",
    "requires more credits",
    "out of credits",
    "no credits",
    "account balance",
    "balance is too low",
    "billing hard limit",
    "余额不足",
];

const KEY_CODES: [&str; 16] = [
    "invalidapikey",
    "apikeyinvalid",
    "apikeyexpired",
    "apikeynotfound",
    "incorrectapikey",
    "invalidkey",
    "noapikey",
    "missingapikey",
    "invalidxapikey",
    "authenticationerror",
    "authenticationfailed",
    "authenticationrequired",
    "invalidauthentication",
    "invalidcredentials",
    "unauthenticated",
    "unauthorized",
];

const KEYS: [&str; 13] = [
    "api key",
    "api-key",
    "api_key",
    "apikey",
    "access key",
    "access token",
    "auth token",
    "authentication token",
    "bearer token",
    "authorization header",
    "credentials",
    "subscription key",
    "unregistered callers",
];

/// What is wrong with a key.
const KEY_FAULTS: [&str; 22] = [
    "incorrect",
    "invalid",
    "not valid",
    "wrong",
    "expired",
    "missing",
    "not provided",
    "provide an",
    "provide a",
    "no api",
    "no credentials",
    "no auth",
    "not found",
    "revoked",
    "disabled",
    "unknown",
    "malformed",
    "leaked",
    "unregistered",
    "is required",
    "rejected",
    "could not be verified",
];

const MODEL_CODES: [&str; 13] = [
    "modelnotfound",
    "modelnotexist",
    "modeldoesnotexist",
    "modelnotsupported",
    "modeldecommissioned",
    "modelretired",
    "deploymentnotfound",
    "invalidmodel",
    "unknownmodel",
    "nosuchmodel",
    "unsupportedmodel",
    "nosuchdeployment",
    "enginenotfound",
];

/// What a server says near the word "model" if it does not have it.
const MODEL_FAULTS: [&str; 25] = [
    "not found",
    "does not exist",
    "doesn't exist",
    "not exist",
    "no such model",
    "unknown model",
    "invalid model",
    "not a valid model",
    "unrecognized model",
    "could not find",
    "cannot find",
    "can't find",
    "not supported by any",
    "no longer available",
    "no longer supported",
    "decommissioned",
    "retired",
    "has been deprecated",
    "is not available",
    "not installed",
    "is not loaded",
    "try pulling",
    "not served",
    "model is not supported",
    "unsupported model",
];

/// Words of a server that is still loading its model: llama.cpp, llama-swap, Hugging Face, and others.
const LOADING: [&str; 22] = [
    "loading model",
    "loading the model",
    "model is loading",
    "model loading",
    "model is currently loading",
    "currently loading",
    "still loading",
    "being loaded",
    "is loading",
    "not loaded yet",
    "not yet loaded",
    "not finished loading",
    "waiting for model",
    "waiting for the model",
    "model is not ready",
    "model not ready",
    "not ready yet",
    "not yet ready",
    "warming up",
    "is starting",
    "starting up",
    "still starting",
];

/// Words of a server that will never load it.
const LOAD_FAILURES: [&str; 9] = [
    "error loading",
    "failed to load",
    "failed loading",
    "unable to load",
    "could not load",
    "cannot load",
    "failed to start",
    "out of memory",
    "exited",
];

const RATE_CODES: [&str; 7] = [
    "ratelimit",
    "toomanyrequests",
    "throttl",
    "resourceexhausted",
    "quotaexceeded",
    "requestlimitexceeded",
    "tokenlimitexceededperminute",
];

const RATE: [&str; 5] =
    ["rate limit exceeded", "rate limit reached", "rate limit of", "rate-limited", "too many requests"];

/// Words in the error for a daily quota.
const DAILY: [&str; 6] = ["per day", "perday", "per-day", "daily", "(rpd)", "(tpd)"];

/// Words in the error for a prompt that exceeds the model's context window.
const TOO_LONG: [&str; 26] = [
    "exceed_context_size",
    "context size",
    "context_length",
    "context length",
    "context limit",
    "context window",
    "maximum context",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "messages is too long",
    "message is too long",
    "total length of",
    "input token count",
    "input length",
    "too_many_prompt_tokens",
    "too many prompt tokens",
    "too many input tokens",
    "too many tokens",
    "token limit",
    "maximum number of tokens",
    "max_model_len",
    "reduce the length of",
    "reduce your message size",
    "request too large for model",
];

/// Words in the error for a schema that the server does not accept: its field in the request, or what it is compiled to.
/// Gemini, OpenAI, Anthropic, llama.cpp, Ollama, and compatible servers.
const SCHEMA: [&str; 18] = [
    "schema",
    "response_format",
    "response format",
    "response_mime_type",
    "response mime type",
    "responsemimetype",
    "json mode",
    "json_object",
    "json_validate_failed",
    "output_config",
    "output_format",
    "output format",
    "structured output",
    "guided",
    "grammar",
    "invalid format",
    "for format",
    "chatrequest.format",
];

/// The parameters that carry a schema, without separators and in lower case.
const SCHEMA_PARAMETERS: [&str; 6] =
    ["responseformat", "responseschema", "responsejsonschema", "responsemimetype", "outputconfig", "outputformat"];

/// Words of Ollama whose runner ended, which some schemas cause.
const RUNNER_STOPPED: [&str; 3] =
    ["runner has unexpectedly stopped", "runner process has terminated", "runner process no longer running"];

const OVERLOADED_CODES: [&str; 8] = [
    "overloaded",
    "overloadederror",
    "engineoverloaded",
    "serveroverloaded",
    "modeloverloaded",
    "unavailable",
    "unavailableerror",
    "serviceunavailable",
];

const FORBIDDEN_CODES: [&str; 4] = ["permissionerror", "permissiondenied", "accessdenied", "forbidden"];

/// Codes of an invalid request. Gateways change the status that comes with them.
const REQUEST_CODES: [&str; 4] = ["invalidrequesterror", "invalidargument", "requesttoolarge", "notfounderror"];

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

#[cfg(test)]
mod tests {
    use ErrorKind as E;
    use serde_json::json;

    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        ErrorBody::parse(status, body.as_bytes()).kind(status)
    }

    fn assert_kinds(expected: ErrorKind, replies: &[(u16, &str)]) {
        for (status, words) in replies {
            let body = if words.starts_with(['{', '[']) {
                (*words).to_owned()
            } else {
                json!({"error": {"message": words}}).to_string()
            };
            assert_eq!(kind(*status, &body), expected, "{status} {words}");
        }
    }

    #[test]
    fn content_filters_are_blocked() {
        assert_kinds(
            E::Blocked,
            &[
                (
                    400,
                    r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true}}}}}"#,
                ),
                (
                    400,
                    r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}"#,
                ),
                (
                    400,
                    r#"{"error":{"message":"Your request was rejected as a result of our safety system.","code":"content_policy_violation"}}"#,
                ),
                (
                    403,
                    r#"{"error":{"code":403,"message":"m requires moderation on OpenAI. Your input was flagged for \"violence\".","metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
                ),
                (403, r#"{"error":{"code":403,"message":"Forbidden","metadata":{"flagged_input":"x"}}}"#),
                (
                    400,
                    r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
                ),
                (400, r#"{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}"#),
                (400, r#"{"error":{"code":"DataInspectionFailed","message":"no"}}"#),
                (400, "Content Exists Risk"),
                (
                    403,
                    r#"{"code":"The caller does not have permission","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}"#,
                ),
                (400, "The request was rejected because it was considered high risk"),
                (
                    400,
                    r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"code\":\"content_filter\",\"message\":\"filtered\"}}"}}}"#,
                ),
                (500, "litellm.ContentPolicyViolationError: AzureException - The response was filtered"),
                (
                    400,
                    "litellm.BadRequestError: {'error': {'code': 'content_filter', 'message': 'The response was filtered'}}",
                ),
                (400, "Violated guardrail policy"),
                (422, "The prompt was blocked by our moderation"),
                (400, r#"{"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}"#),
            ],
        );
    }

    #[test]
    fn other_blocks_are_not_those_of_a_content_filter() {
        assert_kinds(
            E::Forbidden,
            &[
                (403, "Your account has been flagged for abuse"),
                (403, "Sorry, you have been blocked by Cloudflare: no content for you"),
                (403, "Request is prohibited by organization's policy."),
            ],
        );
        assert_kinds(E::RateLimited, &[(429, "Rate limit of the usage policy exceeded"), (429, "slow down")]);
    }

    #[test]
    fn a_wrong_key_is_unauthorized_whatever_the_status() {
        assert_kinds(
            E::Unauthorized,
            &[
                (401, "no"),
                (
                    400,
                    r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: sk***. You can obtain one from the console."}"#,
                ),
                (
                    400,
                    r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
                ),
                (
                    400,
                    r#"{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}"#,
                ),
                (403, "Invalid API key"),
                (
                    403,
                    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
                ),
                (403, "Your API key was reported as leaked. Please use another API key."),
                (400, "No API key provided"),
                (
                    500,
                    r#"{"error":{"message":"Authentication Error, Invalid proxy server token passed","type":"authentication_error"}}"#,
                ),
                (403, r#"{"error":{"code":"invalid_api_key"}}"#),
                (400, "Your authentication token has expired"),
            ],
        );
        assert_kinds(E::Forbidden, &[(403, "Your API key does not have permission to use this model.")]);
    }

    #[test]
    fn a_missing_model_has_many_names() {
        assert_kinds(
            E::ModelMissing,
            &[
                (
                    404,
                    r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
                ),
                (
                    400,
                    r#"{"object":"error","message":"Invalid model: m-large","type":"invalid_model","param":null,"code":"1500"}"#,
                ),
                (400, "Model Not Exist"),
                (400, "foo/bar is not a valid model ID"),
                (
                    400,
                    "/chat/completions: Invalid model name passed in model=gpt-x. Call `/v1/models` to view available models for your key.",
                ),
                (
                    400,
                    r#"{"error":{"message":"The model `x` has been decommissioned and is no longer supported.","code":"model_decommissioned"}}"#,
                ),
                (
                    400,
                    r#"{"error":{"message":"The requested model 'x' is not supported by any provider you have enabled.","code":"model_not_supported"}}"#,
                ),
                (
                    403,
                    r#"{"error":{"message":"Project `p` does not have access to model `x`","code":"model_not_found"}}"#,
                ),
                (
                    404,
                    r#"{"error":{"code":404,"message":"models/x is not found for API version v1beta, or is not supported for generateContent","status":"NOT_FOUND"}}"#,
                ),
                (
                    404,
                    r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
                ),
                (
                    404,
                    r#"{"code":"Some requested entity was not found","error":"The model grok-x does not exist or your team does not have access to it."}"#,
                ),
                (400, "Unknown model: x"),
                (410, "The model x has been retired."),
                (500, r#"{"error":{"message":"model not found","code":"model_not_found"}}"#),
            ],
        );
        assert_kinds(
            E::Rejected,
            &[
                (404, "Not Found"),
                (400, "Images are not supported by the model"),
                (400, "The model could not process the image"),
                (400, "messages.0.role does not exist"),
            ],
        );
    }

    #[test]
    fn a_prompt_that_is_too_long_has_many_names() {
        assert_kinds(
            E::ContextTooLong,
            &[
                (
                    400,
                    r#"{"error":{"message":"The total length of all messages is too long.","type":"too_many_prompt_tokens","code":400}}"#,
                ),
                (
                    400,
                    r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"This endpoint's maximum context length is 8192 tokens.\"}}","provider_name":"P"}}}"#,
                ),
                (
                    400,
                    r#"{"error":{"message":"Provider returned error","metadata":{"raw":"prompt is too long: 9 tokens > 8 maximum"}}}"#,
                ),
                (400, "Input is too long for requested model."),
                (400, "Range of input length should be [1, 30720]"),
                (400, "Your request exceeded model token limit : 8192"),
                (
                    413,
                    r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#,
                ),
                (422, "`inputs` must have less than 4096 tokens: input length 5000"),
                (500, "the request exceeds the available context size, try increasing it"),
            ],
        );
        assert_kinds(
            E::Rejected,
            &[
                (400, "max_output is too large: 100000. This model supports at most 4096 completion tokens"),
                (413, "<html><title>413 Request Entity Too Large</title></html>"),
            ],
        );
    }

    #[test]
    fn a_server_that_loads_its_model_is_loading() {
        assert_kinds(
            E::Loading,
            &[
                (503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#),
                (503, r#"{"error":"Model x is currently loading","estimated_time":20.0}"#),
                (503, "model is still loading, please wait"),
                (503, "The model is not ready yet"),
                (502, "upstream is starting up"),
                (500, "llm server loading model"),
                (429, "Model is loading, retry later"),
            ],
        );
        assert_kinds(E::Server, &[(500, "error loading model: unknown architecture"), (500, "failed to load model")]);
        assert_kinds(E::Overloaded, &[(503, "server busy, please try again.")]);
    }

    #[test]
    fn quotas_and_limits_are_told_apart() {
        assert_kinds(
            E::InsufficientQuota,
            &[
                (402, "no"),
                (429, r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#),
                (429, r#"{"error":{"message":"suspended","type":"exceeded_current_quota_error"}}"#),
                (400, "Your credit balance is too low to access the API"),
                (
                    400,
                    r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
                ),
                (403, "Insufficient Balance"),
            ],
        );
        assert_kinds(
            E::DailyQuota,
            &[
                (429, r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429}}"#),
                (429, "Rate limit reached on tokens per day (TPD): Limit 100000"),
                (
                    429,
                    r#"{"error":{"details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}]}}"#,
                ),
            ],
        );
        assert_kinds(
            E::RateLimited,
            &[
                (429, "You exceeded your current quota. Please retry in 1.5s."),
                (400, r#"{"message":"Too many requests","__type":"ThrottlingException"}"#),
                (
                    403,
                    r#"{"error":{"errors":[{"reason":"rateLimitExceeded"}],"code":403,"message":"Rate Limit Exceeded"}}"#,
                ),
                (503, r#"{"error":{"code":"rate_limit_exceeded","message":"no"}}"#),
            ],
        );
    }

    #[test]
    fn an_error_without_a_status_is_classified_by_its_codes() {
        for (body, expected) in [
            (r#"{"error":{"message":"no","type":"overloaded_error"}}"#, E::Overloaded),
            (r#"{"error":{"message":"no","code":"rate_limit_exceeded"}}"#, E::RateLimited),
            (r#"{"error":{"message":"no","code":502}}"#, E::Server),
            (r#"{"error":{"message":"no","code":"503"}}"#, E::Overloaded),
            (r#"{"error":{"message":"no","type":"authentication_error"}}"#, E::Unauthorized),
            (r#"{"error":{"message":"no","type":"invalid_request_error"}}"#, E::Rejected),
            (r#"{"error":{"message":"no","code":"content_filter"}}"#, E::Blocked),
            (r#"{"error":{"message":"no","status":"UNAVAILABLE"}}"#, E::Overloaded),
            (r#"{"error":"out of memory"}"#, E::Server),
            (r#"{"object":"error","message":"no","code":40303}"#, E::Server),
        ] {
            let error = ErrorBody::parse(200, body.as_bytes());
            assert_eq!(error.kind(error.status()), expected, "{body}");
        }
    }
}
