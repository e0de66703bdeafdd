//! Replies to lowered schemas are restored to the form of the original schema, byte for byte.

use std::sync::Arc;

use crate::schema_fixtures::{all, assert_valid};
use crate::schema_nulls::without_nulls;
use crate::schema_strict::as_strict;
use madspark::schema::{Dialect, Lowered, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn openai(document: Value) -> Arc<Lowered> {
    Schema::new("S", document).unwrap().lower(Dialect::OpenAiStrict)
}

#[test]
fn strict_replies_match_the_original_schema() {
    for fixture in all() {
        let lowered = openai(fixture.schema.clone());
        let document = lowered.document();
        let is_wrapped = document["properties"].as_object().unwrap().keys().eq(["value"]);
        for value in &fixture.valid {
            let mut reply = if is_wrapped { json!({"value": value}) } else { value.clone() };
            if lowered.is_strict() {
                reply = as_strict(document, document, &reply)
                    .unwrap_or_else(|| panic!("{}: {reply} does not fit {document:#}", fixture.name));
            }
            assert_valid(&fixture.name, document, &reply);
            for text in [reply.to_string(), format!("{reply:#}")] {
                let restored: Value = serde_json::from_str(&lowered.restore(text)).unwrap();
                assert_valid(&fixture.name, &fixture.schema, &restored);
                assert_eq!(without_nulls(&restored), without_nulls(value), "{}", fixture.name);
                if !lowered.is_strict() {
                    assert_eq!(&restored, value, "{}", fixture.name);
                }
            }
        }
    }
}

#[test]
fn anthropic_replies_are_restored_unchanged() {
    for fixture in all() {
        let lowered = Schema::new("S", fixture.schema.clone()).unwrap().lower(Dialect::Anthropic);
        let document = lowered.document();
        let is_wrapped = document["properties"].as_object().unwrap().keys().eq(["value"]);
        for value in &fixture.valid {
            let reply = if is_wrapped { json!({"value": value}) } else { value.clone() };
            assert_valid(&fixture.name, document, &reply);
            assert_eq!(lowered.restore(reply.to_string()), value.to_string(), "{}", fixture.name);
        }
    }
}

fn restore(lowered: &Lowered, text: &str) -> String {
    lowered.restore(text.to_owned())
}

#[test]
fn a_removed_member_takes_its_comma_along() {
    let optional = json!({"type": "string"});
    let lowered = openai(json!({"type": "object", "properties": {"a": optional, "b": optional, "c": optional}}));
    for (reply, restored) in [
        (r#"{"a":null,"b":"x","c":"y"}"#, r#"{"b":"x","c":"y"}"#),
        (r#"{"a":"x","b":null,"c":"y"}"#, r#"{"a":"x","c":"y"}"#),
        (r#"{"a":"x","b":"y","c":null}"#, r#"{"a":"x","b":"y"}"#),
        (r#"{"a":null,"b":null,"c":"y"}"#, r#"{"c":"y"}"#),
        (r#"{"a":"x","b":null,"c":null}"#, r#"{"a":"x"}"#),
        (r#"{"a":null,"b":"x","c":null}"#, r#"{"b":"x"}"#),
        (r#"{"a":null,"b":null,"c":null}"#, "{}"),
        (r#"{ "a" : null , "\u0062" : null , "c" : "y" }"#, r#"{ "c" : "y" }"#),
    ] {
        assert_eq!(restore(&lowered, reply), restored, "{reply}");
    }
}

#[test]
fn literals_order_and_white_space_are_preserved() {
    let lowered = openai(json!({
        "type": "array",
        "items": {"type": "object", "properties": {"z": {"type": "number"}, "n": {"type": "string"}, "a": {"type": "integer"}}},
    }));
    let big = "123456789012345678901234567890";
    let reply = format!(
        "{{\"value\": [ {{\"z\": 1.10, \"n\": null,\n \"a\": {big}}},{{\"a\":1E2,\"z\":-0.0,\"n\":\"\\u00e9\"}} ]}}"
    );
    let expected = format!("[ {{\"z\": 1.10,\n \"a\": {big}}},{{\"a\":1E2,\"z\":-0.0,\"n\":\"\\u00e9\"}} ]");
    // The comma before the removed member is removed, the white space after it is not.
    assert_eq!(restore(&lowered, &reply), expected);
}

#[test]
fn nulls_that_are_values_are_preserved() {
    let lowered = openai(json!({
        "type": "object",
        "properties": {
            "optional": {"type": ["string", "null"]},
            "required": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
            "absent": {"$ref": "#/$defs/A"},
        },
        "required": ["required"],
        "$defs": {"A": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    }));
    let reply = r#"{"optional":null,"required":null,"absent":null}"#;
    assert_eq!(restore(&lowered, reply), r#"{"optional":null,"required":null}"#);
    let reply = r#"{"optional":null,"required":{"x":null},"absent":{"x":null}}"#;
    assert_eq!(restore(&lowered, reply), r#"{"optional":null,"required":{},"absent":{}}"#);
}

#[test]
fn the_matching_branch_decides() {
    let lowered = openai(json!({"anyOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "note": {"type": "string"}}, "required": ["kind"]},
        {"type": "object", "properties": {"kind": {"const": "b"}, "note": {"type": ["string", "null"]}}, "required": ["kind", "note"]},
    ]}));
    assert_eq!(restore(&lowered, r#"{"value":{"kind":"a","note":null}}"#), r#"{"kind":"a"}"#);
    assert_eq!(restore(&lowered, r#"{"value":{"kind":"b","note":null}}"#), r#"{"kind":"b","note":null}"#);
}

#[test]
fn a_null_is_kept_if_a_branch_accepts_it() {
    let lowered = openai(json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}, "b": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": ["integer", "null"]}}, "required": ["a", "b"]},
    ]}));
    assert_eq!(restore(&lowered, r#"{"value":{"a":"y","b":null}}"#), r#"{"a":"y","b":null}"#);
    let bounded = openai(json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "integer", "maximum": 1}, "b": {"type": ["integer", "null"]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]},
    ]}));
    assert_eq!(restore(&bounded, r#"{"value":{"a":2,"b":null}}"#), r#"{"a":2}"#);
    assert_eq!(restore(&bounded, r#"{"value":{"a":1,"b":null}}"#), r#"{"a":1,"b":null}"#);
}

#[test]
fn a_wrapper_is_removed_if_present() {
    let list = openai(json!({"type": "array", "items": {"type": "integer"}}));
    assert_eq!(restore(&list, r#" {"value": [1, 2]} "#), "[1, 2]");
    assert_eq!(restore(&list, "[1, 2]"), "[1, 2]");
    let named = openai(json!({"anyOf": [
        {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]},
        {"type": "null"},
    ]}));
    assert_eq!(restore(&named, r#"{"value":{"value":3}}"#), r#"{"value":3}"#);
    assert_eq!(restore(&named, r#"{"value":3}"#), r#"{"value":3}"#);
    assert_eq!(restore(&named, r#"{"value":null}"#), "null");
}

#[test]
fn text_that_is_not_json_is_returned_unchanged() {
    let lowered = openai(json!({"type": "array", "items": {"type": "integer"}}));
    for text in ["", "{", r#"{"value": [1, 2"#, r#"{"value": [1,]}"#, r#"{"value": [1]} x"#, "text", r#"{"value": 01}"#]
    {
        assert_eq!(restore(&lowered, text), text);
    }
    let deep = format!("{{\"value\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(restore(&lowered, &deep), deep);
}

/// Exponential time in the depth of the reply would not finish.
#[test]
fn unions_of_unions_take_polynomial_time() {
    let branch = |name: &str| json!({"type": "object", "properties": {"child": {"$ref": "#/$defs/T"}, name: {"type": "string"}}, "required": [name]});
    let lowered = openai(json!({
        "$ref": "#/$defs/T",
        "$defs": {"T": {"anyOf": [branch("a"), branch("b"), branch("c"), {"type": "integer"}]}},
    }));
    assert!(lowered.is_strict());
    let mut reply = r#"{"child":null,"c":"x"}"#.to_owned();
    let mut expected = r#"{"c":"x"}"#.to_owned();
    for _ in 0..100 {
        reply = format!("{{\"child\":{reply},\"c\":\"x\"}}");
        expected = format!("{{\"child\":{expected},\"c\":\"x\"}}");
    }
    assert_eq!(restore(&lowered, &format!("{{\"value\":{reply}}}")), expected);
}

/// A tree like that of the fixture `recursive_tree`: the original, and a strict reply.
fn tree() -> impl Strategy<Value = (Value, Value)> {
    let leaf = ("\\PC{0,8}", any::<Option<i64>>()).prop_map(|(value, weight)| node(&value, weight, None));
    leaf.prop_recursive(6, 40, 4, |inner| {
        let children = proptest::option::of(proptest::collection::vec(inner, 0..4));
        ("\\PC{0,8}", any::<Option<i64>>(), children)
            .prop_map(|(value, weight, children)| node(&value, weight, children))
    })
}

fn node(value: &str, weight: Option<i64>, children: Option<Vec<(Value, Value)>>) -> (Value, Value) {
    let mut original = json!({"value": value});
    let mut strict = json!({"weight": weight, "value": value, "children": null});
    if let Some(weight) = weight {
        original["weight"] = json!(weight);
    }
    if let Some(children) = children {
        let (originals, stricts): (Vec<Value>, Vec<Value>) = children.into_iter().unzip();
        original["children"] = json!(originals);
        strict["children"] = json!(stricts);
    }
    (original, strict)
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
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

proptest! {
    #[test]
    fn unwrapping_restores_the_bytes(items in proptest::collection::vec(any_json(), 0..6), pretty: bool) {
        let lowered = openai(json!({"type": "array"}));
        let items = Value::from(items);
        let text = if pretty { format!("{items:#}") } else { items.to_string() };
        prop_assert_eq!(restore(&lowered, &format!("{{\"value\": {text}}}")), text);
    }

    #[test]
    fn removing_nulls_restores_values_at_any_depth((original, strict) in tree()) {
        let lowered = openai(json!({
            "$ref": "#/$defs/Node",
            "$defs": {"Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "string"},
                    "weight": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["value"],
            }},
        }));
        let restored: Value = serde_json::from_str(&restore(&lowered, &strict.to_string())).unwrap();
        prop_assert_eq!(restored, original);
    }
}

#[test]
fn an_object_for_each_position_is_restored_to_a_list() {
    let pair = json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2});
    let nested = json!({"type": "array", "prefixItems": [pair, {"type": "null"}], "minItems": 2, "maxItems": 2});
    let document = json!({
        "type": "object",
        "properties": {
            "pair": pair,
            "nested": nested,
            "either": {"anyOf": [pair, {"type": "object", "properties": {"0": {"type": "string"}}, "required": ["0"]}]},
        },
        "required": ["pair"],
    });
    for dialect in [Dialect::OpenAi, Dialect::OpenAiStrict] {
        let lowered = Schema::new("S", document.clone()).unwrap().lower(dialect);
        let written = &lowered.document()["properties"]["pair"];
        assert_eq!(written["properties"]["1"], json!({"type": "string"}));
        assert_eq!(written["required"], json!(["0", "1"]));
        for (reply, restored) in [
            (r#"{"pair":{"0":1,"1":"a"}}"#, r#"{"pair":[1,"a"]}"#),
            (r#"{ "pair" : { "0" : 1.0 , "1" : "{}" } , "nested":null}"#, r#"{ "pair" : [ 1.0 , "{}" ]}"#),
            (
                r#"{"pair":[1,"a"],"nested":{"0":{"0":2,"1":""},"1":null}}"#,
                r#"{"pair":[1,"a"],"nested":[[2,""],null]}"#,
            ),
            (r#"{"pair":[1,"a"],"either":{"0":"x"}}"#, r#"{"pair":[1,"a"],"either":{"0":"x"}}"#),
            (r#"{"pair":[1,"a"],"either":{"0":1,"1":"x"}}"#, r#"{"pair":[1,"a"],"either":[1,"x"]}"#),
            // Wrong types are restored as well, so that the error names them.
            (r#"{"pair":{"0":"a","1":1}}"#, r#"{"pair":["a",1]}"#),
            // Neither complete nor in order.
            (r#"{"pair":{"0":1}}"#, r#"{"pair":{"0":1}}"#),
            (r#"{"pair":{"1":"a","0":1}}"#, r#"{"pair":{"1":"a","0":1}}"#),
            (r#"{"pair":{"00":1,"1":"a"}}"#, r#"{"pair":{"00":1,"1":"a"}}"#),
        ] {
            assert_eq!(restore(&lowered, reply), restored, "{dialect:?}");
        }
    }
    let root = Schema::new("S", pair.clone()).unwrap();
    assert_eq!(restore(&root.lower(Dialect::OpenAi), r#"{"value":{"0":1,"1":"a"}}"#), r#"[1,"a"]"#);
    let grammar = root.lower(Dialect::OpenAiGrammar);
    assert_eq!(grammar.document()["properties"]["value"], pair);
    assert_eq!(restore(&grammar, r#"{"value":[1,"a"]}"#), r#"[1,"a"]"#);
}
