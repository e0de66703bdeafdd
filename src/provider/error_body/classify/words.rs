//! The codes and words by which errors are classified.

/// Parts of the codes of a content filter, without separators and in lower case.
pub(super) const BLOCKED_CODES: [&str; 16] = [
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

/// Words of a content filter: Azure, OpenAI, Anthropic, OpenRouter, Bedrock, Vertex, xAI and others, and the two
/// Chinese words for sensitive and for unlawful content.
pub(super) const BLOCKED: [&str; 37] = [
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
pub(super) const FILTERED: [&str; 9] =
    ["content", "prompt", "safety", "harm", "moderation", "your input", "the input", "output", "response"];

/// Words of a block that is about the account or the network, not about the content.
pub(super) const NO_FILTER: [&str; 10] = [
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

pub(super) const CREDIT_CODES: [&str; 9] = [
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

pub(super) const CREDIT: [&str; 14] = [
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

pub(super) const KEY_CODES: [&str; 16] = [
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

pub(super) const KEYS: [&str; 13] = [
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
pub(super) const KEY_FAULTS: [&str; 22] = [
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

pub(super) const MODEL_CODES: [&str; 13] = [
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
pub(super) const MODEL_FAULTS: [&str; 25] = [
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
pub(super) const LOADING: [&str; 22] = [
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
pub(super) const LOAD_FAILURES: [&str; 9] = [
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

pub(super) const RATE_CODES: [&str; 7] = [
    "ratelimit",
    "toomanyrequests",
    "throttl",
    "resourceexhausted",
    "quotaexceeded",
    "requestlimitexceeded",
    "tokenlimitexceededperminute",
];

pub(super) const RATE: [&str; 5] =
    ["rate limit exceeded", "rate limit reached", "rate limit of", "rate-limited", "too many requests"];

/// Words in the error for a daily quota.
pub(super) const DAILY: [&str; 6] = ["per day", "perday", "per-day", "daily", "(rpd)", "(tpd)"];

/// Words in the error for a prompt that exceeds the model's context window.
pub(super) const TOO_LONG: [&str; 26] = [
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
pub(super) const SCHEMA: [&str; 19] = [
    "schema",
    "response_format",
    "response format",
    "text.format",
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
pub(super) const SCHEMA_PARAMETERS: [&str; 6] =
    ["responseformat", "responseschema", "responsejsonschema", "responsemimetype", "outputconfig", "outputformat"];

/// Words of Ollama whose runner ended, which some schemas cause.
pub(super) const RUNNER_STOPPED: [&str; 3] =
    ["runner has unexpectedly stopped", "runner process has terminated", "runner process no longer running"];

pub(super) const OVERLOADED_CODES: [&str; 8] = [
    "overloaded",
    "overloadederror",
    "engineoverloaded",
    "serveroverloaded",
    "modeloverloaded",
    "unavailable",
    "unavailableerror",
    "serviceunavailable",
];

pub(super) const FORBIDDEN_CODES: [&str; 4] = ["permissionerror", "permissiondenied", "accessdenied", "forbidden"];

/// Codes of an invalid request. Gateways change the status that comes with them.
pub(super) const REQUEST_CODES: [&str; 4] =
    ["invalidrequesterror", "invalidargument", "requesttoolarge", "notfounderror"];
