//! Facts about models: `/api/show`, `/api/ps` and `/api/tags`.
//!
//! Compatible servers often lack the first two, and older versions report fewer fields. A field that is missing or has
//! another type is unknown.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::decode::required;
use super::super::envelope::parse_json;
use super::super::model::{Capability, ModelFacts};
use crate::error::Result;

#[derive(Deserialize)]
struct Show {
    #[expect(dead_code, reason = "distinguishes the reply from the JSON of another server")]
    details: Value,
    model_info: Option<Value>,
    capabilities: Option<Value>,
    parameters: Option<Value>,
    remote_host: Option<Value>,
}

#[derive(Deserialize)]
struct Models {
    #[serde(deserialize_with = "required")]
    models: Option<Vec<Map<String, Value>>>,
}

impl Models {
    /// The value of the first of `fields` that each model has.
    fn names(self, fields: [&str; 2]) -> Vec<String> {
        let name = |model: Map<String, Value>| {
            fields.into_iter().find_map(|field| Some(model.get(field)?.as_str()?.to_owned()))
        };
        self.models.unwrap_or_default().into_iter().filter_map(name).collect()
    }
}

/// Decodes the reply to `/api/show`.
pub(super) fn model_facts(body: &Bytes) -> Result<ModelFacts> {
    let show: Show = parse_json(body)?;
    let parameters = show.parameters.as_ref().and_then(Value::as_str).unwrap_or_default();
    Ok(ModelFacts {
        context_length: show.model_info.as_ref().and_then(Value::as_object).and_then(context_length),
        default_window: num_ctx(parameters),
        capabilities: show.capabilities.as_ref().and_then(Value::as_array).and_then(|names| capabilities(names)),
        is_remote: show.remote_host.as_ref().and_then(Value::as_str).is_some_and(|host| !host.is_empty()),
    })
}

/// Decodes the names in the reply to `/api/ps`.
pub(super) fn running_models(body: &Bytes) -> Result<Vec<String>> {
    parse_json(body).map(|models: Models| models.names(["model", "name"]))
}

/// Decodes the names in the reply to `/api/tags`.
pub(super) fn model_names(body: &Bytes) -> Result<Vec<String>> {
    parse_json(body).map(|models: Models| models.names(["name", "model"]))
}

/// The context length in a field such as `gemma3.context_length`. A model with a separate encoder has several such fields;
/// `general.architecture` names the one of the model.
fn context_length(info: &Map<String, Value>) -> Option<u64> {
    let architecture = info.get("general.architecture").and_then(Value::as_str);
    let named = architecture.and_then(|name| info.get(&format!("{name}.context_length")));
    let any = || info.iter().find(|(key, _)| key.ends_with(".context_length")).map(|(_, value)| value);
    named.or_else(any).and_then(Value::as_u64).filter(|length| *length > 0)
}

/// `num_ctx` in the parameters of the model: lines of a name, white space and a value.
fn num_ctx(parameters: &str) -> Option<u64> {
    let value = |line: &str| line.trim().strip_prefix("num_ctx")?.trim().parse().ok();
    parameters.lines().find_map(value).filter(|window| *window > 0)
}

/// Returns `None` for an empty list: every model has a capability, so the server does not report them.
fn capabilities(names: &[Value]) -> Option<Vec<Capability>> {
    (!names.is_empty()).then(|| names.iter().filter_map(|name| Capability::deserialize(name).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: &str = include_str!("../../../tests/core/fixtures/wire/ollama/show.json");
    const PS: &str = include_str!("../../../tests/core/fixtures/wire/ollama/ps.json");

    fn facts(reply: &str) -> ModelFacts {
        model_facts(&Bytes::copy_from_slice(reply.as_bytes())).unwrap()
    }

    #[test]
    fn window_and_capabilities_are_decoded() {
        assert_eq!(
            facts(SHOW),
            ModelFacts {
                context_length: Some(131_072),
                default_window: Some(8192),
                capabilities: Some(vec![Capability::Completion, Capability::Vision]),
                is_remote: false,
            }
        );
        assert!(facts(SHOW).lacks(Capability::Thinking));
        assert!(!facts(SHOW).lacks(Capability::Vision));
    }

    #[test]
    fn a_remote_model_is_recognized() {
        assert!(
            facts(r#"{"details":{},"remote_host":"https://ollama.com:443","remote_model":"gpt-oss:120b"}"#).is_remote
        );
        assert!(!facts(r#"{"details":{},"remote_host":""}"#).is_remote);
    }

    #[test]
    fn missing_and_malformed_fields_are_unknown() {
        for reply in [
            r#"{"details":{}}"#,
            r#"{"details":null,"model_info":null,"capabilities":null,"parameters":null}"#,
            r#"{"details":{},"model_info":{},"capabilities":[],"parameters":""}"#,
            r#"{"details":{},"model_info":[],"capabilities":"vision","parameters":{}}"#,
            r#"{"details":{},"model_info":{"llama.context_length":"8192"},"parameters":"num_ctx many"}"#,
            r#"{"details":{},"model_info":{"llama.context_length":0},"parameters":"num_ctx_extra 5\nnum_ctx 0"}"#,
        ] {
            assert_eq!(facts(reply), ModelFacts::default(), "{reply}");
        }
        assert!(!ModelFacts::default().lacks(Capability::Vision));
        for reply in ["{}", "[]", "", "<html>", r#"{"error":"not found"}"#] {
            assert!(model_facts(&Bytes::copy_from_slice(reply.as_bytes())).is_err(), "{reply}");
        }
    }

    #[test]
    fn the_context_length_is_that_of_the_architecture() {
        let info = r#"{"clip.context_length":77,"general.architecture":"mllama","mllama.context_length":131072}"#;
        assert_eq!(facts(&format!(r#"{{"details":{{}},"model_info":{info}}}"#)).context_length, Some(131_072));
        let info = r#"{"general.architecture":"qwen3","other.context_length":40960}"#;
        assert_eq!(facts(&format!(r#"{{"details":{{}},"model_info":{info}}}"#)).context_length, Some(40_960));
    }

    #[test]
    fn running_models_are_listed_by_name() {
        let names = |reply: &str| running_models(&Bytes::copy_from_slice(reply.as_bytes()));
        assert_eq!(names(PS).unwrap(), ["gemma3:4b", "qwen3:latest"]);
        assert!(names(r#"{"models":null}"#).unwrap().is_empty());
        assert!(names("{}").is_err());
        assert!(names("404 page not found").is_err());
    }
}
