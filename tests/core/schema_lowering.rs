//! Lowered schemas keep their provider's rules, and take every value the original takes.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod schema_fixtures;

use madspark::schema::{Dialect, Schema};
use madspark::{Error, ErrorKind};
use schema_fixtures::{all, assert_valid};
use serde_json::{Map, Value, json};

type Node = Map<String, Value>;

/// Every schema inside `document`, with its path. Knows which keywords hold schemas, and nothing of the lowering.
fn nodes(document: &Value) -> Vec<(String, &Node)> {
    fn walk<'v>(path: &str, schema: &'v Value, found: &mut Vec<(String, &'v Node)>) {
        let node = schema.as_object().unwrap_or_else(|| panic!("{path} is no object: {schema}"));
        found.push((path.to_owned(), node));
        for keyword in ["properties", "$defs"] {
            for (name, child) in node.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                walk(&format!("{path}/{keyword}/{name}"), child, found);
            }
        }
        for keyword in ["anyOf", "prefixItems"] {
            for (index, child) in node.get(keyword).and_then(Value::as_array).into_iter().flatten().enumerate() {
                walk(&format!("{path}/{keyword}/{index}"), child, found);
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(child) = node.get(keyword).filter(|child| !child.is_boolean()) {
                walk(&format!("{path}/{keyword}"), child, found);
            }
        }
    }
    let mut found = Vec::new();
    walk("#", document, &mut found);
    found
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

fn types(node: &Node) -> Vec<&str> {
    node.get("type").map_or_else(Vec::new, |name| name.as_str().map_or_else(|| strings(Some(name)), |name| vec![name]))
}

/// What every dialect keeps to.
fn check_common(name: &str, document: &Value, keywords: &[&str]) {
    const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "null", "array", "object"];
    for (path, node) in nodes(document) {
        for keyword in node.keys() {
            let allowed = keywords.contains(&keyword.as_str()) || (keyword == "$defs" && path == "#");
            assert!(allowed, "{name}: {keyword} at {path}");
        }
        assert!(types(node).iter().all(|name| TYPES.contains(name)), "{name}: type at {path}");
        if let Some(reference) = node.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name}: {reference} leads nowhere at {path}");
            assert!(path != "#", "{name}: a reference at the root");
        }
        for required in strings(node.get("required")) {
            assert!(node["properties"].get(required).is_some(), "{name}: unknown required {required} at {path}");
        }
        assert!(node.get("anyOf").is_none_or(|branches| branches[0].is_object()), "{name}: empty anyOf at {path}");
    }
}

fn check_typed(name: &str, document: &Value) {
    for (path, node) in nodes(document) {
        let forms = ["type", "anyOf", "$ref"].iter().filter(|form| node.contains_key(**form)).count();
        assert_eq!(forms, 1, "{name}: {path} must have one of type, anyOf and $ref: {node:?}");
    }
}

/// The definitions that `schema` refers to, over other definitions too.
fn reached<'v>(document: &'v Value, schema: &'v Value) -> Vec<&'v str> {
    let mut found: Vec<&str> = Vec::new();
    let mut left = vec![schema];
    while let Some(schema) = left.pop() {
        for (path, node) in nodes(schema) {
            let Some(reference) = node.get("$ref").and_then(Value::as_str) else { continue };
            if !path.starts_with("#/$defs") && !found.contains(&reference) {
                found.push(reference);
                left.push(document.pointer(&reference[1..]).unwrap());
            }
        }
    }
    found
}

fn check_ollama(name: &str, document: &Value) {
    let keywords = [
        "type",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "format",
        "enum",
        "anyOf",
        "$ref",
    ];
    check_common(name, document, &keywords);
    check_typed(name, document);
    for (path, node) in nodes(document) {
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let target = document.pointer(&reference[1..]).unwrap();
            assert!(reached(document, target).contains(&reference), "{name}: {reference} at {path} is not recursive");
        }
        for keyword in ["minItems", "maxItems"] {
            assert!(node.get(keyword).is_none_or(|n| n.as_u64().unwrap() <= 100), "{name}: {keyword} at {path}");
        }
        for keyword in ["minimum", "maximum"] {
            let is_known = node.get(keyword).is_none_or(|n| n.is_i64() && types(node).contains(&"integer"));
            assert!(is_known, "{name}: {keyword} at {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let is_known = ["date", "time", "date-time"].contains(&format) || format.starts_with("uuid");
            assert!(is_known && types(node).contains(&"string"), "{name}: format {format} at {path}");
        }
        assert!(!(node.contains_key("items") && node.contains_key("prefixItems")), "{name}: {path}");
    }
}

fn check_gemini(name: &str, document: &Value) {
    let keywords = [
        "type",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "format",
        "enum",
        "anyOf",
        "$ref",
    ];
    check_common(name, document, &keywords);
    check_typed(name, document);
    for (path, node) in nodes(document) {
        if node.contains_key("$ref") {
            let beside = node.keys().filter(|keyword| !["$ref", "description"].contains(&keyword.as_str())).count();
            assert_eq!(beside, 0, "{name}: beside $ref at {path}");
        }
        for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(value.is_string() || value.is_number(), "{name}: enum value {value} at {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let known = ["date-time", "date", "time", "float", "double", "int32", "int64"];
            assert!(known.contains(&format), "{name}: format {format} at {path}");
        }
        if types(node).contains(&"array") {
            assert!(node.contains_key("items"), "{name}: array without items at {path}");
        }
    }
    for (definition, schema) in document.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        let own = format!("#/$defs/{definition}");
        for (path, node) in nodes(schema) {
            for required in strings(node.get("required")) {
                let is_recursive = reached(document, &node["properties"][required]).contains(&own.as_str());
                assert!(!is_recursive, "{name}: {definition} recurs in the required {required} at {path}");
            }
        }
    }
}

fn check_openai(name: &str, document: &Value, strict: bool) {
    assert_eq!(document["type"], "object", "{name}: the root must be an object");
    assert!(document.get("anyOf").is_none(), "{name}: anyOf at the root");
    for (path, node) in nodes(document) {
        for noise in ["title", "default", "oneOf", "allOf", "const", "discriminator", "$schema"] {
            assert!(!node.contains_key(noise), "{name}: {noise} at {path}");
        }
    }
    if !strict {
        return;
    }
    let keywords = [
        "type",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "format",
        "enum",
        "anyOf",
        "$ref",
    ];
    check_common(name, document, &keywords);
    check_typed(name, document);
    for (path, node) in nodes(document) {
        if node.contains_key("$ref") {
            assert_eq!(node.len(), 1, "{name}: beside $ref at {path}");
        }
        if types(node).contains(&"object") {
            let properties: Vec<&str> = node["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(strings(node.get("required")), properties, "{name}: required at {path}");
            assert_eq!(node["additionalProperties"], json!(false), "{name}: open object at {path}");
        }
        if types(node).contains(&"array") {
            assert!(node["items"].is_object(), "{name}: array without items at {path}");
        }
    }
}

fn check_anthropic(name: &str, document: &Value, sendable: bool) {
    if !sendable {
        return;
    }
    let keywords = [
        "type",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "format",
        "enum",
        "anyOf",
        "$ref",
    ];
    assert_eq!(document["type"], "object", "{name}: the root must be an object");
    check_common(name, document, &keywords);
    check_typed(name, document);
    let (mut optional, mut unions) = (0, 0);
    for (path, node) in nodes(document) {
        if node.contains_key("$ref") {
            assert_eq!(node.len(), 1, "{name}: beside $ref at {path}");
        }
        if types(node).contains(&"object") {
            let properties: Vec<&str> = node["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let required = strings(node.get("required"));
            assert!(required.iter().all(|name| properties.contains(name)), "{name}: required at {path}");
            assert_eq!(node["additionalProperties"], json!(false), "{name}: open object at {path}");
            optional += properties.len() - required.len();
        }
        if types(node).contains(&"array") {
            assert!(node["items"].is_object(), "{name}: array without items at {path}");
        }
        if let Some(least) = node.get("minItems") {
            assert!(types(node).contains(&"array") && (0..=1).contains(&least.as_i64().unwrap()), "{name}: {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let known = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
            assert!(known.contains(&format), "{name}: format {format} at {path}");
        }
        for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(!value.is_object() && !value.is_array(), "{name}: enum value {value} at {path}");
        }
        unions += usize::from(node.contains_key("anyOf") || types(node).len() > 1);
    }
    assert!(optional <= 24 && unions <= 16, "{name}: {optional} optional, {unions} unions");
    for (definition, schema) in document.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        let own = format!("#/$defs/{definition}");
        assert!(!reached(document, schema).contains(&own.as_str()), "{name}: {definition} recurs");
    }
}

#[test]
fn every_dialects_rules_are_kept() {
    for fixture in all() {
        let name = &fixture.name;
        let schema =
            Schema::new(name.clone(), fixture.schema.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema.document(), &fixture.schema);
        check_ollama(name, schema.lower(Dialect::Ollama).document());
        check_gemini(name, schema.lower(Dialect::Gemini).document());
        let openai = schema.lower(Dialect::OpenAiStrict);
        check_openai(name, openai.document(), openai.is_strict());
        let anthropic = schema.lower(Dialect::Anthropic);
        check_anthropic(name, anthropic.document(), anthropic.is_strict());
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
fn valid_values_stay_valid() {
    for fixture in all() {
        let schema = Schema::new("S", fixture.schema.clone()).unwrap();
        for value in &fixture.valid {
            assert_valid(&fixture.name, &fixture.schema, value);
            assert_valid(&fixture.name, schema.lower(Dialect::Ollama).document(), value);
            assert_valid(&fixture.name, schema.lower(Dialect::Gemini).document(), value);
        }
    }
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
    for dialect in [Dialect::Ollama, Dialect::Gemini, Dialect::OpenAiStrict, Dialect::Anthropic] {
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
        let openai = schema.lower(Dialect::OpenAiStrict);
        check_ollama(name, schema.lower(Dialect::Ollama).document());
        check_gemini(name, schema.lower(Dialect::Gemini).document());
        check_openai(name, openai.document(), openai.is_strict());
        let anthropic = schema.lower(Dialect::Anthropic);
        check_anthropic(name, anthropic.document(), anthropic.is_strict());
        assert_eq!(openai.is_strict(), strict, "{name}");
        for value in values {
            assert_valid(name, schema.document(), &value);
            assert_valid(name, schema.lower(Dialect::Ollama).document(), &value);
            assert_valid(name, schema.lower(Dialect::Gemini).document(), &value);
        }
    }
}
