//! The classes of errors in the words and codes of many servers.

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
            (403, r#"{"error":{"message":"Project `p` does not have access to model `x`","code":"model_not_found"}}"#),
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
            (429, r#"{"error":{"details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}]}}"#),
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
