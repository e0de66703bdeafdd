//! Cache keys: every field that affects the answer changes the key, for every provider.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::Key;
use crate::config::{Effort, KeepAlive, Provider, Secret, Think, Thinking};
use crate::message::{Headroom, Part, Repair, Request, SchemaForm};
use crate::provider::{ModelFacts, ModelOptions, Target, codec};
use crate::schema::Schema;
use crate::transport::WireRequest;
use Provider::{Anthropic, Gemini, Ollama, OpenAi};

const DIALECTS: [Provider; 4] = [Ollama, Gemini, OpenAi, Anthropic];

/// A change of one field: its name, the providers whose key must change, and the change.
type Mutation = (&'static str, &'static [Provider], fn(&mut Target, &mut Request));

const ALL: &[Provider] = &DIALECTS;

/// The providers that accept PDFs. The others get none.
const PDF: &[Provider] = &[Gemini, OpenAi, Anthropic];

/// Returns a change of every field of a request and of a target. A new field does not compile until it is listed here.
#[expect(clippy::too_many_lines, reason = "one line for each field")]
fn mutations(target: &Target, request: &Request) -> Vec<Mutation> {
    let Request {
        prompt: _,
        system: _,
        parts: _,
        schema: _,
        temperature: _,
        max_tokens: _,
        use_cache: _,
        repair,
        states_schema: _,
        form: _,
        headroom: _,
        adjustments: _,
    } = request;
    let Repair { reply: _, instruction: _, form: _ } = repair.as_ref().unwrap();
    let Target { provider: _, model: _, base_url: _, key: _, timeout: _, options, facts: _ } = target;
    let ModelOptions {
        num_ctx: _,
        keep_alive: _,
        load_timeout: _,
        thinking: _,
        think: _,
        effort: _,
        api: _,
        key_header: _,
        service_tier: _,
    } = options;
    for part in &request.parts {
        match part {
            Part::Text { name: _, text: _ }
            | Part::Image { mime: _, data: _ }
            | Part::Pdf { name: _, data: _ }
            | Part::Page(_)
            | Part::Url(_)
            | Part::MissingPage(_) => {}
        }
    }
    vec![
        ("prompt", ALL, |_, request| request.prompt = Arc::from("What is this?!")),
        ("system", ALL, |_, request| request.system = Arc::from("Be brief.")),
        ("no system", ALL, |_, request| request.system = Arc::from("")),
        ("temperature", ALL, |_, request| request.temperature = Some(0.25)),
        ("max_tokens", ALL, |_, request| request.max_tokens = Some(101)),
        ("no max_tokens", ALL, |_, request| request.max_tokens = None),
        ("schema", ALL, |_, request| request.schema = Some(schema(json!({"type": "integer"})))),
        ("no schema", ALL, |_, request| request.schema = None),
        ("repair", ALL, |_, request| request.repair = None),
        ("rejected reply", ALL, |_, request| request.repair.as_mut().unwrap().reply = Arc::from("{}")),
        ("repair instruction", ALL, |_, request| request.repair.as_mut().unwrap().instruction = Arc::from("Again")),
        ("statement of the schema", &[Ollama], |_, request| request.states_schema = true),
        ("form", ALL, |_, request| request.form = SchemaForm::Prompted),
        ("headroom", &[Ollama], |_, request| request.headroom = Headroom::Extended),
        ("no temperature", ALL, |_, request| request.temperature = None),
        ("less thinking", &[Ollama, Gemini], |_, request| request.adjustments.less_thinking = true),
        ("no parts", ALL, |_, request| request.parts.clear()),
        ("order of parts", ALL, |_, request| request.parts.swap(0, 1)),
        ("name of a text", ALL, |_, request| {
            request.parts[0] = Part::Text { name: Arc::from("b.md"), text: Arc::from("one") };
        }),
        ("text", ALL, |_, request| {
            request.parts[0] = Part::Text { name: Arc::from("a.md"), text: Arc::from("two") };
        }),
        ("image", ALL, |_, request| {
            request.parts[2] = Part::Image { mime: "image/png", data: Bytes::from_static(b"\x89PNG 2") };
        }),
        ("kind of an image", &[Gemini, OpenAi, Anthropic], |_, request| {
            request.parts[2] = Part::Image { mime: "image/webp", data: Bytes::from_static(b"\x89PNG 1") };
        }),
        ("PDF", PDF, |_, request| {
            request.parts.pop();
            request.parts.push(Part::Pdf { name: Arc::from("a.pdf"), data: Bytes::from_static(b"%PDF-2") });
        }),
        ("name of a PDF", &[OpenAi, Anthropic], |_, request| {
            request.parts.pop();
            request.parts.push(Part::Pdf { name: Arc::from("b.pdf"), data: Bytes::from_static(b"%PDF-1") });
        }),
        ("page", &[Gemini], |target, request| {
            if target.provider == Gemini {
                request.parts.push(Part::Url(Arc::from("https://example.com/b")));
            }
        }),
        ("model", ALL, |target, _| target.model = Arc::from(format!("{}-x", target.model))),
        ("base_url", ALL, |target, _| target.base_url = format!("{}/x", target.base_url.as_str()).into()),
        ("key", ALL, |target, _| target.key = Some(Secret::new("key-of-another-tenant"))),
        ("no key", &[Ollama, OpenAi], |target, _| {
            if matches!(target.provider, Ollama | OpenAi) {
                target.key = None;
            }
        }),
        ("num_ctx", &[Ollama], |target, _| target.options.num_ctx = Some(5000)),
        ("keep_alive", &[Ollama], |target, _| target.options.keep_alive = Some(KeepAlive::Seconds(5.0))),
        ("think", &[Ollama], |target, _| target.options.think = Some(Think::On)),
        ("effort", &[OpenAi, Anthropic], |target, _| target.options.effort = Some(Effort::Low)),
        ("key_header", &[OpenAi], |target, _| target.options.key_header = Some(HeaderName::from_static("api-key"))),
        ("service_tier", &[OpenAi], |target, _| target.options.service_tier = Some(Arc::from("flex"))),
        ("thinking", &[Gemini], |target, _| target.options.thinking = Some(Thinking::Budget(64))),
        // They affect the key only of requests that depend on them, as a test below shows.
        ("facts", &[], |target, _| target.facts = Some(Arc::default())),
        ("use_cache", &[], |_, request| request.use_cache = Some(true)),
        ("timeout", &[], |target, _| target.timeout = Duration::from_secs(77)),
        ("load_timeout", &[], |target, _| target.options.load_timeout = Some(Duration::from_secs(77))),
    ]
}

fn schema(document: Value) -> Arc<Schema> {
    Arc::new(Schema::new("Answer", document).unwrap())
}

fn base(provider: Provider) -> (Target, Request) {
    let model = match provider {
        Ollama => "gemma3:4b",
        Gemini => "gemini-2.5-flash",
        OpenAi => "gpt-4.1",
        // Newer models get no temperature.
        _ => "claude-sonnet-4-5",
    };
    // Of the servers with this protocol, only OpenAI's own accepts PDFs.
    let base_url = if provider == OpenAi { "https://api.openai.com/v1" } else { "http://127.0.0.1:1/v1" };
    let target = Target::new(provider, model, &base_url.into(), Some(&Secret::new("key-of-one-tenant")));
    let text = |name: &str, text: &str| Part::Text { name: Arc::from(name), text: Arc::from(text) };
    let mut parts = vec![
        text("a.md", "one"),
        text("c.md", "three"),
        Part::Image { mime: "image/png", data: Bytes::from_static(b"\x89PNG 1") },
    ];
    if provider != Ollama {
        parts.push(Part::Pdf { name: Arc::from("a.pdf"), data: Bytes::from_static(b"%PDF-1") });
    }
    let request = Request {
        system: Arc::from("Be exact."),
        parts,
        schema: Some(schema(json!({"type": "object", "properties": {"name": {"type": "string"}}}))),
        temperature: Some(0.5),
        max_tokens: Some(100),
        repair: Some(Repair { reply: Arc::from("{"), instruction: Arc::from("Mend it"), form: None }),
        ..Request::new("What is this?")
    };
    (target, request)
}

fn key(target: &Target, request: &Request) -> Key {
    let wire = target.codec().unwrap().encode(target, request).unwrap();
    Key::of(target, &wire, request.schema.as_deref())
}

#[test]
fn every_field_that_affects_the_answer_changes_the_key() {
    let mut seen = std::collections::HashMap::new();
    for provider in DIALECTS {
        let (target, request) = base(provider);
        let original = key(&target, &request);
        assert_eq!(original, key(&target.clone(), &request.clone()), "equal requests have equal keys");
        seen.insert(original, (provider, "nothing"));
        for (name, dialects, change) in mutations(&target, &request) {
            let is_pdf = dialects == PDF || name == "name of a PDF";
            if is_pdf && provider == Ollama {
                continue;
            }
            let (mut target, mut request) = (target.clone(), request.clone());
            change(&mut target, &mut request);
            let changed = key(&target, &request);
            if dialects.contains(&provider) {
                assert_ne!(changed, original, "{provider}: {name}");
                let other = seen.insert(changed, (provider, name));
                assert!(other.is_none(), "{provider}: {name} has the key of {other:?}");
            } else if dialects.is_empty() {
                assert_eq!(changed, original, "{provider}: {name}");
            }
        }
    }
}

#[test]
fn model_facts_change_the_key_of_requests_that_depend_on_them() {
    let (target, request) = base(Ollama);
    let request = Request { prompt: Arc::from("word ".repeat(9000)), ..request };
    let knowing = |context_length| {
        let facts = ModelFacts { context_length: Some(context_length), ..ModelFacts::default() };
        key(&Target { facts: Some(Arc::new(facts)), ..target.clone() }, &request)
    };
    assert_ne!(knowing(131_072), knowing(8192));
}

#[test]
fn every_part_of_the_encoded_request_changes_the_key() {
    for provider in DIALECTS {
        let (target, request) = base(provider);
        let wire = codec(provider).unwrap().encode(&target, &request).unwrap();
        let WireRequest { method: _, url: _, headers: _, body: _ } = &wire;
        let of = |wire: &WireRequest| Key::of(&target, wire, None);
        let header = |name: &'static str, value: &'static str| {
            (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        };
        let with = |headers| WireRequest { headers, ..wire.clone() };
        let mut url = wire.url.clone();
        url.set_query(Some("version=2"));
        let mut secret = header("x-one", "a");
        secret.1.set_sensitive(true);
        let changed = [
            WireRequest { method: Method::PUT, ..wire.clone() },
            WireRequest { url, ..wire.clone() },
            WireRequest { body: Bytes::from([&wire.body[..], b" "].concat()), ..wire.clone() },
            with(vec![]),
            with(vec![header("x-one", "a")]),
            with(vec![header("x-one", "b")]),
            with(vec![header("x-two", "a")]),
            with(vec![header("x-one", "a"), header("x-two", "a")]),
            with(vec![secret]),
        ];
        let mut keys: Vec<_> = changed.iter().map(of).chain([of(&wire)]).map(|key| key.to_string()).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        // One of them may equal the original: Ollama sends no headers without an API key.
        assert!(keys.len() + 1 >= all, "{provider}: {keys:?}");
    }
}

/// Two schemas may look the same on the wire and accept different answers.
#[test]
fn the_original_schema_changes_the_key() {
    let (target, request) = base(OpenAi);
    let wire = codec(OpenAi).unwrap().encode(&target, &request).unwrap();
    let of = |document| Key::of(&target, &wire, Some(&schema(document)));
    let bounded = json!({"type": "string", "maxLength": 5});
    assert_ne!(of(json!({"type": "string"})), of(bounded.clone()));
    assert_ne!(of(bounded.clone()), Key::of(&target, &wire, None));
    assert_eq!(of(bounded.clone()), of(bounded));
}

#[test]
fn neither_an_api_key_nor_a_plain_hash_of_it_is_displayed() {
    let (target, request) = base(OpenAi);
    let shown = format!("{:?}", key(&target, &request));
    let secret = target.key.as_ref().unwrap().expose();
    assert!(!shown.contains(secret));
    assert!(!shown.contains(blake3::hash(secret.as_bytes()).to_hex().as_str()));
}
