//! What Ollama tells about its models: `/api/show` and `/api/ps`.
//!
//! Servers that speak Ollama's protocol often have neither, and older versions tell less. So every field may be missing or
//! of another type, and then it is unknown.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::decode::envelope;
use super::super::model::{Capability, ModelFacts};
use crate::error::Result;

#[derive(Deserialize)]
struct Show {
    #[expect(dead_code, reason = "its presence tells the reply from another server's JSON")]
    details: Value,
    model_info: Option<Value>,
    capabilities: Option<Value>,
    parameters: Option<Value>,
    remote_host: Option<Value>,
}

#[derive(Deserialize)]
struct Running {
    // Present even where it is null, so that another server's JSON is not taken for an empty list.
    #[serde(deserialize_with = "Option::deserialize")]
    models: Option<Vec<Map<String, Value>>>,
}

/// The facts in the reply to `/api/show`.
pub(super) fn show(body: &Bytes) -> Result<ModelFacts> {
    let show: Show = envelope(body)?;
    let parameters = show.parameters.as_ref().and_then(Value::as_str).unwrap_or_default();
    Ok(ModelFacts {
        context_length: show.model_info.as_ref().and_then(Value::as_object).and_then(context_length),
        default_window: num_ctx(parameters),
        capabilities: show.capabilities.as_ref().and_then(Value::as_array).and_then(|names| capabilities(names)),
        is_remote: show.remote_host.as_ref().and_then(Value::as_str).is_some_and(|host| !host.is_empty()),
    })
}

/// The names of the models in the reply to `/api/ps`.
pub(super) fn running(body: &Bytes) -> Result<Vec<String>> {
    let running: Running = envelope(body)?;
    let name = |model: Map<String, Value>| {
        ["model", "name"].into_iter().find_map(|key| model.get(key)?.as_str().map(str::to_owned))
    };
    Ok(running.models.unwrap_or_default().into_iter().filter_map(name).collect())
}

/// Under the architecture's name, such as `gemma3.context_length`. A model with an encoder of its own may have two of
/// them; the architecture tells which is the model's.
fn context_length(info: &Map<String, Value>) -> Option<u64> {
    let named = info.get("general.architecture").and_then(Value::as_str);
    let own = named.and_then(|name| info.get(&format!("{name}.context_length")));
    let any = || info.iter().find(|(key, _)| key.ends_with(".context_length")).map(|(_, value)| value);
    own.or_else(any).and_then(Value::as_u64).filter(|length| *length > 0)
}

/// `num_ctx` of the model's own parameters: lines of a name, blanks and a value.
fn num_ctx(parameters: &str) -> Option<u64> {
    let value = |line: &str| line.trim().strip_prefix("num_ctx")?.trim().parse().ok();
    parameters.lines().find_map(value).filter(|window| *window > 0)
}

/// Every model can do something: an empty list is a server that does not know.
fn capabilities(names: &[Value]) -> Option<Vec<Capability>> {
    (!names.is_empty()).then(|| names.iter().filter_map(|name| Capability::from_name(name.as_str()?)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: &str = include_str!("../../../tests/core/fixtures/wire/ollama/show.json");
    const PS: &str = include_str!("../../../tests/core/fixtures/wire/ollama/ps.json");

    fn facts(reply: &str) -> ModelFacts {
        show(&Bytes::copy_from_slice(reply.as_bytes())).unwrap()
    }

    #[test]
    fn a_model_tells_its_window_and_what_it_can_do() {
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
    fn a_model_that_runs_elsewhere_says_so() {
        assert!(
            facts(r#"{"details":{},"remote_host":"https://ollama.com:443","remote_model":"gpt-oss:120b"}"#).is_remote
        );
        assert!(!facts(r#"{"details":{},"remote_host":""}"#).is_remote);
    }

    #[test]
    fn what_a_server_does_not_tell_is_unknown() {
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
            assert!(show(&Bytes::copy_from_slice(reply.as_bytes())).is_err(), "{reply}");
        }
    }

    #[test]
    fn the_window_is_that_of_the_models_own_architecture() {
        let info = r#"{"clip.context_length":77,"general.architecture":"mllama","mllama.context_length":131072}"#;
        assert_eq!(facts(&format!(r#"{{"details":{{}},"model_info":{info}}}"#)).context_length, Some(131_072));
        let info = r#"{"general.architecture":"qwen3","other.context_length":40960}"#;
        assert_eq!(facts(&format!(r#"{{"details":{{}},"model_info":{info}}}"#)).context_length, Some(40_960));
    }

    #[test]
    fn loaded_models_are_listed_by_name() {
        let names = |reply: &str| running(&Bytes::copy_from_slice(reply.as_bytes()));
        assert_eq!(names(PS).unwrap(), ["gemma3:4b", "qwen3:latest"]);
        assert!(names(r#"{"models":null}"#).unwrap().is_empty());
        assert!(names("{}").is_err());
        assert!(names("404 page not found").is_err());
    }
}
