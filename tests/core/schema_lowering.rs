//! Lowered schemas keep their provider's rules, and take every value the original takes.

use std::fs;
use std::path::Path;

use crate::schema_fixtures::all;
use crate::schema_rules::check_all;
use madspark::schema::{Dialect, Schema};
use madspark::{Error, ErrorKind};
use serde_json::{Map, Value, json};

#[test]
fn every_dialect_keeps_its_rules_and_takes_what_is_valid() {
    for fixture in all() {
        let name = &fixture.name;
        let schema =
            Schema::new(name.clone(), fixture.schema.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema.document(), &fixture.schema);
        check_all(name, &schema, &fixture.valid);
    }
}

/// `tests/python/models.py` writes them down.
#[test]
fn two_hundred_models_keep_every_dialects_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/fixtures/models.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let models: Vec<Value> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(models.len() >= 200, "only {} models", models.len());
    let (mut strict, mut older, mut format) = (0, 0, 0);
    for model in &models {
        let name = model["name"].as_str().unwrap();
        let schema =
            Schema::new(name, model["schema"].clone()).unwrap_or_else(|error| panic!("{name}: {error}\n{model:#}"));
        check_all(name, &schema, model["valid"].as_array().unwrap());
        strict += usize::from(schema.lower(Dialect::OpenAiStrict).is_strict());
        older += usize::from(schema.lower(Dialect::GeminiOlder).is_strict());
        format += usize::from(schema.lower(Dialect::Anthropic).is_strict());
    }
    // What cannot be enforced is rather the exception, and is there.
    for enforced in [strict, older, format] {
        assert!((models.len() / 3..models.len() - 20).contains(&enforced), "{strict} {older} {format}");
    }
}

#[test]
fn only_what_strict_mode_cannot_say_is_not_strict() {
    let loose: Vec<String> = all()
        .into_iter()
        .filter(|fixture| !Schema::new("S", fixture.schema.clone()).unwrap().lower(Dialect::OpenAiStrict).is_strict())
        .map(|fixture| fixture.name)
        .collect();
    let expected = [
        "boolean_schemas",
        "bounds",
        "dict_literal_keys",
        "extra_allow",
        "free_form",
        "json_value",
        "keyword_names_free",
        "no_type",
        "pattern_properties",
        "recursive_alias",
        "root_any",
        "root_dict",
        "tuples",
        "union_of_many",
    ];
    assert_eq!(loose, expected);
}

#[test]
fn wrong_values_are_refused_after_lowering_too() {
    let wrong = [
        ("idea", json!({"title": "a"})),
        ("idea", json!({"title": 1, "description": "b"})),
        ("idea_list", json!([{"title": "a", "description": "b", "idea_index": "0", "score": 1}])),
        ("recursive_tree", json!({"value": "a", "children": [{"children": []}]})),
        ("discriminated", json!({"pet": {"kind": "fish"}})),
        ("root_literal", json!("maybe")),
        ("enums", json!({"color": "blue"})),
        ("extra_forbid", json!({"a": 1, "c": 2})),
        ("all_of_inheritance", json!({"id": 1})),
        ("schemars_flattened_enum", json!({"kind": "start"})),
        ("any_of_required", json!({})),
        ("tuples_plain", json!({"pair": ["a"]})),
        ("free_form", json!({"data": {}, "scores": {"x": "y"}})),
        ("bounds_strict", json!({"a": 1, "b": 0.5, "d": []})),
    ];
    let fixtures = all();
    for (name, value) in wrong {
        let fixture = fixtures.iter().find(|fixture| fixture.name == name).unwrap();
        let schema = Schema::new("S", fixture.schema.clone()).unwrap();
        for document in
            [&fixture.schema, schema.lower(Dialect::Ollama).document(), schema.lower(Dialect::Gemini).document()]
        {
            assert!(!jsonschema::is_valid(document, &value), "{name}: {value} fits {document:#}");
        }
    }
}

fn lowered(dialect: Dialect, document: Value) -> Value {
    Schema::new("S", document).unwrap().lower(dialect).document().clone()
}

#[test]
fn ollama_inlines_references_until_that_would_explode() {
    let document = json!({
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "Mine."}},
        "$defs": {"A": {"type": "string", "maxLength": 9, "pattern": "^a", "description": "Its own."}},
    });
    let expected = json!({
        "type": "object",
        "properties": {"a": {"type": "string", "description": "Mine."}},
        "required": [],
    });
    assert_eq!(lowered(Dialect::Ollama, document), expected);

    let mut definitions = Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/L{}", level + 1)});
        definitions.insert(format!("L{level}"), json!({"type": "object", "properties": {"a": next, "b": next}}));
    }
    definitions.insert("L40".to_owned(), json!({"type": "integer"}));
    let document = lowered(Dialect::Ollama, json!({"$ref": "#/$defs/L0", "$defs": definitions}));
    assert!(document.to_string().len() < 10_000);
}

#[test]
fn gemini_reads_in_the_description_what_it_takes_no_keyword_for() {
    let document = json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A code.", "pattern": "^A", "format": "email", "title": "Code"},
            "count": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
            "share": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
            "kind": {"const": "x"},
        },
        "required": ["code"],
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A code. (pattern: ^A, format: email)"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "share": {"type": ["number", "null"], "maximum": 1, "description": "(exclusiveMinimum: 0)"},
            "kind": {"type": "string", "enum": ["x"]},
        },
        "required": ["code"],
    });
    assert_eq!(lowered(Dialect::Gemini, document), expected);
}

#[test]
fn what_a_branch_is_told_stays_behind_the_description_of_its_union() {
    let document = json!({
        "type": "object",
        "properties": {
            "share": {"type": ["number", "null"], "exclusiveMinimum": 0, "description": "A share."},
            "sure": {"enum": [true], "description": "Must hold."},
        },
        "required": ["share", "sure"],
    });
    for dialect in [Dialect::Gemini, Dialect::GeminiOlder, Dialect::OpenAiStrict, Dialect::Anthropic] {
        let properties = &lowered(dialect, document.clone())["properties"];
        assert_eq!(properties["share"]["description"], "A share. (exclusiveMinimum: 0)", "{dialect:?}");
        if matches!(dialect, Dialect::Gemini | Dialect::GeminiOlder) {
            assert_eq!(properties["sure"]["description"], "Must hold. (one of: true)", "{dialect:?}");
        }
    }
}

#[test]
fn geminis_older_subset_is_structure_alone() {
    let document = json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A code.", "pattern": "^A", "minLength": 2, "format": "date-time"},
            "share": {"type": ["number", "null"], "exclusiveMinimum": 0, "format": "float"},
            "kind": {"const": "x"},
            "level": {"enum": [1, 2, null], "description": "How much."},
            "word": {"enum": ["", "a"]},
            "never": {"type": "null"},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"$ref": "#/$defs/Shape"}], "items": false,
                "minItems": 2},
            "shape": {"$ref": "#/$defs/Shape", "description": "Its shape."},
            "maybe": {"anyOf": [{"$ref": "#/$defs/Shape"}, {"type": "null"}]},
        },
        "required": ["code"],
        "$defs": {"Shape": {"description": "A shape.", "oneOf": [
            {"type": "object", "properties": {"radius": {"type": "number", "minimum": 0}}, "required": ["radius"]},
            {"type": "string", "description": "Its name."},
        ]}},
    });
    let circle = json!({
        "type": "object",
        "properties": {"radius": {"type": "number", "description": "(minimum: 0)"}},
        "propertyOrdering": ["radius"],
        "required": ["radius"],
    });
    let with = |mut schema: Value, keyword: &str, value: Value| {
        schema[keyword] = value;
        schema
    };
    let name = json!({"type": "string", "description": "Its name."});
    let shape = with(circle.clone(), "description", json!("A shape."));
    let expected = json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A code. (minLength: 2, pattern: ^A, format: date-time)"},
            "share": {"type": "number", "nullable": true, "description": "(exclusiveMinimum: 0)"},
            "kind": {"type": "string", "enum": ["x"]},
            "level": {"type": "integer", "nullable": true, "description": "How much. (one of: 1, 2)"},
            "word": {"type": "string", "description": "(one of: \"\", \"a\")"},
            "never": {"type": "string", "nullable": true, "description": "(one of: null)"},
            "pair": {"type": "array", "description": "(minItems: 2)", "items": {"anyOf": [
                {"type": "string"}, shape.clone(), name.clone(),
            ]}},
            "shape": {"anyOf": [with(circle.clone(), "description", json!("Its shape. A shape.")), name.clone()]},
            "maybe": {"anyOf": [with(shape, "nullable", json!(true)), name]},
        },
        "propertyOrdering": ["code", "share", "kind", "level", "word", "never", "pair", "shape", "maybe"],
        "required": ["code"],
    });
    assert_eq!(lowered(Dialect::GeminiOlder, document), expected);
}

#[test]
fn what_geminis_older_subset_cannot_say_is_not_sendable() {
    let sendable = |document: Value| Schema::new("S", document).unwrap().lower(Dialect::GeminiOlder).is_strict();
    let of = |property: Value| json!({"type": "object", "properties": {"a": property}});
    assert!(sendable(of(json!({"type": "array", "items": {"type": "string"}}))));
    assert!(!sendable(of(json!({}))), "a value of any type");
    assert!(!sendable(of(json!({"type": "object", "additionalProperties": {"type": "string"}}))), "free keys");
    assert!(!sendable(of(json!({"type": "object", "properties": {}, "additionalProperties": false}))), "no members");
    assert!(!sendable(json!({"$ref": "#/$defs/T", "$defs": {"T": of(json!({"$ref": "#/$defs/T"}))}})), "recursion");
    let doubling: Map<String, Value> = (0..40)
        .map(|level| {
            let next =
                if level == 39 { json!({"type": "null"}) } else { json!({"$ref": format!("#/$defs/L{}", level + 1)}) };
            (format!("L{level}"), json!({"type": "object", "properties": {"a": next, "b": next}}))
        })
        .collect();
    assert!(!sendable(json!({"$ref": "#/$defs/L0", "$defs": doubling})), "too large without references");
}

#[test]
fn openai_requires_everything_and_wraps_a_list() {
    let document = json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "idea_index": {"type": "integer", "minimum": 0, "title": "Idea Index"},
                "note": {"type": "string", "default": ""},
                "tag": {"$ref": "#/$defs/Tag", "description": "A tag."},
            },
            "required": ["idea_index"],
        },
        "$defs": {"Tag": {"type": "string", "enum": ["a", "b"]}},
    });
    let expected = json!({
        "type": "object",
        "properties": {"value": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "idea_index": {"type": "integer", "description": "(minimum: 0)"},
                    "note": {"type": ["string", "null"]},
                    "tag": {"anyOf": [{"$ref": "#/$defs/Tag"}, {"type": "null"}], "description": "A tag."},
                },
                "required": ["idea_index", "note", "tag"],
                "additionalProperties": false,
            },
        }},
        "required": ["value"],
        "additionalProperties": false,
        "$defs": {"Tag": {"type": "string", "enum": ["a", "b"]}},
    });
    assert_eq!(lowered(Dialect::OpenAiStrict, document), expected);
}

#[test]
fn anthropic_keeps_what_is_optional_and_tells_what_it_has_no_keyword_for() {
    let document = json!({
        "type": "array",
        "minItems": 1,
        "maxItems": 3,
        "items": {
            "type": "object",
            "properties": {
                "idea_index": {"type": "integer", "minimum": 0, "title": "Idea Index"},
                "note": {"type": "string", "default": "", "maxLength": 9},
                "page": {"type": "string", "format": "uri"},
                "tag": {"$ref": "#/$defs/Tag", "description": "A tag."},
                "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": false,
                    "minItems": 2},
            },
            "required": ["idea_index", "tag"],
        },
        "$defs": {"Tag": {"type": "string", "enum": ["a", "b"]}},
    });
    let expected = json!({
        "type": "object",
        "properties": {"value": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "idea_index": {"type": "integer", "description": "(minimum: 0)"},
                    "note": {"type": "string", "description": "(maxLength: 9)"},
                    "page": {"type": "string", "format": "uri"},
                    "tag": {"$ref": "#/$defs/Tag"},
                    "pair": {"type": "array", "items": {"type": ["string", "null"]}, "description": "(minItems: 2)"},
                },
                "required": ["idea_index", "tag"],
                "additionalProperties": false,
                "description": "(tag: A tag.)",
            },
            "minItems": 1,
            "description": "(maxItems: 3)",
        }},
        "required": ["value"],
        "additionalProperties": false,
        "$defs": {"Tag": {"type": "string", "enum": ["a", "b"]}},
    });
    assert_eq!(lowered(Dialect::Anthropic, document), expected);
}

#[test]
fn what_anthropic_cannot_enforce_is_not_sendable() {
    let sendable = |document: Value| Schema::new("S", document).unwrap().lower(Dialect::Anthropic).is_strict();
    let of =
        |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
    let many = |count: usize, property: Value| -> (Value, Value) {
        let names: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
        let properties: Map<String, Value> = names.iter().map(|name| (name.clone(), property.clone())).collect();
        (properties.into(), names.into())
    };
    let union = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    for (count, expected) in [(16, true), (17, false)] {
        let (properties, names) = many(count, union.clone());
        assert_eq!(sendable(of(properties, names)), expected, "{count} unions");
    }
    for (count, expected) in [(24, true), (25, false)] {
        let (properties, _) = many(count, json!({"type": "string"}));
        assert_eq!(sendable(of(properties, json!([]))), expected, "{count} optional properties");
    }
    let tree = json!({
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": of(json!({"sub": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}), json!(["sub"]))},
    });
    assert!(!sendable(tree), "recursion");
    assert!(!sendable(of(json!({"any": {}}), json!(["any"]))), "a value of any type");
    assert!(!sendable(json!({"type": "object", "additionalProperties": {"type": "string"}})), "free keys");
    assert!(!sendable(of(json!({"one": {"enum": [[1]]}}), json!([]))), "an enumeration of lists");
}

#[test]
fn properties_keep_their_order() {
    let document = json!({"type": "object", "properties": {"z": true, "a": {"type": "string"}, "m": {"type": "null"}}});
    let dialects = [
        Dialect::Ollama,
        Dialect::Gemini,
        Dialect::GeminiOlder,
        Dialect::OpenAiStrict,
        Dialect::Anthropic,
        Dialect::Prompted,
    ];
    for dialect in dialects {
        let lowered = lowered(dialect, document.clone());
        let names: Vec<&String> = lowered["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["z", "a", "m"]);
    }
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    let refused = |document: Value| -> Error { Schema::new("S", document).unwrap_err() };
    for (document, part) in [
        (json!([1]), "must be a JSON object"),
        (json!(true), "must be a JSON object"),
        (json!({"$ref": "#/$defs/Missing"}), "#/$defs/Missing"),
        (json!({"properties": {"a": {"items": {"$ref": "#/$defs/Missing"}}}}), "#/properties/a"),
        (json!({"$ref": "https://example.com/schema.json"}), "outside"),
        (json!({"type": "str"}), "\"str\""),
        (json!({"type": 3}), "type"),
        (json!({"properties": []}), "properties"),
        (json!({"properties": {"a": 3}}), "#/properties/a"),
        (json!({"anyOf": []}), "anyOf"),
        (json!({"enum": "x"}), "enum"),
        (json!({"type": "string", "enum": [1]}), "no value"),
        (json!({"type": "object", "required": "a"}), "required"),
        (json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}), "itself"),
        (json!({"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/A"}]}}}), "itself"),
        (json!({"allOf": [{"type": "string"}, {"type": "integer"}]}), "no value"),
    ] {
        let error = refused(document.clone());
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{document}");
        assert!(error.message().contains(part), "{document}: {error}");
    }
    let explosive: Map<String, Value> = (0..40)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/L{}", (level + 1) % 40), "minProperties": 1});
            (format!("L{level}"), json!({"type": "object", "properties": {"a": next, "b": next}}))
        })
        .collect();
    assert!(
        refused(json!({"$ref": "#/$defs/L0", "minProperties": 1, "$defs": explosive})).message().contains("too large")
    );
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(refused(deep).message().contains("deep"));
}

#[test]
fn what_outgrows_strict_mode_is_sent_without_it() {
    let strict = |document: Value| Schema::new("S", document).unwrap().lower(Dialect::OpenAiStrict).is_strict();
    let values =
        |count: usize| json!({"type": "object", "properties": {"a": {"enum": (0..count).collect::<Vec<_>>()}}});
    assert!(strict(values(1000)));
    assert!(!strict(values(1001)));
    let nested = |levels: usize| {
        (0..levels).fold(json!({"type": "string"}), |inner, _| json!({"type": "object", "properties": {"a": inner}}))
    };
    assert!(strict(nested(10)));
    assert!(!strict(nested(11)));
    let wide = |count: usize| {
        let properties: Map<String, Value> = (0..count).map(|n| (format!("p{n}"), json!({"type": "null"}))).collect();
        json!({"type": "object", "properties": properties})
    };
    assert!(strict(wide(5000)));
    assert!(!strict(wide(5001)));
}

/// Types as the agents define theirs.
mod types {
    #![expect(dead_code, clippy::struct_field_names, reason = "only their schemas are used")]

    use std::collections::BTreeMap;

    use schemars::JsonSchema;

    /// An idea.
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub(crate) struct Idea {
        /// Which idea this is.
        pub(crate) idea_index: u32,
        #[schemars(range(min = 0.0, max = 10.0))]
        pub(crate) score: f64,
        #[schemars(length(min = 1, max = 5))]
        pub(crate) points: Vec<String>,
        #[serde(default)]
        pub(crate) note: String,
        pub(crate) parent: Option<Box<Self>>,
        pub(crate) verdict: Verdict,
        #[serde(flatten)]
        pub(crate) place: Place,
    }

    #[derive(JsonSchema)]
    pub(crate) struct Place {
        pub(crate) pair: (u8, String),
        pub(crate) letter: Option<char>,
    }

    #[derive(JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    pub(crate) enum Verdict {
        /// Good as it is.
        Keep,
        Change {
            how: String,
            cost: Option<i64>,
        },
        Split(Halves),
    }

    #[derive(JsonSchema)]
    pub(crate) struct Halves {
        pub(crate) first: Level,
        pub(crate) second: Option<Level>,
    }

    #[derive(JsonSchema)]
    pub(crate) enum Level {
        Low,
        /// The highest.
        High,
        Custom(f32),
    }

    #[derive(JsonSchema)]
    pub(crate) struct Report {
        pub(crate) by_name: BTreeMap<String, Halves>,
        pub(crate) anything: serde_json::Value,
    }
}

#[test]
fn rust_types_are_lowered_by_the_same_rules() {
    let halves = json!({"first": "Low", "second": {"Custom": 1.5}});
    let idea = json!({
        "idea_index": 0, "score": 1.5, "points": ["a"], "note": "", "parent": null, "verdict": {"kind": "keep"},
        "pair": [1, "x"], "letter": "c",
    });
    let mut split = idea.clone();
    split["verdict"] = json!({"kind": "split", "first": "High", "second": null});
    let mut change = idea.clone();
    change["verdict"] = json!({"kind": "change", "how": "so", "cost": 3});
    change["parent"] = idea.clone();
    for (name, schema, strict, values) in [
        ("Idea", schemars::schema_for!(types::Idea), true, vec![idea.clone(), split, change]),
        ("Ideas", schemars::schema_for!(Vec<types::Idea>), true, vec![json!([idea]), json!([])]),
        ("Verdict", schemars::schema_for!(types::Verdict), true, vec![json!({"kind": "keep"})]),
        (
            "Report",
            schemars::schema_for!(types::Report),
            false,
            vec![json!({"by_name": {"a": halves}, "anything": [1, {}]})],
        ),
    ] {
        let schema = Schema::new(name, schema.to_value()).unwrap();
        assert_eq!(schema.lower(Dialect::OpenAiStrict).is_strict(), strict, "{name}");
        check_all(name, &schema, &values);
    }
}
