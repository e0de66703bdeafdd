//! The forms in which a schema is sent, and the errors of servers that reject a form.

use super::*;
use crate::message::SchemaForm;
use crate::schema::{Dialect, Lowered};

const INTRODUCTION: &str = "Answer with JSON alone, a value of this JSON Schema:\n";

fn codec_of(provider: Provider) -> (Target, &'static dyn Codec) {
    (target(provider, "https://example.org/v1", Some(KEY)), codec(provider).unwrap())
}

/// A request for a list, which some forms wrap, of ideas with an optional title, which some forms make nullable.
fn list(form: SchemaForm) -> Request {
    let document = json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"title": {"type": "string", "maxLength": 9}, "score": {"type": "number"}},
            "required": ["score"],
        },
    });
    let schema = Arc::new(Schema::new("Ideas", document).unwrap());
    Request { schema: Some(schema), form, ..Request::new("Name an idea.") }
}

/// A request for an object with arbitrary keys.
fn free(form: SchemaForm) -> Request {
    let document = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    Request { schema: Some(Arc::new(Schema::new("Counts", document).unwrap())), ..list(form) }
}

fn lowered(request: &Request, dialect: Dialect) -> Arc<Lowered> {
    request.schema.as_ref().unwrap().lower(dialect)
}

fn stated(system: &Value) -> Value {
    let text = system.as_str().unwrap();
    serde_json::from_str(text.split_once(INTRODUCTION).unwrap_or_else(|| panic!("no schema in {text:?}")).1).unwrap()
}

fn outlined(system: &Value) -> &str {
    system.as_str().unwrap().strip_prefix("Answer with JSON in this form:\n").unwrap()
}

#[test]
fn gemini_falls_back_to_the_older_subset_then_to_the_prompt() {
    let (target, _) = codec_of(Provider::Gemini);
    let sent = |request: &Request| encoded(&target, request);

    let older = list(SchemaForm::Older);
    let document = json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"title": {"type": "string", "description": "(maxLength: 9)"}, "score": {"type": "number"}},
            "propertyOrdering": ["title", "score"],
            "required": ["score"],
        },
    });
    let config = json!({"temperature": 0.0, "responseMimeType": "application/json", "responseSchema": document});
    assert_eq!(sent(&older)["generationConfig"], config);
    assert_eq!(sent(&older).get("systemInstruction"), None);

    let prompted = Request { system: Arc::from("Be brief."), ..list(SchemaForm::Prompted) };
    let config = json!({"temperature": 0.0, "responseMimeType": "application/json"});
    assert_eq!(sent(&prompted)["generationConfig"], config);
    let system = &sent(&prompted)["systemInstruction"]["parts"][0]["text"];
    assert!(system.as_str().unwrap().starts_with("Be brief.\n\nAnswer with JSON alone"), "{system}");
    assert_eq!(&stated(system), lowered(&prompted, Dialect::Prompted).document());

    // Models that do not combine a tool with a media type reject the media type.
    let pages = Request { parts: vec![Part::Url(Arc::from("https://example.org"))], ..prompted };
    assert_eq!(sent(&pages)["generationConfig"], json!({"temperature": 0.0}));
    let target = Target { model: Arc::from("gemini-3-flash-preview"), ..target };
    let native = encoded(&target, &Request { form: SchemaForm::Native, ..pages });
    assert_eq!(native["generationConfig"]["responseMimeType"], "application/json");
}

#[test]
fn a_schema_that_the_older_subset_cannot_express_is_stated_in_the_prompt() {
    let (target, gemini) = codec_of(Provider::Gemini);
    let request = free(SchemaForm::Older);
    assert_eq!(gemini.schema_form(&target, &request), Some(SchemaForm::Prompted));
    let body = encoded(&target, &request);
    assert_eq!(body["generationConfig"].get("responseSchema"), None);
    assert_eq!(
        stated(&body["systemInstruction"]["parts"][0]["text"])["additionalProperties"],
        json!({"type": "integer"})
    );
    assert_eq!(gemini.schema_form(&target, &free(SchemaForm::Native)), Some(SchemaForm::Native));
}

#[test]
fn openai_falls_back_to_json_object_then_to_the_prompt() {
    let (target, _) = codec_of(Provider::OpenAi);
    let sent = |request: &Request| encoded(&target, request);

    let native = sent(&list(SchemaForm::Native));
    assert_eq!(native["response_format"]["type"], "json_schema");
    assert_eq!(
        native["response_format"]["json_schema"]["schema"],
        *lowered(&list(SchemaForm::Native), Dialect::OpenAi).document()
    );
    assert_eq!(
        outlined(&native["messages"][0]["content"]),
        lowered(&list(SchemaForm::Native), Dialect::OpenAi).outline()
    );

    let unbounded = sent(&list(SchemaForm::Unbounded));
    assert_eq!(
        unbounded["response_format"]["json_schema"]["schema"],
        *lowered(&list(SchemaForm::Unbounded), Dialect::OpenAiStrict).document()
    );

    let older = list(SchemaForm::Older);
    assert_eq!(sent(&older)["response_format"], json!({"type": "json_object"}));
    assert_eq!(sent(&older)["messages"][0]["role"], "system");
    assert_eq!(&stated(&sent(&older)["messages"][0]["content"]), lowered(&older, Dialect::OpenAiStrict).document());

    let prompted = list(SchemaForm::Prompted);
    assert_eq!(sent(&prompted).get("response_format"), None);
    assert_eq!(&stated(&sent(&prompted)["messages"][0]["content"]), lowered(&prompted, Dialect::Prompted).document());
}

#[test]
fn only_local_servers_get_a_schema_next_to_json_object() {
    let (target, _) = codec_of(Provider::OpenAi);
    for (base, is_local) in [
        ("http://localhost:8000/v1", true),
        ("http://127.0.0.1:8000/v1", true),
        ("http://[::1]:8000/v1", true),
        ("http://llama:8000/v1", true),
        ("http://studio.local:1234/v1", true),
        ("http://host.docker.internal:8000/v1", true),
        ("https://api.openai.com/v1", false),
        ("https://api.deepseek.com", false),
    ] {
        let target = Target { base_url: base.into(), ..target.clone() };
        let request = list(SchemaForm::Older);
        let format = &encoded(&target, &request)["response_format"];
        assert_eq!(format["type"], "json_object", "{base}");
        let document = is_local.then(|| lowered(&request, Dialect::OpenAiStrict).document().clone());
        assert_eq!(format.get("schema"), document.as_ref(), "{base}");
        let format = &encoded(&target, &free(SchemaForm::Older))["response_format"];
        assert_eq!(*format, json!({"type": "json_object"}), "{base}: a node without a type has no grammar");
    }
}

#[test]
fn ollama_falls_back_to_any_json_then_to_the_prompt() {
    let (target, _) = codec_of(Provider::Ollama);
    for (form, format, is_stated) in [
        (SchemaForm::Native, Some(lowered(&list(SchemaForm::Native), Dialect::Ollama).document().clone()), false),
        (
            SchemaForm::Unbounded,
            Some(lowered(&list(SchemaForm::Native), Dialect::OllamaUnbounded).document().clone()),
            false,
        ),
        (SchemaForm::Older, Some(json!("json")), true),
        (SchemaForm::Prompted, None, true),
    ] {
        let request = list(form);
        let sent = encoded(&target, &request);
        assert_eq!(sent.get("format"), format.as_ref(), "{form:?}");
        let system = &sent["messages"][0]["content"];
        if is_stated {
            assert_eq!(&stated(system), lowered(&request, Dialect::Prompted).document());
        } else {
            assert_eq!(outlined(system), lowered(&request, Dialect::Ollama).outline(), "{form:?}");
        }
    }
}

#[test]
fn a_cloud_model_gets_the_schema_in_the_prompt() {
    let (local, ollama) = codec_of(Provider::Ollama);
    for (model, base, is_cloud) in [
        ("gpt-oss:120b-cloud", "http://localhost:11434", true),
        ("glm-4.6:cloud", "http://localhost:11434", true),
        ("gpt-oss:120b", "https://ollama.com", true),
        ("gpt-oss:120b", "http://localhost:11434", false),
        ("cloud-writer:7b", "http://localhost:11434", false),
    ] {
        let target = Target { model: Arc::from(model), base_url: base.into(), ..local.clone() };
        let request = list(SchemaForm::Native);
        let expected = if is_cloud { SchemaForm::Prompted } else { SchemaForm::Native };
        assert_eq!(ollama.schema_form(&target, &request), Some(expected), "{model} at {base}");
        let simpler = ollama.simpler_form(&target, &request, &rejection("no"));
        assert_eq!(simpler.map(|(form, _)| form), (!is_cloud).then_some(SchemaForm::Unbounded), "{model} at {base}");
        let sent = encoded(&target, &request);
        assert_eq!(sent.get("format").is_none(), is_cloud, "{model} at {base}");
    }
}

#[test]
fn anthropic_falls_back_to_the_prompt() {
    let (target, anthropic) = codec_of(Provider::Anthropic);
    for (request, form) in [
        (list(SchemaForm::Native), SchemaForm::Native),
        (list(SchemaForm::Older), SchemaForm::Prompted),
        (list(SchemaForm::Prompted), SchemaForm::Prompted),
        (free(SchemaForm::Native), SchemaForm::Prompted),
    ] {
        assert_eq!(anthropic.schema_form(&target, &request), Some(form));
        let sent = encoded(&target, &request);
        assert_eq!(sent.get("output_config").is_some(), form == SchemaForm::Native, "{sent}");
        if form == SchemaForm::Prompted {
            assert_eq!(&stated(&sent["system"]), lowered(&request, Dialect::Prompted).document());
        } else {
            assert_eq!(sent.get("system"), None);
        }
    }
}

#[test]
fn every_fallback_ends_in_the_prompt_and_text_requests_have_no_form() {
    for (target, codec) in targets() {
        let mut forms = vec![SchemaForm::Native];
        while let Some((form, _)) =
            codec.simpler_form(&target, &list(forms[forms.len() - 1]), &rejection("unsupported"))
        {
            forms.push(form);
        }
        let expected: &[SchemaForm] = match target.provider {
            Provider::Anthropic => &[SchemaForm::Native, SchemaForm::Prompted],
            Provider::Gemini => &[SchemaForm::Native, SchemaForm::Older, SchemaForm::Prompted],
            _ => &[SchemaForm::Native, SchemaForm::Unbounded, SchemaForm::Older, SchemaForm::Prompted],
        };
        assert_eq!(forms, expected, "{}", target.provider);
        for form in forms {
            let text_request = Request { form, ..bounded() };
            assert_eq!(codec.schema_form(&target, &text_request), None);
            let [sent, plain] = [&text_request, &bounded()].map(|request| encoded(&target, request));
            assert_eq!(sent, plain, "{}", target.provider);
        }
    }
}

fn rejection(message: &str) -> Error {
    Error::new(ErrorKind::SchemaRejected, message).with_status(400)
}

#[test]
fn a_rejection_leads_to_the_form_that_can_succeed() {
    use crate::provider::FormScope::{Schema as One, Target as All};
    let document = json!({"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3});
    let schema = Some(Arc::new(Schema::new("S", document).unwrap()));
    let request = Request { schema, ..Request::new("x") };
    for (provider, message, form, scope) in [
        (Provider::OpenAi, "In context=('properties', 'a'), 'maxItems' is not permitted.", SchemaForm::Unbounded, All),
        (Provider::OpenAi, "Invalid schema for response_format 'S': schema is too deep", SchemaForm::Unbounded, One),
        (Provider::OpenAi, "JSON schema conversion failed: Unrecognized schema", SchemaForm::Older, One),
        (Provider::OpenAi, "Failed to initialize samplers: failed to parse grammar", SchemaForm::Unbounded, One),
        (Provider::OpenAi, "something is not supported", SchemaForm::Unbounded, All),
        (Provider::OpenAi, "This response_format type is unavailable now", SchemaForm::Older, All),
        (Provider::OpenAi, "'response_format.type' must be 'json_object' or 'text'", SchemaForm::Older, All),
        (Provider::Ollama, "invalid JSON schema in format", SchemaForm::Older, One),
        (Provider::Ollama, "model runner has unexpectedly stopped", SchemaForm::Unbounded, One),
        (
            Provider::Ollama,
            "invalid format: \"x\"; expected \"json\" or a valid JSON Schema object",
            SchemaForm::Older,
            All,
        ),
        (Provider::Gemini, "The specified schema has too many states for serving.", SchemaForm::Older, One),
        (Provider::Gemini, "Unknown name \"responseJsonSchema\": Cannot find field.", SchemaForm::Older, All),
        (Provider::Anthropic, "output_config: Extra inputs are not permitted", SchemaForm::Prompted, All),
        (Provider::Anthropic, "The compiled grammar is too large.", SchemaForm::Prompted, One),
    ] {
        let (target, codec) = codec_of(provider);
        let simpler = codec.simpler_form(&target, &request, &rejection(message));
        assert_eq!(simpler, Some((form, scope)), "{provider} {message}");
    }
}

#[test]
fn the_form_without_bounds_is_skipped_if_the_schema_has_none() {
    let document = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let schema = Some(Arc::new(Schema::new("S", document).unwrap()));
    for provider in [Provider::OpenAi, Provider::Ollama] {
        let (target, codec) = codec_of(provider);
        let request = Request { schema: schema.clone(), ..Request::new("x") };
        let simpler = codec.simpler_form(&target, &request, &rejection("failed to parse grammar"));
        assert_eq!(simpler.map(|(form, _)| form), Some(SchemaForm::Older), "{provider}");
    }
}

#[test]
fn a_schema_is_outlined_only_where_the_model_does_not_see_it() {
    for (provider, base, is_outlined) in [
        (Provider::OpenAi, "https://api.openai.com/v1", false),
        (Provider::OpenAi, "http://127.0.0.1:8080/v1", true),
        (Provider::Ollama, "http://localhost:11434", true),
        (Provider::Gemini, "https://example.org", false),
        (Provider::Anthropic, "https://example.org", false),
    ] {
        let (target, _) = codec_of(provider);
        let target = Target { base_url: base.into(), ..target };
        let request = Request { system: Arc::from("Be brief."), ..list(SchemaForm::Native) };
        let has_outline =
            |request: &Request| encoded(&target, request).to_string().contains("Answer with JSON in this");
        assert_eq!(has_outline(&request), is_outlined, "{provider} {base}");
        assert!(!has_outline(&Request { states_schema: true, ..request }), "{provider} {base}");
    }
    let (target, _) = codec_of(Provider::Ollama);
    let request = list(SchemaForm::Native);
    let system = format!("Be brief.\n{}", lowered(&request, Dialect::Ollama).outline());
    let sent = encoded(&target, &Request { system: Arc::from(system.as_str()), ..request });
    assert_eq!(sent["messages"][0]["content"], system, "the system instruction has the outline");
}

#[test]
fn a_streamed_request_has_the_same_form() {
    for (target, codec) in targets() {
        for form in [SchemaForm::Native, SchemaForm::Unbounded, SchemaForm::Older, SchemaForm::Prompted] {
            let whole = encoded(&target, &list(form));
            let streamed = body(&codec.encode_stream(&target, &list(form)).unwrap());
            for field in ["format", "response_format", "output_config", "generationConfig", "system"] {
                assert_eq!(streamed.get(field), whole.get(field), "{} {form:?}", target.provider);
            }
        }
    }
}

#[test]
fn a_reply_is_restored_from_the_form_of_its_request() {
    for (target, _) in targets() {
        for (form, text) in [
            (SchemaForm::Native, None),
            (SchemaForm::Older, None),
            (SchemaForm::Prompted, Some(r#"{"value":[{"score":7.50}]}"#)),
            (SchemaForm::Prompted, Some(r#"[{"score":7.50}]"#)),
            (SchemaForm::Prompted, Some("Sure:\n```json\n{\"value\": [{\"score\":7.50}]}\n```")),
        ] {
            let request = list(form);
            // What a constrained model writes: wrapped if the root must be an object, nulls if every property is required.
            let constrained = match (target.provider, form) {
                (Provider::OpenAi, _) => r#"{"value":[{"title":null,"score":7.50}]}"#,
                (Provider::Anthropic, _) | (Provider::Ollama, SchemaForm::Older) => r#"{"value":[{"score":7.50}]}"#,
                _ => r#"[{"score":7.50}]"#,
            };
            let text = text.unwrap_or(constrained);
            let reply = decode(&target, &request, &envelope(target.provider, text).to_string()).unwrap();
            let json = reply.text.replace(' ', "");
            assert_eq!(json, r#"[{"score":7.50}]"#, "{} {form:?} {text}", target.provider);
        }
    }
}

/// Errors of real servers, by status.
const REJECTED: [(Provider, u16, &[&str]); 7] = [
    (
        Provider::Gemini,
        400,
        &[
            r#"{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"responseJsonSchema\" at 'generation_config': Cannot find field.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"generation_config","description":"Invalid JSON payload received."}]}]}}"#,
            r#"{"error":{"code":400,"message":"* GenerateContentRequest.generation_config.response_schema.properties: should be non-empty for OBJECT type\n","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"code":400,"message":"The specified schema produces a constraint that has too many states for serving.","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"code":400,"message":"Tool use with a response mime type: 'application/json' is unsupported","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"code":400,"message":"JSON mode is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}"#,
            r#"{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"generation_config.response_schema","description":"type must be specified"}]}]}}"#,
        ],
    ),
    (
        Provider::OpenAi,
        400,
        &[
            r#"{"error":{"message":"Invalid schema for response_format 'Idea': In context=('properties', 'a'), 'type' is required.","type":"invalid_request_error","param":"response_format","code":null}}"#,
            r#"{"error":{"message":"Invalid parameter: this value is not supported with this model.","type":"invalid_request_error","param":"response_format","code":"unsupported_value"}}"#,
            r#"{"error":{"message":"This response_format type is unavailable now","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
            r#"{"object":"error","message":"The provided JSON schema contains features not supported by xgrammar.","type":"BadRequestError","param":null,"code":400}"#,
            r#"{"error":{"code":400,"message":"JSON schema conversion failed:\nUnrecognized schema: {\"description\":\"x\"}","type":"invalid_request_error"}}"#,
            r#"{"error":{"code":400,"message":"Failed to initialize samplers: failed to parse grammar","type":"invalid_request_error"}}"#,
            r#"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"response_format is not supported\"}}","provider_name":"Somebody"}}}"#,
            r#"{"error":{"message":"Failed to validate JSON. Please adjust your prompt.","type":"invalid_request_error","code":"json_validate_failed","failed_generation":"{"}}"#,
        ],
    ),
    (
        Provider::OpenAi,
        422,
        &[
            r#"{"detail":[{"type":"literal_error","loc":["body","response_format","type"],"msg":"Input should be 'text' or 'json_object'","input":"json_schema"}]}"#,
        ],
    ),
    (
        Provider::OpenAi,
        500,
        &[
            r#"{"error":{"message":"[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or 'json_object'\"}]","type":"internal_server_error","param":null,"code":null}}"#,
        ],
    ),
    (
        Provider::Ollama,
        500,
        &[
            r#"{"error":"invalid JSON schema in format"}"#,
            r#"{"error":"failed to load model vocabulary required for format"}"#,
            r#"{"error":"llama runner: failed to parse grammar"}"#,
        ],
    ),
    (Provider::Ollama, 400, &[r#"{"error":"invalid format: \"x\"; expected \"json\" or a valid JSON Schema object"}"#]),
    (
        Provider::Anthropic,
        400,
        &[
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"output_config: Extra inputs are not permitted"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"The compiled grammar is too large."}}"#,
        ],
    ),
];

#[test]
fn a_rejected_schema_is_recognized() {
    let each = |(provider, status, bodies): (Provider, u16, &'static [&str])| {
        bodies.iter().map(move |words| (provider, status, *words))
    };
    for (provider, status, words) in REJECTED.into_iter().flat_map(each) {
        let (target, codec) = codec_of(provider);
        let error = error(&target, status, words);
        assert_eq!(error.kind(), ErrorKind::SchemaRejected, "{provider} {words}");
        let kind = |request: &Request| codec.reclassify(&target, request, error.clone()).kind();
        assert_eq!(kind(&list(SchemaForm::Native)), ErrorKind::SchemaRejected, "{provider} {words}");
        // A request without a schema has no schema to reject.
        let other = if status == 500 { ErrorKind::Server } else { ErrorKind::Rejected };
        for request in [
            bounded(),
            list(SchemaForm::Prompted),
            Request { form: SchemaForm::Prompted, ..free(SchemaForm::Prompted) },
        ] {
            assert_eq!(kind(&request), other, "{provider} {words}");
        }
    }
}

#[test]
fn other_errors_are_not_attributed_to_the_schema() {
    for (provider, status, words, kind) in [
        (
            Provider::OpenAi,
            400,
            r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
            ErrorKind::ParameterRejected,
        ),
        (Provider::OpenAi, 502, "bad gateway: response_format", ErrorKind::Server),
        (Provider::OpenAi, 429, r#"{"error":{"message":"slow down: response_format"}}"#, ErrorKind::RateLimited),
        (Provider::Ollama, 500, r#"{"error":"model requires more system memory (8 GiB)"}"#, ErrorKind::Server),
        (Provider::Ollama, 400, r#"{"error":"illegal base64 data: image format is unknown"}"#, ErrorKind::Rejected),
        (
            Provider::Gemini,
            400,
            r#"{"error":{"code":400,"message":"Unable to process input image.","status":"INVALID_ARGUMENT"}}"#,
            ErrorKind::Rejected,
        ),
        (
            Provider::Gemini,
            400,
            r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum; the schema counts too.","status":"INVALID_ARGUMENT"}}"#,
            ErrorKind::ContextTooLong,
        ),
        (
            Provider::Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"temperature: range: 0..1"}}"#,
            ErrorKind::ParameterRejected,
        ),
    ] {
        let (target, codec) = codec_of(provider);
        let error = codec.reclassify(&target, &list(SchemaForm::Native), error(&target, status, words));
        assert_eq!(error.kind(), kind, "{provider} {words}");
    }
}
