//! Token usage of each provider on recorded payloads: disjoint counts whose sum is the provider's own total. Counts in a stream
//! are cumulative.
//!
//! The expected counts are computed from the payload by the rule that the provider documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::message::{Request, Usage};
use madspark::provider::{Codec, ModelOptions, Target, Transcript, codec};
use madspark::transport::{Framer, Framing};
use madspark::{Provider, Secret};
use serde_json::Value;

const PROVIDERS: [Provider; 4] = [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic];

fn wire(provider: Provider) -> (&'static dyn Codec, Target) {
    let target = Target {
        provider,
        model: Arc::from("the-model"),
        base_url: "http://127.0.0.1".into(),
        key: Some(Secret::new("a-key-of-no-worth")),
        timeout: Duration::from_secs(1),
        options: ModelOptions::default(),
        facts: None,
    };
    (codec(provider).unwrap(), target)
}

/// Returns the recorded payloads of `provider` with one of the extensions, sorted by name.
fn fixtures(provider: Provider, endings: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/wire").join(provider.as_str());
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one)));
    found.sort();
    found
}

fn count(usage: &Value, pointer: &str) -> u64 {
    usage.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// Returns the counts in `payload`.
fn counts(provider: Provider, payload: &Value) -> Option<&Value> {
    let found = match provider {
        // At the top level, omitted if zero.
        Provider::Ollama => Some(payload).filter(|payload| payload["done"] == true),
        Provider::Gemini => payload.get("usageMetadata"),
        Provider::OpenAi => payload.get("usage"),
        Provider::Anthropic => payload.get("usage").or_else(|| payload.pointer("/message/usage")),
        _ => None,
    };
    found.filter(|found| found.is_object())
}

/// Returns the total of the counts as the provider documents it.
fn total(provider: Provider, usage: &Value) -> u64 {
    let sum = |names: &[&str]| names.iter().map(|name| count(usage, name)).sum();
    match provider {
        Provider::Ollama => sum(&["/prompt_eval_count", "/eval_count"]),
        Provider::Gemini => count(usage, "/totalTokenCount"),
        Provider::OpenAi => count(usage, "/total_tokens"),
        _ => sum(&["/input_tokens", "/cache_creation_input_tokens", "/cache_read_input_tokens", "/output_tokens"]),
    }
}

/// Returns the cached tokens of the prompt, the reasoning tokens, and the tokens that tools read.
fn parts(provider: Provider, usage: &Value) -> [u64; 3] {
    let [cached, thoughts, tool] = match provider {
        Provider::Ollama => ["", "", ""],
        Provider::Gemini => ["/cachedContentTokenCount", "/thoughtsTokenCount", "/toolUsePromptTokenCount"],
        Provider::OpenAi => ["/prompt_tokens_details/cached_tokens", "/completion_tokens_details/reasoning_tokens", ""],
        _ => ["/cache_read_input_tokens", "/output_tokens_details/thinking_tokens", ""],
    };
    [cached, thoughts, tool].map(|name| if name.is_empty() { 0 } else { count(usage, name) })
}

/// Returns the tokens of the prompt, including cached ones but not those that tools read.
fn prompt(provider: Provider, usage: &Value) -> u64 {
    match provider {
        Provider::Ollama => count(usage, "/prompt_eval_count"),
        Provider::Gemini => count(usage, "/promptTokenCount"),
        Provider::OpenAi => count(usage, "/prompt_tokens"),
        _ => total(provider, usage) - count(usage, "/output_tokens"),
    }
}

/// Returns the expected usage.
fn expected(provider: Provider, usage: &Value) -> Usage {
    let [cached_input, reasoning, tool] = parts(provider, usage);
    let prompt = prompt(provider, usage);
    let output = total(provider, usage) - prompt - reasoning - tool;
    Usage { input: prompt - cached_input, cached_input, output, reasoning, tool }
}

/// Decodes a reply and returns its usage, also if it is an error.
fn decode(provider: Provider, body: Vec<u8>) -> Usage {
    let (codec, target) = wire(provider);
    match codec.decode(&target, &Request::new("?"), &Bytes::from(body)) {
        Ok(reply) => reply.usage,
        Err(error) => error.usage(),
    }
}

/// Returns the events of a recorded stream.
fn events(framing: Framing, body: &[u8]) -> Vec<Bytes> {
    let mut framer = Framer::new(framing);
    framer.push(body);
    let mut events = Vec::new();
    while let Some(event) = framer.next().unwrap().map(|frame| frame.data) {
        events.push(event);
    }
    events.extend(framer.finish().unwrap().map(|frame| frame.data));
    events
}

#[test]
fn the_usage_of_a_reply_adds_up_to_the_providers_total() {
    for provider in PROVIDERS {
        let mut seen = 0;
        for path in fixtures(provider, &["json"]) {
            let body = fs::read(&path).unwrap();
            let payload: Value = serde_json::from_slice(&body).unwrap();
            let Some(usage) = counts(provider, &payload) else { continue };
            let decoded = decode(provider, body);
            assert_eq!(decoded, expected(provider, usage), "{}", path.display());
            assert_eq!(decoded.total(), total(provider, usage), "{}", path.display());
            seen += 1;
        }
        assert!(seen >= 3, "{provider}: {seen}");
    }
}

#[test]
fn the_usage_of_a_stream_is_its_last_count() {
    for provider in PROVIDERS {
        let (codec, target) = wire(provider);
        let streams = fixtures(provider, &["sse", "ndjson"]);
        assert!(streams.len() >= 2, "{provider}");
        let mut repeated = false;
        for path in streams {
            let (mut transcript, mut last, mut sum) = (Transcript::default(), Usage::default(), 0);
            for data in events(codec.framing(), &fs::read(&path).unwrap()) {
                transcript.add(codec.decode_event(&target, &data).unwrap());
                let payload: Value = serde_json::from_slice(&data).unwrap_or_default();
                if let Some(usage) = counts(provider, &payload) {
                    last = match expected(provider, usage) {
                        // Anthropic omits the counts of the prompt in the last event.
                        Usage { input: 0, cached_input: 0, output, reasoning, .. } => {
                            Usage { output, reasoning, ..last }
                        }
                        usage => usage,
                    };
                    sum += last.total();
                }
                assert_eq!(transcript.usage(), last, "{}: {payload}", path.display());
            }
            transcript.check(&target, &Request::new("?"), None).unwrap();
            assert!(last.total() > 0, "{}", path.display());
            repeated |= last.total() < sum;
        }
        assert_eq!(repeated, provider != Provider::Ollama, "{provider}: only Ollama counts once");
    }
}

#[test]
fn the_fixtures_contain_every_kind_of_count() {
    let cached: &[Provider] = &[Provider::Gemini, Provider::OpenAi, Provider::Anthropic];
    for (what, index, providers) in [("cached", 0, cached), ("thoughts", 1, cached), ("pages", 2, &[Provider::Gemini])]
    {
        for provider in providers {
            let whole = fixtures(*provider, &["json"]).into_iter().any(|path| {
                let payload: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                counts(*provider, &payload).is_some_and(|usage| parts(*provider, usage)[index] > 0)
            });
            assert!(whole, "no fixture of {provider} has {what}");
        }
    }
}

#[test]
fn tokens_written_to_the_cache_of_anthropic_are_input() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/wire/anthropic/cache_written.json");
    let decoded = decode(Provider::Anthropic, fs::read(path).unwrap());
    assert_eq!(decoded, Usage { input: 21 + 512 + 1024, cached_input: 2048, output: 9, ..Usage::default() });
}

#[test]
fn reasoning_tokens_outside_the_completion_are_not_subtracted_from_it() {
    let body = |completion: u64, total: u64, thoughts: Option<u64>| {
        let details = thoughts.map(|thoughts| serde_json::json!({"reasoning_tokens": thoughts}));
        let usage = serde_json::json!({"prompt_tokens": 10, "completion_tokens": completion, "total_tokens": total,
            "completion_tokens_details": details});
        let choice = serde_json::json!({"message": {"content": "Moss."}, "finish_reason": "stop"});
        serde_json::json!({"choices": [choice], "usage": usage}).to_string().into_bytes()
    };
    for (completion, total, thoughts, output, reasoning) in [
        (7, 17, None, 7, 0),
        (7, 17, Some(5), 2, 5),
        // xAI.
        (7, 22, Some(5), 7, 5),
        // Gemini's endpoint counts reasoning only in the total.
        (7, 22, None, 7, 5),
        // Servers without a total, and with an inconsistent total.
        (7, 0, Some(5), 2, 5),
        (7, 3, Some(5), 2, 5),
        // A gateway that counts more reasoning than completion: it is apart from it.
        (7, 0, Some(9), 7, 9),
        (7, 17, Some(9), 7, 9),
        (7, 26, Some(9), 7, 9),
    ] {
        let decoded = decode(Provider::OpenAi, body(completion, total, thoughts));
        let expected = Usage { input: 10, output, reasoning, ..Usage::default() };
        assert_eq!(decoded, expected, "{completion} of {total}, {thoughts:?}");
    }
}
