//! The optional parameters of requests, and requests that leave some of them out.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{ModelOptions, Target, codec};
use super::{KEY, body, bounded, encoded, error, target};
use crate::config::{Effort, Provider, Think, Thinking};
use crate::error::ErrorKind;
use crate::message::Request;
use crate::parameter::{Adjustments, Parameter, Refusal};

fn at(provider: Provider, model: &str, options: ModelOptions) -> Target {
    let base = match provider {
        Provider::Ollama => "http://localhost:11434",
        Provider::OpenAi => "https://api.openai.com/v1",
        Provider::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        _ => "https://api.anthropic.com/v1",
    };
    Target { model: Arc::from(model), options, ..target(provider, base, Some(KEY)) }
}

/// What `target` is sent after it refused `parameters`, or if it has to think less.
fn adjusted(target: &Target, parameters: &[Parameter], less_thinking: bool) -> Value {
    let refusal = Refusal::new(parameters.iter().copied(), "is not supported");
    let mut adjustments = refusal.map_or_else(Adjustments::default, |refusal| Adjustments::default().after(refusal));
    adjustments.less_thinking = less_thinking;
    encoded(target, &Request { adjustments, ..bounded() })
}

#[test]
fn configured_parameters_are_sent_until_they_are_refused() {
    let effort = || ModelOptions {
        effort: Some(Effort::High),
        service_tier: Some(Arc::from("flex")),
        think: Some(Think::Low),
        thinking: Some(Thinking::Budget(64)),
        ..ModelOptions::default()
    };
    for (provider, path, parameter, value) in [
        (Provider::OpenAi, "/reasoning_effort", Parameter::ReasoningEffort, json!("high")),
        (Provider::OpenAi, "/service_tier", Parameter::ServiceTier, json!("flex")),
        (Provider::OpenAi, "/max_completion_tokens", Parameter::MaxCompletionTokens, json!(64)),
        (Provider::OpenAi, "/temperature", Parameter::Temperature, json!(0.9)),
        (Provider::Anthropic, "/output_config/effort", Parameter::Effort, json!("high")),
        (Provider::Anthropic, "/temperature", Parameter::Temperature, json!(0.9)),
        (
            Provider::Gemini,
            "/generationConfig/thinkingConfig",
            Parameter::ThinkingConfig,
            json!({"thinkingBudget": 64}),
        ),
        (Provider::Gemini, "/generationConfig/maxOutputTokens", Parameter::MaxOutputTokens, json!(64)),
        (Provider::Gemini, "/generationConfig/temperature", Parameter::Temperature, json!(0.9)),
        (Provider::Ollama, "/think", Parameter::Think, json!("low")),
        (Provider::Ollama, "/options/num_predict", Parameter::NumPredict, json!(64)),
        (Provider::Ollama, "/options/temperature", Parameter::Temperature, json!(0.9)),
    ] {
        let target = at(provider, "the-model", effort());
        assert_eq!(adjusted(&target, &[], false).pointer(path), Some(&value), "{provider} {path}");
        assert_eq!(adjusted(&target, &[parameter], false).pointer(path), None, "{provider} {path}");
    }
}

#[test]
fn the_limit_of_tokens_has_the_name_that_is_not_refused() {
    let sent = |base: &str, parameters: &[Parameter]| {
        let body = adjusted(&target(Provider::OpenAi, base, None), parameters, false);
        ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).is_some())
    };
    let (older, newer) = (Parameter::MaxTokens, Parameter::MaxCompletionTokens);
    assert_eq!(sent("http://h:1/v1", &[]), [true, false]);
    assert_eq!(sent("http://h:1/v1", &[older]), [false, true]);
    assert_eq!(sent("https://api.openai.com/v1", &[]), [false, true]);
    assert_eq!(sent("https://api.openai.com/v1", &[newer]), [true, false]);
    assert_eq!(sent("http://h:1/v1", &[older, newer]), [false, false]);
}

#[test]
fn less_thinking_is_the_least_that_the_model_takes() {
    for (provider, model, path, least) in [
        (Provider::OpenAi, "o3", "/reasoning_effort", Some(json!("low"))),
        (Provider::OpenAi, "gpt-5-mini", "/reasoning_effort", Some(json!("minimal"))),
        (Provider::OpenAi, "gpt-5.4", "/reasoning_effort", Some(json!("none"))),
        (Provider::OpenAi, "gpt-6.2-sol", "/reasoning_effort", Some(json!("low"))),
        (Provider::OpenAi, "gpt-4.1", "/reasoning_effort", None),
        (Provider::Anthropic, "claude-sonnet-5-5", "/output_config/effort", Some(json!("low"))),
        (Provider::Anthropic, "claude-sonnet-4-5", "/output_config/effort", None),
        (Provider::Anthropic, "qwen3:4b", "/thinking/type", Some(json!("disabled"))),
        (Provider::Ollama, "qwen3:4b", "/think", Some(json!(false))),
        (Provider::Ollama, "gpt-oss:20b", "/think", Some(json!("low"))),
        (Provider::Gemini, "gemini-2.5-flash", "/generationConfig/thinkingConfig/thinkingBudget", Some(json!(0))),
    ] {
        let target = at(provider, model, ModelOptions::default());
        assert_eq!(adjusted(&target, &[], false).pointer(path), None, "{model}");
        assert_eq!(adjusted(&target, &[], true).pointer(path), least.as_ref(), "{model}");
        let changes =
            codec(provider).unwrap().changes(&target, &bounded(), Adjustments::default().with_less_thinking());
        assert_eq!(changes, least.is_some(), "{model}");
    }
}

#[test]
fn less_thinking_on_servers_of_others() {
    for (base, model, least) in [
        ("http://127.0.0.1:8080/v1", "qwen3", "none"),
        ("http://gpu-box:8080/v1", "qwen3", "none"),
        ("http://gpu-box:8080/v1", "openai/gpt-oss-20b", "low"),
        ("https://openrouter.ai/api/v1", "qwen/qwen3-32b", "low"),
    ] {
        let target = Target { model: Arc::from(model), ..target(Provider::OpenAi, base, None) };
        assert_eq!(adjusted(&target, &[], true)["reasoning_effort"], least, "{base} {model}");
    }
}

#[test]
fn the_version_of_anthropics_api_depends_on_the_temperature() {
    let version = |request: &Request| {
        let target = at(Provider::Anthropic, "claude-sonnet-4-5", ModelOptions::default());
        let wire = codec(Provider::Anthropic).unwrap().encode(&target, request).unwrap();
        wire.headers[0].1.to_str().unwrap().to_owned()
    };
    assert_eq!(version(&bounded()), "2023-06-01");
    assert_eq!(version(&Request { temperature: None, ..bounded() }), "2026-10-21");
    let refusal = Refusal::new([Parameter::AnthropicVersion], "anthropic-version: unknown").unwrap();
    let adjustments = Adjustments::default().after(refusal);
    assert_eq!(version(&Request { temperature: None, adjustments, ..bounded() }), "2023-06-01");
}

#[test]
fn the_key_of_azure_has_a_header_of_its_own() {
    let header = |base: &str, name: Option<&str>| {
        let options = ModelOptions { key_header: name.map(|name| name.parse().unwrap()), ..ModelOptions::default() };
        let target = Target { options, ..target(Provider::OpenAi, base, Some(KEY)) };
        let wire = codec(Provider::OpenAi).unwrap().encode(&target, &bounded()).unwrap();
        assert!(wire.headers[0].1.is_sensitive() && wire.headers.len() == 1);
        (wire.headers[0].0.to_string(), wire.headers[0].1.to_str().unwrap().to_owned())
    };
    let (bearer, plain) = (format!("Bearer {KEY}"), KEY.to_owned());
    let azure = "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21";
    assert_eq!(header(azure, None), ("api-key".to_owned(), plain.clone()));
    assert_eq!(header(azure, Some("Authorization")), ("authorization".to_owned(), bearer.clone()));
    assert_eq!(header("https://h/v1", None), ("authorization".to_owned(), bearer));
    assert_eq!(header("https://h/v1", Some("x-api-key")), ("x-api-key".to_owned(), plain));
}

#[test]
fn a_refusal_counts_only_if_the_parameter_was_sent() {
    let words = r#"{"error":{"message":"temperature: Extra inputs are not permitted"}}"#;
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic] {
        let target = at(provider, "the-model", ModelOptions::default());
        let class = |request: &Request| {
            codec(provider).unwrap().reclassify(&target, request, error(&target, 400, words)).kind()
        };
        assert_eq!(class(&bounded()), ErrorKind::ParameterRejected, "{provider}");
        assert_eq!(class(&Request { temperature: None, ..bounded() }), ErrorKind::Rejected, "{provider}");
    }
    let mandatory = r#"{"error":{"message":"max_tokens: unsupported parameter"}}"#;
    let target = at(Provider::Anthropic, "the-model", ModelOptions::default());
    let error = codec(Provider::Anthropic).unwrap().reclassify(&target, &bounded(), error(&target, 400, mandatory));
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(body(&codec(Provider::Anthropic).unwrap().encode(&target, &bounded()).unwrap())["max_tokens"], 64);
}
