//! Damaged replies are repaired if they are unambiguous, and never to another value.

use std::collections::HashSet;

use crate::schema_corpus::{Outcome, Schemas, Tally, damaged, handwritten, is_same, repairable, tally, values};
use crate::schema_damage::{LOSSES, SYNTAX, TYPES};
use madspark::schema::{Change, Recovery, Schema, recover};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn the_corpus_is_large_enough() {
    let schemas = Schemas::read();
    assert!(values().len() >= 60);
    assert!(handwritten().len() >= 100);
    let cases = repairable(&schemas);
    let distinct: HashSet<_> = cases.iter().map(|case| (&case.schema, &case.reply)).collect();
    assert!(distinct.len() >= 2000, "{}", distinct.len());
    for (kind, _) in SYNTAX.iter().chain(&TYPES) {
        assert!(cases.iter().any(|case| case.kind == *kind), "{kind} applies to no value");
    }
}

#[test]
fn damaged_replies_are_repaired_without_another_request() {
    let schemas = Schemas::read();
    let by_hand = handwritten().into_iter().filter(|case| case.intended.is_some()).collect();
    let mut all = repairable(&schemas);
    all.extend(damaged(&schemas, &LOSSES));
    all.extend(handwritten().into_iter().filter(|case| case.intended.is_none()));
    // The last is the whole corpus, including replies that require another request.
    for (cases, percent) in
        [(damaged(&schemas, &SYNTAX), 99), (damaged(&schemas, &TYPES), 98), (by_hand, 100), (all, 80)]
    {
        let Tally { all, recovered, missed, .. } = tally(&schemas, &cases);
        assert!(recovered * 100 >= all * percent, "{recovered} of {all}; missed: {missed:#?}");
    }
}

#[test]
fn no_value_is_changed() {
    let schemas = Schemas::read();
    let mut cases = repairable(&schemas);
    cases.extend(handwritten());
    cases.extend(damaged(&schemas, &LOSSES));
    let Tally { changed, .. } = tally(&schemas, &cases);
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn lost_values_require_another_request() {
    let schemas = Schemas::read();
    for case in damaged(&schemas, &LOSSES) {
        let outcome = schemas.outcome(&case.schema, &case.reply);
        assert_eq!(outcome, Outcome::Unrecovered, "{}: {}", case.kind, case.reply);
        if case.kind.starts_with("cut") {
            assert_eq!(recover(&case.reply, schemas.get(&case.schema)), Recovery::Truncated, "{}", case.reply);
        }
    }
}

/// Truncation between two items is not visible in the text; the reported change marks the end as uncertain.
#[test]
fn truncation_is_always_reported() {
    let schemas = Schemas::read();
    for (schema, value) in values() {
        for text in [value.to_string(), format!("{value:#}")] {
            for (at, _) in text.char_indices() {
                match recover(&text[..at], schemas.get(&schema)) {
                    Recovery::Truncated => assert!(at > 0),
                    Recovery::NoJson => assert_eq!(at, 0, "{}", &text[..at]),
                    Recovery::Repaired { changes, .. } if changes.contains(&Change::MissingCloser) => {}
                    other => panic!("{other:?} from {}", &text[..at]),
                }
            }
        }
    }
}

/// With any one character of the syntax missing, the result is the intended value or none.
#[test]
fn a_missing_character_never_changes_the_value() {
    let schemas = Schemas::read();
    let mut repaired = 0;
    for (schema, value) in values() {
        for text in [value.to_string(), format!("{value:#}")] {
            for (at, _) in text.match_indices(['{', '}', '[', ']', ',', ':', '"', '\\']) {
                let reply = format!("{}{}", &text[..at], &text[at + 1..]);
                // The reply is still valid, with another value.
                if serde_json::from_str::<Value>(&reply).is_ok() {
                    continue;
                }
                if let Outcome::Value(other) = schemas.outcome(&schema, &reply) {
                    assert!(is_same(&other, &value), "{reply}\nbecame {other}");
                    repaired += 1;
                }
            }
        }
    }
    assert!(repaired > 500, "{repaired}");
}

#[test]
fn number_literals_are_preserved() {
    let schema =
        Schema::new("S", json!({"type": "object", "additionalProperties": {"type": ["number", "null"]}})).unwrap();
    let reply =
        "{a: 1.10, b: 123456789012345678901234567890, c: 1e400, d: -0.0, e: 1E+2, f: '1.10', g: \"90071992547409931\"}";
    let Recovery::Repaired { json, .. } = recover(reply, &schema) else { panic!() };
    let expected = r#"{"a": 1.10, "b": 123456789012345678901234567890, "c": 1e400, "d": -0.0, "e": 1E+2, "f": 1.10, "g": 90071992547409931}"#;
    assert_eq!(json, expected);
}

#[test]
fn every_change_is_reported_and_matching_values_are_preserved() {
    let schemas = Schemas::read();
    for (schema, reply, expected) in [
        ("labels", "['a',]", vec![Change::Quotes, Change::TrailingComma]),
        ("labels", "{\"labels\": [\"a\"]}", vec![Change::WrapperRemoved]),
        ("labels", "\"a\"", vec![Change::ItemToList]),
        ("ideas", "[]", vec![Change::WrapperAdded]),
        ("matrix", "[[\"1\", 2.0]", vec![Change::MissingCloser, Change::TextToNumber, Change::FloatToInteger]),
        ("scores", "{a: [1] /* x */}", vec![Change::UnquotedKey, Change::Comment, Change::ListToItem]),
        ("shapes", r#"[{"Kind": "Circle", "radius": 1}]"#, vec![Change::PropertyName, Change::EnumSpelling]),
    ] {
        match recover(reply, schemas.get(schema)) {
            Recovery::Repaired { changes, .. } => assert_eq!(changes, expected, "{reply}"),
            other => panic!("{other:?} from {reply}"),
        }
    }
    // In a style that this library never writes.
    let reply = "{\"a\" :1.50 ,\n\t\"b\":2E1}";
    assert_eq!(recover(&format!("Here: {reply}."), schemas.get("scores")), Recovery::Strict(reply.to_owned()));
    // JSON that cannot match is returned as the model wrote it.
    assert_eq!(recover("[true, 1]", schemas.get("scores")), Recovery::Strict("[true, 1]".to_owned()));
}

#[test]
fn a_union_takes_the_only_branch_that_can_match() {
    let union = |branches: Value| {
        Schema::new("S", json!({"type": "object", "properties": {"v": {"anyOf": branches}}})).unwrap()
    };
    let recovered = |schema: &Schema, value: &str| match recover(&format!("{{\"v\": {value}}}"), schema) {
        Recovery::Repaired { json, .. } => json[6..json.len() - 1].to_owned(),
        Recovery::Strict(_) => "as it was".to_owned(),
        other => panic!("{other:?}"),
    };
    let number_or_flag = union(json!([{"type": "integer"}, {"type": "boolean"}]));
    assert_eq!(recovered(&number_or_flag, "\"8\""), "8");
    assert_eq!(recovered(&number_or_flag, "\"yes\""), "true");
    let text_or_number = union(json!([{"type": "string"}, {"type": "integer"}]));
    assert_eq!(recovered(&text_or_number, "\"8\""), "as it was");
    let list_or_number = union(json!([{"type": "array", "items": {"type": "string"}}, {"type": "integer"}]));
    assert_eq!(recovered(&list_or_number, "\"8\""), "as it was");
    assert_eq!(recovered(&list_or_number, "\"x\""), "[\"x\"]");
    let nullable = union(json!([{"type": "integer"}, {"type": "null"}]));
    assert_eq!(recovered(&nullable, "\"None\""), "null");
    assert_eq!(recovered(&nullable, "\"8.0\""), "8");
    let anything = union(json!([{}, {"type": "null"}]));
    assert_eq!(recovered(&anything, "\"none\""), "as it was");
}

/// Quadratic time would take at least 10^10 steps per piece.
#[test]
fn megabytes_of_damage_take_linear_time() {
    let schemas = Schemas::read();
    let list_of_itself = json!({"$ref": "#/$defs/T", "$defs": {"T": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/T"}}, {"type": "integer"}]}}});
    let list_of_itself = Schema::new("S", list_of_itself).unwrap();
    for piece in [
        "[",
        "\"",
        "{\"a\":",
        "{",
        "{'",
        "['",
        "[“",
        "[`",
        "['a',",
        "[\"a\" ",
        "\\\"[",
        "[/*",
        "[//",
        "[#\n",
        "[1,",
        "{a:",
        "{\"a\":1 ",
        "[]x[",
        "```json\n[",
        "[\"[[[[\" x",
        "[' [\" [“ [` ",
        "<think>",
        "</think>[",
        "\"a \"b\" ",
        "{\\\"a\\\":",
        "[\"\\d",
        "{}",
        "[1] ",
        "[[1]] ",
        "{\"a\":1}\n",
        "[\"a\"\n",
        "[+",
        "{a",
        "，",
        "[\u{a0}",
    ] {
        let count = (1 << 17) / piece.len();
        for reply in
            [piece.repeat(count), format!("[{}", piece.repeat(count)), format!("{{\"a\": \"{}", piece.repeat(count))]
        {
            for schema in [schemas.get("tree"), &list_of_itself] {
                recover(&reply, schema);
            }
        }
    }
    // A schema with two interpretations of each bracket, and a value that matches neither.
    let two_ways = json!({"$ref": "#/$defs/T", "$defs": {"T": {"anyOf": [
        {"type": "array", "items": {"$ref": "#/$defs/T"}, "maxItems": 9999}, {"type": "array", "items": {"$ref": "#/$defs/T"}}]}}});
    let two_ways = Schema::new("S", two_ways).unwrap();
    let deep = "[".repeat(100) + "true" + &"]".repeat(100);
    let wide = format!("[{}{deep}]", format!("{deep},").repeat(500));
    for reply in [deep, wide] {
        assert_eq!(recover(&reply, &two_ways), Recovery::Strict(reply));
    }
    for piece in ["[", "{\"a\":"] {
        assert_eq!(recover(&piece.repeat(1 << 20), schemas.get("labels")), Recovery::NoJson);
    }
    assert_eq!(recover(&"\"".repeat(1 << 20), schemas.get("labels")), Recovery::NoJson);
}

#[test]
fn nesting_is_limited_as_in_readers() {
    let schema = Schema::new("S", json!({})).unwrap();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(recover(&nested(127), &schema), Recovery::Strict(nested(127)));
    assert_eq!(recover(&nested(128), &schema), Recovery::NoJson);
    let tree = Schemas::read();
    let deep = "{label: 1, children: [".repeat(60) + &"]}".repeat(60);
    assert!(matches!(recover(&deep, tree.get("tree")), Recovery::Repaired { .. }));
}

/// For every schema, and in every position in the reply.
#[test]
fn valid_values_of_every_schema_are_preserved() {
    for fixture in crate::schema_fixtures::all() {
        let schema = Schema::new(&*fixture.name, fixture.schema.clone()).unwrap();
        for value in &fixture.valid {
            crate::schema_fixtures::assert_valid(&fixture.name, &fixture.schema, value);
            let json = format!("{value:#}");
            let strict = Recovery::Strict(json.clone());
            assert_eq!(recover(&json, &schema), strict, "{}", fixture.name);
            // A scalar in prose is only a word.
            if !value.is_array() && !value.is_object() {
                continue;
            }
            assert_eq!(recover(&format!("Here:\n```json\n{json}\n```\nBye"), &schema), strict, "{}", fixture.name);
        }
    }
}

fn any_value() -> impl Strategy<Value = (String, Value)> {
    proptest::sample::select(values())
}

/// Text with the characters that the parser looks for.
fn any_noise() -> impl Strategy<Value = String> {
    let parts = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "'",
        "“",
        "”",
        "‘",
        "’",
        "`",
        "```",
        "\\",
        "\\u",
        "\n",
        " ",
        "//",
        "/*",
        "*/",
        "#",
        "a",
        "true",
        "None",
        "NaN",
        "-",
        "1",
        ".5",
        "é",
        "，",
        "\u{a0}",
        "<think>",
        "</think>",
        "\"title\"",
        "ideas",
    ];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn matching_values_are_preserved((schema, value) in any_value(), indent in any::<bool>()) {
        let reply = if indent { format!("{value:#}") } else { value.to_string() };
        prop_assert_eq!(recover(&reply, Schemas::read().get(&schema)), Recovery::Strict(reply));
    }

    /// Quotes, brackets and line breaks of the content are not those of the syntax.
    #[test]
    fn damage_is_repaired_around_any_text(texts in proptest::collection::vec(any_noise(), 1..4), kind in 0..SYNTAX.len()) {
        let schemas = Schemas::read();
        let ideas: Vec<Value> =
            texts.iter().map(|text| json!({"title": text, "description": "d", "key_features": []})).collect();
        let value = json!({"ideas": ideas});
        let Some(reply) = SYNTAX[kind].1(&value) else { return Ok(()) };
        if let Outcome::Value(other) = schemas.outcome("ideas", &reply) {
            prop_assert!(is_same(&other, &value), "{}: {reply}\nbecame {other}", SYNTAX[kind].0);
        }
    }

    #[test]
    fn no_text_panics(noise in any_noise(), text in ".*") {
        let schemas = Schemas::read();
        for reply in [&noise, &text] {
            for name in schemas.0.keys() {
                if let Recovery::Strict(json) | Recovery::Repaired { json, .. } = recover(reply, schemas.get(name)) {
                    // A lone surrogate is valid in JSON text, but not in a string.
                    prop_assert!(serde_json::from_str::<Value>(&json).is_ok() || json.contains("\\u"), "{}", json);
                }
            }
        }
    }
}

#[test]
fn an_answer_before_a_comma_of_the_prose_competes_with_another() {
    let document = serde_json::json!({
        "type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"], "additionalProperties": false,
    });
    let schema = Schema::new("Score", document).unwrap();
    for reply in [r#"Final answer {"score": 7}, not {"score": 30}"#, r#"A: {"score": 7}, B: {"score": 30}"#] {
        assert_eq!(recover(reply, &schema), Recovery::NoJson, "{reply}");
    }
}
