//! JSON is found in every reply that contains it completely, and never in a truncated one.

use madspark::schema::json_text;
use proptest::prelude::*;
use serde_json::Value;

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        // Strings with the characters that the search looks for.
        proptest::collection::vec(
            prop_oneof![
                Just("{"),
                Just("]"),
                Just("\""),
                Just("\\"),
                Just("```json\n"),
                Just("<think>"),
                Just("\n"),
                Just("é")
            ],
            0..6
        )
        .prop_map(|parts| Value::from(parts.concat())),
        ".*".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_payload() -> impl Strategy<Value = String> {
    let container = any_json().prop_map(|value| serde_json::json!({ "payload": value }));
    let list = proptest::collection::vec(any_json(), 1..5).prop_map(Value::from);
    (prop_oneof![container, list], any::<bool>())
        .prop_map(|(value, pretty)| if pretty { format!("{value:#}") } else { value.to_string() })
}

/// Prose without brackets, tags and quotes.
const PROSE: &str = "[a-zA-Z0-9 .,:;!?()'\n\u{e9}-]{0,60}";

proptest! {
    #[test]
    fn a_value_is_found_in_prose(payload in any_payload(), before in PROSE, after in PROSE) {
        let reply = format!("{before}\n{payload}\n{after}");
        prop_assert_eq!(json_text(&reply), Some(payload.as_str()));
    }

    #[test]
    fn a_value_is_found_in_a_fence(payload in any_payload(), before in PROSE, after in PROSE, tag in "(json|JSON|)") {
        let reply = format!("{before}\n```{tag}\n{payload}\n```\n{after}");
        prop_assert_eq!(json_text(&reply), Some(payload.as_str()));
    }

    #[test]
    fn a_value_is_found_after_reasoning(payload in any_payload(), reasoning in "[^<]{0,200}", before in PROSE) {
        let reply = format!("<think>{reasoning}</think>\n{before}\n{payload}");
        prop_assert_eq!(json_text(&reply), Some(payload.as_str()));
    }

    #[test]
    fn a_reply_that_is_json_is_found_whole(value in any_json()) {
        let reply = value.to_string();
        prop_assert_eq!(json_text(&reply), Some(reply.as_str()));
    }

    #[test]
    fn a_truncated_object_is_not_found(value in any_json(), cut in any::<prop::sample::Index>(), before in PROSE) {
        let payload = serde_json::json!({ "payload": value }).to_string();
        let mut end = 1 + cut.index(payload.len() - 1);
        while !payload.is_char_boundary(end) {
            end -= 1;
        }
        let shown = payload[..end].to_owned();
        // Before its first colon a truncated object is only a bracket and a word.
        prop_assume!(end > "{\"payload\":".len());
        let reply = format!("{before}\n{shown}");
        prop_assert_eq!(json_text(&reply), None);
    }

    #[test]
    fn the_result_is_always_json(reply in "([\\[\\]{}\",:0-9a ]|null|```json\n|<think>|</think>){0,40}") {
        if let Some(found) = json_text(&reply) {
            prop_assert!(serde_json::from_str::<Value>(found).is_ok(), "{found}");
        }
    }
}
