//! Samples of schemas, validated by an independent validator.

#![expect(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which may fail loudly"
)]

use madspark::simulator::sample;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn validated(schema: &Value, prompt: &str) -> Result<Value, String> {
    let value = sample(schema, prompt);
    let validator = jsonschema::options().should_validate_formats(true).build(schema).map_err(|e| e.to_string())?;
    match validator.validate(&value) {
        Ok(()) => Ok(value),
        Err(error) => Err(format!("{error}\nvalue {value}\nschema {schema}")),
    }
}

fn valid(schema: &Value, prompt: &str) -> Value {
    validated(schema, prompt).unwrap_or_else(|error| panic!("{error}"))
}

/// Dice's similarity over pairs of characters.
fn similarity(left: &str, right: &str) -> f64 {
    let pairs = |text: &str| {
        let letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
    };
    let (left, mut right) = (pairs(left), pairs(right));
    let total = left.len() + right.len();
    let mut common = 0;
    for pair in left {
        if let Some(at) = right.iter().position(|other| *other == pair) {
            right.swap_remove(at);
            common += 2;
        }
    }
    f64::from(common) / total as f64
}

fn ideas() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "idea_number": {"type": "integer", "minimum": 1},
                "title": {"type": "string", "minLength": 1, "maxLength": 200},
                "description": {"type": "string", "minLength": 10, "maxLength": 2000},
                "key_features": {"type": ["array", "null"], "items": {"type": "string"}},
                "category": {"anyOf": [{"type": "string", "maxLength": 100}, {"type": "null"}]},
            },
            "required": ["idea_number", "title", "description"],
        },
    })
}

fn evaluations() -> Value {
    json!({
        "type": "object",
        "properties": {"evaluations": {"type": "array", "items": {"$ref": "#/$defs/Evaluation"}}},
        "required": ["evaluations"],
        "$defs": {"Evaluation": {
            "type": "object",
            "properties": {
                "idea_index": {"type": "integer", "minimum": 0},
                "score": {"type": "number", "minimum": 0, "maximum": 10},
                "comment": {"type": "string", "minLength": 10},
            },
            "required": ["idea_index", "score", "comment"],
        }},
    })
}

#[test]
fn lists_have_the_length_that_the_prompt_requests() {
    let cases = [
        ("Generate exactly 7 ideas about <topic>urban gardens</topic>.", 7),
        ("Give me 12 suggestions for a rainy day.", 12),
        ("Generate 5", 5),
        ("You must list exactly four ideas.", 4),
        ("<topic>100 ways to save 30 percent of water</topic>\nProduce 6 ideas.", 6),
        ("俳句のアイデアを7個ください", 7),
        ("请给出８个主意", 8),
        ("Придумай 9 идей о море", 9),
        ("Scores run from 1 to 10, each text has at most 40 words.", 3),
        ("Write in 2 sentences at 3.5 points or 50%.", 3),
        ("rivers and lakes", 3),
    ];
    for (prompt, expected) in cases {
        assert_eq!(valid(&ideas(), prompt).as_array().unwrap().len(), expected, "{prompt}");
    }
}

#[test]
fn the_schema_takes_precedence_over_the_prompt_on_lengths() {
    let list =
        |low: u64, high: u64| json!({"type": "array", "items": {"type": "string"}, "minItems": low, "maxItems": high});
    let count = |schema: Value, prompt: &str| valid(&schema, prompt).as_array().unwrap().len();
    assert_eq!(count(list(5, 5), "exactly 7 ideas"), 5);
    assert_eq!(count(list(0, 2), "exactly 7 ideas"), 2);
    assert_eq!(count(list(9, 20), "exactly 7 ideas"), 9);
}

#[test]
fn inner_lists_use_only_numbers_of_their_name() {
    let sampled = valid(&ideas(), "Generate 6 ideas, each with 2 key features, on <topic>trains</topic>");
    assert_eq!(sampled.as_array().unwrap().len(), 6);
    assert!(sampled.as_array().unwrap().iter().all(|idea| idea["key_features"].as_array().unwrap().len() == 2));
}

#[test]
fn labelled_lists_have_one_item_for_each_label() {
    let prompts = [
        "Evaluate each. idea_index: 4\nA kite.\nidea_index: 2\nA boat.\nidea_index: 11\nA plane.",
        "Score these:\n<idea idea_index=\"4\">A kite</idea>\n<idea idea_index=\"2\">A boat</idea>\n<idea idea_index=\"11\">x y</idea>\
         \nFor example {\"idea_index\": 0, \"score\": 5.5}.",
        r#"[{"idea_index": 4, "text": "kite"}, {"idea_index": 2}, {"idea_index": 11}, {"idea_index": 4}]"#,
    ];
    for prompt in prompts {
        let sampled = valid(&evaluations(), prompt);
        let labels: Vec<_> = sampled["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["idea_index"].as_i64().unwrap())
            .collect();
        assert_eq!(labels, [4, 2, 11], "{prompt}");
    }
    let two = valid(&evaluations(), &(prompts[0].to_owned() + " Return exactly 2 evaluations."));
    assert_eq!(two["evaluations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_labelled_item_uses_the_words_of_its_input() {
    let prompt = "<idea idea_index=\"0\">submarine aquarium</idea><idea idea_index=\"1\">mountain telescope</idea>";
    let sampled = valid(&evaluations(), prompt);
    let comment = |at: usize| sampled["evaluations"][at]["comment"].as_str().unwrap().to_lowercase();
    assert!(comment(0).contains("submarine") && !comment(0).contains("mountain"), "{}", comment(0));
    assert!(comment(1).contains("telescope") && !comment(1).contains("aquarium"), "{}", comment(1));
}

#[test]
fn scores_of_one_list_differ_and_numbers_count() {
    let prompt: String =
        (0..8).map(|at| format!("<idea idea_index=\"{at}\">thing {at}</idea>\n")).collect::<Vec<_>>().concat();
    let sampled = valid(&evaluations(), &prompt);
    let mut scores: Vec<_> =
        sampled["evaluations"].as_array().unwrap().iter().map(|item| item["score"].to_string()).collect();
    scores.sort();
    scores.dedup();
    assert_eq!(scores.len(), 8, "{scores:?}");
    let numbers: Vec<_> = valid(&ideas(), "exactly 5 ideas")
        .as_array()
        .unwrap()
        .iter()
        .map(|idea| idea["idea_number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn texts_of_one_list_are_distinct_in_every_script() {
    let topics = [
        "save water",
        "sustainable urban farming with volunteers in small northern towns",
        "持続可能な都市農業と地域の暮らし",
        "節水",
        "城市可持续农业",
        "устойчивое городское земледелие",
        "الزراعة الحضرية المستدامة",
        "지속 가능한 도시 농업",
        "économie d'énergie à l'école",
        "zrównoważone rolnictwo miejskie",
    ];
    for topic in topics {
        let prompt = format!("Generate exactly 7 ideas.\n<topic>{topic}</topic>\nAnswer in the language of the topic.");
        let sampled = valid(&ideas(), &prompt);
        let list = sampled.as_array().unwrap();
        let text = |idea: &Value, key: &str| idea[key].as_str().unwrap().to_owned();
        let whole = |idea: &Value| format!("{}: {}", text(idea, "title"), text(idea, "description"));
        for (at, left) in list.iter().enumerate() {
            for right in &list[..at] {
                let close = similarity(&whole(left), &whole(right));
                assert!(close < 0.7, "{close} {topic}\n{}\n{}", whole(left), whole(right));
                assert_ne!(left["title"], right["title"]);
            }
        }
    }
}

#[test]
fn texts_use_the_script_of_the_prompt() {
    let is_latin = |c: char| c.is_ascii_alphabetic();
    let prompts = [
        "Generate exactly 5 ideas as JSON about the topic.\n<topic>地域の祭りと若者</topic>",
        "Generate exactly 5 ideas as JSON about 地域の祭りと若者",
        "Create 5 ideas: городские сады и парки",
        "Generate ideas for 도시의 정원과 학교",
        "<topic>حدائق المدينة</topic>",
    ];
    for prompt in prompts {
        for idea in valid(&ideas(), prompt).as_array().unwrap() {
            let text = idea["description"].as_str().unwrap();
            assert!(!text.chars().any(is_latin), "{prompt}: {text}");
            assert!(text.chars().count() >= 10);
        }
    }
    let text = valid(
        &json!({"type": "string", "minLength": 60}),
        "Generate ideas.\n<topic>jardins partagés à l'école</topic>",
    );
    let text = text.as_str().unwrap().to_lowercase();
    assert!(["jardins", "partagés", "l'école"].iter().any(|word| text.contains(word)), "{text}");
}

#[test]
fn fenced_data_takes_precedence_over_instructions() {
    let prompt = "You are a strict reviewer. Return JSON.\n<topic>lighthouse keepers</topic>\nUse a friendly tone.";
    let text = valid(&json!({"type": "string", "minLength": 400}), prompt);
    let text = text.as_str().unwrap().to_lowercase();
    assert!(text.contains("lighthouse") && text.contains("keepers"), "{text}");
    assert!(!text.contains("reviewer") && !text.contains("friendly") && !text.contains("json"), "{text}");
}

#[test]
fn samples_are_deterministic_and_differ_between_prompts() {
    let schema = ideas();
    assert_eq!(sample(&schema, "sun and sea"), sample(&schema, "sun and sea"));
    assert_ne!(sample(&schema, "sun and sea"), sample(&schema, "sea and sun"));
}

#[test]
fn optional_properties_are_filled() {
    let idea = &valid(&ideas(), "boats")[0];
    assert!(idea["category"].is_string() && idea["key_features"].is_array());
}

#[test]
fn every_kind_of_schema_gets_a_valid_sample() {
    let tree = json!({
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "left": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "required": ["name", "left", "children"],
        }},
    });
    let schemas = [
        json!(true),
        json!({}),
        tree,
        json!({"type": "object", "properties": {"again": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]}),
        json!({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2.5, "maximum": 2.6}]}),
        json!({"oneOf": [{"type": "number"}, {"type": "integer"}]}),
        json!({"oneOf": [{"properties": {"kind": {"const": "a"}, "x": {"type": "string"}}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "b"}, "y": {"type": "integer"}}, "required": ["kind", "y"]}]}),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 5}, "b": {"enum": ["x", 1, null]}}, "required": ["b"]}]}),
        json!({"allOf": [{"anyOf": [{"minimum": 5}, {"minimum": 7}]}, {"anyOf": [{"maximum": 9}, {"maximum": 8}]}], "type": "integer"}),
        json!({"type": "array", "items": {"enum": ["a", "b", "c", "d"]}, "uniqueItems": true, "minItems": 4}),
        json!({"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true}),
        json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 4}, "uniqueItems": true, "minItems": 5}),
        json!({"type": "array", "items": {"type": "boolean"}, "uniqueItems": true}),
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
        json!({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "boolean"}, "minItems": 4}),
        json!({"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 90}, "minContains": 2}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 7}),
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "maxProperties": 1}),
        json!({"type": "object", "patternProperties": {"^k_[0-9]+$": {"type": "boolean"}}, "additionalProperties": false, "minProperties": 2}),
        json!({"type": "object", "propertyNames": {"pattern": "^[a-z]{4}$"}, "additionalProperties": {"type": "null"}}),
        json!({"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "number"}}),
        json!({"type": "object", "properties": {"a": {"type": "integer"}}, "dependentRequired": {"a": ["b"]}, "required": ["a"]}),
        json!({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"],
            "if": {"properties": {"kind": {"const": "a"}}},
            "then": {"properties": {"x": {"type": "integer"}}, "required": ["x"]},
            "else": {"properties": {"y": {"type": "string"}}, "required": ["y"]}}),
        json!({"not": {"type": "string"}}),
        json!({"type": "string", "not": {"minLength": 30}}),
        json!({"enum": [3, "x", null], "type": "string"}),
        json!({"const": {"a": [1]}}),
        json!({"type": ["null", "integer"], "minimum": 3}),
        json!({"type": "null"}),
        json!({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}),
        json!({"type": "integer", "multipleOf": 7, "minimum": 50, "maximum": 60}),
        json!({"type": "integer", "multipleOf": 1.5, "minimum": 1}),
        json!({"type": "integer", "minimum": -9, "maximum": -4}),
        json!({"type": "integer", "minimum": 9_007_199_254_740_993_i64}),
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        json!({"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 0.35}),
        json!({"type": "number", "multipleOf": 0.01, "maximum": -3}),
        json!({"type": "number", "minimum": 1e10, "maximum": 1.000_000_000_1e10}),
        json!({"type": "number", "exclusiveMinimum": 2.0, "maximum": 2.000_000_1}),
        json!({"type": "string", "minLength": 300}),
        json!({"type": "string", "maxLength": 3}),
        json!({"type": "string", "maxLength": 0}),
        json!({"type": "string", "minLength": 5, "maxLength": 5}),
        json!({"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"}),
        json!({"type": "string", "pattern": "^(foo|bar)+\\s?[^a-z]$", "minLength": 20}),
        json!({"type": "string", "pattern": "[0-9]{2}", "minLength": 12, "maxLength": 14}),
        json!({"type": "string", "pattern": "^\\w+([.-]\\w+)*@\\w+\\.com$"}),
        json!({"type": "string", "pattern": "^\\p{Lu}\\p{Ll}*$", "minLength": 8, "maxLength": 9}),
        json!({"type": "string", "pattern": "^a/b\\/c$"}),
        json!({"type": "array", "items": {"type": "string", "pattern": "^[ab]$"}, "uniqueItems": true, "minItems": 2}),
        json!({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "integer"}}}),
        json!({"$ref": "#/$defs/n", "minimum": 4, "$defs": {"n": {"type": "integer", "maximum": 4}}}),
        json!({"allOf": [{"$ref": "#/$defs/n"}], "description": "x", "$defs": {"n": {"enum": ["p", "q"]}}}),
    ];
    for schema in &schemas {
        for prompt in ["", "hello wide world", "海と山", "Generate exactly 5 ideas"] {
            valid(schema, prompt);
        }
    }
    for format in ["date", "time", "date-time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "duration", "regex"]
    {
        valid(&json!({"type": "array", "items": {"type": "string", "format": format}, "minItems": 40}), "x");
    }
}

#[test]
fn gemini_and_draft_4_keywords_are_supported() {
    let schema = json!({
        "type": "OBJECT",
        "properties": {
            "score": {"type": "INTEGER", "minimum": 3, "maximum": 4},
            "tags": {"type": "ARRAY", "items": {"type": "STRING", "nullable": true}, "minItems": "2", "maxItems": "2"},
        },
        "required": ["score", "tags"],
    });
    let sampled = sample(&schema, "x");
    assert!((3..=4).contains(&sampled["score"].as_i64().unwrap()));
    assert!(sampled["tags"].as_array().unwrap().iter().all(Value::is_string));
    assert_eq!(sampled["tags"].as_array().unwrap().len(), 2);
    let old =
        json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true, "maximum": 5, "exclusiveMaximum": true});
    assert_eq!(sample(&old, "x"), json!(4));
}

#[test]
fn hostile_schemas_terminate() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [{"$ref": "#"}]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 3}),
        json!({"type": "string", "minLength": 5, "maxLength": 2}),
        json!({"type": "integer", "minimum": 5, "maximum": 2}),
        json!({"type": "string", "pattern": "(?=x)y"}),
        json!({"type": "string", "pattern": "(a{1000}){1000}"}),
        json!({"$ref": "#/nowhere"}),
        json!({"enum": []}),
        json!({"anyOf": []}),
        json!(false),
    ] {
        sample(&schema, "hello");
    }
}

/// Schemas that have instances, built from the leaves up.
fn schemas() -> impl Strategy<Value = Value> {
    let integer = (-100_i64..100, 0_i64..50, 1_u64..8).prop_map(|(low, span, step)| {
        json!({"type": "integer", "minimum": low, "maximum": low + span + i64::try_from(step).unwrap(), "multipleOf": step})
    });
    let number = (-50.0_f64..50.0, 0.001_f64..20.0, any::<bool>()).prop_map(|(low, span, exclusive)| {
        if exclusive {
            json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + span})
        } else {
            json!({"type": "number", "minimum": low, "maximum": low + span})
        }
    });
    let text = (0_usize..40, 0_usize..40)
        .prop_map(|(low, span)| json!({"type": "string", "minLength": low, "maxLength": low + span}));
    let pattern = prop::sample::select(vec![
        "^[a-f0-9]{8}$",
        "^\\d+(\\.\\d+)?$",
        "^(red|green|blue)$",
        "x+y*z",
        "^[^,;]+(,[^,;]+)*$",
        "^.{3,9}$",
    ])
    .prop_map(|pattern| json!({"type": "string", "pattern": pattern}));
    let format = prop::sample::select(vec!["date", "date-time", "time", "email", "uri", "uuid", "ipv4"])
        .prop_map(|format| json!({"type": "string", "format": format}));
    let fixed = prop::collection::vec("[a-z]{1,4}", 1..5).prop_map(|names| json!({"enum": names}));
    let leaf = prop_oneof![
        integer,
        number,
        text,
        pattern,
        format,
        fixed,
        Just(json!({"type": "boolean"})),
        Just(json!({"const": [1, {"a": null}]})),
        Just(json!({"$ref": "#/$defs/Tree"})),
        Just(json!({"$ref": "#/$defs/List"})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = (inner.clone(), 0_u64..4, 0_u64..4)
            .prop_map(|(item, low, span)| json!({"type": "array", "items": item, "minItems": low, "maxItems": low + span}));
        let tuple = prop::collection::vec(inner.clone(), 1..4)
            .prop_map(|items| json!({"type": "array", "prefixItems": items, "items": false}));
        let names = prop::sample::select(vec!["title", "score", "idea_index", "rank_number", "name", "a b", "ü"]);
        let object = prop::collection::btree_map(names, (inner.clone(), any::<bool>()), 0..5).prop_map(|fields| {
            let required: Vec<_> = fields.iter().filter(|(_, (_, is))| *is).map(|(name, _)| (*name).to_owned()).collect();
            let properties: Map<String, Value> =
                fields.into_iter().map(|(name, (schema, _))| (name.to_owned(), schema)).collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        });
        let dictionary = (inner.clone(), 0_u64..6)
            .prop_map(|(value, least)| json!({"type": "object", "additionalProperties": value, "minProperties": least}));
        let any_of = prop::collection::vec(inner.clone(), 1..4).prop_map(|branches| json!({"anyOf": branches}));
        let nullable = inner.clone().prop_map(|schema| json!({"anyOf": [schema, {"type": "null"}]}));
        let tagged = prop::collection::vec(inner.clone(), 1..4).prop_map(|branches| {
            let branch = |(at, schema): (usize, Value)| {
                json!({"type": "object", "properties": {"tag": {"const": at}, "value": schema}, "required": ["tag", "value"]})
            };
            json!({"oneOf": branches.into_iter().enumerate().map(branch).collect::<Vec<_>>()})
        });
        let both = (inner.clone(), inner).prop_map(|(left, right)| {
            json!({"allOf": [
                {"type": "object", "properties": {"left": left}, "required": ["left"]},
                {"properties": {"right": right, "left": true}, "required": ["right"]},
            ]})
        });
        prop_oneof![list, tuple, object, dictionary, any_of, nullable, tagged, both]
    })
    .prop_map(|schema| {
        let mut root = json!({"$defs": {
            "Tree": {"type": "object", "properties": {
                "name": {"type": "string", "minLength": 1},
                "branches": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "maxItems": 2},
                "up": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
            }, "required": ["name", "branches"]},
            "List": {"anyOf": [{"type": "integer"}, {"type": "array", "prefixItems": [{"$ref": "#/$defs/List"}]}]},
        }});
        root.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        root
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn samples_fit_any_schema(schema in schemas(), prompt in "\\PC{0,120}") {
        if let Err(error) = validated(&schema, &prompt) {
            return Err(TestCaseError::fail(error));
        }
    }

    #[test]
    fn any_prompt_is_parsed(prompt in "(<[a-z]{1,3}( idea_index=\"[0-9]{1,30}\")?>|</[a-z]{1,3}>|```\n?|exactly |[0-9]{1,25}|個|\\PC){0,40}") {
        let value = validated(&evaluations(), &prompt);
        prop_assert!(value.is_ok(), "{value:?}");
    }
}
